"""Contour filtering, equation (1): segments that are small or all boundary leave the mask.

M_o = union of the segments s of M_i with N(s) > theta and P(s)^2 / N(s) < phi, where N(s) counts the pixels of s and
P(s) its boundary pixels: those with a 4-neighbour outside s. Outside the image is outside s. The ratio has no scale: an
n x n square has 16 (n-1)^2 / n^2, a disc about 10, a strip of length L and width w > 2 about 4 L / w.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)


def segment_measures(
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Segments (8-connected) of a mask with their areas and boundary lengths.

    Returns:
        (H, W) int32 with 0 outside and 1..n inside; N(s) and P(s), each (n + 1) int64, entry 0 unused.
    """
    image = mask.astype(np.uint8)
    count, segments, statistics, _ = cv2.connectedComponentsWithStats(image, connectivity=8, ltype=cv2.CV_32S)
    interior = cv2.erode(image, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    areas = statistics[:, cv2.CC_STAT_AREA].astype(np.int64)
    # Segments do not touch, so what is outside the mask is what is outside the segment.
    boundaries = np.bincount(segments[(image != 0) & (interior == 0)], minlength=count).astype(np.int64)
    areas[0] = 0
    return np.asarray(segments), areas, boundaries


def contour_filter(
    mask: NDArray[np.bool_], theta: float, phi: float, largest_px: float = np.inf
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Keeps the segments of a mask that equation (1) keeps.

    Args:
        mask: (H, W) bool.
        theta: Segments need more pixels than this.
        phi: Their squared boundary over their area must be less than this.
        largest_px: Segments with more pixels are kept whatever their boundary: a spread hand with ragged edges close to
            the camera is no band. Infinite is the equation to the letter.

    Returns:
        (H, W) bool, the kept mask; and (H, W) int32 with a number for each removed segment, 0 elsewhere.
    """
    segments, areas, boundaries = segment_measures(mask)
    keep = (areas > theta) & ((boundaries * boundaries < phi * np.maximum(areas, 1)) | (areas > largest_px))
    keep[0] = False
    kept = keep[segments]
    return kept, np.where(mask & ~kept, segments, 0).astype(np.int32)
