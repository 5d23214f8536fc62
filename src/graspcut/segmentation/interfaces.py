"""What others need of a segmenter: anything that labels a depth frame may stand where `Segmenter` does."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.segmentation.result import Segmentation


class LabelMap(Protocol):
    """What a segmenter returns at least."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(H, W) uint8: 0 background, 1 hand, 2 object."""


class FrameSegmenter(Protocol):
    """Anything that labels one depth frame, such as `graspcut.segmentation.predictor.Segmenter`.

    It may have `parallel_calls`: how many threads may call it at the same time, with gain (without, one thread at a
    time calls it); and `digest`: of its weights.
    """

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> LabelMap:
        """Labels of a depth image of any size."""


class ProbabilitySegmenter(Protocol):
    """One that says how sure it is as well.

    One whose `results_are_new` is true hands out arrays that nobody else holds: a stream then writes into them.
    """

    def __call__(self, depth_mm: Any, camera: Camera | None = None, /) -> Segmentation:
        """Segments a depth image, or a frame, of any size."""
