"""Composed frames: pieces laid over each other, moved until they touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.labelled import Instance
from graspcut.instances.composing import (
    ComposedConfig,
    ComposedFrames,
    Piece,
    instance_masks,
    laid_over,
    shifted,
    touching_move,
    write_composed,
)
from graspcut.labels import HAND, OBJECT


def square(left: int, top: int, depth_mm: float, label: int = OBJECT) -> Piece:
    """A square of 20 pixels."""
    depth = np.zeros((60, 80), np.float32)
    depth[top : top + 20, left : left + 20] = depth_mm
    return Piece(depth, (depth > 0).astype(np.uint8), (Instance(1, label, "thing"),))


def test_the_nearer_surface_wins() -> None:
    both = laid_over(square(10, 10, 500.0, HAND), square(20, 10, 400.0))
    assert [entry.id for entry in both.table] == [1, 2]
    assert both.instances[15, 15] == 1 and both.instances[15, 25] == 2 and both.depth_mm[15, 25] == 400
    behind = laid_over(square(10, 10, 400.0), square(20, 10, 500.0))
    assert behind.instances[15, 25] == 1 and behind.instances[15, 35] == 2


def test_shifting_loses_what_leaves() -> None:
    image: NDArray[np.int64] = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(shifted(image, 1, -1)[:2, 1:], image[1:, :3])
    assert shifted(image, 1, -1)[2].sum() == 0 and shifted(image, 9, 0).sum() == 0


@pytest.mark.parametrize("seed", range(5))
def test_touching_pieces_meet_in_the_picture_and_in_depth(seed: int) -> None:
    there, piece = square(30, 20, 500.0), square(0, 0, 430.0)
    move = touching_move(there, piece, np.random.default_rng(seed))
    assert move is not None
    moved = piece.moved(*move)
    both = laid_over(there, moved)
    first, second = both.instances == 1, both.instances == 2
    assert second.sum() == 400 and 0.9 * 400 < first.sum() <= 400
    near = np.zeros_like(first)
    for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (0, 2), (0, -2), (2, 2), (-2, -2)):
        near |= shifted(second, right, down)
    assert (near & first).any()
    assert abs(float(moved.depth_mm[moved.mask].mean()) - 500) < 20


def test_frames_are_repeatable_and_whole(tmp_path: Path) -> None:
    config = ComposedConfig(width=80, height=60, hands=(0.0, 0.5, 0.5), objects=(0.0, 0.5, 0.5, 0.0))
    frames = ComposedFrames(config, seed=1)
    counts = []
    for index in range(3):
        frame = frames[index]
        assert frame.instances is not None
        np.testing.assert_array_equal(frame.frame.depth_mm, ComposedFrames(config, seed=1)[index].frame.depth_mm)
        assert ((frame.labels > 0) == (frame.instances > 0)).all()
        masks, ids = instance_masks(frame.instances, frame.instance_table, smallest_px=5)
        counts.append(len(masks))
        for mask, identity in zip(masks, ids, strict=True):
            np.testing.assert_array_equal(mask, frame.instances == identity)
    assert max(counts) >= 2
    write_composed(config, seed=1, count=2, out=tmp_path / "frames")
    stored = DatasetReader(tmp_path / "frames")[1]
    np.testing.assert_array_equal(stored.instances, frames[1].instances)
