"""Small labelled data sets for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import Instance, LabelledFrame
from graspcut.labels import HAND, OBJECT, UNKNOWN


def write_dataset(
    folder: Path, count: int = 10, *, recordings: int = 1, annotated: bool = False, instances: bool = False
) -> DatasetReader:
    """Frames of 32x24 pixels with a hand, an object and some unknown pixels, from so many recordings."""
    rng = np.random.default_rng(8)
    description = {"made_by": "graspcut annotate" if annotated else "a test"}
    writer = DatasetWriter(folder, depth_unit_mm=1.0, description=description)
    for index in range(count):
        depth = rng.integers(300, 900, (24, 32)).astype(np.float32)
        labels = np.zeros(depth.shape, np.uint8)
        labels[4:20, 4 : 14 + index % 3] = HAND
        labels[8:12, 12:24] = OBJECT
        labels[20:22] = UNKNOWN
        maps = None
        table: tuple[Instance, ...] = ()
        if instances:
            maps = np.where(labels == HAND, 1, np.where(labels == OBJECT, 2 + (np.arange(32) > 18), 0)).astype(np.uint8)
            table = (Instance(1, HAND, "left hand"), Instance(2, OBJECT, "cup"), Instance(3, OBJECT, "pen"))
        frame = Frame(depth, Camera.sr300(32, 24), name=f"{index:06d}")
        extra = {"recording": f"recording-{index * recordings // count}"}
        writer.write(index, LabelledFrame(frame, labels, maps, instance_table=table), extra=extra)
    writer.finish(count)
    return DatasetReader(folder)
