"""Analytic solids of the renderer: round cones, triangles, ellipsoids, boxes and planes, each a row with a closed-form ray hit.

A scene's solids are a float64 array (n, `SOLID_ROW`) in camera coordinates (mm, x right, y down, z forward). Hands are round cones
(two spheres and their tangent cone) plus the flat sides of wedges (the hull of three spheres); bodies, tables and clutter use the rest.
"""

from __future__ import annotations

import math

import numpy as np
from graspcut.synth.kernel import kernel
from numpy.typing import NDArray

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

NO_HIT = 1e9


@kernel
def hit_round_cone(
    rx: float, ry: float, rz: float, ax: float, ay: float, az: float, bx: float, by: float, bz: float, ra: float, rb: float
) -> float:
    """Distance along the unit ray (rx, ry, rz) from the origin to the first hit of a round cone, or `NO_HIT`.

    With p(t) = t r, the tangent cone is the zero set of a quadratic in t; the hit counts when it lies between the two circles where
    cone and spheres meet, else the nearer of the two sphere hits counts.
    """
    ux = bx - ax
    uy = by - ay
    uz = bz - az
    length2 = ux * ux + uy * uy + uz * uz
    dr = ra - rb
    aa = ax * ax + ay * ay + az * az
    bb = bx * bx + by * by + bz * bz
    ar = ax * rx + ay * ry + az * rz
    br = bx * rx + by * ry + bz * rz
    d2 = length2 - dr * dr
    if d2 > 1e-9:
        ur = ux * rx + uy * ry + uz * rz
        ua = -(ux * ax + uy * ay + uz * az)
        k2 = d2 - ur * ur
        k1 = -d2 * ar - ua * ur + ur * dr * ra
        k0 = d2 * aa - ua * ua + 2.0 * ua * dr * ra - length2 * ra * ra
        discriminant = k1 * k1 - k0 * k2
        if discriminant < 0.0:
            return NO_HIT
        if k2 > 1e-9:
            t = (-math.sqrt(discriminant) - k1) / k2
            along = ua - ra * dr + t * ur
            if 0.0 < along < d2:
                return t
    best = NO_HIT
    ha = ar * ar - aa + ra * ra
    if ha > 0.0:
        best = ar - math.sqrt(ha)
    hb = br * br - bb + rb * rb
    if hb > 0.0:
        best = min(best, br - math.sqrt(hb))
    return best


@kernel
def hit_triangle(
    rx: float, ry: float, rz: float,
    ax: float, ay: float, az: float, bx: float, by: float, bz: float, cx: float, cy: float, cz: float,
) -> float:  # fmt: skip
    """Distance along the ray from the origin to a triangle seen from either side, or `NO_HIT` (signed volumes)."""
    e1x = bx - ax
    e1y = by - ay
    e1z = bz - az
    e2x = cx - ax
    e2y = cy - ay
    e2z = cz - az
    px = ry * e2z - rz * e2y
    py = rz * e2x - rx * e2z
    pz = rx * e2y - ry * e2x
    determinant = e1x * px + e1y * py + e1z * pz
    if abs(determinant) < 1e-12:
        return NO_HIT
    inverse = 1.0 / determinant
    u = -(ax * px + ay * py + az * pz) * inverse
    if u < 0.0 or u > 1.0:
        return NO_HIT
    qx = -(ay * e1z - az * e1y)
    qy = -(az * e1x - ax * e1z)
    qz = -(ax * e1y - ay * e1x)
    v = (rx * qx + ry * qy + rz * qz) * inverse
    if v < 0.0 or u + v > 1.0:
        return NO_HIT
    return (e2x * qx + e2y * qy + e2z * qz) * inverse


@kernel
def _slab(origin: float, direction: float, half: float, near: float, far: float) -> tuple[float, float]:
    if abs(direction) < 1e-12:
        if abs(origin) > half:
            return 1.0, -1.0
        return near, far
    t1 = (-half - origin) / direction
    t2 = (half - origin) / direction
    return max(near, min(t1, t2)), min(far, max(t1, t2))


@kernel
def hit_solid(solids: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    """Distance in mm along the unit ray from the camera to solid `i`, or `NO_HIT`."""
    kind = int(solids[i, SOLID_KIND])
    if kind == ROUND_CONE:
        return hit_round_cone(
            rx, ry, rz, solids[i, 2], solids[i, 3], solids[i, 4], solids[i, 5], solids[i, 6], solids[i, 7], solids[i, 8], solids[i, 9]
        )
    if kind == TRIANGLE:
        return hit_triangle(
            rx, ry, rz, solids[i, 2], solids[i, 3], solids[i, 4], solids[i, 5], solids[i, 6], solids[i, 7],
            solids[i, 8], solids[i, 9], solids[i, 10],
        )  # fmt: skip
    if kind == PLANE:
        slope = solids[i, 2] * rx + solids[i, 3] * ry + solids[i, 4] * rz
        if abs(slope) < 1e-9:
            return NO_HIT
        return float(solids[i, 5] / slope)
    ox = -(solids[i, 5] * solids[i, 2] + solids[i, 6] * solids[i, 3] + solids[i, 7] * solids[i, 4])
    oy = -(solids[i, 8] * solids[i, 2] + solids[i, 9] * solids[i, 3] + solids[i, 10] * solids[i, 4])
    oz = -(solids[i, 11] * solids[i, 2] + solids[i, 12] * solids[i, 3] + solids[i, 13] * solids[i, 4])
    dx = solids[i, 5] * rx + solids[i, 6] * ry + solids[i, 7] * rz
    dy = solids[i, 8] * rx + solids[i, 9] * ry + solids[i, 10] * rz
    dz = solids[i, 11] * rx + solids[i, 12] * ry + solids[i, 13] * rz
    if kind == BOX_SOLID:
        near, far = _slab(ox, dx, solids[i, 14], -NO_HIT, NO_HIT)
        near, far = _slab(oy, dy, solids[i, 15], near, far)
        near, far = _slab(oz, dz, solids[i, 16], near, far)
        return near if near <= far else NO_HIT
    ox /= solids[i, 14]
    dx /= solids[i, 14]
    oy /= solids[i, 15]
    dy /= solids[i, 15]
    oz /= solids[i, 16]
    dz /= solids[i, 16]
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    c = ox * ox + oy * oy + oz * oz - 1.0
    discriminant = b * b - a * c
    if discriminant < 0.0:
        return NO_HIT
    return (-b - math.sqrt(discriminant)) / a


@kernel
def write_round_cone(solids: np.ndarray, i: int, surface: int, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> int:
    """Write a round cone into row `i`; returns the next free row."""
    solids[i, SOLID_KIND] = ROUND_CONE
    solids[i, SURFACE] = surface
    for k in range(3):
        solids[i, 2 + k] = a[k]
        solids[i, 5 + k] = b[k]
    solids[i, 8] = ra
    solids[i, 9] = rb
    return i + 1


@kernel
def write_wedge_sides(
    solids: np.ndarray, i: int, surface: int, a: np.ndarray, b: np.ndarray, c: np.ndarray, ra: float, rb: float, rc: float
) -> int:
    """Write the two flat sides of the hull of three spheres into rows `i` and `i + 1`; returns the next free row.

    The side's unit normal n touches every sphere: n . (b - a) = ra - rb and n . (c - a) = ra - rc. Where one sphere hides the tangent
    plane of the others (no real n) nothing is written: the round cones between the spheres then are the hull.
    """
    u = b - a
    v = c - a
    uu = u[0] * u[0] + u[1] * u[1] + u[2] * u[2]
    uv = u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
    vv = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    determinant = uu * vv - uv * uv
    if determinant < 1e-6:
        return i
    p = ra - rb
    q = ra - rc
    alpha = (p * vv - q * uv) / determinant
    beta = (q * uu - p * uv) / determinant
    ix = alpha * u[0] + beta * v[0]
    iy = alpha * u[1] + beta * v[1]
    iz = alpha * u[2] + beta * v[2]
    remaining = 1.0 - ix * ix - iy * iy - iz * iz
    if remaining <= 0.0:
        return i
    nx = u[1] * v[2] - u[2] * v[1]
    ny = u[2] * v[0] - u[0] * v[2]
    nz = u[0] * v[1] - u[1] * v[0]
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


def round_cone_row(surface: int, a: Float64Array, b: Float64Array, radius_a_mm: float, radius_b_mm: float) -> Float64Array:
    """Row of a round cone between two centres (3,)."""
    row = np.zeros(SOLID_ROW)
    row[SOLID_KIND], row[SURFACE] = ROUND_CONE, surface
    row[2:5], row[5:8], row[8], row[9] = a, b, radius_a_mm, radius_b_mm
    return row


def local_row(
    kind: int, surface: int, centre: Float64Array, rotation: Float64Array, extents: tuple[float, float, float]
) -> Float64Array:
    """Row of a box or an ellipsoid: `rotation` (3, 3) turns camera coordinates into local ones, `extents` are half sizes in mm."""
    row = np.zeros(SOLID_ROW)
    row[SOLID_KIND], row[SURFACE] = kind, surface
    row[2:5], row[5:14], row[14:17] = centre, rotation.ravel(), extents
    return row
