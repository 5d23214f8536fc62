"""Background elimination (section 3): hand and object are the nearest things, everything 16 cm behind is not theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.kernels import depth_counts
from graspcut.frames.errors import FrameError

BAND_MM = 160.0
# So many pixels of a 640x480 image make a surface; fewer are flying pixels.
SUPPORT_PX_AT_VGA = 200
_SUPPORT_DEPTH_MM = 5.0


def scaled_area_px(area_px_at_vga: float, shape: tuple[int, ...]) -> int:
    """An area that is stated for 640x480, for an image of another size; at least one pixel."""
    return max(1, round(area_px_at_vga * shape[0] * shape[1] / (640 * 480)))


def nearest_surface_mm(
    depth_mm: NDArray[np.float32], support_px: int | None = None, within_mm: float = _SUPPORT_DEPTH_MM
) -> float | None:
    """Distance of the nearest surface: the smallest depth with enough pixels at most `within_mm` behind it.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data (which is never near).
        support_px: How many pixels make a surface, itself included; by default 200 at 640x480, scaled with the area.
        within_mm: How far behind the nearest one they may lie.

    Returns:
        Millimetres, or None if no depth has that support.

    Raises:
        FrameError: If `support_px` is less than 1.
    """
    support = scaled_area_px(SUPPORT_PX_AT_VGA, depth_mm.shape) if support_px is None else support_px
    if support < 1 or within_mm <= 0:
        raise FrameError(f"support is {support} pixels within {within_mm} mm; expected at least 1, and more than 0 mm.")
    # Counts in bins of 1 mm say where to look; only there depths are sorted.
    counts = np.zeros(int(depth_mm.max(initial=0)) + 1, dtype=np.int64)
    depth_counts(depth_mm, counts)
    bins = int(np.ceil(within_mm)) + 1
    total = np.concatenate([[0], np.cumsum(counts)])
    last = np.minimum(np.arange(len(counts)) + bins, len(counts))
    for first in np.flatnonzero(total[last] - total[:-1] >= support):
        low, high = float(first), float(first + bins)
        depths = np.sort(depth_mm[(depth_mm >= max(low, 1e-6)) & (depth_mm < high)])
        near = np.flatnonzero(depths[support - 1 :] - depths[: len(depths) - support + 1] <= within_mm)
        if near.size:
            return float(depths[near[0]])
    return None


def within_band(depth_mm: NDArray[np.float32], nearest_mm: float, band_mm: float = BAND_MM) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with data in [nearest_mm, nearest_mm + band_mm], and what flies in front of it."""
    return np.asarray((depth_mm > 0) & (depth_mm <= np.float32(nearest_mm + band_mm)))
