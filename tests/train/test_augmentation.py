"""Changes keep depth, labels and focal length consistent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.train.augmentation import (
    AugmentationConfig,
    add_holes,
    add_noise,
    augment,
    change_colour,
    change_distance,
    cut_far,
    without_missing_depth,
)
from graspcut.train.geometry import crop, flip, resized, warp
from graspcut.train.samples import ALPHA, COLOUR, DEPTH, LABELS, Map, MapKind, Points, Sample


def depth_sample(depth: NDArray[np.float32], labels: NDArray[np.uint8], focal_px: float) -> Sample:
    return Sample({"depth_mm": Map(depth, DEPTH), "labels": Map(labels, LABELS)}, focal_px)


def random_sample(seed: int, height: int = 23, width: int = 31) -> Sample:
    """Unique depth values, so that every pixel can be followed; some invalid, some unknown."""
    rng = np.random.default_rng(seed)
    depth = (400.0 + rng.permutation(height * width).reshape(height, width)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0.0
    labels = rng.integers(0, 3, depth.shape, dtype=np.uint8)
    labels[rng.random(depth.shape) < 0.05] = 255
    return depth_sample(depth, labels, 240.0)


def label_of_depth(sample: Sample) -> dict[float, int]:
    return {
        float(z): int(label) for z, label in zip(sample["depth_mm"].flat, sample["labels"].flat, strict=True) if z > 0
    }


def test_flip_twice_is_the_identity() -> None:
    sample = random_sample(0)
    once = flip(sample)
    np.testing.assert_array_equal(once["depth_mm"], sample["depth_mm"][:, ::-1])
    np.testing.assert_array_equal(once["labels"], sample["labels"][:, ::-1])
    np.testing.assert_array_equal(flip(once)["depth_mm"], sample["depth_mm"])


@given(st.integers(0, 1000), st.floats(-180, 180), st.floats(0.5, 2.0), st.floats(-10, 10), st.floats(-10, 10))
@settings(max_examples=30, deadline=None)
def test_warp_only_moves_pixels(seed: int, angle: float, scale: float, right: float, down: float) -> None:
    sample = random_sample(seed)
    warped = warp(sample, rotation_deg=angle, scale=scale, shift_px=(right, down))
    before = label_of_depth(sample)
    for z, label in label_of_depth(warped).items():
        assert before[z] == label  # a depth that existed, with its own label
    assert warped["depth_mm"].shape == sample["depth_mm"].shape and warped["depth_mm"].dtype == np.float32
    assert warped.focal_px == pytest.approx(240.0 * scale)


def test_warp_fills_with_invalid_background() -> None:
    sample = depth_sample(np.full((20, 20), 500.0, np.float32), np.full((20, 20), 1, np.uint8), 240.0)
    moved = warp(sample, shift_px=(5.0, 0.0))
    np.testing.assert_array_equal(moved["depth_mm"][:, :5], 0.0)
    np.testing.assert_array_equal(moved["labels"][:, :5], 0)
    np.testing.assert_array_equal(moved["labels"][:, 5:], 1)


def test_quarter_turn_is_exact() -> None:
    sample = random_sample(4, 21, 21)
    turned = warp(sample, rotation_deg=90.0)
    np.testing.assert_array_equal(turned["depth_mm"], np.rot90(sample["depth_mm"]))
    np.testing.assert_array_equal(turned["labels"], np.rot90(sample["labels"]))


def test_noise_leaves_invalid_pixels_alone() -> None:
    sample = random_sample(1)
    noisy = add_noise(sample, 5.0, np.random.default_rng(0))
    valid = sample["depth_mm"] > 0
    assert (noisy["depth_mm"][~valid] == 0).all()
    assert (noisy["depth_mm"][valid] > 0).all()
    assert 4.0 < float(np.std(noisy["depth_mm"][valid] - sample["depth_mm"][valid])) < 6.0


def test_strong_noise_never_makes_a_pixel_invalid() -> None:
    sample = depth_sample(np.full((50, 50), 20.0, np.float32), np.zeros((50, 50), np.uint8), 240.0)
    assert float(add_noise(sample, 50.0, np.random.default_rng(0))["depth_mm"].min()) == 1.0


def test_holes_only_remove_depth() -> None:
    sample = random_sample(2)
    holed = add_holes(sample, 3, 4.0, np.random.default_rng(1))
    removed = (holed["depth_mm"] == 0) & (sample["depth_mm"] > 0)
    assert 0 < removed.sum() < 300
    np.testing.assert_array_equal(holed["depth_mm"][~removed], sample["depth_mm"][~removed])
    np.testing.assert_array_equal(holed["labels"], sample["labels"])


def test_cut_far_removes_depth_and_label_beyond() -> None:
    sample = random_sample(3)
    cut = cut_far(sample, 700.0)
    beyond = sample["depth_mm"] > 700
    assert (cut["depth_mm"][beyond] == 0).all()
    assert set(np.unique(cut["labels"][beyond])) == {0, 255}
    np.testing.assert_array_equal(cut["labels"][beyond] == 255, sample["labels"][beyond] == 255)
    np.testing.assert_array_equal(cut["depth_mm"][~beyond], sample["depth_mm"][~beyond])


def test_change_distance_keeps_millimetres_per_pixel_of_the_foreground() -> None:
    depth = np.full((10, 10), 1000.0, np.float32)
    depth[2:6, 2:6] = 500.0
    depth[0] = 0.0
    labels = np.zeros((10, 10), np.uint8)
    labels[2:6, 2:6] = 1
    moved = change_distance(depth_sample(depth, labels, 240.0), 100.0)
    assert (moved["depth_mm"][0] == 0).all()
    assert moved["depth_mm"][3, 3] == 600.0 and moved["depth_mm"][8, 8] == 1100.0
    assert moved["depth_mm"][3, 3] / moved.focal_px == pytest.approx(500.0 / 240.0)


def test_change_distance_stays_before_the_camera() -> None:
    moved = change_distance(random_sample(5), -10_000.0)
    assert float(moved["depth_mm"][moved["depth_mm"] > 0].min()) >= 200.0
    assert moved.focal_px > 0


def test_missing_depth_gets_the_label() -> None:
    sample = random_sample(6)
    ignored = without_missing_depth(sample, 255)
    assert (ignored["labels"][sample["depth_mm"] == 0] == 255).all()
    np.testing.assert_array_equal(ignored["labels"][sample["depth_mm"] > 0], sample["labels"][sample["depth_mm"] > 0])
    background = without_missing_depth(sample, 0)
    known_missing = (sample["depth_mm"] == 0) & (sample["labels"] != 255)
    assert (background["labels"][known_missing] == 0).all()
    assert (background["labels"][sample["labels"] == 255] == 255).all()


def test_augment_repeats_with_the_seed_and_differs_between_seeds() -> None:
    sample, config = random_sample(7), AugmentationConfig.full()
    first = augment(sample, config, np.random.default_rng(1))
    again = augment(sample, config, np.random.default_rng(1))
    other = augment(sample, config, np.random.default_rng(2))
    np.testing.assert_array_equal(first["depth_mm"], again["depth_mm"])
    assert first.focal_px == again.focal_px
    assert not np.array_equal(first["depth_mm"], other["depth_mm"])


def test_no_augmentation_by_default() -> None:
    sample = random_sample(8)
    same = augment(sample, AugmentationConfig(), np.random.default_rng(0))
    np.testing.assert_array_equal(same["depth_mm"], sample["depth_mm"])
    np.testing.assert_array_equal(same["labels"], sample["labels"])


def test_invalid_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="one \\(H, W\\) shape"):
        depth_sample(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.uint8), 240.0)
    with pytest.raises(ValueError, match="focal_px"):
        depth_sample(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.uint8), 0.0)
    with pytest.raises(ValueError, match="scale"):
        warp(random_sample(0), scale=0.0)


def joint_sample(seed: int = 0) -> Sample:
    """Maps of all kinds, and joints in millimetres beside the pixels where a camera sees them."""
    rng = np.random.default_rng(seed)
    joints_mm = np.stack([rng.uniform(-40, 40, 8), rng.uniform(-30, 30, 8), rng.uniform(400, 600, 8)], axis=1)
    centre, focal = (14.0, 13.0), 180.0
    hands = MapKind("hands", "nearest", 0, swapped=((1, 2),))
    maps = {
        "depth_mm": Map(rng.uniform(400, 600, (30, 40)).astype(np.float32), DEPTH),
        "colour": Map(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), COLOUR),
        "alpha": Map(rng.random((30, 40), dtype=np.float32), ALPHA),
        "hands": Map(rng.integers(0, 3, (30, 40), dtype=np.uint8), hands),
    }
    seen = joints_mm[:, :2] / joints_mm[:, 2:] * focal + np.array(centre)
    points = {"mm": Points(joints_mm, "mm", ((0, 1),)), "px": Points(seen, "px", ((0, 1),))}
    return Sample(maps, focal, points, centre)


def seen_px(sample: Sample) -> NDArray[np.floating]:
    joints = sample.points["mm"].coordinates
    seen: NDArray[np.floating] = joints[:, :2] / joints[:, 2:] * sample.focal_px + np.array(sample.centre_px)
    return seen


@pytest.mark.parametrize(
    "change",
    [
        flip,
        lambda sample: warp(sample, rotation_deg=33.0, scale=1.3, shift_px=(3.0, -2.0)),
        lambda sample: crop(sample, -3, 5, 20, 18),
        lambda sample: resized(sample, 80, 60),
        lambda sample: change_distance(sample, 90.0),
        lambda sample: augment(sample, AugmentationConfig.full(), np.random.default_rng(3)),
    ],
)
def test_joints_in_millimetres_stay_where_the_camera_sees_them(change: Callable[[Sample], Sample]) -> None:
    sample = joint_sample()
    changed = change(sample)
    np.testing.assert_allclose(seen_px(changed), changed.points["px"].coordinates, atol=1e-9)
    assert all(entry.array.shape[:2] == changed.size for entry in changed.maps.values())
    assert all(entry.array.dtype == sample[name].dtype for name, entry in changed.maps.items())


def test_turning_keeps_the_bones() -> None:
    sample = joint_sample()
    turned = warp(sample, rotation_deg=70.0, scale=1.4, shift_px=(4.0, 1.0)).points["mm"].coordinates
    before = np.linalg.norm(np.diff(sample.points["mm"].coordinates, axis=0), axis=1)
    np.testing.assert_allclose(np.linalg.norm(np.diff(turned, axis=0), axis=1), before)


def test_a_flip_exchanges_sides() -> None:
    sample = joint_sample()
    mirrored = flip(sample)
    before, after = sample.points["mm"].coordinates, mirrored.points["mm"].coordinates
    np.testing.assert_allclose(after[[1, 0, 2]], before[[0, 1, 2]] * [-1, 1, 1])
    exchanged = np.array([0, 2, 1], np.uint8)[sample["hands"][:, ::-1]]
    np.testing.assert_array_equal(mirrored["hands"], exchanged)


def test_mixed_maps_are_interpolated_and_the_others_are_not() -> None:
    sample = joint_sample()
    turned = warp(sample, rotation_deg=20.0)
    assert set(turned["depth_mm"].flat) <= {0.0, *sample["depth_mm"].flat}
    assert not set(turned["alpha"].flat) <= {0.0, *sample["alpha"].flat}
    window = crop(sample, 35, -2, 10, 10)
    assert not window["colour"][:2].any() and not window["colour"][:, 5:].any()
    np.testing.assert_array_equal(window["colour"][2:, :5], sample["colour"][:8, 35:])


def test_colour_changes_are_the_same_everywhere() -> None:
    sample = joint_sample()
    changed = change_colour(sample, 0.3, np.random.default_rng(0))
    table: dict[int, int] = {}
    for old, new in zip(sample["colour"][..., 0].flat, changed["colour"][..., 0].flat, strict=True):
        assert table.setdefault(old, new) == new
    assert not np.array_equal(changed["colour"], sample["colour"])
    np.testing.assert_array_equal(changed["depth_mm"], sample["depth_mm"])


def test_a_change_without_its_map_is_refused() -> None:
    sample = Sample({"alpha": Map(np.zeros((4, 4), np.float32), ALPHA)})
    with pytest.raises(ValueError, match="needs a depth map; the sample has alpha"):
        add_noise(sample, 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs a colour map"):
        change_colour(sample, 0.1, np.random.default_rng(0))
    with pytest.raises(KeyError, match="no map 'labels', only alpha"):
        sample["labels"]
    with pytest.raises(ValueError, match="points in 'mm'"):
        Points(np.zeros((4, 2)), "mm")
