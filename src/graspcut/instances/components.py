"""The simplest instances: connected parts of the labels of `graspcut segment`. What a network has to beat.

Things of one class that touch in the picture are one part here; where depth is given, neighbours whose depth differs
by a step are not connected.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.labels import HAND, OBJECT


def component_proposals(
    labels: NDArray[np.uint8],
    depth_mm: NDArray[np.float32] | None = None,
    *,
    step_mm: float = 15.0,
    smallest_px: int = 30,
    classes: Sequence[int] = (HAND, OBJECT),
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Connected parts of a label map as proposals, largest first.

    Args:
        labels: (H, W) uint8.
        depth_mm: (H, W); parts also end where neighbouring depths differ by `step_mm`. None: they do not.
        step_mm: see `depth_mm`.
        smallest_px: smaller parts are left out.
        classes: labels whose parts are proposals.

    Returns:
        masks (N, H, W) bool and scores (N,) float64: the share of the largest part's pixels.
    """
    found: list[tuple[int, NDArray[np.bool_]]] = []
    for label in classes:
        mask = (labels == label).astype(np.uint8)
        if depth_mm is not None:
            mask &= _continuous(depth_mm, step_mm)
        count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for part in range(1, count):
            pixels = int(statistics[part, cv2.CC_STAT_AREA])
            if pixels >= smallest_px:
                found.append((pixels, np.asarray(parts == part)))
    found.sort(key=lambda entry: -entry[0])
    if not found:
        return np.zeros((0, *labels.shape), bool), np.zeros(0)
    sizes = np.array([pixels for pixels, _ in found], np.float64)
    return np.stack([mask for _, mask in found]), sizes / sizes[0]


def _continuous(depth_mm: NDArray[np.float32], step_mm: float) -> NDArray[np.uint8]:
    """(H, W) 1 where depth is as far as that of its right and lower neighbours."""
    smooth = np.ones(depth_mm.shape, np.uint8)
    smooth[:, :-1] &= np.abs(np.diff(depth_mm, axis=1)) < step_mm
    smooth[:-1] &= np.abs(np.diff(depth_mm, axis=0)) < step_mm
    return smooth
