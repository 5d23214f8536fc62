"""The mirrored and the closer look."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.segmentation.careful import (
    CarefulSegmenter,
    Window,
    mirrored_camera,
    stepped_nearer,
    window_around,
    with_kinds_of,
)
from graspcut.segmentation.result import Segmentation


class LeftSided:
    """Is sure of hands in the left half of what it is shown, and has seen which cameras came."""

    parallel_calls = 3
    digest = "abc"
    sensitivity = 1.0

    def __init__(self) -> None:
        self.cameras: list[Camera | None] = []

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        self.cameras.append(camera)
        height, width = depth_mm.shape
        probabilities = np.full((3, height, width), np.float32(0.1))
        probabilities[0], probabilities[1] = 0.6, 0.3
        probabilities[1, :, : width // 2], probabilities[0, :, : width // 2] = 0.9, 0.0
        return Segmentation(probabilities.argmax(axis=0).astype(np.uint8), probabilities, depth_mm, camera)


def test_both_opinions_count_alike_and_what_has_no_depth_stays_background() -> None:
    one_sided: Any = LeftSided()
    camera = Camera(width=8, height=4, fx=10.0, fy=10.0, cx=3.0, cy=2.0)
    depth = np.full((4, 8), 500.0, np.float32)
    depth[0, 0] = 0
    result = CarefulSegmenter(one_sided)(depth, camera)
    assert np.allclose(result.probabilities[1], 0.6) and np.allclose(result.probabilities[0], 0.3)
    assert result.labels[0, 0] == 0 and (result.labels.ravel()[1:] == 1).all()
    assert [entry and entry.cx for entry in one_sided.cameras] == [3.0, 4.0]
    assert result.camera == camera


def test_a_camera_mirrored_twice_is_itself() -> None:
    camera = Camera(width=8, height=4, fx=10.0, fy=11.0, cx=2.5, cy=1.0)
    assert mirrored_camera(mirrored_camera(camera)) == camera


def test_results_of_the_two_ways_are_told_apart() -> None:
    one_sided: Any = LeftSided()
    assert (
        CarefulSegmenter(one_sided).digest == "abc mirrored closer" and CarefulSegmenter(one_sided).parallel_calls == 3
    )


def found_in(rows: slice, columns: slice) -> NDArray[np.bool_]:
    found = np.zeros((120, 160), bool)
    found[rows, columns] = True
    return found


def test_the_window_holds_what_was_found_and_stays_in_the_frame() -> None:
    small = window_around(found_in(slice(50, 70), slice(60, 90)))
    assert small == Window(slice(30, 90), slice(35, 115), 2.0)
    in_the_corner = window_around(found_in(slice(0, 20), slice(140, 160)))
    assert in_the_corner == Window(slice(0, 60), slice(80, 160), 2.0)
    larger = window_around(found_in(slice(20, 90), slice(40, 60)))
    assert larger is not None and 1.2 < larger.zoom < 1.3
    assert larger.rows.start <= 20 and larger.rows.stop >= 90


def test_there_is_no_window_for_nothing_for_noise_and_for_a_full_frame() -> None:
    assert window_around(np.zeros((120, 160), bool)) is None
    assert window_around(found_in(slice(5, 7), slice(5, 8))) is None
    assert window_around(found_in(slice(5, 115), slice(5, 150))) is None


def test_a_stray_pixel_does_not_widen_the_window() -> None:
    found = found_in(slice(50, 70), slice(60, 90))
    found[119, 0] = True
    assert window_around(found) == window_around(found_in(slice(50, 70), slice(60, 90)))


def test_from_nearer_things_keep_their_size_and_relief() -> None:
    camera = Camera(width=160, height=120, fx=120.0, fy=120.0, cx=79.5, cy=59.5)
    found = found_in(slice(50, 70), slice(60, 90))
    depth = np.where(found, 600.0, 1500.0).astype(np.float32)
    depth[55:60] += np.where(found[55:60], 10, 0)
    depth[40, 60] = 0
    depth[65, 70] = 200  # nearer than the step
    window = window_around(found)
    assert window is not None
    nearer = stepped_nearer(depth, found, camera, window)
    own = nearer.camera
    assert own is not None and (own.width, own.height) == (80, 60)
    part = nearer.depth_mm[found[window.rows, window.columns]]
    assert np.median(part) == 300 and set(np.unique(part)) == {60, 300, 310}
    assert 30 * 600 / camera.fx == 30 * 300 / own.fx
    assert nearer.depth_mm[40 - window.rows.start, 60 - window.columns.start] == 0
    # The camera's axis stays where it was in the picture.
    assert (own.cx + window.columns.start, own.cy + window.rows.start) == (camera.cx, camera.cy)


def test_the_nearer_look_decides_between_hand_and_object_only_and_by_how_sure_it_is() -> None:
    first = np.array([0.2, 0.6, 0.2], np.float32).reshape(3, 1, 1)
    both = with_kinds_of(first, np.array([0.0, 0.0, 1.0], np.float32).reshape(3, 1, 1))
    assert both.argmax() == 2 and np.allclose(both.sum(), 1) and np.allclose(both[0], 0.2)
    saw_nothing = with_kinds_of(first, np.array([1.0, 0.0, 0.0], np.float32).reshape(3, 1, 1))
    assert np.allclose(saw_nothing, first)


class FindsSmall(LeftSided):
    """Is sure of a hand at the middle of a frame of 160x120, and of an object wherever it sees another size."""

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        frame = depth_mm if isinstance(depth_mm, Frame) else Frame(depth_mm, camera)
        self.cameras.append(frame.camera)
        height, width = frame.depth_mm.shape
        probabilities = np.zeros((3, height, width), np.float32)
        if width == 160:
            probabilities[0] = 1
            probabilities[:, 50:70, 65:95] = np.array([0.2, 0.5, 0.3], np.float32)[:, None, None]
        else:
            probabilities[2] = 1
        return Segmentation(probabilities.argmax(axis=0).astype(np.uint8), probabilities, frame.depth_mm, frame.camera)


def test_a_small_hand_is_looked_at_from_nearer() -> None:
    segmenter: Any = FindsSmall()
    camera = Camera(width=160, height=120, fx=120.0, fy=120.0, cx=79.5, cy=59.5)
    result = CarefulSegmenter(segmenter)(np.full((120, 160), 500.0, np.float32), camera)
    assert (result.labels[50:70, 65:95] == 2).all() and (result.labels > 0).sum() == 20 * 30
    assert [entry.fx for entry in segmenter.cameras] == [120.0, 120.0, 60.0]
