"""Fills the creases where the parts of a hand meet: webs, knuckles, fingers that touch.

A hand is a union of round cones, whose seams are sharp; flesh is smooth. A smooth union would have to be traced step by
step; in the image it is a fill: where a pixel lies deeper than the middle between two opposite neighbours some
millimetres away, on flesh too, it is brought up to it. Convex and flat surfaces stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.kernels.compiling import loop, scalar
from graspcut.synth.rendering.ray_casting import RenderedView

REACH_MM = 5.0  # how far from a seam its fill begins
STEP_MM = 10.0  # deeper gaps, as between fingers one behind the other, stay open
_MOST_PIXELS = 6


@scalar
def _flesh(depth: np.ndarray, surface: np.ndarray, soft: np.ndarray, v: int, u: int, z: float) -> float:
    """Depth of a pixel, or 0 where it is not flesh near the depth z."""
    if v < 0 or u < 0 or v >= depth.shape[0] or u >= depth.shape[1]:
        return 0.0
    if soft[surface[v, u]] == 0:
        return 0.0
    other = float(depth[v, u])
    return other if abs(other - z) < STEP_MM else 0.0


@loop
def _fill(depth: np.ndarray, surface: np.ndarray, soft: np.ndarray, focal: float, out: np.ndarray) -> None:
    height, width = depth.shape
    for v in range(height):
        for u in range(width):
            if soft[surface[v, u]] == 0:
                continue
            z = float(depth[v, u])
            reach = min(int(REACH_MM * focal / max(z, 1.0) + 0.5), _MOST_PIXELS)
            filled = z
            while reach > 0:
                for direction in range(4):
                    dv = (0, 1, 1, 1)[direction] * reach
                    du = (1, 0, 1, -1)[direction] * reach
                    before = _flesh(depth, surface, soft, v - dv, u - du, z)
                    after = _flesh(depth, surface, soft, v + dv, u + du, z)
                    if before > 0.0 and after > 0.0:
                        filled = min(filled, 0.5 * (before + after))
                reach = reach // 2
            out[v, u] = filled


def fill_creases(view: RenderedView, soft: NDArray[np.uint8], focal_px: float) -> None:
    """Fill creases between soft surfaces, in place.

    Args:
        view: What a camera sees.
        soft: uint8 (surfaces,), 1 for flesh.
        focal_px: Focal length of the camera.
    """
    out = view.depth_mm.copy()
    _fill(view.depth_mm, view.surface, soft, focal_px, out)
    view.depth_mm[:] = out
