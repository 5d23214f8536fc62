"""Label shares are stated; sets of masks, whose foreground nobody can tell, are refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.frames.inspection import inspect_frames
from graspcut.frames.label_shares import read_label_shares


def make(folder: Path, values: tuple[int, int, int]) -> Path:
    """Four 8x8 frames: a row of each of three labels, the rest 0."""
    label = np.zeros((8, 8), np.uint8)
    label[0], label[1], label[2] = values
    for kind in ("depth", "label"):
        (folder / kind).mkdir(parents=True)
    for index in range(4):
        write_image_atomically(folder / "depth" / f"{index}.png", np.full((8, 8), 500, np.uint16))
        write_image_atomically(folder / "label" / f"{index}.png", label)
    return folder


def test_shares_are_those_of_the_pixels(tmp_path: Path) -> None:
    folder = make(tmp_path / "set", (1, 2, 255))
    shares = read_label_shares(DatasetReader(folder, depth_unit_mm=1))
    assert (shares.frames, shares.hand, shares.object, shares.unknown) == (4, 0.125, 0.125, 0.125)
    result = inspect_frames(folder, depth_unit_mm=1)
    assert dict(result.facts)["label shares"] == "62.5% background, 12.5% hand, 12.5% object, 12.5% unknown"
    assert result.faults == ()


def test_masks_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "set", (255, 255, 0))
    with pytest.raises(FrameError, match=r"without hand and object.*25\.0% unknown.*1 for hand and 2 for object"):
        read_label_shares(DatasetReader(folder, depth_unit_mm=1))
    assert "without hand and object" in inspect_frames(folder, depth_unit_mm=1).faults[0]
    for index in range(4):
        mask = np.tile(np.array([0, 255], np.uint8), (8, 4))
        cv2.imwrite(str(folder / "label" / f"{index}.png"), mask, [cv2.IMWRITE_PNG_BILEVEL, 1])
    with pytest.raises(FrameError, match="without hand and object"):
        read_label_shares(DatasetReader(folder, depth_unit_mm=1))


def test_rooms_without_a_hand_are_no_masks(tmp_path: Path) -> None:
    folder = make(tmp_path / "set", (0, 0, 0))
    assert read_label_shares(DatasetReader(folder, depth_unit_mm=1)).hand == 0
