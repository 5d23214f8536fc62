"""Rectangles of the image that primitives and objects cannot leave, so that most rays need not be tried on them."""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar
from graspcut.synth.rendering.primitives import (
    BOX,
    CENTRE,
    CENTRE_A,
    CORNER_A,
    CORNERS_END,
    ELLIPSOID,
    EXTENTS,
    PRIMITIVE_KIND,
    RADIUS_A,
    ROUND_CONE,
    TRIANGLE,
)

# Columns of the object table: one sphere-traced object a row.
FIRST_ROW = 0
LAST_ROW = 1  # one past the object's last component
BOUND_CENTRE = 2  # three columns
BOUND_RADIUS = 5
BUMP = 6
BUMP_WAVELENGTH = 7
OBJECT_SURFACE = 8  # surface of colour slot 0; slots 1 and 2 follow
OBJECT_COLUMNS = 9


@scalar
def _grow(
    rectangles: np.ndarray, i: int, x: float, y: float, z: float, r: float, fx: float, fy: float, cx: float, cy: float
) -> None:
    # Screen bounds of a sphere that are never too small: x over z is extreme for x - r or x + r over z - r or z + r.
    if z - r < 15.0:
        rectangles[i, 0] = -1e9
        rectangles[i, 1] = 1e9
        rectangles[i, 2] = -1e9
        rectangles[i, 3] = 1e9
        return
    near = z - r
    far = z + r
    left = (x - r) / (near if x - r < 0.0 else far)
    right = (x + r) / (near if x + r > 0.0 else far)
    top = (y - r) / (near if y - r < 0.0 else far)
    bottom = (y + r) / (near if y + r > 0.0 else far)
    rectangles[i, 0] = min(rectangles[i, 0], left * fx + cx - 1.0)
    rectangles[i, 1] = max(rectangles[i, 1], right * fx + cx + 1.0)
    rectangles[i, 2] = min(rectangles[i, 2], top * fy + cy - 1.0)
    rectangles[i, 3] = max(rectangles[i, 3], bottom * fy + cy + 1.0)


@scalar
def _grow_around(
    rectangles: np.ndarray, i: int, table: np.ndarray, row: int, column: int, r: float,
    fx: float, fy: float, cx: float, cy: float,
) -> None:  # fmt: skip
    """Grow rectangle `i` to hold the sphere of radius `r` whose centre begins at a column of a table's row."""
    _grow(rectangles, i, table[row, column], table[row, column + 1], table[row, column + 2], r, fx, fy, cx, cy)


@loop
def primitive_rectangles(
    primitives: np.ndarray, order: np.ndarray, fx: float, fy: float, cx: float, cy: float, out: np.ndarray
) -> None:
    """Write to `out` (n, 4) left, right, top and bottom in pixels of rectangles that primitives cannot leave."""
    for j in range(order.shape[0]):
        i = order[j]
        out[j, 0] = 1e9
        out[j, 1] = -1e9
        out[j, 2] = 1e9
        out[j, 3] = -1e9
        kind = int(primitives[i, PRIMITIVE_KIND])
        if kind == ROUND_CONE:
            for k in range(2):
                _grow_around(out, j, primitives, i, CENTRE_A + 3 * k, primitives[i, RADIUS_A + k], fx, fy, cx, cy)
        elif kind == TRIANGLE:
            for corner in range(CORNER_A, CORNERS_END, 3):
                _grow_around(out, j, primitives, i, corner, 0.0, fx, fy, cx, cy)
        elif kind in (ELLIPSOID, BOX):
            r = math.sqrt(
                primitives[i, EXTENTS] ** 2 + primitives[i, EXTENTS + 1] ** 2 + primitives[i, EXTENTS + 2] ** 2
            )
            _grow_around(out, j, primitives, i, CENTRE, r, fx, fy, cx, cy)
        else:
            _grow(out, j, 0.0, 0.0, 0.0, 0.0, fx, fy, cx, cy)  # a plane: everywhere


@loop
def object_rectangles(objects: np.ndarray, fx: float, fy: float, cx: float, cy: float, out: np.ndarray) -> None:
    """Write to `out` (k, 4) rectangles that the objects' bounding spheres cannot leave."""
    for k in range(objects.shape[0]):
        out[k, 0] = 1e9
        out[k, 1] = -1e9
        out[k, 2] = 1e9
        out[k, 3] = -1e9
        _grow_around(out, k, objects, k, BOUND_CENTRE, objects[k, BOUND_RADIUS], fx, fy, cx, cy)
