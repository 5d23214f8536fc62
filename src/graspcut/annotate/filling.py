"""What becomes of pixels that colour could not label: removed segments and surfaces that the colour camera misses."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.kernels import grow_kernel
from graspcut.labels import HAND, OBJECT, UNKNOWN

_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


def give_to_touched_class(
    labels: NDArray[np.uint8], removed: NDArray[np.int32], own_class: int, reach_px: float
) -> NDArray[np.uint8]:
    """Gives each removed segment to the class it touches most, else to the nearest one.

    Args:
        labels: (H, W) uint8 of what was kept; removed segments are not labelled in it.
        removed: (H, W) int32, a number for each removed segment of one class, 0 elsewhere.
        own_class: `HAND` or `OBJECT`: the class they were removed from. Touching the other class wins over touching
            their own.
        reach_px: A segment that touches nothing goes to the nearest class within this distance, else it is unknown.

    Returns:
        A copy of `labels` with the segments filled in.
    """
    result = labels.copy()
    other_class = OBJECT if own_class == HAND else HAND
    near: dict[int, NDArray[np.float32]] = {}
    for segment in np.unique(removed[removed > 0]):
        inside = removed == segment
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        box = (slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2))
        ring = cv2.dilate(inside[box].astype(np.uint8), np.ones((3, 3), np.uint8)) != 0
        around = labels[box][ring & ~inside[box]]
        touched = [int(np.count_nonzero(around == label)) for label in (other_class, own_class)]
        if touched[0]:
            result[inside] = other_class
        elif touched[1]:
            result[inside] = own_class
        else:
            for label in (HAND, OBJECT):
                if label not in near:
                    near[label] = cv2.distanceTransform((labels != label).astype(np.uint8), cv2.DIST_L2, 5)
            distances = {label: float(near[label][inside].min()) for label in near if (labels == label).any()}
            best = min(distances, key=lambda label: distances[label], default=UNKNOWN)
            result[inside] = best if distances.get(best, np.inf) <= reach_px else UNKNOWN
    return result


def grow_into_unknown(
    labels: NDArray[np.uint8],
    depth_mm: NDArray[np.float32],
    fillable: NDArray[np.bool_],
    steps: int,
    largest_step_mm: float,
) -> NDArray[np.uint8]:
    """Labels unknown pixels from neighbours on the same surface, a ring of pixels at a time.

    The strip beside a finger that the colour camera does not see belongs to what lies behind, not to the finger: depth
    says which neighbour that is.

    Args:
        labels: (H, W) uint8.
        depth_mm: (H, W) millimetres, 0 = no data; pixels without data stay unknown.
        fillable: (H, W) bool: unknown pixels that may be labelled so.
        steps: How many pixels a label may travel.
        largest_step_mm: A neighbour farther away in depth than this is another surface.

    Returns:
        A copy of `labels`; a pixel takes the label of the neighbour nearest in depth.
    """
    height, width = labels.shape
    # A border of unknown pixels saves every look past the image.
    padded = np.full((height + 2, width + 2), UNKNOWN, dtype=np.uint8)
    padded[1:-1, 1:-1] = labels
    depth = np.zeros((height + 2, width + 2), dtype=np.float32)
    depth[1:-1, 1:-1] = depth_mm
    flat, flat_depth = padded.reshape(-1), depth.reshape(-1)
    waiting = np.flatnonzero((flat == UNKNOWN) & (flat_depth > 0) & np.pad(fillable, 1).reshape(-1))
    if waiting.size:
        offsets = np.array([row * (width + 2) + column for row, column in _NEIGHBOURS], dtype=np.intp)
        found = np.empty(waiting.size, dtype=np.uint8)
        grow_kernel(flat, flat_depth, offsets, steps, float(largest_step_mm), waiting, found)
    return np.ascontiguousarray(padded[1:-1, 1:-1])


def fill_between_one_class(labels: NDArray[np.uint8], fillable: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Labels unknown regions that touch one class only, such as an arm that leaves the colour camera's view.

    Args:
        labels: (H, W) uint8.
        fillable: (H, W) bool: unknown pixels that may be labelled so.

    Returns:
        A copy of `labels`.
    """
    result = labels.copy()
    region = ((labels == UNKNOWN) & fillable).astype(np.uint8)
    count, regions = cv2.connectedComponents(region, connectivity=4, ltype=cv2.CV_32S)
    if count == 1:
        return result
    touches = np.zeros((count, 256), dtype=bool)
    for axis in (0, 1):
        ahead = [slice(None), slice(None)]
        behind = [slice(None), slice(None)]
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        for own, other in ((tuple(ahead), tuple(behind)), (tuple(behind), tuple(ahead))):
            for label in (HAND, OBJECT):
                beside = (regions[own] > 0) & (labels[other] == label)
                touches[regions[own][beside], label] = True
    table = np.full(count, UNKNOWN, dtype=np.uint8)
    table[touches[:, HAND] & ~touches[:, OBJECT]] = HAND
    table[touches[:, OBJECT] & ~touches[:, HAND]] = OBJECT
    inside = regions > 0
    result[inside] = table[regions[inside]]
    return result
