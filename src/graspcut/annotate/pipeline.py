"""One frame through all steps of the annotation (section 3, figure 2)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.background import BAND_MM, nearest_surface_mm, scaled_area_px, within_band
from graspcut.annotate.colour_rules import ColourRules
from graspcut.annotate.continuation import continued_behind
from graspcut.annotate.contour_filter import contour_filter
from graspcut.annotate.filling import fill_between_one_class, give_to_touched_class, grow_into_unknown
from graspcut.annotate.morphology import opened_and_closed
from graspcut.frames.alignment import DEFAULT_TOLERANCE_MM, align_colour_to_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND, HAND, OBJECT, UNKNOWN


@dataclass(frozen=True)
class AnnotationConfig:
    """How frames are annotated. Areas and lengths are those of 640x480 and are scaled to the frame.

    Attributes:
        band_mm: How far behind the nearest surface hand and object reach; the paper's 16 cm.
        behind_mm: How far behind the band surfaces that begin in it are followed: skin is labelled, the rest unknown.
        tolerance_mm: Visibility test of the colour camera; see `align_colour_to_depth`.
        test_visibility: Off paints colours on surfaces that the colour camera does not see, as a plain alignment does;
            for comparison.
        morphology_px: Radius of opening and closing.
        theta: Equation (1): smallest area, pixels.
        phi: Equation (1): largest squared boundary over area.
        band_px: Segments larger than this are never taken for a band, whatever their boundary.
        fill_px: How far labels grow into what the colour camera does not see; at most the width of its shadow.
        undecided_px: How far labels grow into colours between the classes: the mixed colours of an edge, no more.
        fill_step_mm: Depth step between neighbours of one surface.
    """

    band_mm: float = BAND_MM
    behind_mm: float = 300.0
    tolerance_mm: float = DEFAULT_TOLERANCE_MM
    test_visibility: bool = True
    morphology_px: float = 1.5
    theta: float = 200.0
    phi: float = 150.0
    band_px: float = 4000.0
    fill_px: float = 14.0
    undecided_px: float = 2.0
    fill_step_mm: float = 6.0

    def __post_init__(self) -> None:
        for name in ("band_mm", "behind_mm", "tolerance_mm", "theta", "phi", "fill_step_mm"):
            if not getattr(self, name) > 0:
                raise FrameError(f"{name} is {getattr(self, name)}; expected more than 0.")
        if min(self.morphology_px, self.fill_px, self.undecided_px) < 0:
            raise FrameError("morphology_px, fill_px and undecided_px must not be negative; 0 leaves the step out.")


@dataclass(frozen=True, eq=False)
class Annotation:
    """Labels of one frame and how they came about.

    Attributes:
        labels: (H, W) uint8: 0 background, 1 hand, 2 object, 255 unknown.
        nearest_mm: Where the band begins, or None if the frame shows nothing.
        foreground_px: Pixels in the band.
        unseen_px: Of these, pixels that the colour camera does not see.
        removed_hand_px, removed_object_px: What equation (1) took out of each mask.
    """

    labels: NDArray[np.uint8]
    nearest_mm: float | None
    foreground_px: int
    unseen_px: int
    removed_hand_px: int
    removed_object_px: int


def annotate_frame(frame: Frame, rules: ColourRules, config: AnnotationConfig | None = None) -> Annotation:
    """Labels a frame by its colours.

    Args:
        frame: With colour, registered or with its own camera.
        rules: What skin looks like.
        config: Thresholds.

    Raises:
        FrameError: If the frame has no colour or no calibration.
    """
    config = config or AnnotationConfig()
    depth = frame.depth_mm
    nearest = nearest_surface_mm(depth)
    labels = np.full(depth.shape, BACKGROUND, dtype=np.uint8)
    if nearest is None:
        return Annotation(labels, None, 0, 0, 0, 0)
    band = within_band(depth, nearest, config.band_mm)
    behind = continued_behind(depth, band, config.behind_mm)
    foreground = band | behind if behind.any() else band
    seen, by_colour = _classified(frame, foreground, rules, config)
    if behind.any():
        skin = by_colour == HAND
        by_colour[behind & ~skin] = UNKNOWN
        # Unseen pixels there stay unknown, too: what grows into them might be anything.
        foreground = band | (behind & skin)
        labels[behind & ~skin] = UNKNOWN
    box = _bounding_box(foreground)
    inner, removed = _cleaned(by_colour[box], foreground[box], depth[box], seen[box], config, depth.shape)
    labels[box] = np.where(foreground[box], inner, labels[box])
    counts = int(np.count_nonzero(foreground)), int(np.count_nonzero(foreground & ~seen))
    return Annotation(labels, nearest, *counts, *removed)


def _classified(
    frame: Frame, foreground: NDArray[np.bool_], rules: ColourRules, config: AnnotationConfig
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Which pixels of the foreground have a colour of their own, and labels by colour (unknown where not)."""
    aligned = align_colour_to_depth(frame, tolerance_mm=config.tolerance_mm, region=foreground)
    # Registered pictures are black where nothing was registered.
    red, green, blue = (aligned.colour[..., channel] for channel in range(3))
    # Bits instead of a maximum over the short axis, which costs numpy eight times as much.
    has_colour = foreground & ((red | green | blue) != 0)
    seen = has_colour & aligned.visible if config.test_visibility else has_colour
    labels = np.where(foreground, np.uint8(UNKNOWN), np.uint8(BACKGROUND))
    places = np.flatnonzero(seen)
    labels.reshape(-1)[places] = rules.classify(aligned.colour.reshape(-1, 3)[places])
    return seen, labels


def _cleaned(
    labels: NDArray[np.uint8],
    foreground: NDArray[np.bool_],
    depth_mm: NDArray[np.float32],
    seen: NDArray[np.bool_],
    config: AnnotationConfig,
    shape: tuple[int, ...],
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Morphology, equation (1) and filling, inside the foreground's bounding box of an image of `shape`."""
    scale = float(np.sqrt(shape[0] * shape[1] / (640 * 480)))
    theta = scaled_area_px(config.theta, shape)
    radius = round(config.morphology_px * scale)
    result = np.where(foreground & (labels != BACKGROUND), np.uint8(UNKNOWN), np.uint8(BACKGROUND))
    removed_segments: dict[int, NDArray[np.int32]] = {}
    for label in (HAND, OBJECT):
        mask = opened_and_closed(labels == label, radius) & foreground
        kept, removed_segments[label] = contour_filter(mask, theta, config.phi, scaled_area_px(config.band_px, shape))
        # Where closing makes the masks overlap, colour decides.
        result[kept & ((result == UNKNOWN) | (labels == label))] = label
    for label, segments in removed_segments.items():
        segments[(result == HAND) | (result == OBJECT)] = 0
        result = give_to_touched_class(result, segments, label, reach_px=2 * config.fill_px * scale)
    step_mm = config.fill_step_mm / max(scale, 0.25)
    result = grow_into_unknown(result, depth_mm, seen, round(config.undecided_px * scale), step_mm)
    result = grow_into_unknown(result, depth_mm, ~seen, round(config.fill_px * scale), step_mm)
    result = fill_between_one_class(result, foreground)
    counts = [int(np.count_nonzero(removed_segments[label])) for label in (HAND, OBJECT)]
    return result, (counts[0], counts[1])


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around a mask that is not empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(y, y + height), slice(x, x + width)
