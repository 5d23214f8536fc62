"""Mattes without a trimap: depth segmentation says roughly what is hand and object, colour where exactly it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.alignment import align_colour_to_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.labels import HAND, LABEL_NAMES, OBJECT
from graspcut.matting.images import read_alpha
from graspcut.matting.result import Colour, Matte
from graspcut.matting.trimap import FOREGROUND, UNKNOWN, trimap_from_segmentation
from graspcut.runtime.folder_run import FrameResult
from graspcut.runtime.pipeline import LimitedCalls

DEFAULT_KEPT = (HAND, OBJECT)
# Widths of the unknown band as parts of the picture's: depth cameras fray an edge by a few of their pixels.
INSIDE_PART, OUTSIDE_PART = 4 / 640, 6 / 640
CERTAIN_FROM = 0.7


class LabelsAndProbabilities(Protocol):
    """What a segmenter gives, as far as this module uses it."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(H, W) uint8."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(classes, H, W) float32."""


Segment = Callable[[Frame], LabelsAndProbabilities]
MatteFunction = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Matte]


def frame_trimap(
    frame: Frame, segmentation: LabelsAndProbabilities, kept: Sequence[int] = DEFAULT_KEPT
) -> NDArray[np.uint8]:
    """The trimap of a frame from its segmentation alone.

    Args:
        frame: gives the depth.
        segmentation: of the frame.
        kept: labels that are cut out.

    Returns:
        (H, W) uint8: 0, 128 and 255.
    """
    inside = np.isin(segmentation.labels, np.asarray(kept, np.uint8))
    of_kept = segmentation.probabilities[list(kept)].sum(axis=0)
    return trimap_from_segmentation(
        segmentation.labels,
        kept,
        certainty=np.where(inside, of_kept, 1.0 - of_kept),
        inside_px=max(2.0, INSIDE_PART * frame.width),
        outside_px=max(3.0, OUTSIDE_PART * frame.width),
        certain_from=CERTAIN_FROM,
        depth_mm=frame.depth_mm,
    )


def matte_frame(frame: Frame, segment: Segment, matter: MatteFunction, kept: Sequence[int] = DEFAULT_KEPT) -> Matte:
    """Cuts hand and object out of the colour of one frame.

    Args:
        frame: depth with colour; colour of another camera is brought to the depth's pixels, see `colour_at_depth`.
        segment: labels it, such as a `Segmenter`.
        matter: makes the matte, such as a `Matter`.
        kept: labels that are cut out.

    Raises:
        FrameError: if the frame has no colour.
    """
    if frame.colour is None:
        raise FrameError(
            f"{frame.name or 'the frame'} has depth without colour; expected both. Mattes are made of colour: give an "
            "image with a trimap, or a recording with colour."
        )
    trimap = frame_trimap(frame, segment(frame), kept)
    return matter(colour_at_depth(frame, trimap), trimap)


def colour_at_depth(frame: Frame, trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour at every pixel of the depth image, also where depth is missing or frayed.

    The outline of what is cut out lies at its own depth: unknown pixels take the depth of the nearest foreground, other
    gaps that of the nearest pixel with depth. Where the colour camera sees something else, its colour is taken.

    Args:
        frame: with colour.
        trimap: (H, W) uint8: 0, 128 and 255.

    Returns:
        (H, W, 3) uint8 RGB; colour that is registered already as it is.
    """
    assert frame.colour is not None
    if frame.colour_camera is None:
        return frame.colour
    has_depth = frame.depth_mm > 0
    outline, inside = trimap == UNKNOWN, has_depth & (trimap == FOREGROUND)
    depth = _continued(frame.depth_mm, has_depth) if has_depth.any() else frame.depth_mm
    if inside.any():
        depth = np.where(outline, _continued(frame.depth_mm, inside), depth)
    return align_colour_to_depth(replace(frame, depth_mm=depth)).colour


def _continued(depth_mm: NDArray[np.float32], sources: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Depth of the nearest source at every pixel."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~sources).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(nearest.max()) + 1, np.float32)
    values[nearest[sources]] = depth_mm[sources]
    return np.asarray(values[nearest])


@dataclass(frozen=True)
class MatteJob:
    """Mattes of frames of files, folders and recordings; see `graspcut.runtime.folder_run.FrameJob`.

    Attributes:
        segment: labels a frame.
        matter: makes a matte.
        settings: recorded in summary.json.
        identity: what else the results depend on: digests of the weights.
        kept: labels that are cut out.
        over: also write NAME_over.png.
    """

    segment: Segment
    matter: MatteFunction
    settings: dict[str, Any]
    identity: str
    kept: tuple[int, ...] = DEFAULT_KEPT
    over: NDArray[np.uint8] | Colour | None = field(default=None, repr=False)
    parallel_calls: int | None = None

    def outputs(self, name: str, /) -> tuple[str, ...]:
        """See `FrameJob`."""
        parts = ("foreground", "rgba", "alpha")
        return tuple(f"{name}_{part}.png" for part in (("over", *parts) if self.over is not None else parts))

    def process(self, frame: Frame, name: str, limited: LimitedCalls, /) -> FrameResult:
        """See `FrameJob`."""
        matte = limited(lambda: matte_frame(frame, self.segment, self.matter, self.kept))
        return FrameResult(matte.encoded(name, self.over), _row(matte.alpha))

    def reread(self, name: str, folder: Path, /) -> dict[str, Any]:
        """See `FrameJob`."""
        return _row(read_alpha(folder / f"{name}_alpha.png"))


def labels_of(names: Sequence[str]) -> tuple[int, ...]:
    """Label numbers of "hand" and "object".

    Raises:
        ValueError: another name.
    """
    for name in names:
        if name not in (LABEL_NAMES[HAND], LABEL_NAMES[OBJECT]):
            raise ValueError(f"unknown label {name!r}, expected {LABEL_NAMES[HAND]} or {LABEL_NAMES[OBJECT]}")
    return tuple(LABEL_NAMES.index(name) for name in names)


def _row(alpha: NDArray[np.float32]) -> dict[str, Any]:
    return {"width": alpha.shape[1], "height": alpha.shape[0], "covered": round(float(alpha.mean()), 4)}
