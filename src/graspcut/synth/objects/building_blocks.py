"""Building blocks of the held objects: one function a component, random draws, colours, bounding radius, placing.

Rows are built as plain lists of floats: an object has only a few, and numpy calls would cost more than the arithmetic.
A turn is nine floats, row-major, `local = turn @ (point - centre)`, as signed_distance.py wants it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from graspcut.synth.objects import signed_distance
from graspcut.synth.objects.signed_distance import CENTRE, OPERATION, PARAMETERS, ROTATION, ROUNDING, UNION

Row = list[float]
Turn = tuple[float, float, float, float, float, float, float, float, float]
Point = tuple[float, float, float]
FloatArray = npt.NDArray[np.float64]
Item = TypeVar("Item")

ORIGIN: Point = (0.0, 0.0, 0.0)
UPRIGHT: Turn = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # the component's axis stays along y
ALONG_X: Turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # the component's y axis points along +x
ALONG_Z: Turn = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)  # the component's y axis points along +z

# Smooth unions swell the surface by at most this much each (signed_distance.py blends over 4 mm).
SMOOTH_SWELL_MM = 1.0


class Draws:
    """Uniform random numbers, drawn in one call and handed out one by one (a numpy call each would be slower)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._values: list[float] = rng.random(64).tolist()

    def unit(self) -> float:
        """One number in [0, 1)."""
        if not self._values:
            self._values = self._rng.random(64).tolist()
        return self._values.pop()

    def between(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[int(self.unit() * len(items))]


@dataclass(frozen=True)
class Shape:
    """What a builder of one kind returns, before colours, bumps and the bounding radius are added.

    Attributes:
        rows: components, see signed_distance.py.
        grip: range along y (mm) in which a hand may hold it.
        colours: three names of `COLOUR_FAMILIES`, one for each colour slot.
        gloss: 0..1, how often and how strongly it shows projector stripes.
        small: held between fingertips.
        flat: thin along z and gripped by an edge.
        thin: has walls or sheets so thin that bumps would look wrong.
        bound_mm: radius about the origin when the builder knows better than `bounding_radius` (objects cut by a plane).
    """

    rows: list[Row]
    grip: tuple[float, float]
    colours: tuple[str, str, str] = ("any", "any", "any")
    gloss: float = 0.4
    small: bool = False
    flat: bool = False
    thin: bool = False
    bound_mm: float | None = None


def edge_grip(draws: Draws, half: float) -> tuple[float, float]:
    """Grip range of a flat thing from -half to +half along y: half of the time at one end, else anywhere inside."""
    if draws.chance(0.5):
        return -0.7 * half, 0.7 * half
    return (0.7 * half, 0.95 * half) if draws.chance(0.5) else (-0.95 * half, -0.7 * half)


def turn_x(angle: float) -> Turn:
    """The component is turned by `angle` (radians) about the x axis: +y goes towards +z."""
    c, s = math.cos(angle), math.sin(angle)
    return (1.0, 0.0, 0.0, 0.0, c, s, 0.0, -s, c)


def turn_y(angle: float) -> Turn:
    """The component is turned by `angle` (radians) about the y axis: +z goes towards +x."""
    c, s = math.cos(angle), math.sin(angle)
    return (c, 0.0, -s, 0.0, 1.0, 0.0, s, 0.0, c)


def turn_z(angle: float) -> Turn:
    """The component is turned by `angle` (radians) about the z axis: +x goes towards +y."""
    c, s = math.cos(angle), math.sin(angle)
    return (c, s, 0.0, -s, c, 0.0, 0.0, 0.0, 1.0)


def pointing(x: float, y: float, z: float) -> Turn:
    """The component's y axis points along (x, y, z), which need not be of unit length but must not be zero."""
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    # Any vector not parallel to the axis serves to make the other two axes.
    if abs(z) < 0.9:
        ax, ay, az = y, -x, 0.0  # axis cross +z
    else:
        ax, ay, az = 0.0, z, -y  # axis cross +x
    scale = 1.0 / math.sqrt(ax * ax + ay * ay + az * az)
    ax, ay, az = ax * scale, ay * scale, az * scale
    return (ax, ay, az, x, y, z, ay * z - az * y, az * x - ax * z, ax * y - ay * x)


def _row(
    kind: int, parameters: Sequence[float], at: Point, turn: Turn, operation: int, rounding: float, slot: int
) -> Row:
    padding = [0.0] * (6 - len(parameters))
    return [float(kind), float(operation), *turn, *at, *parameters, *padding, rounding, float(slot)]


def box(
    half_x: float,
    half_y: float,
    half_z: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    rounding: float = 0.0,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A box; the rounding lies within the given half extents."""
    r = min(rounding, 0.95 * half_x, 0.95 * half_y, 0.95 * half_z)
    return _row(signed_distance.BOX, (half_x - r, half_y - r, half_z - r), at, turn, operation, r, slot)


def cylinder(
    radius: float,
    half_height: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    rounding: float = 0.0,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A cylinder along its y axis; the rounding lies within the given size."""
    r = min(rounding, 0.95 * radius, 0.95 * half_height)
    return _row(signed_distance.CYLINDER, (radius - r, half_height - r), at, turn, operation, r, slot)


def cone(
    radius_low: float,
    radius_high: float,
    half_height: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    rounding: float = 0.0,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A cut cone, `radius_low` at -y and `radius_high` at +y; the rounding lies roughly within the given size."""
    r = min(rounding, 0.95 * max(radius_low, radius_high), 0.95 * half_height)
    parameters = (max(radius_low - r, 0.0), max(radius_high - r, 0.0), half_height - r)
    return _row(signed_distance.CONE, parameters, at, turn, operation, r, slot)


def ellipsoid(
    radius_x: float,
    radius_y: float,
    radius_z: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """An ellipsoid. Never subtract one: inside, its distance is larger than the true one and rays would jump walls."""
    return _row(signed_distance.ELLIPSOID, (radius_x, radius_y, radius_z), at, turn, operation, 0.0, slot)


def ball(radius: float, at: Point = ORIGIN, *, operation: int = UNION, slot: int = 0) -> Row:
    """A sphere (exact distance, so it may be subtracted)."""
    return _row(signed_distance.CAPSULE, (radius, radius, 0.0), at, UPRIGHT, operation, 0.0, slot)


def torus(
    ring_radius: float,
    tube_radius: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A torus about its y axis."""
    return _row(signed_distance.TORUS, (ring_radius, tube_radius), at, turn, operation, 0.0, slot)


def capsule(
    radius_low: float,
    radius_high: float,
    half_length: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A round cone along y; `half_length` is between the centres of the two end spheres."""
    return _row(signed_distance.CAPSULE, (radius_low, radius_high, half_length), at, turn, operation, 0.0, slot)


def limb(
    start: Point, end: Point, radius_start: float, radius_end: float, *, operation: int = UNION, slot: int = 0
) -> Row:
    """A round cone between two points."""
    dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    middle = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]), 0.5 * (start[2] + end[2]))
    half_length = 0.5 * math.sqrt(dx * dx + dy * dy + dz * dz)
    return capsule(radius_start, radius_end, half_length, middle, pointing(dx, dy, dz), operation=operation, slot=slot)


def sheet(
    half_x: float,
    half_thickness: float,
    half_z: float,
    wave: tuple[float, float, float],
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    slot: int = 0,
) -> Row:
    """A wavy sheet with normal y; `wave` is amplitude and the wavelengths along x and z."""
    return _row(signed_distance.SHEET, (half_x, half_thickness, half_z, *wave), at, turn, UNION, 0.0, slot)


def prism(
    apothem: float,
    half_height: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    rounding: float = 0.0,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """A six-sided prism along y."""
    r = min(rounding, 0.95 * apothem, 0.95 * half_height)
    return _row(signed_distance.PRISM, (apothem - r, half_height - r), at, turn, operation, r, slot)


def arc(
    ring_radius: float,
    tube_radius: float,
    half_angle: float,
    at: Point = ORIGIN,
    turn: Turn = UPRIGHT,
    *,
    operation: int = UNION,
    slot: int = 0,
) -> Row:
    """Part of a torus in the plane x-y, open by `half_angle` (radians) to both sides of +y, with round ends."""
    return _row(signed_distance.ARC, (ring_radius, tube_radius, half_angle), at, turn, operation, 0.0, slot)


def _reach(row: Row) -> float:
    """Distance from the origin to the farthest point of one component, or a little more."""
    kind = int(row[signed_distance.KIND])
    cx, cy, cz = row[CENTRE : CENTRE + 3]
    a, b, c = row[PARAMETERS : PARAMETERS + 3]
    rounding = row[ROUNDING]
    centre = math.sqrt(cx * cx + cy * cy + cz * cz)
    if kind == signed_distance.ARC:
        # |centre + ring point| is greatest at one of the ends or where the ring points away from the origin.
        along_x = cx * row[ROTATION] + cy * row[ROTATION + 1] + cz * row[ROTATION + 2]
        along_y = cx * row[ROTATION + 3] + cy * row[ROTATION + 4] + cz * row[ROTATION + 5]
        angles = [-c, c]
        away = math.atan2(along_x, along_y)
        if abs(away) < c:
            angles.append(away)
        squares = [centre * centre + a * a + 2.0 * a * (along_x * math.sin(t) + along_y * math.cos(t)) for t in angles]
        return math.sqrt(max(0.0, *squares)) + b + rounding
    if kind == signed_distance.TORUS:
        return centre + a + b + rounding
    axis, half, across_low, across_high = 1, b, a, a
    if kind in (signed_distance.BOX, signed_distance.SHEET, signed_distance.ELLIPSOID):
        sizes = [a, b + (row[PARAMETERS + 3] if kind == signed_distance.SHEET else 0.0), c]
        axis = sizes.index(max(sizes))
        half = sizes.pop(axis)
        across_low = max(sizes) if kind == signed_distance.ELLIPSOID else math.hypot(*sizes)
        across_high = across_low
    elif kind in (signed_distance.CONE, signed_distance.CAPSULE):
        half, across_high = c, b
    elif kind == signed_distance.PRISM:
        # Growing a prism by its rounding keeps its corners sharp.
        across_low = across_high = (a + rounding) * 1.1547005383792517 - rounding
    ux, uy, uz = (half * value for value in row[ROTATION + 3 * axis : ROTATION + 3 * axis + 3])
    low = math.sqrt((cx - ux) ** 2 + (cy - uy) ** 2 + (cz - uz) ** 2) + across_low
    high = math.sqrt((cx + ux) ** 2 + (cy + uy) ** 2 + (cz + uz) ** 2) + across_high
    reach = max(low, high)
    if kind == signed_distance.ELLIPSOID:
        reach = min(reach, centre + half)
    elif kind != signed_distance.CAPSULE:
        reach = min(reach, centre + math.hypot(half, max(across_low, across_high)))
    return reach + rounding


def bounding_radius(rows: list[Row]) -> float:
    """Radius (mm) of a sphere about the origin that contains all added components; cuts only make an object smaller."""
    reach = 0.0
    swell = 0.0
    for row in rows:
        if row[OPERATION] == signed_distance.SMOOTH_UNION:
            swell += SMOOTH_SWELL_MM
        elif row[OPERATION] != UNION:
            continue
        reach = max(reach, _reach(row))
    return reach + swell


def transform_rows(rows: FloatArray, rotation: FloatArray, translation_mm: FloatArray) -> FloatArray:
    """The same object placed into another frame: `point_new = rotation @ point + translation_mm`.

    Args:
        rows: (n, ROW) float64.
        rotation: (3, 3) proper rotation.
        translation_mm: (3,).

    Returns:
        A new (n, ROW) float64 array; the input is not changed.
    """
    turn = rotation.T
    placed = rows.copy()
    count = rows.shape[0]
    # local = old @ (rotation^T @ (new - translation) - centre)
    placed[:, ROTATION:CENTRE] = (rows[:, ROTATION:CENTRE].reshape(count * 3, 3) @ turn).reshape(count, 9)
    placed[:, CENTRE:PARAMETERS] = rows[:, CENTRE:PARAMETERS] @ turn + translation_mm
    return placed
