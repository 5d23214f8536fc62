"""Analytic primitives of the renderer: round cones, triangles, ellipsoids, boxes and planes, each a row.

A scene's primitives are a float64 array (n, `PRIMITIVE_ROW`) in camera coordinates (mm, x right, y down, z forward).
Hands are round cones (two spheres and their tangent cone) plus the flat sides of wedges (the hull of three spheres);
bodies, tables and clutter use the rest. `ray_hits.py` says where rays hit them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.kernels.compiling import subroutine

Float64Array = NDArray[np.float64]

# Columns of a row.
PRIMITIVE_KIND = 0
SURFACE = 1  # index into the scene's surface table
PRIMITIVE_ROW = 17

# Kinds and their own columns.
ROUND_CONE = 0
CENTRE_A = 2  # three columns, as are all points and vectors
CENTRE_B = 5
RADIUS_A = 8
RADIUS_B = 9

TRIANGLE = 1
CORNER_A = 2
CORNER_B = 5
CORNER_C = 8
CORNERS_END = 11

ELLIPSOID = 2
BOX = 3
CENTRE = 2
ROTATION = 5  # camera -> local, row-major, nine columns
EXTENTS = 14  # radii, or half sizes
EXTENTS_END = 17

PLANE = 4  # normal . x = offset
NORMAL = 2
OFFSET = 5


@subroutine
def write_round_cone(
    primitives: np.ndarray, i: int, surface: int, a: np.ndarray, b: np.ndarray, ra: float, rb: float
) -> int:
    """Write a round cone into row `i`; returns the next free row."""
    primitives[i, PRIMITIVE_KIND] = ROUND_CONE
    primitives[i, SURFACE] = surface
    for k in range(3):
        primitives[i, CENTRE_A + k] = a[k]
        primitives[i, CENTRE_B + k] = b[k]
    primitives[i, RADIUS_A] = ra
    primitives[i, RADIUS_B] = rb
    return i + 1


@subroutine
def write_wedge_sides(
    primitives: np.ndarray,
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
        primitives[i, PRIMITIVE_KIND] = TRIANGLE
        primitives[i, SURFACE] = surface
        for k in range(3):
            tangent = (tx, ty, tz)[k]
            primitives[i, CORNER_A + k] = a[k] + ra * tangent
            primitives[i, CORNER_B + k] = b[k] + rb * tangent
            primitives[i, CORNER_C + k] = c[k] + rc * tangent
        i += 1
    return i


def translate(primitives: Float64Array, translation_mm: Float64Array) -> Float64Array:
    """The same primitives (n, PRIMITIVE_ROW) moved by a translation (3,), as a new array."""
    moved = primitives.copy()
    kind = primitives[:, PRIMITIVE_KIND]
    plane, cone, triangle = kind == PLANE, kind == ROUND_CONE, kind == TRIANGLE
    moved[plane, OFFSET] += moved[plane, NORMAL:OFFSET] @ translation_mm
    moved[~plane, CENTRE:ROTATION] += translation_mm
    moved[cone | triangle, CENTRE_B:RADIUS_A] += translation_mm
    moved[triangle, CORNER_C:CORNERS_END] += translation_mm
    return moved


def transform_flesh(primitives: Float64Array, matrix: Float64Array, translation_mm: Float64Array) -> Float64Array:
    """Round cones and triangles (n, PRIMITIVE_ROW) moved by an orthogonal matrix (3, 3), then by a translation (3,)."""
    moved = primitives.copy()
    points = primitives[:, CENTRE_A:RADIUS_A].reshape(-1, 2, 3) @ matrix.T + translation_mm
    moved[:, CENTRE_A:RADIUS_A] = points.reshape(-1, 6)
    triangle = primitives[:, PRIMITIVE_KIND] == TRIANGLE
    moved[triangle, CORNER_C:CORNERS_END] = primitives[triangle, CORNER_C:CORNERS_END] @ matrix.T + translation_mm
    assert np.all((primitives[:, PRIMITIVE_KIND] == ROUND_CONE) | triangle)
    return moved


def plane_row(surface: int, normal: Float64Array, offset_mm: float) -> Float64Array:
    """Row of the plane normal . x = offset_mm."""
    row = np.zeros(PRIMITIVE_ROW)
    row[PRIMITIVE_KIND], row[SURFACE] = PLANE, surface
    row[NORMAL:OFFSET], row[OFFSET] = normal, offset_mm
    return row


def round_cone_row(
    surface: int, a: Float64Array, b: Float64Array, radius_a_mm: float, radius_b_mm: float
) -> Float64Array:
    """Row of a round cone between two centres (3,)."""
    row = np.zeros(PRIMITIVE_ROW)
    row[PRIMITIVE_KIND], row[SURFACE] = ROUND_CONE, surface
    row[CENTRE_A:CENTRE_B], row[CENTRE_B:RADIUS_A] = a, b
    row[RADIUS_A], row[RADIUS_B] = radius_a_mm, radius_b_mm
    return row


def local_row(
    kind: int, surface: int, centre: Float64Array, rotation: Float64Array, extents: tuple[float, float, float]
) -> Float64Array:
    """Row of a box or an ellipsoid: `rotation` (3, 3) turns camera axes into local ones, `extents` are half sizes."""
    row = np.zeros(PRIMITIVE_ROW)
    row[PRIMITIVE_KIND], row[SURFACE] = kind, surface
    row[CENTRE:ROTATION], row[ROTATION:EXTENTS], row[EXTENTS:EXTENTS_END] = centre, rotation.ravel(), extents
    return row
