"""Morphological filtering of one binary mask (section 3: hand and object masks are filtered each for itself)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError


def opened_and_closed(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Opening, which removes specks, then closing, which fills pin holes, with an ellipse.

    Args:
        mask: (H, W) bool.
        radius_px: The ellipse has 2 * radius + 1 pixels across; 0 changes nothing.

    Raises:
        FrameError: If the radius is negative.
    """
    if radius_px < 0:
        raise FrameError(f"the radius is {radius_px} pixels; expected 0 or more.")
    if radius_px == 0:
        return mask.copy()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    # OpenCV's default border counts as neither inside nor outside, so masks cut by the image keep their edge.
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel) != 0)
