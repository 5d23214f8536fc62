"""Analytic solids of the renderer: round cones, triangles, ellipsoids, boxes and planes, each a row.

A scene's solids are a float64 array (n, `SOLID_ROW`) in camera coordinates (mm, x right, y down, z forward). Hands are
round cones (two spheres and their tangent cone) plus the flat sides of wedges (the hull of three spheres); bodies,
tables and clutter use the rest. `ray_hits.py` says where rays hit them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.kernels.compiling import discard_stale_cache, subroutine

discard_stale_cache(__file__)

Float64Array = NDArray[np.float64]

# Columns of a row.
SOLID_KIND = 0
SURFACE = 1  # index into the scene's surface table
DATA = 2  # fifteen columns, meaning by kind
SOLID_ROW = 17

# Kinds and their data.
ROUND_CONE = 0  # centre a (3), centre b (3), radius a, radius b
TRIANGLE = 1  # three corners (9)
ELLIPSOID_SOLID = 2  # centre (3), rotation camera -> local, row-major (9), radii (3)
BOX_SOLID = 3  # centre (3), rotation camera -> local, row-major (9), half extents (3)
PLANE = 4  # unit normal (3), offset: normal . x = offset


@subroutine
def write_round_cone(
    solids: np.ndarray, i: int, surface: int, a: np.ndarray, b: np.ndarray, ra: float, rb: float
) -> int:
    """Write a round cone into row `i`; returns the next free row."""
    solids[i, SOLID_KIND] = ROUND_CONE
    solids[i, SURFACE] = surface
    for k in range(3):
        solids[i, 2 + k] = a[k]
        solids[i, 5 + k] = b[k]
    solids[i, 8] = ra
    solids[i, 9] = rb
    return i + 1


@subroutine
def write_wedge_sides(
    solids: np.ndarray,
    i: int,
    surface: int,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    ra: float,
    rb: float,
    rc: float,
) -> int:
    """Write the two flat sides of the hull of three spheres into rows `i` and `i + 1`; returns the next free row.

    The side's unit normal n touches every sphere: n . (b - a) = ra - rb and n . (c - a) = ra - rc. Where one
    sphere hides the tangent plane of the others (no real n) nothing is written: the round cones between the spheres
    then are the hull.
    """
    ux = b[0] - a[0]
    uy = b[1] - a[1]
    uz = b[2] - a[2]
    vx = c[0] - a[0]
    vy = c[1] - a[1]
    vz = c[2] - a[2]
    uu = ux * ux + uy * uy + uz * uz
    uv = ux * vx + uy * vy + uz * vz
    vv = vx * vx + vy * vy + vz * vz
    determinant = uu * vv - uv * uv
    if determinant < 1e-6:
        return i
    p = ra - rb
    q = ra - rc
    alpha = (p * vv - q * uv) / determinant
    beta = (q * uu - p * uv) / determinant
    ix = alpha * ux + beta * vx
    iy = alpha * uy + beta * vy
    iz = alpha * uz + beta * vz
    remaining = 1.0 - ix * ix - iy * iy - iz * iz
    if remaining <= 0.0:
        return i
    nx = uy * vz - uz * vy
    ny = uz * vx - ux * vz
    nz = ux * vy - uy * vx
    scale = math.sqrt(remaining / determinant)  # |u x v|^2 is the determinant
    for side in range(2):
        sign = 1.0 if side == 0 else -1.0
        tx = ix + sign * scale * nx
        ty = iy + sign * scale * ny
        tz = iz + sign * scale * nz
        solids[i, SOLID_KIND] = TRIANGLE
        solids[i, SURFACE] = surface
        solids[i, 2] = a[0] + ra * tx
        solids[i, 3] = a[1] + ra * ty
        solids[i, 4] = a[2] + ra * tz
        solids[i, 5] = b[0] + rb * tx
        solids[i, 6] = b[1] + rb * ty
        solids[i, 7] = b[2] + rb * tz
        solids[i, 8] = c[0] + rc * tx
        solids[i, 9] = c[1] + rc * ty
        solids[i, 10] = c[2] + rc * tz
        i += 1
    return i


def plane_row(surface: int, normal: Float64Array, offset_mm: float) -> Float64Array:
    """Row of the plane normal . x = offset_mm."""
    row = np.zeros(SOLID_ROW)
    row[SOLID_KIND], row[SURFACE] = PLANE, surface
    row[2:5], row[5] = normal, offset_mm
    return row


def round_cone_row(
    surface: int, a: Float64Array, b: Float64Array, radius_a_mm: float, radius_b_mm: float
) -> Float64Array:
    """Row of a round cone between two centres (3,)."""
    row = np.zeros(SOLID_ROW)
    row[SOLID_KIND], row[SURFACE] = ROUND_CONE, surface
    row[2:5], row[5:8], row[8], row[9] = a, b, radius_a_mm, radius_b_mm
    return row


def local_row(
    kind: int, surface: int, centre: Float64Array, rotation: Float64Array, extents: tuple[float, float, float]
) -> Float64Array:
    """Row of a box or an ellipsoid: `rotation` (3, 3) turns camera axes into local ones, `extents` are half sizes."""
    row = np.zeros(SOLID_ROW)
    row[SOLID_KIND], row[SURFACE] = kind, surface
    row[2:5], row[5:14], row[14:17] = centre, rotation.ravel(), extents
    return row
