"""Trimaps from mattes and from labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspcut.matting.trimap import dilated, random_trimap, trimap_from_alpha, trimap_from_segmentation


def disc(radius: float, size: int = 81) -> np.ndarray:
    """(size, size) bool."""
    y, x = np.mgrid[0:size, 0:size] - size // 2
    return np.asarray(np.hypot(y, x) <= radius)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999), radius=st.integers(1, 9))
def test_dilation_is_by_a_disc(seed: int, radius: int) -> None:
    mask = np.random.default_rng(seed).random((23, 19)) > 0.98
    expected = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        v, u = np.mgrid[0:23, 0:19]
        expected |= (v - y) ** 2 + (u - x) ** 2 <= radius**2
    np.testing.assert_array_equal(dilated(mask, radius), expected)


@pytest.mark.parametrize(("outside", "inside"), [(1, 1), (5, 9), (24, 3)])
def test_band_of_a_hard_edge_has_both_radii(outside: int, inside: int) -> None:
    trimap = trimap_from_alpha(disc(14).astype(np.float32), outside, inside)
    row = trimap[40, 40:]
    assert (row == 128).sum() == outside + inside
    assert (row[: 15 - inside] == 255).all() and (row[15 + outside :] == 0).all()


def test_known_pixels_are_exact() -> None:
    rng = np.random.default_rng(0)
    alpha = np.clip(rng.random((50, 50)) * 3 - 1, 0, 1) * disc(20, 50)
    trimap = random_trimap(alpha, rng, 3)
    assert (alpha[trimap == 255] == 1).all() and (alpha[trimap == 0] == 0).all()
    assert (trimap[(alpha > 0) & (alpha < 1)] == 128).all()
    np.testing.assert_array_equal(
        trimap_from_alpha(np.rint(disc(9) * 255).astype(np.uint8), 2, 3), trimap_from_alpha(disc(9) * 1.0, 2, 3)
    )


def test_radii_are_drawn_from_1_to_24() -> None:
    rng = np.random.default_rng(1)
    hard = np.zeros((1, 200), np.float32)
    hard[:, 100:] = 1.0
    widths = {
        (int((t[0, :100] == 128).sum()), int((t[0, 100:] == 128).sum()))
        for t in (random_trimap(hard, rng) for _ in range(400))
    }
    assert {outside for outside, _ in widths} == {inside for _, inside in widths} == set(range(1, 25))


def test_trimap_of_a_segmentation() -> None:
    labels = np.zeros((81, 81), np.uint8)
    labels[disc(25)] = 1
    labels[disc(25) & (np.arange(81) > 40)[None]] = 2
    trimap = trimap_from_segmentation(labels, (1, 2), inside_px=4, outside_px=6)
    assert (trimap[40, 40:] == 128).sum() == 10
    # The seam between hand and object is inside.
    assert trimap[40, 40] == 255
    only_hand = trimap_from_segmentation(labels, (1,), inside_px=4, outside_px=6)
    assert only_hand[40, 40] == 128 and only_hand[40, 60] == 0
    certainty = np.ones(labels.shape)
    certainty[38:43, 18:24] = 0.5
    depth = np.ones(labels.shape)
    depth[10:12, 40] = 0
    unsure = trimap_from_segmentation(labels, (1, 2), certainty=certainty, depth_mm=depth, inside_px=4, outside_px=6)
    assert (unsure[38:43, 18:24] == 128).all() and (unsure[10:12, 40] == 128).all()


def test_something_thin_keeps_a_middle() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[18:21, 5:35] = 1
    trimap = trimap_from_segmentation(labels, (1,), inside_px=8)
    assert (trimap == 255).any() and (trimap[19] != 0).sum() > 30


def test_wrong_shapes_and_radii_are_refused() -> None:
    with pytest.raises(ValueError, match="radii"):
        trimap_from_alpha(np.zeros((3, 3)), -1, 2)
    with pytest.raises(ValueError, match="certainty"):
        trimap_from_segmentation(np.zeros((3, 3), np.uint8), (1,), certainty=np.zeros((2, 2)))
