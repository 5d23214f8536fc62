"""Command lines and frames for the tests of what is the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame

QUIET = ("--workers", 0, "--threads", 1, "--no-progress-bar")


def run(*arguments: str | float | Path) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def write_dataset(folder: Path, *, count: int = 4, colour: bool = False) -> Path:
    """Frames of 64x48 pixels with a near square that is half hand, half object; with the colours of its halves."""
    rng = np.random.default_rng(1)
    writer = DatasetWriter(folder, depth_unit_mm=0.125, description={})
    camera = Camera.from_focal_length(64, 48, 240.0)
    for index in range(count):
        depth = (900 + rng.normal(0, 2, (48, 64))).astype(np.float32)
        labels = np.zeros((48, 64), np.uint8)
        depth[12:24, 16:32] = 500
        labels[12:24, 16:32] = 1
        labels[12:24, 21 + index : 32] = 2
        seen = np.array([[40, 90, 40], [220, 170, 140], [30, 30, 200]], np.uint8)[labels] if colour else None
        frame = Frame(depth, camera, colour=seen, colour_camera=camera if colour else None)
        writer.write(index, LabelledFrame(frame, labels))
    writer.finish(count)
    return folder
