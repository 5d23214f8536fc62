"""How far an object can fall until it touches a plane below it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.kernels.compiling import loop
from graspcut.synth.objects.signed_distance import object_distance

_ACROSS = 6  # points of the plane to each side of the middle that are tested
_STEPS = 20
_TOUCHING_MM = 0.5


@loop
def _fall(rows: np.ndarray, x: float, y: float, z: float, nx: float, ny: float, nz: float, bound: float) -> float:
    # Two directions along the plane.
    if abs(nx) < 0.9:
        ax, ay, az = 0.0, nz, -ny
    else:
        ax, ay, az = -nz, 0.0, nx
    length = math.sqrt(ax * ax + ay * ay + az * az)
    ax /= length
    ay /= length
    az /= length
    bx = ny * az - nz * ay
    by = nz * ax - nx * az
    bz = nx * ay - ny * ax
    step = bound / _ACROSS
    risen = 0.0
    for _ in range(_STEPS):
        gap = 1e9
        for i in range(-_ACROSS, _ACROSS + 1):
            for j in range(-_ACROSS, _ACROSS + 1):
                if i * i + j * j > _ACROSS * _ACROSS:
                    continue
                p = step * i
                q = step * j
                gap = min(
                    gap,
                    object_distance(
                        rows,
                        x + p * ax + q * bx + risen * nx,
                        y + p * ay + q * by + risen * ny,
                        z + p * az + q * bz + risen * nz,
                    ),
                )
        if gap < _TOUCHING_MM:
            break
        risen += gap
        if risen > 2.0 * bound:
            break
    return risen


def fall_mm(
    rows: NDArray[np.float64], centre_mm: NDArray[np.float64], bound_mm: float, normal: NDArray[np.float64]
) -> float:
    """How far an object can move against `normal` before it touches the plane that its bounding sphere touches now.

    The plane is tested at points a sixth of the bound apart, so that thin feet may sink in between them.

    Args:
        rows: float64 (n, ROW), the object.
        centre_mm: float64 (3,), middle of its bounding sphere.
        bound_mm: Radius of that sphere.
        normal: float64 (3,), unit normal of the plane, away from it.

    Returns:
        mm, at most twice the bound.
    """
    foot = centre_mm - bound_mm * normal
    x, y, z = foot.tolist()
    nx, ny, nz = normal.tolist()
    return float(_fall(rows, x, y, z, nx, ny, nz, float(bound_mm)))
