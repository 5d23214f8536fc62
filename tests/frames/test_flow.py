"""Motion between depth frames: known shifts, agreement of depth, and what lies outside."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.flow import backward_flow, depths_agree, flow_picture, nearest_depth_mm, sample_along


def relief(shift: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """A bumpy blob 400 mm away before a wall at 900 mm, moved by (x, y) pixels."""
    rng = np.random.default_rng(3)
    bumps = cv2.GaussianBlur(rng.normal(0, 1, (120, 160)).astype(np.float32), (0, 0), 4)
    y, x = np.mgrid[:120, :160]
    inside = ((x - 80) / 40) ** 2 + ((y - 60) / 30) ** 2 < 1
    depth = np.where(inside, 400 + 600 * bumps, 900).astype(np.float32)
    return np.roll(depth, shift[::-1], axis=(0, 1))


def flow_between(depth: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    return backward_flow(flow_picture(depth, nearest_depth_mm(depth)), flow_picture(before, nearest_depth_mm(before)))


def test_a_shift_is_found() -> None:
    before, depth = relief(), relief((5, -3))
    inside = depth < 800
    flow = flow_between(depth, before)[inside]
    assert np.abs(np.median(flow, axis=0) - (-5, 3)).max() < 0.5


def test_brightness_is_distance_behind_the_nearest() -> None:
    depth = np.array([[0.0, 400.0, 650.0, 5000.0, 525.0]], np.float32)
    assert flow_picture(depth, 400.0).tolist() == [[0, 255, 40, 40, 147]]


def test_one_flying_pixel_does_not_set_the_nearest() -> None:
    depth = np.full((40, 40), 500.0, np.float32)
    depth[0, 0] = 50.0
    assert nearest_depth_mm(depth) == 500.0
    assert nearest_depth_mm(np.zeros((8, 8), np.float32)) == 0.0


def test_values_follow_their_pixels() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = -1.0  # every pixel was one to the left
    found = sample_along(values, flow, nearest=True)
    assert found[:, 1:].tolist() == values[:, :-1].tolist()
    assert not found[:, 0].any()
    stacked = sample_along(np.stack([values, 2 * values], axis=-1), flow)
    assert stacked.shape == (3, 4, 2) and np.allclose(stacked[:, 1:, 1], 2 * values[:, :-1])


def test_depths_agree_along_the_flow_only_where_both_are_known_and_near() -> None:
    before = np.array([[500.0, 500.0, 0.0, 500.0]], np.float32)
    depth = np.array([[510.0, 560.0, 500.0, 0.0]], np.float32)
    agrees = depths_agree(depth, before, np.zeros((1, 4, 2), np.float32), tolerance_mm=25.0)
    assert agrees.tolist() == [[True, False, False, False]]


def test_tiny_pictures_have_no_flow() -> None:
    tiny = np.zeros((6, 9), np.uint8)
    assert not backward_flow(tiny, tiny).any()


def test_the_flow_does_not_depend_on_the_pictures_before() -> None:
    rng = np.random.default_rng(3)
    large = np.asarray(cv2.GaussianBlur(rng.integers(0, 255, (120, 160), np.uint8), (0, 0), 3), np.uint8)
    before = np.roll(large, 4, axis=1)
    first = backward_flow(large, before)
    small, small_before = large[:48, :64].copy(), before[:48, :64].copy()
    backward_flow(small, small_before)  # OpenCV chooses another scale for it, and would keep that
    assert np.array_equal(backward_flow(large, before), first)


def test_a_low_wide_picture_has_its_flow() -> None:
    before = relief()[44:75, 20:140]  # 31 rows: OpenCV's own choice of scales would read outside of it
    depth = np.roll(before, 3, axis=1)
    for turned in (False, True):
        one, other = (np.ascontiguousarray(picture.T) if turned else picture for picture in (depth, before))
        flow = flow_between(one, other)
        assert flow.shape == (*one.shape, 2)
        inside = (one < 800) & (one > 0)
        assert np.abs(np.median(flow[inside], axis=0) - ((0, -3) if turned else (-3, 0))).max() < 0.5
