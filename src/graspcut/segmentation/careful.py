"""A second opinion for every frame: the mirrored frame, labelled and mirrored back, and the mean of both.

It takes twice the time. What it brings has not been measured here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation, labels_of


class CarefulSegmenter:
    """Segments a frame as it is and mirrored.

    Args:
        segmenter: labels one frame.

    Attributes:
        segmenter: the same.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    @property
    def parallel_calls(self) -> int:
        """How many threads may call at the same time and gain from it."""
        return self.segmenter.parallel_calls

    @property
    def sensitivity(self) -> float:
        """The segmenter's."""
        return self.segmenter.sensitivity

    @property
    def digest(self) -> str:
        """Of the weights, and of being careful: its results are others."""
        return f"{self.segmenter.digest} mirrored" if self.segmenter.digest else ""

    def __call__(self, depth_mm: NDArray[Any] | Frame, camera: Camera | None = None) -> Segmentation:
        """Segments one frame; see `Segmenter`."""
        own = self.segmenter(depth_mm, camera)
        mirrored = None if own.camera is None else mirrored_camera(own.camera)
        other = self.segmenter(np.ascontiguousarray(own.depth_mm[:, ::-1]), mirrored)
        probabilities = 0.5 * (own.probabilities + other.probabilities[:, :, ::-1])
        labels = np.where(own.depth_mm > 0, labels_of(probabilities, self.sensitivity), BACKGROUND).astype(np.uint8)
        return replace(own, probabilities=probabilities, labels=labels)


def mirrored_camera(camera: Camera) -> Camera:
    """The camera that takes the mirrored picture: the principal point changes sides; distortion is left out."""
    return Camera(
        width=camera.width,
        height=camera.height,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.width - 1 - camera.cx,
        cy=camera.cy,
    )
