"""Rows that describe the components of objects, and the signed distance of an object built from them.

An object is a float64 array of shape (n, `ROW`): one component a row, folded from the first row to the last by each
row's operation. Lengths are millimetres. The scalar functions are compiled by numba.

Component formulas are the usual exact or bounding distance functions of constructive solid geometry (J. C. Hart,
"Sphere tracing", The Visual Computer 1996); sheets are bounded by their slope.
"""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import scalar, subroutine

# Columns of a row.
KIND = 0
OPERATION = 1
ROTATION = 2  # nine columns, row-major: local = rotation @ (point - centre)
CENTRE = 11  # three columns
PARAMETERS = 14  # six columns, meaning by kind
ROUNDING = 20  # radius of the rounded edges, added outside the shape
COLOUR_SLOT = 21  # which of the object's colours (0, 1, 2) this component has
ROW = 22

# Kinds and their parameters.
BOX = 0  # half extents x, y, z
CYLINDER = 1  # radius, half height; axis y
CONE = 2  # radius at -y, radius at +y, half height; axis y
ELLIPSOID = 3  # radii x, y, z
TORUS = 4  # ring radius, tube radius; axis y
CAPSULE = 5  # radius at -y end, radius at +y end, half length between the two centres; axis y
SHEET = 6  # half extent x, half thickness, half extent z, wave amplitude, wavelength x, wavelength z; normal y
PRISM = 7  # apothem, half height; six sides, axis y
ARC = 8  # ring radius, tube radius, half angle in radians; in the plane x-y, symmetric about +y

UNION = 0
SUBTRACT = 1
INTERSECT = 2
SMOOTH_UNION = 3  # blended over 4 mm


@scalar
def _box(x: float, y: float, z: float, hx: float, hy: float, hz: float) -> float:
    qx = abs(x) - hx
    qy = abs(y) - hy
    qz = abs(z) - hz
    inside = min(max(qx, max(qy, qz)), 0.0)
    ox = max(qx, 0.0)
    oy = max(qy, 0.0)
    oz = max(qz, 0.0)
    return math.sqrt(ox * ox + oy * oy + oz * oz) + inside


@scalar
def _rectangle(x: float, y: float, hx: float, hy: float) -> float:
    qx = abs(x) - hx
    qy = abs(y) - hy
    ox = max(qx, 0.0)
    oy = max(qy, 0.0)
    return math.sqrt(ox * ox + oy * oy) + min(max(qx, qy), 0.0)


@scalar
def _cone(radial: float, y: float, r1: float, r2: float, h: float) -> float:
    # Distance to the trapezium (r1 at -h, r2 at +h) in the half plane of radius and height.
    cap_radius = r1 if y < 0.0 else r2
    cap_x = radial - min(radial, cap_radius)
    cap_y = abs(y) - h
    slope_x = r2 - r1
    slope_y = 2.0 * h
    t = ((r2 - radial) * slope_x + (h - y) * slope_y) / (slope_x * slope_x + slope_y * slope_y)
    t = min(max(t, 0.0), 1.0)
    side_x = radial - r2 + slope_x * t
    side_y = y - h + slope_y * t
    sign = -1.0 if (side_x < 0.0 and cap_y < 0.0) else 1.0
    return sign * math.sqrt(min(cap_x * cap_x + cap_y * cap_y, side_x * side_x + side_y * side_y))


@scalar
def _round_cone(radial: float, y: float, r1: float, r2: float, h: float) -> float:
    # Two spheres at y = -h and y = +h and their tangent cone.
    length = 2.0 * h
    along = y + h
    if length < 1e-9:
        return math.sqrt(radial * radial + along * along) - max(r1, r2)
    b = min(max((r1 - r2) / length, -1.0), 1.0)
    a = math.sqrt(1.0 - b * b)
    k = along * a - radial * b
    if k < 0.0:
        return math.sqrt(radial * radial + along * along) - r1
    if k > a * length:
        return math.sqrt(radial * radial + (along - length) * (along - length)) - r2
    return radial * a + along * b - r1


@scalar
def _ellipsoid(x: float, y: float, z: float, rx: float, ry: float, rz: float) -> float:
    k0 = math.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    k1 = math.sqrt((x / (rx * rx)) ** 2 + (y / (ry * ry)) ** 2 + (z / (rz * rz)) ** 2)
    if k1 < 1e-12:
        return -min(rx, min(ry, rz))
    return k0 * (k0 - 1.0) / k1


@scalar
def _sheet(
    x: float, y: float, z: float, hx: float, ht: float, hz: float, amplitude: float, lx: float, lz: float
) -> float:
    kx = 2.0 * math.pi / lx
    kz = 2.0 * math.pi / lz
    wave = amplitude * math.sin(kx * x) * math.cos(kz * z)
    # The slope of the wave is at most `slope`; shearing space by it stretches distances by at most the factor below
    # (the largest singular value of a shear), which sqrt(1 + slope^2) falls short of at the sheet's edges.
    slope = abs(amplitude) * max(kx, kz)
    return _box(x, y - wave, z, hx, ht, hz) * 2.0 / (slope + math.sqrt(slope * slope + 4.0))


@scalar
def to_local(rows: np.ndarray, i: int, px: float, py: float, pz: float) -> tuple[float, float, float]:
    """A point in the frame of component `i`."""
    dx = px - rows[i, CENTRE]
    dy = py - rows[i, CENTRE + 1]
    dz = pz - rows[i, CENTRE + 2]
    return (
        rows[i, ROTATION] * dx + rows[i, ROTATION + 1] * dy + rows[i, ROTATION + 2] * dz,
        rows[i, ROTATION + 3] * dx + rows[i, ROTATION + 4] * dy + rows[i, ROTATION + 5] * dz,
        rows[i, ROTATION + 6] * dx + rows[i, ROTATION + 7] * dy + rows[i, ROTATION + 8] * dz,
    )


@scalar
def component_distance(rows: np.ndarray, i: int, px: float, py: float, pz: float) -> float:
    """Signed distance in mm from a point to component `i` of `rows`, negative inside."""
    x, y, z = to_local(rows, i, px, py, pz)
    a = rows[i, PARAMETERS]
    b = rows[i, PARAMETERS + 1]
    c = rows[i, PARAMETERS + 2]
    kind = int(rows[i, KIND])
    if kind == BOX:
        d = _box(x, y, z, a, b, c)
    elif kind == CYLINDER:
        d = _rectangle(math.sqrt(x * x + z * z), y, a, b)
    elif kind == CONE:
        d = _cone(math.sqrt(x * x + z * z), y, a, b, c)
    elif kind == ELLIPSOID:
        d = _ellipsoid(x, y, z, a, b, c)
    elif kind == TORUS:
        q = math.sqrt(x * x + z * z) - a
        d = math.sqrt(q * q + y * y) - b
    elif kind == CAPSULE:
        d = _round_cone(math.sqrt(x * x + z * z), y, a, b, c)
    elif kind == SHEET:
        d = _sheet(x, y, z, a, b, c, rows[i, PARAMETERS + 3], rows[i, PARAMETERS + 4], rows[i, PARAMETERS + 5])
    elif kind == PRISM:
        qx = abs(x)
        qz = abs(z)
        d = _rectangle(max(qx * 0.8660254037844386 + qz * 0.5, qz), y, a, b)
    else:  # ARC
        qx = abs(x)
        sine = math.sin(c)
        cosine = math.cos(c)
        if cosine * qx > sine * y:
            ex = qx - a * sine
            ey = y - a * cosine
            d = math.sqrt(ex * ex + ey * ey + z * z) - b
        else:
            q = math.sqrt(qx * qx + y * y) - a
            d = math.sqrt(q * q + z * z) - b
    return float(d - rows[i, ROUNDING])


@subroutine
def object_distance(rows: np.ndarray, px: float, py: float, pz: float) -> float:
    """Signed distance in mm from a point to the object of all `rows`; a lower bound where rows are cut away."""
    return range_distance(rows, 0, rows.shape[0], px, py, pz)


@scalar
def range_distance(rows: np.ndarray, first: int, last: int, px: float, py: float, pz: float) -> float:
    """The same for the object of rows `first` to `last` - 1: a slice would cost more than the distance itself."""
    d = 1e9
    for i in range(first, last):
        e = component_distance(rows, i, px, py, pz)
        operation = int(rows[i, OPERATION])
        if operation == UNION:
            d = min(d, e)
        elif operation == SUBTRACT:
            d = max(d, -e)
        elif operation == INTERSECT:
            d = max(d, e)
        else:
            h = max(4.0 - abs(d - e), 0.0) / 4.0
            d = min(d, e) - h * h
    return d


@subroutine
def nearest_row(rows: np.ndarray, first: int, last: int, px: float, py: float, pz: float) -> int:
    """Which of rows `first` to `last` - 1 has its surface nearest to the point: it gives the surface its colour."""
    best = first
    best_distance = 1e9
    for i in range(first, last):
        e = abs(component_distance(rows, i, px, py, pz))
        if e < best_distance:
            best_distance = e
            best = i
    return best
