"""Which windows are positive, whose they are, and what their masks should be.

Source: Dai et al. 2016, section 3.3 (256 windows an image, positive to negative 1:1, positives and negatives as in
DeepMask) and Pinheiro et al., "Learning to Segment Object Candidates", 2015, section 3.2, with distances in proportion
to the window (see `graspcut.instances.windows`).

    positive   an object of about the canonical size is centred in the window, and lies in it whole
    negative   no object of a size within a factor of 2 is centred near
    else       takes no part

Deviations, with the reason:
    - A window between two objects belongs to the nearest centre, then to the most canonical size; the paper is silent.
    - Where positives are scarce, negatives fill the 256, as in Faster R-CNN, on which the paper's sampling rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.windows import NEGATIVE_OCTAVES, SCALE_TOLERANCE_OCTAVES, Scale, WindowGeometry, mask_on_cells

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class WindowLabels:
    """What every window of one resized image is.

    Attributes:
        kind: (rows, columns) int8: `POSITIVE`, `NEGATIVE` or `IGNORED`.
        owner: (rows, columns) int64 index of the object of a positive window, -1 elsewhere.
    """

    kind: NDArray[np.int8]
    owner: NDArray[np.int64]


def boxes_of(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Tight boxes of masks in pixels, the far side exclusive.

    Args:
        masks: (N, H, W) bool.

    Returns:
        (N, 4) float64 x0, y0, x1, y1; all 0 for an empty mask.
    """
    boxes = np.zeros((len(masks), 4))
    for axis, filled in ((0, np.asarray(masks.any(axis=1))), (1, np.asarray(masks.any(axis=2)))):
        some = np.asarray(filled.any(axis=1))
        boxes[some, axis] = filled[some].argmax(axis=1)
        boxes[some, axis + 2] = filled.shape[1] - filled[some][:, ::-1].argmax(axis=1)
    return boxes


def label_windows(boxes: NDArray[np.float64], scale: Scale, geometry: WindowGeometry) -> WindowLabels:
    """Positive and negative windows at one scale.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 of the objects in original pixels, the far side exclusive; empty ones are no
            objects.
        scale: of the resized image.
        geometry: where windows are.
    """
    rows, columns = geometry.map_size(scale.resized_height, scale.resized_width)
    kind = np.full((rows, columns), NEGATIVE, np.int8)
    owner = np.full((rows, columns), -1, np.int64)
    sides = boxes[:, 2:] - boxes[:, :2]
    objects = np.flatnonzero((sides > 0).all(axis=1))
    if not len(objects):
        return WindowLabels(kind, owner)
    factors = np.array([scale.horizontal, scale.vertical])
    middles = (boxes[objects, :2] + boxes[objects, 2:]) / 2 * factors - 0.5  # as pixel indices
    halves = sides[objects] / 2 * factors
    octaves = np.log2(2 * halves.max(axis=1) / geometry.canonical_px)
    across = np.abs(geometry.centres_px(columns)[None] - middles[:, :1])
    down = np.abs(geometry.centres_px(rows)[None] - middles[:, 1:])
    away = np.maximum(down[:, :, None], across[:, None, :])

    near = (away < geometry.negative_distance_px) & (np.abs(octaves) < NEGATIVE_OCTAVES)[:, None, None]
    kind[near.any(axis=0)] = IGNORED

    half_window = geometry.window_px / 2
    contained = (down + halves[:, 1:] <= half_window)[:, :, None] & (across + halves[:, :1] <= half_window)[:, None, :]
    # A hair of slack: sizes exactly between two scales must not fall through by rounding.
    fitting = np.abs(octaves) <= SCALE_TOLERANCE_OCTAVES + 0.02
    positive = contained & (away <= geometry.centre_tolerance_px) & fitting[:, None, None]
    # Nearest centre first, then the size nearest to the canonical one.
    rank = np.where(positive, away + 1e-6 * np.abs(octaves)[:, None, None], np.inf)
    best = rank.argmin(axis=0)
    owned = positive.any(axis=0)
    kind[owned] = POSITIVE
    owner[owned] = objects[best[owned]]
    return WindowLabels(kind, owner)


@dataclass(frozen=True)
class SampledWindows:
    """The windows of one image that the loss is computed on.

    Attributes:
        centres: (N, 2) int64 row and column of the middle cells; positives first.
        objectness: (N,) float32, 1 for positives.
        masks: (P, cells, cells) float32 of 0 and 1: the owners' masks in the P positive windows.
    """

    centres: NDArray[np.int64]
    objectness: NDArray[np.float32]
    masks: NDArray[np.float32]


def sample_windows(
    labels: WindowLabels, rng: np.random.Generator, *, count: int = 256, positive_part: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draws windows at random, half of them positive where there are enough.

    Args:
        labels: of all windows.
        rng: draws.
        count: how many windows.
        positive_part: most of them that are positive.

    Returns:
        (P, 2) and (Q, 2) int64 centres of positive and negative windows, P + Q <= count.
    """
    positive, negative = np.argwhere(labels.kind == POSITIVE), np.argwhere(labels.kind == NEGATIVE)
    positives = min(len(positive), int(count * positive_part))
    negatives = min(len(negative), count - positives)
    return (
        positive[rng.permutation(len(positive))[:positives]],
        negative[rng.permutation(len(negative))[:negatives]],
    )


def window_targets(
    masks: NDArray[np.bool_],
    scale: Scale,
    geometry: WindowGeometry,
    rng: np.random.Generator,
    *,
    count: int = 256,
    positive_part: float = 0.5,
) -> SampledWindows:
    """Everything that one image's loss needs (equation 1).

    Args:
        masks: (N, H, W) bool, one object a mask, original pixels; they may overlap.
        scale: of the resized image.
        geometry: where windows are; its `cells` is the side of the masks.
        rng: draws the windows.
        count: how many windows.
        positive_part: most of them that are positive.
    """
    labels = label_windows(boxes_of(masks), scale, geometry)
    positive, negative = sample_windows(labels, rng, count=count, positive_part=positive_part)
    owners = labels.owner[positive[:, 0], positive[:, 1]]
    centres = np.concatenate([positive, negative]).astype(np.int64)
    objectness = np.zeros(len(centres), np.float32)
    objectness[: len(positive)] = 1.0
    return SampledWindows(centres, objectness, crop_masks(masks, owners, positive, scale, geometry))


def crop_masks(
    masks: NDArray[np.bool_],
    owners: Sequence[int] | NDArray[np.int64],
    centres: NDArray[np.int64],
    scale: Scale,
    geometry: WindowGeometry,
) -> NDArray[np.float32]:
    """Masks in windows: a cell is 1 where more than half of it is covered.

    Args:
        masks: (N, H, W) bool.
        owners: (P,) which mask each window asks for.
        centres: (P, 2) row and column of the middle cells.
        scale: of the resized image.
        geometry: where windows are.

    Returns:
        (P, cells, cells) float32.
    """
    cells = geometry.cells
    if not len(centres):
        return np.zeros((0, cells, cells), np.float32)
    covered = mask_on_cells(masks, scale, geometry) > 0.5
    border = cells // 2
    padded = np.pad(covered, ((0, 0), (border, border), (border, border)))
    offsets = np.arange(cells)
    rows = centres[:, :1] + offsets
    columns = centres[:, 1:] + offsets
    windows = padded[np.asarray(owners)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.asarray(windows, np.float32)
