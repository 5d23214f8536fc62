"""The loops over pixels of the annotation, compiled. What they do is said where they are called."""

from __future__ import annotations

import numpy as np

from graspcut.kernel_cache import compiled
from graspcut.labels import HAND, OBJECT, UNKNOWN

_loop = compiled(error_model="numpy", nogil=True)


@_loop
def grow_kernel(
    labels: np.ndarray, depth_mm: np.ndarray, offsets: np.ndarray, steps: int, largest_step_mm: float,
    waiting: np.ndarray, found: np.ndarray,
) -> None:  # fmt: skip
    """See `filling.grow_into_unknown`; a ring of pixels is labelled at once, from what was there before it.

    Args:
        labels: flat uint8 with a border of unknown pixels, changed.
        depth_mm: flat float32 with a border of 0.
        offsets: (8,) intp from a pixel to its neighbours.
        steps: how many rings.
        largest_step_mm: neighbours farther away in depth are another surface.
        waiting: intp, the pixels that may be labelled; used up.
        found: uint8 of the same size, scratch.
    """
    count = waiting.size
    for _ in range(steps):
        reached = 0
        for number in range(count):
            place = waiting[number]
            own, best, label = depth_mm[place], np.float32(largest_step_mm), np.uint8(UNKNOWN)
            for offset in offsets:
                other = labels[place + offset]
                if other in (HAND, OBJECT):
                    step = abs(depth_mm[place + offset] - own)
                    if step < best:
                        best, label = step, other
            found[number] = label
            reached += label != UNKNOWN
        if reached == 0:
            return
        kept = 0
        for number in range(count):
            if found[number] != UNKNOWN:
                labels[waiting[number]] = found[number]
            else:
                waiting[kept] = waiting[number]
                kept += 1
        count = kept


@_loop
def contact_kernel(
    depth_mm: np.ndarray, foreground: np.ndarray, farthest_mm: float, reach_mm: float, short_step_mm: float,
    behind: np.ndarray, contact: np.ndarray, region: np.ndarray,
) -> None:  # fmt: skip
    """See `continuation.continued_behind`.

    Args:
        depth_mm: (H, W) float32.
        foreground: (H, W) bool.
        farthest_mm: the foreground's farthest pixel.
        reach_mm: how far behind it pixels may lie.
        short_step_mm: neighbours with at most this step in depth hang together.
        behind: (H, W) bool, filled: pixels that lie there.
        contact: (H, W) bool, filled: of these, neighbours of the foreground without a jump.
        region: (H, W) uint8, filled: of those that lie behind, all but one side of each jump.
    """
    height, width = depth_mm.shape
    near, far, short = np.float32(farthest_mm), np.float32(farthest_mm + reach_mm), np.float32(short_step_mm)
    for row in range(height):
        for column in range(width):
            own = depth_mm[row, column]
            is_behind = own > near and own <= far
            behind[row, column] = is_behind
            contact[row, column] = False
            region[row, column] = 0
            if not is_behind:
                continue
            touches, is_cut = False, False
            if row > 0:
                smooth = abs(own - depth_mm[row - 1, column]) <= short
                touches = touches or (smooth and foreground[row - 1, column])
                is_cut = is_cut or not smooth
            if column > 0:
                smooth = abs(own - depth_mm[row, column - 1]) <= short
                touches = touches or (smooth and foreground[row, column - 1])
                is_cut = is_cut or not smooth
            if row + 1 < height and abs(own - depth_mm[row + 1, column]) <= short:
                touches = touches or foreground[row + 1, column]
            if column + 1 < width and abs(own - depth_mm[row, column + 1]) <= short:
                touches = touches or foreground[row, column + 1]
            contact[row, column] = touches
            region[row, column] = touches or not is_cut


@_loop
def depth_counts(depth_mm: np.ndarray, counts: np.ndarray) -> None:
    """Adds up how many pixels with data lie in each millimetre.

    Args:
        depth_mm: (H, W) float32; 0 is no data.
        counts: int64, one entry a millimetre, up to the largest depth.
    """
    for value in depth_mm.flat:
        if value > 0:
            counts[int(value)] += 1
