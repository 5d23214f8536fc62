"""Ray casting of a scene: analytic primitives in closed form, held objects by sphere tracing of their signed distance.

Every pixel is one call of `trace_pixel`. The loop over the pixels adds culling only: for every tile of 8 x 8 pixels it
finds which shapes a ray of the tile can hit, and from where on an object can begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.kernels.compiling import loop, scalar, subroutine
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.objects.signed_distance import CENTRE as COMPONENT_CENTRE
from graspcut.synth.objects.signed_distance import COLOUR_SLOT, nearest_row, range_distance, to_local
from graspcut.synth.rendering.culling import (
    BOUND_CENTRE,
    BOUND_RADIUS,
    BUMP,
    BUMP_WAVELENGTH,
    FIRST_ROW,
    LAST_ROW,
    OBJECT_SURFACE,
    object_rectangles,
    primitive_rectangles,
)
from graspcut.synth.rendering.primitives import (
    SURFACE,
    Float64Array,
    translate,
)
from graspcut.synth.rendering.rasterising import draw_mesh
from graspcut.synth.rendering.ray_hits import (
    NO_HIT,
    PREPARED_ROW,
    hit_primitive,
    nearest_and_farthest,
    prepare_primitives,
    tile_hit,
)

TILE = 8
NEAR_MM = 20.0  # nothing nearer is seen
SAME_MM = 1e-6  # primitives whose hits are as near to each other as this are hit together


@dataclass(frozen=True)
class SceneGeometry:
    """What a ray can hit, in camera coordinates (mm).

    Attributes:
        primitives: float64 (n, PRIMITIVE_ROW), see `primitives.py`.
        components: float64 (m, ROW), the components of all objects, see `signed_distance.py`.
        objects: float64 (k, OBJECT_COLUMNS), one sphere-traced object a row.
        meshes: Triangle meshes.
    """

    primitives: Float64Array
    components: Float64Array
    objects: Float64Array
    meshes: tuple[Mesh, ...] = ()

    def translated(self, translation_mm: Float64Array) -> SceneGeometry:
        """The same scene in the coordinates of a camera without rotation: x' = x + translation (3,)."""
        components, objects = self.components.copy(), self.objects.copy()
        components[:, COMPONENT_CENTRE : COMPONENT_CENTRE + 3] += translation_mm
        objects[:, BOUND_CENTRE : BOUND_CENTRE + 3] += translation_mm
        meshes = tuple(mesh.transformed(np.eye(3), translation_mm) for mesh in self.meshes)
        return SceneGeometry(translate(self.primitives, translation_mm), components, objects, meshes)


@subroutine
def bumped_distance(
    rows: np.ndarray, first: int, last: int, px: float, py: float, pz: float, bump: float, wavelength: float
) -> float:
    """Signed distance with a wave pattern of amplitude `bump` mm on the surface, scaled to stay a lower bound."""
    d = range_distance(rows, first, last, px, py, pz)
    if bump > 0.0 and d < 4.0 * bump:
        k = 6.283185307179586 / wavelength
        # The pattern rides on the frame of the first component, so that it moves with the object.
        lx, ly, lz = to_local(rows, first, px, py, pz)
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
) -> tuple[float, int]:
    """Depth (z in mm) and surface of what the ray through (x, y, 1) hits first; (0, 0) when nothing.

    Args:
        x: Horizontal slope of the ray.
        y: Vertical slope of the ray.
        table: (n, PREPARED_ROW) primitives, from `prepare_primitives` without spread.
        active: Rows of the table to test; the first `active_count` count.
        active_nearest: Lower bounds of their distances in mm, in rising order.
        active_count: How many of `active` count.
        rows: Components of all objects.
        objects: (k, OBJECT_COLUMNS).
        starts: (k,) distance from which each object is traced, `NO_HIT` for never.

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
        t = hit_primitive(table, i, rx, ry, rz)
        if NEAR_MM < t < best + SAME_MM:
            # Neighbouring bones share the sphere of their joint: it belongs to the lower surface, whatever the order.
            candidate = int(table[i, SURFACE])
            if t < best - SAME_MM or candidate < surface:
                surface = candidate
            best = min(best, t)
    for k in range(objects.shape[0]):
        if starts[k] >= best:
            continue
        enter, leave = enter_sphere(
            rx, ry, rz, objects[k, BOUND_CENTRE], objects[k, BOUND_CENTRE + 1], objects[k, BOUND_CENTRE + 2],
            objects[k, BOUND_RADIUS],
        )  # fmt: skip
        enter = max(enter, starts[k])
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
    """Fill `active` with the primitives that a tile can see, nearest first; returns how many."""
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
    """Write to `starts` from where on each object can begin within a tile; returns whether any can."""
    found = False
    for k in range(objects.shape[0]):
        starts[k] = NO_HIT
        if (
            rectangles[k, 0] <= first_u + TILE
            and rectangles[k, 1] >= first_u
            and rectangles[k, 2] <= first_v + TILE
            and rectangles[k, 3] >= first_v
        ):
            distance = math.sqrt(
                objects[k, BOUND_CENTRE] ** 2 + objects[k, BOUND_CENTRE + 1] ** 2 + objects[k, BOUND_CENTRE + 2] ** 2
            )
            bound = objects[k, BOUND_RADIUS]
            starts[k] = tile_start(
                rows, int(objects[k, FIRST_ROW]), int(objects[k, LAST_ROW]), rx, ry, rz,
                max(distance - bound, 1.0), distance + bound, spread, objects[k, BUMP], objects[k, BUMP_WAVELENGTH],
            )  # fmt: skip
            found = found or starts[k] < NO_HIT
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
                            (u - cx) / fx, (v - cy) / fy, table, active, active_nearest, count, rows, objects, starts
                        )
                        depth[v, u] = z
                        surface[v, u] = s


@loop
def _nearest(primitives: np.ndarray, out: np.ndarray) -> None:
    for i in range(primitives.shape[0]):
        out[i] = nearest_and_farthest(primitives, i)[0]


def nearest_first(primitives: Float64Array) -> NDArray[np.int64]:
    """The order of the primitives (n,) by their least distance from the camera."""
    nearest = np.empty(len(primitives))
    _nearest(primitives, nearest)
    return np.argsort(nearest, kind="stable")


class RenderedView(NamedTuple):
    """What a camera sees, pixel by pixel.

    Attributes:
        depth_mm: float32 (H, W), z in mm, 0 where nothing is hit.
        surface: int32 (H, W), index into the scene's surface table, 0 where nothing is hit.
    """

    depth_mm: NDArray[np.float32]
    surface: NDArray[np.int32]

    @classmethod
    def empty(cls, camera: Camera) -> RenderedView:
        """Arrays of a camera's size, to be written to."""
        shape = (camera.height, camera.width)
        return cls(np.empty(shape, np.float32), np.empty(shape, np.int32))


def render(geometry: SceneGeometry, camera: Camera, out: RenderedView | None = None) -> RenderedView:
    """Cast one ray a pixel, without sensor effects and lens distortion.

    Args:
        geometry: The scene, in the coordinates of `camera`.
        camera: Size and intrinsics; pixel (u, v) looks along ((u - cx) / fx, (v - cy) / fy, 1).
        out: Arrays of an earlier view of this size to write to: fresh memory costs as much as an empty view.
    """
    primitives, objects = geometry.primitives, geometry.objects
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy)
    # Half the diagonal of a tile on the plane z = 1 bounds the angle between its rays and the one through its middle.
    spread = 0.5 * TILE * math.hypot(1.0 / camera.fx, 1.0 / camera.fy)
    count = len(primitives)
    order = nearest_first(primitives)
    table, tile_table = np.zeros((2, count, PREPARED_ROW))
    prepare_primitives(primitives, order, 0.0, table)
    prepare_primitives(primitives, order, spread, tile_table)
    bounds, object_bounds = np.empty((count, 4)), np.empty((len(objects), 4))
    primitive_rectangles(primitives, order, *intrinsics, bounds)
    object_rectangles(objects, *intrinsics, object_bounds)
    in_row, active = np.empty((2, count), np.int64)
    view = out if out is not None else RenderedView.empty(camera)
    _render(
        *intrinsics, spread, table, tile_table, bounds, geometry.components, objects, object_bounds,
        in_row, active, np.empty(count), np.empty(len(objects)), view.depth_mm, view.surface,
    )  # fmt: skip
    for mesh in geometry.meshes:
        draw_mesh(mesh, camera, view.depth_mm, view.surface)
    return view
