"""Stored views that are turned, moved and spoilt: pixels and joints go together."""

from __future__ import annotations

import numpy as np

from graspcut.pose.crops import HandCrops
from graspcut.pose.data import PoseBatch, moved, turned
from graspcut.pose.mask_errors import with_mask_errors


def _spots() -> PoseBatch:
    """Eight crops with one pixel of a hand each, and a joint at its middle."""
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(12, 36, (2, 8))
    crop, parts = np.ones((8, 48, 48), np.float32), np.zeros((8, 48, 48), np.uint8)
    crop[np.arange(8), rows, columns] = 0.25
    parts[np.arange(8), rows, columns] = np.arange(1, 9)
    uv = (2 * np.stack([columns, rows], axis=1) + 1) / 48 - 1
    joints = np.concatenate([uv, np.full((8, 1), 0.25)], axis=1)[:, None].astype(np.float32)
    return PoseBatch(crop, parts, joints, np.ones((8, 1), bool), np.ones(8, bool))


def _joints_from_pixels(batch: PoseBatch) -> np.ndarray:
    number, rows, columns = np.nonzero(batch.parts)
    assert list(number) == list(range(8))
    uv = (2 * np.stack([columns, rows], axis=1) + 1) / 48 - 1
    return np.concatenate([uv, batch.crop[number, rows, columns][:, None]], axis=1)


def test_turned_views_keep_joints_on_their_pixels() -> None:
    batch = _spots()
    quarters = np.arange(8) % 4
    after = turned(batch, quarters)
    np.testing.assert_allclose(after.joints[:, 0], _joints_from_pixels(after), atol=1e-6)
    for axis in range(4):
        back = turned(after, (4 - quarters) % 4)
        np.testing.assert_array_equal(back.crop[axis], batch.crop[axis])
    assert not np.array_equal(after.crop[1], batch.crop[1])


def test_moved_views_keep_joints_on_their_pixels() -> None:
    rng = np.random.default_rng(1)
    after = moved(_spots(), rng.integers(-6, 7, (8, 2)), rng.normal(0, 0.1, 8))
    np.testing.assert_allclose(after.joints[:, 0], _joints_from_pixels(after), atol=1e-6)


def test_what_leaves_the_cube_becomes_background() -> None:
    batch = _spots()
    after = moved(batch, np.zeros((8, 2), int), np.full(8, -0.8))
    assert (after.crop == 1.0).all() and not after.parts.any()
    far = moved(batch, np.full((8, 2), 24), np.zeros(8))
    assert far.crop.shape == batch.crop.shape


def test_mask_errors_take_and_add_pixels_but_invent_no_part() -> None:
    crop, parts = np.ones((6, 48, 48), np.float32), np.zeros((6, 48, 48), np.uint8)
    crop[:, 10:38, 14:34], parts[:, 10:38, 14:34] = 0.1, 5
    batch = PoseBatch(crop, parts, np.zeros((6, 1, 3)), np.ones((6, 1), bool), np.ones(6, bool))
    after = with_mask_errors(batch, np.random.default_rng(3), share=1.0)
    hand, before = after.crop < 1.0, crop < 1.0
    assert (before & ~hand).any() and (hand & ~before).any()
    # What was added is looked at but has no part; what is left keeps its own.
    assert not after.parts[hand & ~before].any() and not after.parts[~hand].any()
    assert (after.parts[hand & before] == 5).all()
    assert (hand & before).sum() > 0.6 * before.sum()
    np.testing.assert_array_equal(with_mask_errors(batch, np.random.default_rng(3), share=0.0).crop, crop)


def test_cubes_of_arms_can_lie_around_the_knuckle() -> None:
    joints = np.zeros((2, 21, 3), np.float32)
    joints[0, 9] = 5, 6, 700
    joints[1] = np.nan
    middles = np.full((2, 3), 600.0)
    empty = np.zeros((2, 4, 4))
    crops = HandCrops(
        empty.astype(np.uint16), empty.astype(np.uint8), joints, np.ones((2, 21), bool), np.ones(2, bool),
        np.ones((2, 4)), middles,
    )  # fmt: skip
    np.testing.assert_array_equal(crops.at_knuckles().centre_mm, [[5, 6, 700], [600, 600, 600]])
