"""Ray casting of a scene: analytic solids in closed form, held objects by sphere tracing of their signed distance.

Every pixel is one call of `trace_pixel`. The loop over the pixels adds culling only: for every tile of 8 x 8 pixels it
finds which shapes a ray of the tile can hit, and from where on an object can begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.kernels.compiling import discard_stale_cache, loop, scalar, subroutine
from graspcut.synth.objects import signed_distance as geometry
from graspcut.synth.objects.signed_distance import COLOUR_SLOT, nearest_row, range_distance
from graspcut.synth.rendering import primitives as solids_module
from graspcut.synth.rendering import ray_hits as solid_hits
from graspcut.synth.rendering.primitives import (
    BOX_SOLID,
    ELLIPSOID_SOLID,
    ROUND_CONE,
    SOLID_KIND,
    SURFACE,
    TRIANGLE,
    Float64Array,
)
from graspcut.synth.rendering.ray_hits import (
    NO_HIT,
    PREPARED_ROW,
    hit_solid,
    nearest_and_farthest,
    prepare_solids,
    tile_hit,
)

discard_stale_cache(__file__, geometry.__file__, solid_hits.__file__, solids_module.__file__)

TILE = 8
NEAR_MM = 20.0  # nothing nearer is seen
SAME_MM = 1e-6  # solids whose hits are as near to each other as this are hit together

# Columns of the object table: one sphere-traced object a row.
FIRST_ROW = 0
LAST_ROW = 1  # one past the object's last primitive
BOUND_CENTRE = 2  # three columns
BOUND_RADIUS = 5
BUMP = 6
BUMP_WAVELENGTH = 7
OBJECT_SURFACE = 8  # surface of colour slot 0; slots 1 and 2 follow
OBJECT_COLUMNS = 9


@dataclass(frozen=True)
class Geometry:
    """What a ray can hit, in camera coordinates (mm).

    Attributes:
        solids: float64 (n, SOLID_ROW), see `primitives.py`.
        rows: float64 (m, ROW), the primitives of all objects, see `signed_distance.py`.
        objects: float64 (k, OBJECT_COLUMNS), one sphere-traced object a row.
    """

    solids: Float64Array
    rows: Float64Array
    objects: Float64Array


@subroutine
def bumped_distance(
    rows: np.ndarray, first: int, last: int, px: float, py: float, pz: float, bump: float, wavelength: float
) -> float:
    """Signed distance with a wave pattern of amplitude `bump` mm on the surface, scaled to stay a lower bound."""
    d = range_distance(rows, first, last, px, py, pz)
    if bump > 0.0 and d < 4.0 * bump:
        k = 6.283185307179586 / wavelength
        # The pattern rides on the primitive frame of the first row, so that it moves with the object.
        dx = px - rows[first, 11]
        dy = py - rows[first, 12]
        dz = pz - rows[first, 13]
        lx = rows[first, 2] * dx + rows[first, 3] * dy + rows[first, 4] * dz
        ly = rows[first, 5] * dx + rows[first, 6] * dy + rows[first, 7] * dz
        lz = rows[first, 8] * dx + rows[first, 9] * dy + rows[first, 10] * dz
        wave = math.sin(k * lx) * math.sin(k * ly + 1.0) * math.sin(k * lz + 2.0)
        d = (d - bump * wave) / (1.0 + bump * k)
    return d


@subroutine
def march(
    rows: np.ndarray, first: int, last: int, rx: float, ry: float, rz: float,
    start: float, stop: float, bump: float, wavelength: float,
) -> float:  # fmt: skip
    """Distance along the unit ray to the object's surface between `start` and `stop` (mm), or `NO_HIT`."""
    t = start
    for _ in range(64):
        d = bumped_distance(rows, first, last, t * rx, t * ry, t * rz, bump, wavelength)
        if d < 0.08:
            return t
        t += d
        if t > stop:
            return NO_HIT
    return NO_HIT


@subroutine
def tile_start(
    rows: np.ndarray, first: int, last: int, rx: float, ry: float, rz: float,
    start: float, stop: float, spread: float, bump: float, wavelength: float,
) -> float:  # fmt: skip
    """How far all rays within a cone of half width `spread` (mm a mm) may advance, or `NO_HIT` if none can hit."""
    t = start
    for _ in range(48):
        d = bumped_distance(rows, first, last, t * rx, t * ry, t * rz, bump, wavelength) - spread * t
        if d < 0.5:
            return t
        t += d / (1.0 + spread)
        if t > stop:
            return NO_HIT
    return t


@scalar
def enter_sphere(rx: float, ry: float, rz: float, x: float, y: float, z: float, radius: float) -> tuple[float, float]:
    """Distances along the unit ray where it enters and leaves a sphere; (`NO_HIT`, 0) when it misses."""
    b = rx * x + ry * y + rz * z
    h = b * b - (x * x + y * y + z * z) + radius * radius
    if h <= 0.0:
        return NO_HIT, 0.0
    root = math.sqrt(h)
    return max(b - root, 1.0), b + root


@scalar
def trace_pixel(
    x: float,
    y: float,
    table: np.ndarray,
    active: np.ndarray,
    active_nearest: np.ndarray,
    active_count: int,
    rows: np.ndarray,
    objects: np.ndarray,
    starts: np.ndarray,
    tile: int,
) -> tuple[float, int]:
    """Depth (z in mm) and surface of what the ray through (x, y, 1) hits first; (0, 0) when nothing.

    Args:
        x: Horizontal slope of the ray.
        y: Vertical slope of the ray.
        table: (n, PREPARED_ROW) solids, from `prepare_solids` without spread.
        active: Rows of the table to test; the first `active_count` count.
        active_nearest: Lower bounds of their distances in mm, in rising order.
        active_count: How many of `active` count.
        rows: Primitives of all objects.
        objects: (k, OBJECT_COLUMNS).
        starts: (tiles, k) distance from which object k is traced, `NO_HIT` for never.
        tile: The pixel's row of `starts`.

    Returns:
        (z in mm, surface index).
    """
    inverse = 1.0 / math.sqrt(x * x + y * y + 1.0)
    rx = x * inverse
    ry = y * inverse
    rz = inverse
    best = NO_HIT
    surface = 0
    for j in range(active_count):
        if active_nearest[j] >= best + SAME_MM:
            break
        i = active[j]
        t = hit_solid(table, i, rx, ry, rz)
        if NEAR_MM < t < best + SAME_MM:
            # Neighbouring bones share the sphere of their joint: it belongs to the lower surface, whatever the order.
            candidate = int(table[i, SURFACE])
            if t < best - SAME_MM or candidate < surface:
                surface = candidate
            best = min(best, t)
    for k in range(objects.shape[0]):
        if starts[tile, k] >= best:
            continue
        enter, leave = enter_sphere(rx, ry, rz, objects[k, 2], objects[k, 3], objects[k, 4], objects[k, BOUND_RADIUS])
        enter = max(enter, starts[tile, k])
        if enter >= best:
            continue
        first = int(objects[k, FIRST_ROW])
        last = int(objects[k, LAST_ROW])
        t = march(rows, first, last, rx, ry, rz, enter, min(leave, best), objects[k, BUMP], objects[k, BUMP_WAVELENGTH])
        if NEAR_MM < t < best:
            best = t
            row = nearest_row(rows, first, last, t * rx, t * ry, t * rz) if last - first > 1 else first
            surface = int(objects[k, OBJECT_SURFACE]) + int(rows[row, COLOUR_SLOT])
    if best >= NO_HIT:
        return 0.0, 0
    return best * rz, surface


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


@loop
def _solid_rectangles(
    solids: np.ndarray, order: np.ndarray, fx: float, fy: float, cx: float, cy: float, out: np.ndarray
) -> None:
    """Write to `out` (n, 4) left, right, top and bottom in pixels of rectangles that solids cannot leave."""
    for j in range(order.shape[0]):
        i = order[j]
        out[j, 0] = 1e9
        out[j, 1] = -1e9
        out[j, 2] = 1e9
        out[j, 3] = -1e9
        kind = int(solids[i, SOLID_KIND])
        if kind == ROUND_CONE:
            for k in range(2):
                p = 2 + 3 * k
                _grow(out, j, solids[i, p], solids[i, p + 1], solids[i, p + 2], solids[i, 8 + k], fx, fy, cx, cy)
        elif kind == TRIANGLE:
            for p in range(2, 11, 3):
                _grow(out, j, solids[i, p], solids[i, p + 1], solids[i, p + 2], 0.0, fx, fy, cx, cy)
        elif kind in (ELLIPSOID_SOLID, BOX_SOLID):
            r = math.sqrt(solids[i, 14] ** 2 + solids[i, 15] ** 2 + solids[i, 16] ** 2)
            _grow(out, j, solids[i, 2], solids[i, 3], solids[i, 4], r, fx, fy, cx, cy)
        else:
            _grow(out, j, 0.0, 0.0, 0.0, 0.0, fx, fy, cx, cy)  # a plane: everywhere


@loop
def _object_rectangles(objects: np.ndarray, fx: float, fy: float, cx: float, cy: float, out: np.ndarray) -> None:
    """Write to `out` (k, 4) rectangles that the objects' bounding spheres cannot leave."""
    for k in range(objects.shape[0]):
        out[k, 0] = 1e9
        out[k, 1] = -1e9
        out[k, 2] = 1e9
        out[k, 3] = -1e9
        _grow(out, k, objects[k, 2], objects[k, 3], objects[k, 4], objects[k, BOUND_RADIUS], fx, fy, cx, cy)


@scalar
def _find_active(
    tile_table: np.ndarray,
    rectangles: np.ndarray,
    in_row: np.ndarray,
    row_count: int,
    first_u: int,
    last_u: int,
    rx: float,
    ry: float,
    rz: float,
    active: np.ndarray,
    active_nearest: np.ndarray,
) -> int:
    """Fill `active` with the solids that a tile can see, nearest first; returns how many."""
    count = 0
    for j in range(row_count):
        i = in_row[j]
        if rectangles[i, 0] > last_u or rectangles[i, 1] < first_u:
            continue
        nearest = tile_hit(tile_table, i, rx, ry, rz)
        if nearest >= NO_HIT:
            continue
        place = count
        while place > 0 and active_nearest[place - 1] > nearest:
            active[place] = active[place - 1]
            active_nearest[place] = active_nearest[place - 1]
            place -= 1
        active[place] = i
        active_nearest[place] = nearest
        count += 1
    return count


@subroutine
def _find_starts(
    rows: np.ndarray,
    objects: np.ndarray,
    rectangles: np.ndarray,
    first_u: int,
    first_v: int,
    rx: float,
    ry: float,
    rz: float,
    spread: float,
    starts: np.ndarray,
) -> bool:
    """Write to row 0 of `starts` from where on each object can begin within a tile; returns whether any can."""
    found = False
    for k in range(objects.shape[0]):
        starts[0, k] = NO_HIT
        if (
            rectangles[k, 0] <= first_u + TILE
            and rectangles[k, 1] >= first_u
            and rectangles[k, 2] <= first_v + TILE
            and rectangles[k, 3] >= first_v
        ):
            distance = math.sqrt(objects[k, 2] ** 2 + objects[k, 3] ** 2 + objects[k, 4] ** 2)
            bound = objects[k, BOUND_RADIUS]
            starts[0, k] = tile_start(
                rows, int(objects[k, FIRST_ROW]), int(objects[k, LAST_ROW]), rx, ry, rz,
                max(distance - bound, 1.0), distance + bound, spread, objects[k, BUMP], objects[k, BUMP_WAVELENGTH],
            )  # fmt: skip
            found = found or starts[0, k] < NO_HIT
    return found


@loop
def _render(
    fx: float, fy: float, cx: float, cy: float, spread: float, table: np.ndarray, tile_table: np.ndarray,
    rectangles: np.ndarray, rows: np.ndarray, objects: np.ndarray, object_rectangles: np.ndarray,
    in_row: np.ndarray, active: np.ndarray, active_nearest: np.ndarray, starts: np.ndarray,
    depth: np.ndarray, surface: np.ndarray,
) -> None:  # fmt: skip
    height, width = depth.shape
    for first_v in range(0, height, TILE):
        last_v = min(first_v + TILE, height)
        row_count = 0
        for i in range(table.shape[0]):
            if rectangles[i, 2] <= last_v and rectangles[i, 3] >= first_v:
                in_row[row_count] = i
                row_count += 1
        y = (first_v + 0.5 * (TILE - 1) - cy) / fy
        for first_u in range(0, width, TILE):
            last_u = min(first_u + TILE, width)
            x = (first_u + 0.5 * (TILE - 1) - cx) / fx
            rz = 1.0 / math.sqrt(x * x + y * y + 1.0)
            rx = x * rz
            ry = y * rz
            count = _find_active(
                tile_table, rectangles, in_row, row_count, first_u, last_u, rx, ry, rz, active, active_nearest
            )
            found = _find_starts(rows, objects, object_rectangles, first_u, first_v, rx, ry, rz, spread, starts)
            for v in range(first_v, last_v):
                for u in range(first_u, last_u):
                    if count == 0 and not found:
                        depth[v, u] = 0.0
                        surface[v, u] = 0
                    else:
                        z, s = trace_pixel(
                            (u - cx) / fx, (v - cy) / fy, table, active, active_nearest, count, rows, objects, starts, 0
                        )
                        depth[v, u] = z
                        surface[v, u] = s


@loop
def _nearest(solids: np.ndarray, out: np.ndarray) -> None:
    for i in range(solids.shape[0]):
        out[i] = nearest_and_farthest(solids, i)[0]


def nearest_first(solids: Float64Array) -> NDArray[np.int64]:
    """The order of the solids (n,) by their least distance from the camera."""
    nearest = np.empty(len(solids))
    _nearest(solids, nearest)
    return np.argsort(nearest, kind="stable")


View = tuple[NDArray[np.float32], NDArray[np.int32]]


def render(geometry: Geometry, camera: Camera, out: View | None = None) -> View:
    """Cast one ray a pixel, without sensor effects and lens distortion.

    Args:
        geometry: The scene, in the coordinates of `camera`.
        camera: Size and intrinsics; pixel (u, v) looks along ((u - cx) / fx, (v - cy) / fy, 1).
        out: Arrays of an earlier view of this size to write to: fresh memory costs as much as an empty view.

    Returns:
        depth: float32 (H, W), z in mm, 0 where nothing is hit.
        surface: int32 (H, W), index into the scene's surface table, 0 where nothing is hit.
    """
    solids, objects = geometry.solids, geometry.objects
    view = (camera.fx, camera.fy, camera.cx, camera.cy)
    # Half the diagonal of a tile on the plane z = 1 bounds the angle between its rays and the one through its middle.
    spread = 0.5 * TILE * math.hypot(1.0 / camera.fx, 1.0 / camera.fy)
    count = len(solids)
    order = nearest_first(solids)
    table, tile_table = np.zeros((2, count, PREPARED_ROW))
    prepare_solids(solids, order, 0.0, table)
    prepare_solids(solids, order, spread, tile_table)
    rectangles, object_rectangles = np.empty((count, 4)), np.empty((len(objects), 4))
    _solid_rectangles(solids, order, *view, rectangles)
    _object_rectangles(objects, *view, object_rectangles)
    in_row, active = np.empty((2, count), np.int64)
    shape = (camera.height, camera.width)
    depth, surface = out if out is not None else (np.empty(shape, np.float32), np.empty(shape, np.int32))
    _render(
        *view, spread, table, tile_table, rectangles, geometry.rows, objects, object_rectangles,
        in_row, active, np.empty(count), np.empty((1, len(objects))), depth, surface,
    )  # fmt: skip
    return depth, surface
