"""Colours of hand, sleeve and object, gathered from a recording to find rules from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.background import nearest_surface_mm, within_band
from graspcut.frames.alignment import align_colour_to_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame

CLICK_CLASSES = ("skin", "object", "sleeve")
_PIXELS_A_FRAME = 1500
_CLICK_REACH_PX = 2


@dataclass(frozen=True)
class Click:
    """One place that a person pointed at.

    Attributes:
        frame: Number of the frame in the recording.
        column, row: Depth pixel.
        kind: "skin", "object" or "sleeve".
    """

    frame: int
    column: int
    row: int
    kind: str

    @classmethod
    def parse(cls, text: str) -> Click:
        """ "12:310,220=skin" -> frame 12, column 310, row 220.

        Raises:
            FrameError: If the text is of another form.
        """
        match = re.fullmatch(r"(\d+):(\d+),(\d+)=(\w+)", text.strip())
        if match is None or match[4] not in CLICK_CLASSES:
            raise FrameError(
                f"{text!r} is no click; expected FRAME:COLUMN,ROW=CLASS with a class of {', '.join(CLICK_CLASSES)}, "
                "such as 12:310,220=skin."
            )
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4])


@dataclass(frozen=True, eq=False)
class ColourSamples:
    """Colours of the foreground of several frames.

    Attributes:
        colours: (n, 3) uint8 RGB.
        entry_distances_px: (n,) float32: how far each is from where the foreground leaves the image (the arm's entry);
            NaN in frames where it does not.
        frames: (n,) int32: which frame each is from.
        clicked: Colours (m, 3) around the clicks of each class.
    """

    colours: NDArray[np.uint8]
    entry_distances_px: NDArray[np.float32]
    frames: NDArray[np.int32]
    clicked: dict[str, NDArray[np.uint8]]


def gather_colours(frames: Iterable[Frame], seed: int = 0) -> ColourSamples:
    """Colours that the colour camera surely sees, away from edges, at most 1500 a frame.

    Args:
        frames: With colour.
        seed: Of the choice of pixels.

    Raises:
        FrameError: If no frame shows anything with colour.
    """
    rng = np.random.default_rng(seed)
    colours, distances, numbers = [], [], []
    for number, frame in enumerate(frames):
        found = _foreground_colours(frame)
        if found is None:
            continue
        picture, seen, foreground = found
        # A pixel's width of edge mixes the colours of both sides.
        inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0
        chosen = rng.permutation(np.flatnonzero(inner))[:_PIXELS_A_FRAME]
        colours.append(picture.reshape(-1, 3)[chosen])
        distances.append(_entry_distances(foreground).reshape(-1)[chosen])
        numbers.append(np.full(len(chosen), number, dtype=np.int32))
    if not colours or not sum(map(len, colours)):
        raise FrameError(
            "no frame has a foreground with colour; expected hands and objects in view of the colour camera. "
            "Check the recording, or annotate by a network: --from-model."
        )
    return ColourSamples(np.concatenate(colours), np.concatenate(distances), np.concatenate(numbers), {})


def gather_clicked(frames: Sequence[Frame], clicks: Sequence[Click]) -> dict[str, NDArray[np.uint8]]:
    """Colours around clicks, by class.

    Args:
        frames: The frame of each click, in the clicks' order.
        clicks: Where a person pointed.

    Raises:
        FrameError: If a click is outside its frame or shows no colour.
    """
    gathered: dict[str, list[NDArray[np.uint8]]] = {}
    for frame, click in zip(frames, clicks, strict=True):
        if click.row >= frame.height or click.column >= frame.width:
            raise FrameError(
                f"click {click.column},{click.row} lies outside frame {click.frame} of {frame.width}x{frame.height}."
            )
        found = _foreground_colours(frame)
        picture, seen = (None, None) if found is None else found[:2]
        reach = _CLICK_REACH_PX
        box = (
            slice(max(click.row - reach, 0), click.row + reach + 1),
            slice(max(click.column - reach, 0), click.column + reach + 1),
        )
        if picture is None or seen is None or not seen[box].any():
            raise FrameError(
                f"at {click.column},{click.row} of frame {click.frame} the colour camera sees nothing of the "
                "foreground; expected a click on hand, object or sleeve."
            )
        gathered.setdefault(click.kind, []).append(picture[box][seen[box]])
    return {kind: np.concatenate(parts) for kind, parts in gathered.items()}


def _foreground_colours(
    frame: Frame,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]] | None:
    """(H, W, 3) colour at depth pixels, where it is seen, and the foreground; None if nothing is there."""
    nearest = nearest_surface_mm(frame.depth_mm)
    if nearest is None:
        return None
    foreground = within_band(frame.depth_mm, nearest)
    aligned = align_colour_to_depth(frame, region=foreground)
    return aligned.colour, aligned.visible & (aligned.colour.max(axis=2) > 0), foreground


def _entry_distances(foreground: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance in pixels to where the foreground touches the image's border; NaN if it does nowhere."""
    entry = foreground.copy()
    entry[3:-3, 3:-3] = False
    if not entry.any():
        return np.full(foreground.shape, np.nan, dtype=np.float32)
    return np.asarray(cv2.distanceTransform((~entry).astype(np.uint8), cv2.DIST_L2, 5), dtype=np.float32)
