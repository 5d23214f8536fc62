"""Where rays from the camera hit the analytic solids of `primitives.py`.

All rays begin at the camera, so everything about a solid that does not depend on the ray's direction is worked out once
a frame: a solid's row becomes a prepared row, and a hit costs a few products. A table prepared with `spread` > 0
answers for whole tiles instead: its solids are blown up so that the middle ray of a tile meets them when any ray of the
tile meets the solid itself.
"""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import discard_stale_cache, loop, scalar, subroutine
from graspcut.synth.rendering import primitives as solids_module
from graspcut.synth.rendering.primitives import (
    BOX_SOLID,
    ELLIPSOID_SOLID,
    PLANE,
    ROUND_CONE,
    SOLID_KIND,
    SURFACE,
    TRIANGLE,
)

discard_stale_cache(__file__, solids_module.__file__)

NO_HIT = 1e9

# Columns of a prepared row; the rest depends on the kind.
KIND = 0  # kinds of `primitives.py` and those below
NEAREST = 2  # lower bound of the solid's distance from the camera, mm; column 1 is SURFACE as in `primitives.py`
PREPARED = 3
PREPARED_ROW = 18

SPHERE = 5  # a round cone of which one sphere contains the other
NEVER = 6  # a triangle seen edge on
EVERYWHERE = 7  # blown up so far that the camera is inside


@subroutine
def nearest_and_farthest(solids: np.ndarray, i: int) -> tuple[float, float]:
    """Lower and upper bound in mm of the distances from the camera to the points of solid `i`."""
    kind = int(solids[i, SOLID_KIND])
    x = solids[i, 2]
    y = solids[i, 3]
    z = solids[i, 4]
    reach = 0.0
    if kind == ROUND_CONE:
        length = math.sqrt((solids[i, 5] - x) ** 2 + (solids[i, 6] - y) ** 2 + (solids[i, 7] - z) ** 2)
        reach = 0.5 * length + max(solids[i, 8], solids[i, 9])
        x = 0.5 * (x + solids[i, 5])
        y = 0.5 * (y + solids[i, 6])
        z = 0.5 * (z + solids[i, 7])
    elif kind == TRIANGLE:
        x = (solids[i, 2] + solids[i, 5] + solids[i, 8]) / 3.0
        y = (solids[i, 3] + solids[i, 6] + solids[i, 9]) / 3.0
        z = (solids[i, 4] + solids[i, 7] + solids[i, 10]) / 3.0
        for k in range(2, 11, 3):
            reach = max(
                reach,
                math.sqrt((solids[i, k] - x) ** 2 + (solids[i, k + 1] - y) ** 2 + (solids[i, k + 2] - z) ** 2),
            )
    elif kind == ELLIPSOID_SOLID:
        reach = max(solids[i, 14], max(solids[i, 15], solids[i, 16]))
    elif kind == BOX_SOLID:
        reach = math.sqrt(solids[i, 14] ** 2 + solids[i, 15] ** 2 + solids[i, 16] ** 2)
    else:
        return abs(solids[i, 5]), NO_HIT
    distance = math.sqrt(x * x + y * y + z * z)
    return distance - reach, distance + reach


@scalar
def _prepare_round_cone(solids: np.ndarray, i: int, grow: float, out: np.ndarray, j: int) -> None:
    # The tangent cone is the zero set of a quadratic form F, negative inside. With u = b - a, d2 = u.u - (ra - rb)^2
    # and e = ra (ra - rb) + u.a, along the ray F(t) = k2 t^2 + 2 k1 t + k0, k2 = d2 - (u.r)^2, k1 = e u.r - d2 a.r.
    ax = solids[i, 2]
    ay = solids[i, 3]
    az = solids[i, 4]
    ux = solids[i, 5] - ax
    uy = solids[i, 6] - ay
    uz = solids[i, 7] - az
    ra = solids[i, 8] + grow
    rb = solids[i, 9] + grow
    uu = ux * ux + uy * uy + uz * uz
    d2 = uu - (ra - rb) * (ra - rb)
    if d2 < 1e-9:
        out[j, KIND] = SPHERE
        first = 2 if ra >= rb else 5
        radius = max(ra, rb)
        for k in range(3):
            out[j, PREPARED + k] = solids[i, first + k]
        out[j, 6] = radius * radius - (solids[i, first] ** 2 + solids[i, first + 1] ** 2 + solids[i, first + 2] ** 2)
        return
    aa = ax * ax + ay * ay + az * az
    ua = ux * ax + uy * ay + uz * az
    slope = ra * (ra - rb)
    out[j, KIND] = ROUND_CONE
    out[j, 3] = ax
    out[j, 4] = ay
    out[j, 5] = az
    out[j, 6] = ux
    out[j, 7] = uy
    out[j, 8] = uz
    out[j, 9] = d2
    out[j, 10] = slope + ua
    out[j, 11] = d2 * aa - ua * ua - 2.0 * ua * slope - uu * ra * ra
    out[j, 12] = ra * ra - aa
    out[j, 13] = rb * rb - (aa + 2.0 * ua + uu)


@scalar
def _hit_round_cone(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    ar = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
    ur = table[i, 6] * rx + table[i, 7] * ry + table[i, 8] * rz
    d2 = table[i, 9]
    e = table[i, 10]
    k2 = d2 - ur * ur
    k1 = e * ur - d2 * ar
    k0 = table[i, 11]
    discriminant = k1 * k1 - k0 * k2
    if discriminant < 0.0:
        return NO_HIT  # both spheres lie within the cone
    # The root at which F falls, where the ray enters: (-k1 - root) / k2, written so that k2 may be 0 or negative (a ray
    # steeper than the cone's side).
    gap = math.sqrt(discriminant) - k1
    if gap != 0.0:
        t = k0 / gap
        along = t * ur - e
        if 0.0 < along < d2 and t > 0.0:  # between the two circles where the cone leaves the spheres
            return float(t)
    best = NO_HIT
    h = ar * ar + table[i, 12]
    if h > 0.0:
        best = ar - math.sqrt(h)
    br = ar + ur
    h = br * br + table[i, 13]
    if h > 0.0:
        best = min(best, br - math.sqrt(h))
    return best


@scalar
def _prepare_triangle(solids: np.ndarray, i: int, margin: float, out: np.ndarray, j: int) -> None:
    # The planes through the camera and each edge, their unit normals towards the triangle, and the triangle's own
    # plane.
    e1x = solids[i, 5] - solids[i, 2]
    e1y = solids[i, 6] - solids[i, 3]
    e1z = solids[i, 7] - solids[i, 4]
    e2x = solids[i, 8] - solids[i, 2]
    e2y = solids[i, 9] - solids[i, 3]
    e2z = solids[i, 10] - solids[i, 4]
    nx = e1y * e2z - e1z * e2y
    ny = e1z * e2x - e1x * e2z
    nz = e1x * e2y - e1y * e2x
    volume = nx * solids[i, 2] + ny * solids[i, 3] + nz * solids[i, 4]
    if abs(volume) < 1e-9:
        out[j, KIND] = NEVER
        return
    out[j, KIND] = TRIANGLE
    out[j, 3] = nx / volume
    out[j, 4] = ny / volume
    out[j, 5] = nz / volume
    for edge in range(3):
        p = 2 + 3 * edge
        q = 2 + 3 * ((edge + 1) % 3)
        x = solids[i, p + 1] * solids[i, q + 2] - solids[i, p + 2] * solids[i, q + 1]
        y = solids[i, p + 2] * solids[i, q] - solids[i, p] * solids[i, q + 2]
        z = solids[i, p] * solids[i, q + 1] - solids[i, p + 1] * solids[i, q]
        # An edge that points at the camera has no plane: its normal is left 0 and the other two edges decide.
        scale = math.copysign(1.0 / max(math.sqrt(x * x + y * y + z * z), 1e-12), volume)
        out[j, 6 + 3 * edge] = x * scale
        out[j, 7 + 3 * edge] = y * scale
        out[j, 8 + 3 * edge] = z * scale
    out[j, 15] = -margin


@scalar
def _within_edges(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> bool:
    limit = table[i, 15]
    if table[i, 6] * rx + table[i, 7] * ry + table[i, 8] * rz < limit:
        return False
    if table[i, 9] * rx + table[i, 10] * ry + table[i, 11] * rz < limit:
        return False
    return bool(table[i, 12] * rx + table[i, 13] * ry + table[i, 14] * rz >= limit)


@scalar
def _hit_triangle(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    if not _within_edges(table, i, rx, ry, rz):
        return NO_HIT
    slope = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
    if slope < 1e-9:
        return NO_HIT
    return float(1.0 / slope)


@scalar
def _prepare_local(solids: np.ndarray, i: int, kind: int, grow: float, out: np.ndarray, j: int) -> None:
    # Local coordinates of the camera, and for an ellipsoid everything divided by its radii, so that it is a unit
    # sphere.
    out[j, KIND] = kind
    stretch = 1.0 + grow / min(solids[i, 14], min(solids[i, 15], solids[i, 16]))
    c = -1.0
    for axis in range(3):
        row = 5 + 3 * axis
        scale = 1.0 / (solids[i, 14 + axis] * stretch) if kind == ELLIPSOID_SOLID else 1.0
        origin = 0.0
        for k in range(3):
            out[j, 3 + 3 * axis + k] = solids[i, row + k] * scale
            origin -= solids[i, row + k] * scale * solids[i, 2 + k]
        out[j, 12 + axis] = origin
        c += origin * origin
        if kind == BOX_SOLID:
            out[j, 15 + axis] = solids[i, 14 + axis] + grow
    if kind == ELLIPSOID_SOLID:
        out[j, 15] = c


@scalar
def _hit_ellipsoid(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    dx = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
    dy = table[i, 6] * rx + table[i, 7] * ry + table[i, 8] * rz
    dz = table[i, 9] * rx + table[i, 10] * ry + table[i, 11] * rz
    a = dx * dx + dy * dy + dz * dz
    b = table[i, 12] * dx + table[i, 13] * dy + table[i, 14] * dz
    discriminant = b * b - a * table[i, 15]
    if discriminant < 0.0:
        return NO_HIT
    return float((-b - math.sqrt(discriminant)) / a)


@scalar
def _slab(origin: float, direction: float, half: float, near: float, far: float) -> tuple[float, float]:
    if abs(direction) < 1e-12:
        if abs(origin) > half:
            return 1.0, -1.0
        return near, far
    t1 = (-half - origin) / direction
    t2 = (half - origin) / direction
    return max(near, min(t1, t2)), min(far, max(t1, t2))


@scalar
def _hit_box(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    near = -NO_HIT
    far = NO_HIT
    dx = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
    near, far = _slab(table[i, 12], dx, table[i, 15], near, far)
    dy = table[i, 6] * rx + table[i, 7] * ry + table[i, 8] * rz
    near, far = _slab(table[i, 13], dy, table[i, 16], near, far)
    dz = table[i, 9] * rx + table[i, 10] * ry + table[i, 11] * rz
    near, far = _slab(table[i, 14], dz, table[i, 17], near, far)
    return near if near <= far else NO_HIT


@loop
def prepare_solids(solids: np.ndarray, order: np.ndarray, spread: float, out: np.ndarray) -> None:
    """Prepare solids for `hit_solid`, or for `tile_hit`.

    Args:
        solids: (n, SOLID_ROW), see `primitives.py`.
        order: (n,) which solid becomes which prepared row.
        spread: 0, or the tangent of the angle between the middle ray of a tile and its farthest other ray.
        out: (n, PREPARED_ROW), written.
    """
    for j in range(order.shape[0]):
        i = order[j]
        nearest, farthest = nearest_and_farthest(solids, i)
        out[j, SURFACE] = solids[i, SURFACE]
        out[j, NEAREST] = nearest
        grow = spread * farthest
        kind = int(solids[i, SOLID_KIND])
        if kind == PLANE:
            out[j, KIND] = PLANE if spread == 0.0 else EVERYWHERE
            for k in range(4):
                out[j, PREPARED + k] = solids[i, 2 + k]
        elif spread > 0.0 and nearest <= grow + 1.0:
            out[j, KIND] = EVERYWHERE
        elif kind == ROUND_CONE:
            _prepare_round_cone(solids, i, grow, out, j)
        elif kind == TRIANGLE:
            _prepare_triangle(solids, i, spread, out, j)
        else:
            _prepare_local(solids, i, kind, grow, out, j)


@subroutine
def hit_solid(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    """Distance in mm along the unit ray from the camera to the solid of prepared row `i`, or `NO_HIT`.

    A solid around the camera or behind it gives a negative distance or `NO_HIT`.
    """
    kind = int(table[i, KIND])
    if kind == ROUND_CONE:
        return _hit_round_cone(table, i, rx, ry, rz)
    if kind == TRIANGLE:
        return _hit_triangle(table, i, rx, ry, rz)
    if kind == PLANE:
        slope = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
        if abs(slope) < 1e-9:
            return NO_HIT
        return float(table[i, 6] / slope)
    if kind == ELLIPSOID_SOLID:
        return _hit_ellipsoid(table, i, rx, ry, rz)
    if kind == BOX_SOLID:
        return _hit_box(table, i, rx, ry, rz)
    if kind == SPHERE:
        b = table[i, 3] * rx + table[i, 4] * ry + table[i, 5] * rz
        h = b * b + table[i, 6]
        return b - math.sqrt(h) if h > 0.0 else NO_HIT
    return NO_HIT


@subroutine
def tile_hit(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    """Lower bound in mm of the distance at which any ray of a tile hits a solid, or `NO_HIT` when none does.

    Args:
        table: Prepared with the tile's spread.
        i: Row of the table.
        rx: Unit ray through the tile's middle.
        ry: The same.
        rz: The same.
    """
    kind = int(table[i, KIND])
    if kind == TRIANGLE:
        return float(table[i, NEAREST]) if _within_edges(table, i, rx, ry, rz) else NO_HIT
    if kind == EVERYWHERE:
        return float(table[i, NEAREST])
    return hit_solid(table, i, rx, ry, rz)
