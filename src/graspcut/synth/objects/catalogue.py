"""Held objects: random things of many kinds, as rows of signed-distance components.

Axes of every object: y is its long axis, or its axis of rotation when it stands upright; flat things lie in the plane
x-y, thin along z.
The origin is near the middle. Sizes are millimetres, chosen from everyday things; none is measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graspcut.synth.objects.building_blocks import Draws, Shape, bounding_radius, transform_rows
from graspcut.synth.objects.colours import draw_colours
from graspcut.synth.objects.kinds_simple import SIMPLE_KINDS
from graspcut.synth.objects.kinds_soft import SOFT_KINDS
from graspcut.synth.objects.kinds_tools import TOOL_KINDS
from graspcut.synth.objects.kinds_vessels import VESSEL_KINDS
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.objects.signed_distance import (
    ARC,
    BOX,
    CAPSULE,
    CENTRE,
    CONE,
    CYLINDER,
    ELLIPSOID,
    KIND,
    PARAMETERS,
    PRISM,
    ROUNDING,
    SHEET,
    TORUS,
)

__all__ = [
    "CLUTTER_KINDS",
    "HELD_OUT_KINDS",
    "KINDS",
    "TRAINING_KINDS",
    "HeldObject",
    "build_object",
    "draw_kind",
    "scaled",
    "transform_rows",
]

KINDS: dict[str, Callable[[Draws], Shape]] = {**SIMPLE_KINDS, **VESSEL_KINDS, **TOOL_KINDS, **SOFT_KINDS}

# Never used in training: what the tests on unseen kinds are made of. Do not change it: results would not compare.
HELD_OUT_KINDS: tuple[str, ...] = (
    "mug",
    "scissors",
    "brush",
    "game_controller",
    "banana",
    "wine_glass",
    "tape_roll",
    "wrench",
)
TRAINING_KINDS: tuple[str, ...] = tuple(kind for kind in KINDS if kind not in HELD_OUT_KINDS)

# Most kinds are tools and oddities, while recordings mostly show plain things: these come four times as often.
_COMMON_KINDS = (
    "box",
    "carton",
    "book",
    "cube",
    "bar",
    "stick",
    "ball",
    "bottle",
    "can",
    "cup",
    "phone",
    "pen",
    "assembly",
)
# Composites stand for everything that has no kind of its own here: a fifth of all objects.
_KIND_DECK: tuple[str, ...] = TRAINING_KINDS + 3 * _COMMON_KINDS + 24 * ("composite",)

# What stands on tables. Kept as it was when the tests on unseen kinds were made, so that their frames stay the same.
CLUTTER_KINDS: tuple[str, ...] = tuple(kind for kind in TRAINING_KINDS if kind != "composite")

_SMALL_MM = 22.0
# How many of a component's parameters are lengths; an arc's last one is an angle.
_LENGTHS = {
    BOX: 3, CYLINDER: 2, CONE: 3, ELLIPSOID: 3, TORUS: 2, CAPSULE: 3, SHEET: 6, PRISM: 2, ARC: 2,
}  # fmt: skip

# Chance of a bump pattern for objects that are not thin; about a fifth of all objects then have one.
_BUMP_CHANCE = 0.27


@dataclass(frozen=True)
class HeldObject:
    """One object in its own frame.

    Attributes:
        kind: key of `KINDS`.
        rows: (n, ROW) float64 components, see signed_distance.py.
        bound_mm: radius of a sphere about the origin that contains the object, bumps included.
        grip_low_mm: lower end of the range along y where a hand may hold it.
        grip_high_mm: upper end of that range.
        bump_mm: amplitude of the surface pattern, mostly 0. Its slope 2 pi bump / wavelength is at most 0.35.
        bump_wavelength_mm: wavelength of the pattern, never 0.
        colours: (3, 3) uint8 RGB, one a colour slot.
        stripes: 0..1, how strongly a projector's stripes show on it (bright and smooth: 1).
        small: held between fingertips.
        flat: thin along z, gripped by an edge.
        mesh: what is drawn instead of `rows`, which then only stand for it when it is grasped; or None.
        mirrored: it is the mirror image of a thing that has a left and a right, for a hand that will be mirrored.
    """

    kind: str
    rows: npt.NDArray[np.float64]
    bound_mm: float
    grip_low_mm: float
    grip_high_mm: float
    bump_mm: float
    bump_wavelength_mm: float
    colours: npt.NDArray[np.uint8]
    stripes: float
    small: bool
    flat: bool
    mesh: Mesh | None = None
    mirrored: bool = False


def draw_kind(rng: np.random.Generator, *, held_out: bool = False) -> str:
    """Name of a random kind: a training kind, common things more often, or a held-out kind, all equally likely."""
    deck = HELD_OUT_KINDS if held_out else _KIND_DECK
    return deck[int(rng.integers(len(deck)))]


def scaled(held: HeldObject, factor: float) -> HeldObject:
    """The same object, larger or smaller; one that fits between two finger tips becomes `small`."""
    rows = held.rows.copy()
    rows[:, CENTRE : CENTRE + 3] *= factor
    for kind, count in _LENGTHS.items():
        rows[rows[:, KIND] == kind, PARAMETERS : PARAMETERS + count] *= factor
    rows[:, ROUNDING] *= factor
    return dataclasses.replace(
        held,
        rows=rows,
        bound_mm=held.bound_mm * factor,
        grip_low_mm=held.grip_low_mm * factor,
        grip_high_mm=held.grip_high_mm * factor,
        bump_mm=held.bump_mm * factor,
        bump_wavelength_mm=held.bump_wavelength_mm * factor,
        small=held.small or held.bound_mm * factor < _SMALL_MM,
    )


def build_object(kind: str, rng: np.random.Generator) -> HeldObject:
    """A random object of the kind; the same state of `rng` gives the same object.

    Raises:
        KeyError: the kind is unknown; the message lists the known ones.
    """
    if kind not in KINDS:
        raise KeyError(f"unknown object kind {kind!r}; known kinds: {', '.join(sorted(KINDS))}")
    return object_of_kind(kind, KINDS[kind], rng)


def object_of_kind(kind: str, build: Callable[[Draws], Shape], rng: np.random.Generator) -> HeldObject:
    """A random object of a kind that a function draws."""
    draws = Draws(rng)
    shape = build(draws)
    bump_mm, wavelength_mm = 0.0, 20.0
    if draws.chance(_BUMP_CHANCE) and not shape.thin:
        wavelength_mm = draws.between(8.0, 40.0)
        bump_mm = wavelength_mm * draws.between(0.015, 0.35 / (2.0 * math.pi))
    colours = draw_colours(shape.colours, draws)
    stripes = 0.0
    if draws.chance(0.25 + 0.5 * shape.gloss):
        # Dark surfaces send back little of the pattern, so their stripes drown in the noise anyway.
        brightness = int(colours[0].max()) / 255.0
        stripes = min(1.0, draws.between(0.25, 1.15) * (0.35 + 0.65 * shape.gloss) * (0.3 + 0.7 * brightness))
        stripes = stripes if shape.gloss > 0.0 else 0.0
    if shape.gloss > 0.0 and draws.chance(0.25):
        # White paint, paper and plastic: nothing drowns the stripes. Rare in the draw above, common on tables.
        stripes = draws.between(0.7, 1.0)
    bound_mm = shape.bound_mm if shape.bound_mm is not None else bounding_radius(shape.rows)
    return HeldObject(
        kind=kind,
        rows=np.array(shape.rows, dtype=np.float64),
        bound_mm=bound_mm + bump_mm,
        grip_low_mm=shape.grip[0],
        grip_high_mm=shape.grip[1],
        bump_mm=bump_mm,
        bump_wavelength_mm=wavelength_mm,
        colours=colours,
        stripes=stripes,
        small=shape.small,
        flat=shape.flat,
    )
