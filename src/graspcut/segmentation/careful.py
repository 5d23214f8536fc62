"""Second and third looks at every frame: mirrored, and from nearer where hands and objects were found.

A hand that is small in the picture is small to the network as well, which then takes thin and small objects for part
of it. The closer look cuts out the window around all that was found and gives it as a camera with a shorter focal
length, moved nearer, would take it: things keep their size in millimetres, their relief and their pixels, and fill more
of the picture. Where to look is decided by the whole frame, and so is what background is, because a window hides what
tells a forearm from a chair's back; hand or object is decided by both looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, CameraLike, focal_length_px
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND, HAND, OBJECT
from graspcut.segmentation.interfaces import ProbabilitySegmenter
from graspcut.segmentation.result import Segmentation, labels_of

# Few, because some engines compile for every size of frame.
_ZOOMS: Final = (2.0, 1.6, 1.25)
# How much wider and higher than what was found the window is.
_MARGIN: Final = 1.15
# Of the pixels found, those outermost in each direction that may lie outside.
_OUTERMOST: Final = 0.01
# Less than this share of the frame is noise.
_LEAST_SHARE: Final = 0.0005
# Nothing comes nearer than this.
_NEAREST_MM: Final = 60.0


@dataclass(frozen=True)
class Window:
    """Part of a frame with the frame's proportions.

    Attributes:
        rows, columns: of the frame.
        zoom: how many times the frame is as wide.
    """

    rows: slice
    columns: slice
    zoom: float


class Looks(ProbabilitySegmenter, Protocol):
    """What looks at a frame once, such as `graspcut.segmentation.predictor.Segmenter`."""

    @property
    def parallel_calls(self) -> int:
        """How many threads may call at the same time and gain from it."""

    @property
    def sensitivity(self) -> float:
        """What the odds of hand and object are multiplied by."""

    @property
    def digest(self) -> str:
        """Of the weights."""

    def __call__(self, depth_mm: Any, camera: CameraLike | None = None, /) -> Segmentation:
        """Segments a depth image, or a frame, of any size."""


class CarefulSegmenter:
    """Segments a frame as it is, mirrored, and from nearer; two to four times the time.

    Args:
        segmenter: labels one frame.

    Attributes:
        segmenter: the same.
    """

    def __init__(self, segmenter: Looks) -> None:
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
        return f"{self.segmenter.digest} mirrored closer" if self.segmenter.digest else ""

    def __call__(self, depth_mm: NDArray[Any] | Frame, camera: CameraLike | None = None) -> Segmentation:
        """Segments one frame; see `graspcut.segmentation.predictor.Segmenter`."""
        own = self.segmenter(depth_mm, camera)
        mirrored = None if own.camera is None else mirrored_camera(own.camera)
        other = self.segmenter(np.ascontiguousarray(own.depth_mm[:, ::-1]), mirrored)
        probabilities = 0.5 * (own.probabilities + other.probabilities[:, :, ::-1])
        found = (labels_of(probabilities, self.sensitivity) != BACKGROUND) & (own.depth_mm > 0)
        window = window_around(found)
        if window is not None:
            nearer = self.segmenter(stepped_nearer(own.depth_mm, found, own.camera, window))
            part = (slice(None), window.rows, window.columns)
            probabilities[part] = with_kinds_of(probabilities[part], nearer.probabilities)
        labels = np.where(own.depth_mm > 0, labels_of(probabilities, self.sensitivity), BACKGROUND).astype(np.uint8)
        return replace(own, probabilities=probabilities, labels=labels)


def window_around(found: NDArray[np.bool_]) -> Window | None:
    """The smallest of a few windows that holds what was found.

    Args:
        found: (H, W) bool.

    Returns:
        None where there is hardly anything, or too much for a window.
    """
    height, width = found.shape
    if found.sum() <= _LEAST_SHARE * found.size:
        return None
    top, bottom = _extent(found.sum(axis=1))
    left, right = _extent(found.sum(axis=0))
    needed = _MARGIN * max((bottom - top) / height, (right - left) / width)
    zoom = next((zoom for zoom in _ZOOMS if needed <= 1 / zoom), None)
    if zoom is None:
        return None
    window_height, window_width = round(height / zoom), round(width / zoom)
    row = min(max((top + bottom - window_height) // 2, 0), height - window_height)
    column = min(max((left + right - window_width) // 2, 0), width - window_width)
    return Window(slice(row, row + window_height), slice(column, column + window_width), width / window_width)


def _extent(counts: NDArray[Any]) -> tuple[int, int]:
    """First and one after the last index between which nearly all of the counts lie."""
    reached = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(reached, _OUTERMOST, side="right")), int(np.searchsorted(reached, 1 - _OUTERMOST)) + 1


def stepped_nearer(
    depth_mm: NDArray[np.float32], found: NDArray[np.bool_], camera: Camera | None, window: Window
) -> Frame:
    """The window as a camera would see it that has the frame's field of view and has been moved towards what was found.

    Args:
        depth_mm: (H, W) float32 millimetres of the frame, 0 = no data.
        found: (H, W) bool, of which the distance counts.
        camera: of the frame; None assumes one, as segmenters do.
        window: of the frame.

    Returns:
        a frame whose focal length in pixels is that of `camera` divided by the zoom. Distances are less by so much that
        what lies at the median distance of what was found keeps its size in millimetres.
    """
    height, width = depth_mm.shape
    part = depth_mm[window.rows, window.columns]
    inside = found[window.rows, window.columns]
    nearer_mm = np.float32(np.median(part[inside]) * (1 - 1 / window.zoom))
    moved = np.where(part > 0, np.maximum(part - nearer_mm, _NEAREST_MM), 0).astype(np.float32)
    if camera is None:
        camera = Camera.from_focal_length(width, height, focal_length_px(None, width))
    cut = camera.cropped(window.columns.start, window.rows.start, part.shape[1], part.shape[0])
    # Notes are about a camera's distances, which these are not.
    return Frame(moved, replace(cut, fx=camera.fx / window.zoom, fy=camera.fy / window.zoom), notes=())


def with_kinds_of(probabilities: NDArray[np.float32], nearer: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is hand and what is object by both looks, each counting for as much as it is sure that there is something.

    Args:
        probabilities, nearer: (3, H, W) of the same pixels.

    Returns:
        probabilities; those of background are the first look's.
    """
    tiny = np.float32(1e-6)
    surely = np.maximum(probabilities[HAND] + probabilities[OBJECT], tiny)
    surely_nearer = np.maximum(nearer[HAND] + nearer[OBJECT], tiny)
    # Each look's share of object, times its weight, is its probability of object.
    share = (probabilities[OBJECT] + nearer[OBJECT]) / (surely + surely_nearer)
    return np.stack([probabilities[BACKGROUND], surely * (1 - share), surely * share])


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
