"""A kind of object of one's own: dumb-bells, every one another.

graspcut synth --object my_object.py --count 1000 --out frames
"""

from __future__ import annotations

from graspcut.synth.objects.building_blocks import Draws, Shape, cylinder
from graspcut.synth.objects.own_kinds import register_object_kind


def dumb_bell(draws: Draws) -> Shape:
    """A bar along y with a weight at either end; millimetres, the origin in the middle."""
    half, weight = draws.between(40, 70), draws.between(18, 35)
    rows = [cylinder(draws.between(6, 10), half)]
    rows += [cylinder(weight, draws.between(8, 15), (0.0, side * half, 0.0)) for side in (-1, 1)]
    return Shape(rows, grip=(-0.4 * half, 0.4 * half), gloss=0.7)


register_object_kind("dumb_bell", dumb_bell)
