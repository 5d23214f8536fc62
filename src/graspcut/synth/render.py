"""Ray casting of a scene: analytic solids in closed form, held objects by sphere tracing of their signed distance.

Every pixel is one call of `trace_pixel`, the same scalar function on the CPU and, through `device.py`, on CUDA. The CPU loop adds
culling only: screen rectangles a solid cannot leave, and cones around 8 x 8 pixel tiles that find where an object can begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from graspcut.synth.kernel import kernel
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.geometry import COLOUR_SLOT, nearest_row, range_distance
from graspcut.synth.solids import (
    BOX_SOLID,
    ELLIPSOID_SOLID,
    NO_HIT,
    PLANE,
    ROUND_CONE,
    SOLID_KIND,
    SURFACE,
    TRIANGLE,
    Float64Array,
    hit_solid,
)

TILE = 8

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
        solids: float64 (n, SOLID_ROW), see `solids.py`.
        rows: float64 (m, ROW), the primitives of all objects, see `geometry.py`.
        objects: float64 (k, OBJECT_COLUMNS), one sphere-traced object a row.
    """

    solids: Float64Array
    rows: Float64Array
    objects: Float64Array


@kernel
def bumped_distance(
    rows: np.ndarray, first: int, last: int, px: float, py: float, pz: float, bump: float, wavelength: float
) -> float:
    """Signed distance with a wave pattern of amplitude `bump` mm on the surface, scaled so that it stays a lower bound."""
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


@kernel
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


@kernel
def tile_start(
    rows: np.ndarray, first: int, last: int, rx: float, ry: float, rz: float,
    start: float, stop: float, spread: float, bump: float, wavelength: float,
) -> float:  # fmt: skip
    """How far every ray within the cone of half width `spread` (mm a mm) around the ray may advance, or `NO_HIT` if none can hit."""
    t = start
    for _ in range(48):
        d = bumped_distance(rows, first, last, t * rx, t * ry, t * rz, bump, wavelength) - spread * t
        if d < 0.5:
            return t
        t += d / (1.0 + spread)
        if t > stop:
            return NO_HIT
    return t


@kernel
def enter_sphere(rx: float, ry: float, rz: float, x: float, y: float, z: float, radius: float) -> tuple[float, float]:
    """Distances along the unit ray where it enters and leaves a sphere; (`NO_HIT`, 0) when it misses."""
    b = rx * x + ry * y + rz * z
    h = b * b - (x * x + y * y + z * z) + radius * radius
    if h <= 0.0:
        return NO_HIT, 0.0
    root = math.sqrt(h)
    return max(b - root, 1.0), b + root


@kernel
def trace_pixel(
    x: float,
    y: float,
    solids: np.ndarray,
    nearest: np.ndarray,
    active: np.ndarray,
    active_count: int,
    rows: np.ndarray,
    objects: np.ndarray,
    starts: np.ndarray,
    tile_v: int,
    tile_u: int,
) -> tuple[float, int]:
    """Depth (z in mm) and surface of what the ray through (x, y, 1) hits first; (0, 0) when nothing.

    Args:
        x: Horizontal slope of the ray.
        y: Vertical slope of the ray.
        solids: (n, SOLID_ROW).
        nearest: (n,) lower bound of each solid's distance from the camera.
        active: Indices of the solids to test, nearest first; the first `active_count` count.
        active_count: How many of `active` count.
        rows: Primitives of all objects.
        objects: (k, OBJECT_COLUMNS).
        starts: (tiles down, tiles across, k) distance from which object k is traced, `NO_HIT` for never.
        tile_v: Row of the pixel's tile.
        tile_u: Column of the pixel's tile.

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
        i = active[j]
        if nearest[i] >= best:
            break  # solids are in the order of their nearest possible hit
        t = hit_solid(solids, i, rx, ry, rz)
        if 20.0 < t < best:
            best = t
            surface = int(solids[i, SURFACE])
    for k in range(objects.shape[0]):
        if starts[tile_v, tile_u, k] >= NO_HIT:
            continue
        enter, leave = enter_sphere(rx, ry, rz, objects[k, 2], objects[k, 3], objects[k, 4], objects[k, BOUND_RADIUS])
        enter = max(enter, starts[tile_v, tile_u, k])
        if enter >= best:
            continue
        first = int(objects[k, FIRST_ROW])
        last = int(objects[k, LAST_ROW])
        t = march(rows, first, last, rx, ry, rz, enter, min(leave, best), objects[k, BUMP], objects[k, BUMP_WAVELENGTH])
        if 20.0 < t < best:
            best = t
            row = nearest_row(rows, first, last, t * rx, t * ry, t * rz) if last - first > 1 else first
            surface = int(objects[k, OBJECT_SURFACE]) + int(rows[row, COLOUR_SLOT])
    if best >= NO_HIT:
        return 0.0, 0
    return best * rz, surface


@kernel
def _grow(rectangle: np.ndarray, x: float, y: float, z: float, r: float, fx: float, fy: float, cx: float, cy: float) -> None:
    # Conservative screen bounds of a sphere: its extreme slopes are at most (x +- r') / (z - r) apart.
    if z - r < 15.0:
        rectangle[0] = -1e9
        rectangle[1] = 1e9
        rectangle[2] = -1e9
        rectangle[3] = 1e9
        return
    near = z - r
    far = z + r
    left = (x - r) / (near if x - r < 0.0 else far)
    right = (x + r) / (near if x + r > 0.0 else far)
    top = (y - r) / (near if y - r < 0.0 else far)
    bottom = (y + r) / (near if y + r > 0.0 else far)
    rectangle[0] = min(rectangle[0], left * fx + cx - 1.0)
    rectangle[1] = max(rectangle[1], right * fx + cx + 1.0)
    rectangle[2] = min(rectangle[2], top * fy + cy - 1.0)
    rectangle[3] = max(rectangle[3], bottom * fy + cy + 1.0)


@kernel
def nearest_distances(solids: np.ndarray) -> np.ndarray:
    """Lower bounds (n,) in mm of the distance from the camera to each solid."""
    out = np.zeros(solids.shape[0])
    for i in range(solids.shape[0]):
        kind = int(solids[i, SOLID_KIND])
        x = solids[i, 2]
        y = solids[i, 3]
        z = solids[i, 4]
        distance = math.sqrt(x * x + y * y + z * z)
        if kind == ROUND_CONE:
            length = math.sqrt((solids[i, 5] - x) ** 2 + (solids[i, 6] - y) ** 2 + (solids[i, 7] - z) ** 2)
            radius = max(solids[i, 8], solids[i, 9])
            middle = math.sqrt(
                0.25 * ((solids[i, 5] + x) ** 2 + (solids[i, 6] + y) ** 2 + (solids[i, 7] + z) ** 2)
            )
            out[i] = middle - 0.5 * length - radius
        elif kind == TRIANGLE:
            reach = 0.0
            for k in range(1, 3):
                dx = solids[i, 2 + 3 * k] - x
                dy = solids[i, 3 + 3 * k] - y
                dz = solids[i, 4 + 3 * k] - z
                reach = max(reach, math.sqrt(dx * dx + dy * dy + dz * dz))
            out[i] = distance - reach
        elif kind == ELLIPSOID_SOLID:
            out[i] = distance - max(solids[i, 14], max(solids[i, 15], solids[i, 16]))
        elif kind == BOX_SOLID:
            out[i] = distance - math.sqrt(solids[i, 14] ** 2 + solids[i, 15] ** 2 + solids[i, 16] ** 2)
        else:
            out[i] = abs(solids[i, 5])
    return out


@kernel
def _rectangles(solids: np.ndarray, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    out = np.empty((solids.shape[0], 4))
    for i in range(solids.shape[0]):
        out[i, 0] = 1e9
        out[i, 1] = -1e9
        out[i, 2] = 1e9
        out[i, 3] = -1e9
        kind = int(solids[i, SOLID_KIND])
        if kind == ROUND_CONE:
            _grow(out[i], solids[i, 2], solids[i, 3], solids[i, 4], solids[i, 8], fx, fy, cx, cy)
            _grow(out[i], solids[i, 5], solids[i, 6], solids[i, 7], solids[i, 9], fx, fy, cx, cy)
        elif kind == TRIANGLE:
            for k in range(3):
                _grow(out[i], solids[i, 2 + 3 * k], solids[i, 3 + 3 * k], solids[i, 4 + 3 * k], 0.0, fx, fy, cx, cy)
        elif kind == ELLIPSOID_SOLID:
            r = max(solids[i, 14], max(solids[i, 15], solids[i, 16]))
            _grow(out[i], solids[i, 2], solids[i, 3], solids[i, 4], r, fx, fy, cx, cy)
        elif kind == BOX_SOLID:
            r = math.sqrt(solids[i, 14] ** 2 + solids[i, 15] ** 2 + solids[i, 16] ** 2)
            _grow(out[i], solids[i, 2], solids[i, 3], solids[i, 4], r, fx, fy, cx, cy)
        elif kind == PLANE:
            out[i, 0] = -1e9
            out[i, 1] = 1e9
            out[i, 2] = -1e9
            out[i, 3] = 1e9
    return out


@kernel
def _tile_starts(
    fx: float, fy: float, cx: float, cy: float, height: int, width: int, rows: np.ndarray, objects: np.ndarray
) -> np.ndarray:
    tiles_y = (height + TILE - 1) // TILE
    tiles_x = (width + TILE - 1) // TILE
    starts = np.full((tiles_y, tiles_x, objects.shape[0]), NO_HIT)
    rectangle = np.empty(4)
    for k in range(objects.shape[0]):
        rectangle[0] = 1e9
        rectangle[1] = -1e9
        rectangle[2] = 1e9
        rectangle[3] = -1e9
        bound = objects[k, BOUND_RADIUS]
        _grow(rectangle, objects[k, 2], objects[k, 3], objects[k, 4], bound, fx, fy, cx, cy)
        first = int(objects[k, FIRST_ROW])
        last = int(objects[k, LAST_ROW])
        x0 = int(max(rectangle[0], 0.0)) // TILE
        x1 = int(min(rectangle[1], width - 1.0)) // TILE
        y0 = int(max(rectangle[2], 0.0)) // TILE
        y1 = int(min(rectangle[3], height - 1.0)) // TILE
        for ty in range(y0, y1 + 1):
            for tx in range(x0, x1 + 1):
                x = (tx * TILE + 0.5 * (TILE - 1) - cx) / fx
                y = (ty * TILE + 0.5 * (TILE - 1) - cy) / fy
                inverse = 1.0 / math.sqrt(x * x + y * y + 1.0)
                # Half diagonal of the tile on the plane z = 1 bounds the angle to the centre ray.
                spread = 0.5 * TILE * math.sqrt(1.0 / (fx * fx) + 1.0 / (fy * fy))
                distance = math.sqrt(objects[k, 2] ** 2 + objects[k, 3] ** 2 + objects[k, 4] ** 2)
                starts[ty, tx, k] = tile_start(
                    rows,
                    first,
                    last,
                    x * inverse,
                    y * inverse,
                    inverse,
                    max(distance - bound, 1.0),
                    distance + bound,
                    spread,
                    objects[k, BUMP],
                    objects[k, BUMP_WAVELENGTH],
                )
    return starts


@kernel
def _render(
    fx: float, fy: float, cx: float, cy: float, solids: np.ndarray, rows: np.ndarray, objects: np.ndarray,
    depth: np.ndarray, surface: np.ndarray,
) -> None:  # fmt: skip
    height, width = depth.shape
    solids = solids[np.argsort(nearest_distances(solids))]
    nearest = nearest_distances(solids)
    rectangles = _rectangles(solids, fx, fy, cx, cy)
    starts = _tile_starts(fx, fy, cx, cy, height, width, rows, objects)
    in_row = np.empty(solids.shape[0], np.int64)
    active = np.empty(solids.shape[0], np.int64)
    for v in range(height):
        row_count = 0
        for i in range(solids.shape[0]):
            if rectangles[i, 2] <= v <= rectangles[i, 3] and rectangles[i, 1] >= 0 and rectangles[i, 0] < width:
                in_row[row_count] = i
                row_count += 1
        y = (v - cy) / fy
        tile_v = v // TILE
        for tile_u in range(starts.shape[1]):
            first_u = tile_u * TILE
            last_u = min(first_u + TILE, width)
            count = 0
            for j in range(row_count):
                i = in_row[j]
                if rectangles[i, 0] <= last_u and rectangles[i, 1] >= first_u:
                    active[count] = i
                    count += 1
            empty = count == 0
            for k in range(objects.shape[0]):
                empty = empty and starts[tile_v, tile_u, k] >= NO_HIT
            for u in range(first_u, last_u):
                if empty:
                    depth[v, u] = 0.0
                    surface[v, u] = 0
                else:
                    z, s = trace_pixel((u - cx) / fx, y, solids, nearest, active, count, rows, objects, starts, tile_v, tile_u)
                    depth[v, u] = z
                    surface[v, u] = s


def render(geometry: Geometry, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cast one ray a pixel, without sensor effects and lens distortion.

    Args:
        geometry: The scene, in the coordinates of `camera`.
        camera: Size and intrinsics; pixel (u, v) looks along ((u - cx) / fx, (v - cy) / fy, 1).

    Returns:
        depth: float32 (H, W), z in mm, 0 where nothing is hit.
        surface: int32 (H, W), index into the scene's surface table, 0 where nothing is hit.
    """
    depth = np.empty((camera.height, camera.width), np.float32)
    surface = np.empty((camera.height, camera.width), np.int32)
    _render(camera.fx, camera.fy, camera.cx, camera.cy, geometry.solids, geometry.rows, geometry.objects, depth, surface)
    return depth, surface
