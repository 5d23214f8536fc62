"""Kinds of held object: bottles, cups, bowls and other things of the kitchen shelf, upright along y."""

from __future__ import annotations

import math
from collections.abc import Callable

from graspcut.synth.objects.building_blocks import (
    ALONG_X,
    ALONG_Z,
    Draws,
    Point,
    Row,
    Shape,
    Turn,
    arc,
    ball,
    box,
    capsule,
    cone,
    cylinder,
    edge_grip,
    ellipsoid,
    limb,
    torus,
    turn_z,
)
from graspcut.synth.objects.signed_distance import SMOOTH_UNION, SUBTRACT

TOWARDS_X: Turn = turn_z(-math.pi / 2)  # an arc is symmetric about +x


def _bottle(d: Draws) -> Shape:
    r, h = d.between(22, 46), d.between(55, 110)
    neck, neck_half = r * d.between(0.28, 0.45), d.between(0.15, 0.3) * h
    shoulder = d.between(0.1, 0.25) * h
    low = -(neck_half + shoulder)  # the middle of the whole bottle is the origin
    top = low + h
    rows = [
        cylinder(r, h, (0, low, 0), rounding=d.between(2, 6)),
        cone(r * 0.95, neck, shoulder, (0, top + shoulder - 3, 0), slot=0),
        cylinder(neck, neck_half, (0, top + 2 * shoulder + neck_half - 4, 0), rounding=1, slot=1),
    ]
    if d.chance(0.3):
        rows.append(cylinder(r + 0.4, 0.4 * h, (0, low, 0), slot=2))
    return Shape(rows, (low - 0.8 * h, low + 0.9 * h), (d.pick(("glass", "any", "white")), "any", "any"), gloss=0.8)


def _flask(d: Draws) -> Shape:
    # Square or flat bottle, spray can, shampoo.
    x, h, z = d.between(20, 42), d.between(50, 95), d.between(14, 26)
    cap, cap_half = d.between(8, 14), d.between(6, 16)
    rows = [
        box(x, h, z, (0, -cap_half, 0), rounding=d.between(3, 10)),
        cylinder(cap, cap_half, (0, h - 1, 0), rounding=1, slot=1),
    ]
    if d.chance(0.35):
        rows.append(box(0.6 * cap, 4, 16, (0, h + cap_half, 10), rounding=2, slot=1))
    return Shape(rows, (-cap_half - 0.8 * h, 0.7 * h), ("any", "any", "any"), gloss=0.8)


def _can(d: Draws) -> Shape:
    r, h = d.between(24, 45), d.between(38, 85)
    rows = [cylinder(r, h, rounding=2)]
    if d.chance(0.5):
        rows.append(cylinder(r - 3, 4, (0, h, 0), operation=SUBTRACT, slot=1))
    return Shape(rows, (-0.8 * h, 0.8 * h), ("any", "metal", "any"), gloss=0.7)


def _jar(d: Draws) -> Shape:
    r, h = d.between(26, 50), d.between(30, 65)
    cap = r * d.between(0.75, 1.05)
    rows = [cylinder(r, h, (0, -6, 0), rounding=d.between(3, 9)), cylinder(cap, 9, (0, h, 0), rounding=1, slot=1)]
    return Shape(rows, (-0.7 * h, 0.7 * h), (d.pick(("glass", "white", "any")), "any", "any"), gloss=0.8)


def _cup(d: Draws) -> Shape:
    # Beaker or paper cup, wider at the top.
    r, h = d.between(24, 42), d.between(35, 75)
    top = r * d.between(1.0, 1.35)
    wall = d.between(1.5, 4)
    floor = d.between(3, 0.6 * h) if d.chance(0.3) else 4.0  # sometimes it holds something
    rows = [
        cone(r, top, h, rounding=1),
        cone(r - wall, top - wall, h, (0, floor, 0), operation=SUBTRACT, slot=1),
    ]
    return Shape(
        rows,
        (-0.8 * h, 0.7 * h),
        (d.pick(("white", "any", "glass")), d.pick(("white", "leather", "any")), "any"),
        gloss=0.8,
        thin=True,
    )


def _mug(d: Draws) -> Shape:
    r, h = d.between(32, 48), d.between(38, 60)
    wall = d.between(2.5, 5)
    handle, tube = h * d.between(0.45, 0.65), d.between(4, 7)
    rows = [
        cylinder(r, h, rounding=1.2),
        arc(handle, tube, math.pi / 2, (r - wall, d.between(-0.1, 0.1) * h, 0), TOWARDS_X, slot=d.count(0, 1)),
        cylinder(r - wall, h, (0, 2 * wall, 0), operation=SUBTRACT, slot=2),
    ]
    return Shape(
        rows,
        (-0.8 * h, 0.7 * h),
        (d.pick(("white", "any", "pastel")), "any", d.pick(("white", "any"))),
        gloss=0.9,
        thin=True,
    )


def _jug(d: Draws) -> Shape:
    # A pitcher or a watering can: body, handle of limbs and a spout.
    r, h = d.between(32, 55), d.between(50, 85)
    rows = [cone(r, r * d.between(0.65, 1.0), h, rounding=3)]
    reach = r + d.between(25, 40)
    tube = d.between(5, 9)
    rows += [
        limb((0.8 * r, 0.6 * h, 0), (reach, 0.55 * h, 0), tube, tube),
        limb((reach, 0.55 * h, 0), (reach, -0.3 * h, 0), tube, tube),
        limb((reach, -0.3 * h, 0), (0.8 * r, -0.5 * h, 0), tube, tube),
    ]
    if d.chance(0.6):
        rows.append(limb((-0.7 * r, 0.0, 0), (-r - 30, 0.9 * h, 0), 0.3 * r, 7, slot=1))
    return Shape(rows, (-0.7 * h, 0.6 * h), ("any", "any", "any"), gloss=0.7)


def _bowl(d: Draws) -> Shape:
    r, wall = d.between(45, 130), d.between(2.5, 6)
    cut = d.between(0.0, 0.45)  # height of the rim below the middle of the sphere, as a share of the radius
    rim = r * math.sqrt(1.0 - cut * cut)
    middle = r * (0.5 + 0.5 * cut)  # brings the origin to half height
    side = 2.0 * r
    upright = d.chance(0.5)
    turn = None if upright else ALONG_Z
    up: Point = (0.0, middle, 0.0) if upright else (0.0, 0.0, middle)
    lid: Point = (0.0, middle - cut * r + side, 0.0) if upright else (0.0, 0.0, middle - cut * r + side)
    foot: Point = (0.0, middle - r + 2, 0.0) if upright else (0.0, 0.0, middle - r + 2)
    half_height = 0.5 * r * (1.0 - cut)
    rows = [ball(r, up)]
    rows.append(cylinder(r * 0.35, 4, foot, turn or _UPRIGHT))
    rows += [ball(r - wall, up, operation=SUBTRACT, slot=1), box(side, side, side, lid, operation=SUBTRACT, slot=0)]
    bound = math.hypot(rim, half_height) + 2.0
    grip = (-0.6 * half_height, 0.8 * half_height) if upright else edge_grip(d, rim)
    return Shape(
        rows,
        grip,
        (d.pick(("white", "any")), d.pick(("white", "any")), "any"),
        gloss=0.8,
        flat=not upright,
        thin=True,
        bound_mm=bound,
    )


_UPRIGHT: Turn = turn_z(0.0)


def _plate(d: Draws) -> Shape:
    r, h = d.between(55, 135), d.between(4, 13)
    flat, wall = r * d.between(0.55, 0.75), d.between(2.5, 5)
    rows = [
        cone(flat, r, h, turn=ALONG_Z, rounding=0.8),
        cone(flat - 2, r - 2, h, (0, 0, wall), ALONG_Z, operation=SUBTRACT, slot=1),
    ]
    colours = (d.pick(("white", "any")), d.pick(("white", "any")), "any")
    return Shape(rows, edge_grip(d, r), colours, gloss=0.9, flat=True, thin=True)


def _lid(d: Draws) -> Shape:
    r, h = d.between(16, 60), d.between(4, 12)
    rows = [cylinder(r, h, turn=ALONG_Z, rounding=1)]
    if d.chance(0.6):
        rows.append(cylinder(r - 2.5, h, (0, 0, -3), ALONG_Z, operation=SUBTRACT, slot=1))
    if d.chance(0.5):
        rows.append(capsule(0.1 * r + 3, 0.16 * r + 4, 5, (0, 0, h + 4), ALONG_Z, slot=2))
    return Shape(rows, (-0.6 * r, 0.6 * r), ("any", "any", "dark"), gloss=0.7, small=r < 24, flat=True, thin=True)


def _wine_glass(d: Draws) -> Shape:
    r, depth = d.between(26, 42), d.between(22, 40)
    stem, stem_half = d.between(2.8, 5), d.between(28, 48)
    wall = d.between(1.5, 2.5)
    narrow = r * d.between(0.75, 1.0)
    # A round cone, its lower end rounded and its upper end cut off, hollowed.
    low = stem_half - 20 + r  # centre of the lower sphere
    cup: Point = (0.0, low + 0.5 * depth, 0.0)
    rim = low + depth
    side = 100.0
    rows = [
        capsule(r, narrow, 0.5 * depth, cup),
        capsule(r - wall, narrow - wall, 0.5 * depth, cup, operation=SUBTRACT, slot=1),
        box(side, side, side, (0, rim + side, 0), operation=SUBTRACT),
        cylinder(stem, stem_half + 2, (0, -20, 0)),
        cone(d.between(28, 38), stem + 1, 3.5, (0, -20 - stem_half, 0), rounding=1),
    ]
    bound = max(math.hypot(rim, r), math.hypot(24 + stem_half, 38.0)) + 1.0
    grip = (-10.0 - stem_half, low + 0.5 * depth)
    return Shape(rows, grip, ("glass", d.pick(("glass", "red", "yellow")), "any"), gloss=0.6, thin=True, bound_mm=bound)


def _tube(d: Draws) -> Shape:
    # Toothpaste or cream: a cone with a flat fin at its thin end.
    r, h = d.between(13, 24), d.between(38, 75)
    rows = [
        cone(4.0, r, h, rounding=2),
        box(r, 0.3 * h, 2.2, (0, -0.75 * h, 0), rounding=1.5),
        cylinder(r * d.between(0.45, 0.95), d.between(6, 12), (0, h + 5, 0), rounding=1, slot=1),
    ]
    return Shape(rows, (-0.6 * h, 0.8 * h), (d.pick(("white", "any")), "any", "any"), gloss=0.8)


def _teapot(d: Draws) -> Shape:
    r = d.between(38, 62)
    handle = r * 0.55
    rows = [
        ellipsoid(r, 0.85 * r, r),
        arc(handle, d.between(4.5, 7), 1.7, (r * 0.9, 0, 0), TOWARDS_X, slot=1),
        limb((-0.7 * r, -0.2 * r, 0), (-1.5 * r, 0.6 * r, 0), 0.22 * r, 0.1 * r, operation=SMOOTH_UNION),
        capsule(6, 8, 4, (0, 0.9 * r, 0), slot=1),
    ]
    return Shape(rows, (-0.4 * r, 0.4 * r), ("any", "any", "any"), gloss=0.8)


def _pan(d: Draws) -> Shape:
    # In the plane x-y, the handle towards -y.
    r, h = d.between(45, 85), d.between(10, 28)
    handle = d.between(75, 120)
    middle = 0.5 * handle  # moves the origin between pan and handle
    rows = [
        cylinder(r, h, (0, middle, 0), ALONG_Z, rounding=2),
        cylinder(r - 3, h, (0, middle, 5), ALONG_Z, operation=SUBTRACT, slot=1),
        limb((0, middle - r, 0.3 * h), (0, middle - r - handle, 0.3 * h + 10), 7, 10, slot=2),
    ]
    return Shape(
        rows,
        (middle - r - 0.95 * handle, middle - r - 0.3 * handle),
        ("dark", "dark", d.pick(("dark", "wood"))),
        gloss=0.3,
    )


def _basket(d: Draws) -> Shape:
    # An open box: a tray, a drawer, a flower pot.
    x, y, z, wall = d.between(30, 80), d.between(40, 100), d.between(15, 50), d.between(2, 6)
    rows = [box(x, y, z, rounding=1.5), box(x - wall, y - wall, z, (0, 0, 2 * wall), operation=SUBTRACT, slot=1)]
    return Shape(rows, (-0.7 * y, 0.7 * y), (d.pick(("any", "wood", "cardboard")), "any", "any"), gloss=0.6, thin=True)


def _light_bulb(d: Draws) -> Shape:
    r = d.between(20, 36)
    rows = [
        ball(r, (0, 0.6 * r, 0)),
        cone(0.42 * r, 0.7 * r, 0.45 * r, (0, -0.5 * r, 0), operation=SMOOTH_UNION),
        cylinder(0.42 * r, 0.4 * r, (0, -1.2 * r, 0), rounding=2, slot=1),
    ]
    return Shape(rows, (-1.2 * r, 0.9 * r), ("white", "metal", "any"), gloss=0.7, small=d.chance(0.3))


def _tape_roll(d: Draws) -> Shape:
    r, h = d.between(18, 58), d.between(5, 26)
    rows: list[Row] = [
        cylinder(r, h, turn=ALONG_Z, rounding=0.5),
        cylinder(r * d.between(0.5, 0.8), h + 10, turn=ALONG_Z, operation=SUBTRACT, slot=1),
    ]
    return Shape(
        rows,
        (-0.5 * r, 0.5 * r),
        (d.pick(("any", "cardboard", "white")), "cardboard", "any"),
        gloss=0.7,
        small=r < 24,
        flat=True,
    )


def _kettlebell(d: Draws) -> Shape:
    # A ball with a handle above: also a bag, a bell, a padlock.
    r = d.between(22, 48)
    ring, tube = r * d.between(0.55, 0.8), r * d.between(0.12, 0.24)
    body = ball(r, (0, -0.4 * r, 0)) if d.chance(0.5) else box(r, 0.8 * r, 0.5 * r, (0, -0.4 * r, 0), rounding=0.2 * r)
    rows = [body, torus(ring, tube, (0, 0.6 * r, 0), ALONG_Z, slot=1)]
    return Shape(rows, (-0.8 * r, 0.4 * r), (d.pick(("dark", "metal", "any")), "metal", "any"), gloss=0.4)


def _roller(d: Draws) -> Shape:
    # A rolling pin: a thick cylinder between two handles.
    r, h = d.between(15, 30), d.between(50, 110)
    end = d.between(25, 45)
    rows = [cylinder(r, h, rounding=2), capsule(0.4 * r, 0.4 * r, h + end, slot=1)]
    if d.chance(0.3):
        rows.append(cylinder(2.5, 0.5 * r, (0, h + end, 0), ALONG_X, slot=1))
    return Shape(rows, (-0.7 * h, 0.7 * h), ("wood", d.pick(("wood", "any")), "any"), gloss=0.5)


VESSEL_KINDS: dict[str, Callable[[Draws], Shape]] = {
    "bottle": _bottle,
    "flask": _flask,
    "can": _can,
    "jar": _jar,
    "cup": _cup,
    "mug": _mug,
    "jug": _jug,
    "bowl": _bowl,
    "plate": _plate,
    "lid": _lid,
    "wine_glass": _wine_glass,
    "tube": _tube,
    "teapot": _teapot,
    "pan": _pan,
    "basket": _basket,
    "light_bulb": _light_bulb,
    "tape_roll": _tape_roll,
    "kettlebell": _kettlebell,
    "roller": _roller,
}
