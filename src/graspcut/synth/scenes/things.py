"""Things of the kinds that hands hold elsewhere, standing or lying about where nobody touches them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspcut.synth.hands.grasp import random_rotation
from graspcut.synth.objects.catalogue import HeldObject, transform_rows
from graspcut.synth.objects.settling import fall_mm
from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes.furniture import rotation_about
from graspcut.synth.scenes.world import UP, World

CLEARANCE_MM = 6.0  # at least so far from hands and from what they hold
_ATTEMPTS = 4


def lay_thing(world: World, spot: Float64Array, held: HeldObject | None = None) -> bool:
    """Put one thing down at a world point (3,) of a level support, unless a hand or a held object is in the way.

    Returns:
        Whether it was put down.
    """
    rng, builder = world.rng, world.builder
    held = builder.thing_to_lay() if held is None else held
    choice = rng.random()
    if choice < 0.5:  # standing
        turn = rotation_about(1, float(rng.uniform(0, 2 * np.pi)))
    elif choice < 0.9:  # lying
        turn = rotation_about(1, float(rng.uniform(0, 2 * np.pi))) @ rotation_about(0, np.pi / 2)
    else:
        turn = random_rotation(rng)
    piece = world.piece(spot, float(rng.uniform(0, 2 * np.pi)))
    up = world.view.rotation @ UP
    centre = piece.place((0.0, held.bound_mm, 0.0))
    centre = centre - up * fall_mm(transform_rows(held.rows, piece.rotation @ turn, centre), centre, held.bound_mm, up)
    if not builder.clear_of_others(centre, 0.85 * held.bound_mm + CLEARANCE_MM):
        return False
    piece.thing(held, piece.rotation.T @ (centre - piece.origin), turn)
    return True


def lay_things(world: World, count: int, spot: Callable[[], Float64Array | None]) -> None:
    """Put down up to `count` things where `spot` says, which may be nowhere (None)."""
    for _ in range(count):
        for _ in range(_ATTEMPTS):
            place = spot()
            if place is not None:
                lay_thing(world, place)
                break
