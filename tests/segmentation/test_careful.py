"""The mirrored second opinion."""

from __future__ import annotations

from typing import Any

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.segmentation.careful import CarefulSegmenter, mirrored_camera
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
    assert CarefulSegmenter(one_sided).digest == "abc mirrored" and CarefulSegmenter(one_sided).parallel_calls == 3
