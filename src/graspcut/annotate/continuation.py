"""Surfaces that begin inside the depth band and go on behind it, such as a forearm that leads away from the camera.

Deviation from the paper, which calls everything behind the band background: there, only what has the colour of skin and
hangs together with the hand is labelled (hand), and everything else that hangs together with the foreground is unknown
instead of wrong.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.kernels import contact_kernel

_SHORT_STEP_MM = 12.0
_LARGEST_RATIO = 2.0


def continued_behind(
    depth_mm: NDArray[np.float32], foreground: NDArray[np.bool_], reach_mm: float
) -> NDArray[np.bool_]:
    """Pixels behind the foreground that hang together with it.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        foreground: (H, W) bool, the band.
        reach_mm: How far behind the foreground's farthest pixel they may lie.

    Returns:
        (H, W) bool: pixels outside `foreground` that a path of neighbours joins to it, with depth steps of at most
        12 mm on the way; without regions of twice the foreground's area, which are walls and tables that it touches.
    """
    result = np.zeros_like(foreground)
    if not foreground.any():
        return result
    farthest = float(depth_mm[foreground].max())
    behind, contact = np.empty_like(foreground), np.empty_like(foreground)
    region = np.empty(foreground.shape, dtype=np.uint8)
    # Contact: pixels of both sides that are neighbours without a jump. One pixel of each jump leaves the region, so
    # that it separates the two sides.
    contact_kernel(depth_mm, foreground, farthest, float(reach_mm), _SHORT_STEP_MM, behind, contact, region)
    if not contact.any():
        return result
    count, regions = cv2.connectedComponents(region, connectivity=4)
    touched = np.zeros(count, dtype=bool)
    touched[regions[contact]] = True
    touched[0] = False
    # Far larger than what stands before it: no arm, but the wall or table that hand or arm touch.
    touched &= np.bincount(regions.ravel(), minlength=count) <= _LARGEST_RATIO * np.count_nonzero(foreground)
    return np.asarray(touched[regions] & behind)
