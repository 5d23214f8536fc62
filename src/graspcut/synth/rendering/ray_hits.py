"""Where rays from the camera hit the analytic primitives of `primitives.py`.

All rays begin at the camera, so everything about a primitive that does not depend on the ray's direction is worked out
once a frame: a primitive's row becomes a prepared row, and a hit costs a few products. A table prepared with `spread` >
0 answers for whole tiles instead: its primitives are blown up so that the middle ray of a tile meets them when any ray
of the tile meets the primitive itself.
"""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar, subroutine
from graspcut.synth.rendering.primitives import (
    BOX,
    CENTRE,
    CENTRE_A,
    CENTRE_B,
    CORNER_A,
    CORNER_B,
    CORNER_C,
    CORNERS_END,
    ELLIPSOID,
    EXTENTS,
    NORMAL,
    OFFSET,
    PLANE,
    PRIMITIVE_KIND,
    RADIUS_A,
    RADIUS_B,
    ROTATION,
    ROUND_CONE,
    SURFACE,
    TRIANGLE,
)

NO_HIT = 1e9

# Columns of a prepared row; the rest depends on the kind.
KIND = 0  # kinds of `primitives.py` and those below
NEAREST = 2  # lower bound of the primitive's distance from the camera, mm; column 1 is SURFACE as in `primitives.py`
PREPARED_ROW = 18

# Round cone; for the letters see `_prepare_round_cone`.
CONE_A = 3  # centre of sphere a, three columns, as are all points and vectors
CONE_U = 6
CONE_D2 = 9
CONE_E = 10
CONE_K0 = 11
CONE_A_CONSTANT = 12  # ra^2 - a.a
CONE_B_CONSTANT = 13  # rb^2 - b.b

# Triangle.
TRIANGLE_PLANE = 3  # its plane is {x: this . x = 1}
TRIANGLE_EDGES = 6  # unit normals of the planes through the camera and each edge
TRIANGLE_MARGIN = 15

# Ellipsoid and box.
LOCAL_AXES = 3  # nine columns
LOCAL_CAMERA = 12
ELLIPSOID_CONSTANT = 15
BOX_EXTENTS = 15

# Plane.
PLANE_NORMAL = 3
PLANE_OFFSET = 6

SPHERE = 5  # a round cone of which one sphere contains the other
SPHERE_CENTRE = 3
SPHERE_CONSTANT = 6  # r^2 - c.c

NEVER = 6  # a triangle seen edge on
EVERYWHERE = 7  # blown up so far that the camera is inside


@scalar
def _along(table: np.ndarray, i: int, column: int, rx: float, ry: float, rz: float) -> float:
    """The ray's product with the vector that begins at a column of row `i`."""
    return float(table[i, column] * rx + table[i, column + 1] * ry + table[i, column + 2] * rz)


@subroutine
def nearest_and_farthest(primitives: np.ndarray, i: int) -> tuple[float, float]:
    """Lower and upper bound in mm of the distances from the camera to the points of primitive `i`."""
    kind = int(primitives[i, PRIMITIVE_KIND])
    x = primitives[i, CENTRE]
    y = primitives[i, CENTRE + 1]
    z = primitives[i, CENTRE + 2]
    reach = 0.0
    if kind == ROUND_CONE:
        bx = primitives[i, CENTRE_B]
        by = primitives[i, CENTRE_B + 1]
        bz = primitives[i, CENTRE_B + 2]
        length = math.sqrt((bx - x) ** 2 + (by - y) ** 2 + (bz - z) ** 2)
        reach = 0.5 * length + max(primitives[i, RADIUS_A], primitives[i, RADIUS_B])
        x = 0.5 * (x + bx)
        y = 0.5 * (y + by)
        z = 0.5 * (z + bz)
    elif kind == TRIANGLE:
        x = (primitives[i, CORNER_A] + primitives[i, CORNER_B] + primitives[i, CORNER_C]) / 3.0
        y = (primitives[i, CORNER_A + 1] + primitives[i, CORNER_B + 1] + primitives[i, CORNER_C + 1]) / 3.0
        z = (primitives[i, CORNER_A + 2] + primitives[i, CORNER_B + 2] + primitives[i, CORNER_C + 2]) / 3.0
        for k in range(CORNER_A, CORNERS_END, 3):
            dx = primitives[i, k] - x
            dy = primitives[i, k + 1] - y
            dz = primitives[i, k + 2] - z
            reach = max(reach, math.sqrt(dx**2 + dy**2 + dz**2))
    elif kind == ELLIPSOID:
        reach = max(primitives[i, EXTENTS], max(primitives[i, EXTENTS + 1], primitives[i, EXTENTS + 2]))
    elif kind == BOX:
        reach = math.sqrt(
            primitives[i, EXTENTS] ** 2 + primitives[i, EXTENTS + 1] ** 2 + primitives[i, EXTENTS + 2] ** 2
        )
    else:
        return abs(primitives[i, OFFSET]), NO_HIT
    distance = math.sqrt(x * x + y * y + z * z)
    return distance - reach, distance + reach


@scalar
def _prepare_round_cone(primitives: np.ndarray, i: int, grow: float, out: np.ndarray, j: int) -> None:
    # The tangent cone is the zero set of a quadratic form F, negative inside. With u = b - a, d2 = u.u - (ra - rb)^2
    # and e = ra (ra - rb) + u.a, along the ray F(t) = k2 t^2 + 2 k1 t + k0, k2 = d2 - (u.r)^2, k1 = e u.r - d2 a.r.
    ax = primitives[i, CENTRE_A]
    ay = primitives[i, CENTRE_A + 1]
    az = primitives[i, CENTRE_A + 2]
    ux = primitives[i, CENTRE_B] - ax
    uy = primitives[i, CENTRE_B + 1] - ay
    uz = primitives[i, CENTRE_B + 2] - az
    ra = primitives[i, RADIUS_A] + grow
    rb = primitives[i, RADIUS_B] + grow
    uu = ux * ux + uy * uy + uz * uz
    d2 = uu - (ra - rb) * (ra - rb)
    if d2 < 1e-9:
        out[j, KIND] = SPHERE
        first = CENTRE_A if ra >= rb else CENTRE_B
        radius = max(ra, rb)
        for k in range(3):
            out[j, SPHERE_CENTRE + k] = primitives[i, first + k]
        x = primitives[i, first]
        y = primitives[i, first + 1]
        z = primitives[i, first + 2]
        out[j, SPHERE_CONSTANT] = radius * radius - (x**2 + y**2 + z**2)
        return
    aa = ax * ax + ay * ay + az * az
    ua = ux * ax + uy * ay + uz * az
    slope = ra * (ra - rb)
    out[j, KIND] = ROUND_CONE
    out[j, CONE_A] = ax
    out[j, CONE_A + 1] = ay
    out[j, CONE_A + 2] = az
    out[j, CONE_U] = ux
    out[j, CONE_U + 1] = uy
    out[j, CONE_U + 2] = uz
    out[j, CONE_D2] = d2
    out[j, CONE_E] = slope + ua
    out[j, CONE_K0] = d2 * aa - ua * ua - 2.0 * ua * slope - uu * ra * ra
    out[j, CONE_A_CONSTANT] = ra * ra - aa
    out[j, CONE_B_CONSTANT] = rb * rb - (aa + 2.0 * ua + uu)


@scalar
def _hit_round_cone(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    ar = _along(table, i, CONE_A, rx, ry, rz)
    ur = _along(table, i, CONE_U, rx, ry, rz)
    d2 = table[i, CONE_D2]
    e = table[i, CONE_E]
    k2 = d2 - ur * ur
    k1 = e * ur - d2 * ar
    k0 = table[i, CONE_K0]
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
    h = ar * ar + table[i, CONE_A_CONSTANT]
    if h > 0.0:
        best = ar - math.sqrt(h)
    br = ar + ur
    h = br * br + table[i, CONE_B_CONSTANT]
    if h > 0.0:
        best = min(best, br - math.sqrt(h))
    return best


@scalar
def _prepare_triangle(primitives: np.ndarray, i: int, margin: float, out: np.ndarray, j: int) -> None:
    # The planes through the camera and each edge, their unit normals towards the triangle, and the triangle's own
    # plane.
    e1x = primitives[i, CORNER_B] - primitives[i, CORNER_A]
    e1y = primitives[i, CORNER_B + 1] - primitives[i, CORNER_A + 1]
    e1z = primitives[i, CORNER_B + 2] - primitives[i, CORNER_A + 2]
    e2x = primitives[i, CORNER_C] - primitives[i, CORNER_A]
    e2y = primitives[i, CORNER_C + 1] - primitives[i, CORNER_A + 1]
    e2z = primitives[i, CORNER_C + 2] - primitives[i, CORNER_A + 2]
    nx = e1y * e2z - e1z * e2y
    ny = e1z * e2x - e1x * e2z
    nz = e1x * e2y - e1y * e2x
    volume = nx * primitives[i, CORNER_A] + ny * primitives[i, CORNER_A + 1] + nz * primitives[i, CORNER_A + 2]
    if abs(volume) < 1e-9:
        out[j, KIND] = NEVER
        return
    out[j, KIND] = TRIANGLE
    out[j, TRIANGLE_PLANE] = nx / volume
    out[j, TRIANGLE_PLANE + 1] = ny / volume
    out[j, TRIANGLE_PLANE + 2] = nz / volume
    for edge in range(3):
        p = CORNER_A + 3 * edge
        q = CORNER_A + 3 * ((edge + 1) % 3)
        x = primitives[i, p + 1] * primitives[i, q + 2] - primitives[i, p + 2] * primitives[i, q + 1]
        y = primitives[i, p + 2] * primitives[i, q] - primitives[i, p] * primitives[i, q + 2]
        z = primitives[i, p] * primitives[i, q + 1] - primitives[i, p + 1] * primitives[i, q]
        # An edge that points at the camera has no plane: its normal is left 0 and the other two edges decide.
        scale = math.copysign(1.0 / max(math.sqrt(x * x + y * y + z * z), 1e-12), volume)
        out[j, TRIANGLE_EDGES + 3 * edge] = x * scale
        out[j, TRIANGLE_EDGES + 3 * edge + 1] = y * scale
        out[j, TRIANGLE_EDGES + 3 * edge + 2] = z * scale
    out[j, TRIANGLE_MARGIN] = -margin


@scalar
def _within_edges(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> bool:
    limit = table[i, TRIANGLE_MARGIN]
    if _along(table, i, TRIANGLE_EDGES, rx, ry, rz) < limit:
        return False
    if _along(table, i, TRIANGLE_EDGES + 3, rx, ry, rz) < limit:
        return False
    return bool(_along(table, i, TRIANGLE_EDGES + 6, rx, ry, rz) >= limit)


@scalar
def _hit_triangle(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    if not _within_edges(table, i, rx, ry, rz):
        return NO_HIT
    slope = _along(table, i, TRIANGLE_PLANE, rx, ry, rz)
    if slope < 1e-9:
        return NO_HIT
    return float(1.0 / slope)


@scalar
def _prepare_local(primitives: np.ndarray, i: int, kind: int, grow: float, out: np.ndarray, j: int) -> None:
    # Local coordinates of the camera, and for an ellipsoid everything divided by its radii, so that it is a unit
    # sphere.
    out[j, KIND] = kind
    stretch = 1.0 + grow / min(primitives[i, EXTENTS], min(primitives[i, EXTENTS + 1], primitives[i, EXTENTS + 2]))
    c = -1.0
    for axis in range(3):
        row = ROTATION + 3 * axis
        scale = 1.0 / (primitives[i, EXTENTS + axis] * stretch) if kind == ELLIPSOID else 1.0
        origin = 0.0
        for k in range(3):
            out[j, LOCAL_AXES + 3 * axis + k] = primitives[i, row + k] * scale
            origin -= primitives[i, row + k] * scale * primitives[i, CENTRE + k]
        out[j, LOCAL_CAMERA + axis] = origin
        c += origin * origin
        if kind == BOX:
            out[j, BOX_EXTENTS + axis] = primitives[i, EXTENTS + axis] + grow
    if kind == ELLIPSOID:
        out[j, ELLIPSOID_CONSTANT] = c


@scalar
def _hit_ellipsoid(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    dx = _along(table, i, LOCAL_AXES, rx, ry, rz)
    dy = _along(table, i, LOCAL_AXES + 3, rx, ry, rz)
    dz = _along(table, i, LOCAL_AXES + 6, rx, ry, rz)
    a = dx * dx + dy * dy + dz * dz
    b = _along(table, i, LOCAL_CAMERA, dx, dy, dz)
    discriminant = b * b - a * table[i, ELLIPSOID_CONSTANT]
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
    dx = _along(table, i, LOCAL_AXES, rx, ry, rz)
    near, far = _slab(table[i, LOCAL_CAMERA], dx, table[i, BOX_EXTENTS], near, far)
    dy = _along(table, i, LOCAL_AXES + 3, rx, ry, rz)
    near, far = _slab(table[i, LOCAL_CAMERA + 1], dy, table[i, BOX_EXTENTS + 1], near, far)
    dz = _along(table, i, LOCAL_AXES + 6, rx, ry, rz)
    near, far = _slab(table[i, LOCAL_CAMERA + 2], dz, table[i, BOX_EXTENTS + 2], near, far)
    return near if near <= far else NO_HIT


@loop
def prepare_primitives(primitives: np.ndarray, order: np.ndarray, spread: float, out: np.ndarray) -> None:
    """Prepare primitives for `hit_primitive`, or for `tile_hit`.

    Args:
        primitives: (n, PRIMITIVE_ROW), see `primitives.py`.
        order: (n,) which primitive becomes which prepared row.
        spread: 0, or the tangent of the angle between the middle ray of a tile and its farthest other ray.
        out: (n, PREPARED_ROW), written.
    """
    for j in range(order.shape[0]):
        i = order[j]
        nearest, farthest = nearest_and_farthest(primitives, i)
        out[j, SURFACE] = primitives[i, SURFACE]
        out[j, NEAREST] = nearest
        grow = spread * farthest
        kind = int(primitives[i, PRIMITIVE_KIND])
        if kind == PLANE:
            out[j, KIND] = PLANE if spread == 0.0 else EVERYWHERE
            for k in range(3):
                out[j, PLANE_NORMAL + k] = primitives[i, NORMAL + k]
            out[j, PLANE_OFFSET] = primitives[i, OFFSET]
        elif spread > 0.0 and nearest <= grow + 1.0:
            out[j, KIND] = EVERYWHERE
        elif kind == ROUND_CONE:
            _prepare_round_cone(primitives, i, grow, out, j)
        elif kind == TRIANGLE:
            _prepare_triangle(primitives, i, spread, out, j)
        else:
            _prepare_local(primitives, i, kind, grow, out, j)


@subroutine
def hit_primitive(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    """Distance in mm along the unit ray from the camera to the primitive of prepared row `i`, or `NO_HIT`.

    A primitive around the camera or behind it gives a negative distance or `NO_HIT`.
    """
    kind = int(table[i, KIND])
    if kind == ROUND_CONE:
        return _hit_round_cone(table, i, rx, ry, rz)
    if kind == TRIANGLE:
        return _hit_triangle(table, i, rx, ry, rz)
    if kind == PLANE:
        slope = _along(table, i, PLANE_NORMAL, rx, ry, rz)
        if abs(slope) < 1e-9:
            return NO_HIT
        return float(table[i, PLANE_OFFSET] / slope)
    if kind == ELLIPSOID:
        return _hit_ellipsoid(table, i, rx, ry, rz)
    if kind == BOX:
        return _hit_box(table, i, rx, ry, rz)
    if kind == SPHERE:
        b = _along(table, i, SPHERE_CENTRE, rx, ry, rz)
        h = b * b + table[i, SPHERE_CONSTANT]
        return b - math.sqrt(h) if h > 0.0 else NO_HIT
    return NO_HIT


@subroutine
def tile_hit(table: np.ndarray, i: int, rx: float, ry: float, rz: float) -> float:
    """Lower bound in mm of the distance at which any ray of a tile hits a primitive, or `NO_HIT` when none does.

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
    return hit_primitive(table, i, rx, ry, rz)
