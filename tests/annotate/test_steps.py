"""The steps of the annotation, each against a slow version and the worked values of the paper's reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.annotate.background import nearest_surface_mm, scaled_area_px, within_band
from graspcut.annotate.contour_filter import contour_filter, segment_measures
from graspcut.annotate.filling import fill_between_one_class, give_to_touched_class, grow_into_unknown
from graspcut.annotate.morphology import opened_and_closed
from graspcut.frames.errors import FrameError
from graspcut.labels import BACKGROUND, HAND, OBJECT, UNKNOWN


def slow_nearest(depth: NDArray[np.float32], support: int, within: float) -> float | None:
    values = np.sort(depth[depth > 0])
    for value in values:
        if np.count_nonzero((values >= value) & (values - value <= within)) >= support:
            return float(value)
    return None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), support=st.integers(1, 30), within=st.sampled_from([0.5, 2.0, 5.0, 7.3]))
def test_nearest_surface_is_that_of_the_definition(seed: int, support: int, within: float) -> None:
    rng = np.random.default_rng(seed)
    depth = (rng.integers(0, 400, (12, 15)) * 0.25).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    assert nearest_surface_mm(depth, support, within) == slow_nearest(depth, support, within)


def plane_with_hand() -> NDArray[np.float32]:
    depth = np.full((480, 640), 900, np.float32)
    depth[100:300, 200:400] = np.linspace(400, 440, 200, dtype=np.float32)[:, None]
    return depth


def test_no_data_and_flying_pixels_do_not_move_the_band() -> None:
    """Traps 2 and 3 of the reference."""
    depth = plane_with_hand()
    nearest = nearest_surface_mm(depth)
    assert nearest == pytest.approx(400, abs=0.5)
    depth[:50] = 0
    depth[60, 60] = 50
    assert nearest_surface_mm(depth) == nearest
    band = within_band(depth, 400.0)
    assert band[150, 300] and not band[10, 10] and not band[400, 100]
    assert within_band(np.array([[0, 400, 560, 560.5]], np.float32), 400.0).tolist() == [[False, True, True, False]]


def test_nothing_near_and_bad_support() -> None:
    assert nearest_surface_mm(np.zeros((4, 4), np.float32)) is None
    assert nearest_surface_mm(np.array([[1, 100, 200, 300]], np.float32), support_px=2) is None
    assert scaled_area_px(200, (240, 320)) == 50
    with pytest.raises(FrameError, match="support"):
        nearest_surface_mm(np.zeros((4, 4), np.float32), support_px=0)


def padded(mask: NDArray[np.bool_], border: int = 3) -> NDArray[np.bool_]:
    return np.pad(mask, border)


def ratio(mask: NDArray[np.bool_]) -> tuple[int, float]:
    _, areas, boundaries = segment_measures(mask)
    assert len(areas) == 2
    return int(boundaries[1]), float(boundaries[1] ** 2 / areas[1])


@pytest.mark.parametrize("size", [2, 3, 4, 9, 40])
def test_squares_of_the_reference(size: int) -> None:
    boundary, value = ratio(padded(np.ones((size, size), bool)))
    assert boundary == 4 * (size - 1)
    assert value == pytest.approx(16 * (size - 1) ** 2 / size**2)


def test_strips_discs_and_single_pixels_of_the_reference() -> None:
    assert ratio(padded(np.ones((1, 1), bool))) == (1, 1.0)
    assert ratio(padded(np.ones((2, 50), bool)))[1] == 100
    assert ratio(padded(np.ones((1, 30), bool)))[1] == 30
    assert ratio(padded(np.ones((5, 200), bool)))[1] == pytest.approx(4 * 200 / 5, rel=0.05)
    rows, columns = np.mgrid[-60:61, -60:61]
    assert ratio(rows**2 + columns**2 <= 50**2)[1] == pytest.approx(10.2, rel=0.03)
    # Cut by the image: outside is outside.
    assert ratio(np.ones((4, 4), bool))[0] == 12


def slow_contour_filter(mask: NDArray[np.bool_], theta: float, phi: float) -> NDArray[np.bool_]:
    height, width = mask.shape
    kept = np.zeros_like(mask)
    left = mask.copy()
    for row, column in zip(*np.nonzero(mask), strict=True):
        if not left[row, column]:
            continue
        segment, stack = set(), [(int(row), int(column))]
        while stack:
            r, c = stack.pop()
            if not (0 <= r < height and 0 <= c < width) or not left[r, c]:
                continue
            left[r, c] = False
            segment.add((r, c))
            stack += [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        boundary = sum(
            any(near not in segment for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1))) for r, c in segment
        )
        if len(segment) > theta and boundary**2 / len(segment) < phi:
            for r, c in segment:
                kept[r, c] = True
    return kept


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), theta=st.integers(0, 12), phi=st.floats(1, 40), share=st.floats(0.2, 0.8))
def test_equation_1_is_that_of_the_definition(seed: int, theta: int, phi: float, share: float) -> None:
    mask = np.random.default_rng(seed).random((14, 17)) < share
    kept, removed = contour_filter(mask, theta, phi)
    assert np.array_equal(kept, slow_contour_filter(mask, theta, phi))
    assert np.array_equal(removed > 0, mask & ~kept)


def test_the_band_on_a_finger_is_removed_and_given_to_the_hand() -> None:
    """Figure 2: a thin band of the object's colour on a finger."""
    labels = np.zeros((60, 120), np.uint8)
    labels[10:50, 10:110] = HAND
    labels[28:30, 10:110] = OBJECT
    kept, removed = contour_filter(labels == OBJECT, theta=50, phi=100)
    assert not kept.any()
    rest = np.where(labels == OBJECT, np.uint8(UNKNOWN), labels)
    filled = give_to_touched_class(rest, removed, OBJECT, reach_px=5)
    assert (filled[10:50, 10:110] == HAND).all()


def test_removed_segments_go_to_what_they_touch_or_to_the_nearest() -> None:
    labels = np.zeros((20, 40), np.uint8)
    labels[5:15, 5:10] = HAND
    labels[5:15, 30:35] = OBJECT
    removed = np.zeros(labels.shape, np.int32)
    removed[8:10, 10:12] = 1  # touches the hand
    removed[8:10, 14:16] = 2  # touches nothing, nearer to the hand
    removed[0, 22] = 3  # far from both
    for row in ([1, HAND], [2, HAND], [3, UNKNOWN]):
        assert set(give_to_touched_class(labels, removed, HAND, reach_px=6)[removed == row[0]]) == {row[1]}
    between = np.zeros((5, 9), np.uint8)
    between[:, :3], between[:, 6:] = HAND, OBJECT
    strip = np.zeros(between.shape, np.int32)
    strip[:, 3:6] = 1
    assert (give_to_touched_class(between, strip, HAND, 3)[:, 3:6] == OBJECT).all(), "the other class wins"
    assert (give_to_touched_class(between, strip, OBJECT, 3)[:, 3:6] == HAND).all()


def test_labels_grow_on_their_own_surface_only() -> None:
    labels = np.zeros((5, 12), np.uint8)
    labels[:, :4], labels[:, 4:8], labels[:, 8:] = OBJECT, UNKNOWN, HAND
    depth = np.full(labels.shape, 450, np.float32)
    depth[:, :4] = 400  # the object hides what is beside it from the colour camera
    everywhere = np.ones(labels.shape, bool)
    grown = grow_into_unknown(labels, depth, everywhere, steps=4, largest_step_mm=6)
    assert (grown[:, 4:8] == HAND).all()
    assert (grow_into_unknown(labels, depth, everywhere, steps=2, largest_step_mm=6)[:, 4:6] == UNKNOWN).all()
    depth[:, 4:8] = 0
    assert (grow_into_unknown(labels, depth, everywhere, steps=9, largest_step_mm=6)[:, 4:8] == UNKNOWN).all(), (
        "no data, no label"
    )


def test_regions_beside_one_class_are_filled() -> None:
    labels = np.zeros((6, 12), np.uint8)
    labels[:, 0:2], labels[:, 2:4] = HAND, UNKNOWN
    labels[:, 6:8], labels[:, 8:10], labels[:, 10:] = HAND, UNKNOWN, OBJECT
    filled = fill_between_one_class(labels, np.ones(labels.shape, bool))
    assert (filled[:, 2:4] == HAND).all()
    assert (filled[:, 8:10] == UNKNOWN).all(), "two classes: it stays open"
    assert (fill_between_one_class(labels, np.zeros(labels.shape, bool)) == labels).all()


def test_morphology_removes_specks_and_fills_holes() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:25, 0:20] = True
    mask[12, 8] = False
    mask[2, 28] = True
    cleaned = opened_and_closed(mask, 1)
    assert cleaned[12, 8] and not cleaned[2, 28]
    assert cleaned[10, 0], "a mask cut by the image keeps its edge"
    assert np.array_equal(opened_and_closed(mask, 0), mask)
    with pytest.raises(FrameError, match="radius"):
        opened_and_closed(mask, -1)
    assert set(np.unique(np.zeros(3))) == {BACKGROUND}
