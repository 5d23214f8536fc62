"""Kinds of held object: tools, cutlery and writing things, long along y; scissors and pliers open by a random angle."""

from __future__ import annotations

import math
from collections.abc import Callable

from graspcut.synth.objects.building_blocks import (
    ALONG_X,
    ALONG_Z,
    Draws,
    Point,
    Shape,
    ball,
    box,
    capsule,
    cone,
    cylinder,
    ellipsoid,
    limb,
    prism,
    torus,
    turn_x,
    turn_y,
    turn_z,
)
from graspcut.synth.objects.signed_distance import SUBTRACT


def _pen(d: Draws) -> Shape:
    r, h = d.between(3.2, 6.5), d.between(50, 80)
    body = prism(r * 0.9, h, slot=0) if d.chance(0.3) else cylinder(r, h, rounding=1)
    rows = [body, cone(1.0, r * 0.9, d.between(5, 9), (0, -h - 4, 0), slot=1)]
    if d.chance(0.4):
        rows.append(cylinder(r + 0.8, d.between(12, 25), (0, h - 15, 0), rounding=0.5, slot=2))
    return Shape(
        rows, (-0.9 * h, 0.4 * h), ("any", d.pick(("metal", "wood", "dark")), "any"), gloss=0.5, small=d.chance(0.8)
    )


def _hammer(d: Draws) -> Shape:
    h, r, head = d.between(95, 150), d.between(10, 15), d.between(9, 18)
    length = d.between(30, 60)
    rows = [
        limb((0, -h, 0), (0, h - head, 0), r, 0.7 * r),
        box(length * 0.55, head, head, (-0.1 * length, h - head, 0), rounding=2, slot=1)
        if d.chance(0.5)
        else cylinder(head, length * 0.6, (-0.1 * length, h - head, 0), ALONG_X, rounding=2, slot=1),
    ]
    if d.chance(0.6):
        rows.append(limb((0.3 * length, h - head, 0), (length, h - 1.6 * head, 0), head * 0.7, 3, slot=1))
    return Shape(rows, (-0.9 * h, 0.4 * h), (d.pick(("wood", "any")), "metal", "any"), gloss=0.3)


def _screwdriver(d: Draws) -> Shape:
    r, h = d.between(10, 18), d.between(35, 55)
    shaft, half = d.between(2.5, 4.5), d.between(30, 70)
    low = -half  # the middle of handle and shaft is the origin
    handle = (
        capsule(r, r * d.between(0.75, 1.0), h - r, (0, low, 0))
        if d.chance(0.6)
        else prism(r, h, (0, low, 0), rounding=3)
    )
    rows = [handle, cylinder(shaft, half + 3, (0, low + h + half - 3, 0), slot=1)]
    if d.chance(0.4):
        rows.append(cylinder(r * 0.6, 5, (0, low + h, 0), rounding=1, slot=2))
    return Shape(rows, (low - 0.8 * h, low + 0.8 * h), ("any", "metal", "dark"), gloss=0.4)


def _wrench(d: Draws) -> Shape:
    h, w, t = d.between(55, 115), d.between(6, 11), d.between(2.5, 5)
    jaw, ring = w * d.between(1.6, 2.1), w * d.between(1.3, 1.7)
    rows = [
        box(w, h, t, rounding=1.5),
        cylinder(jaw, t + 1, (0, h, 0), ALONG_Z, rounding=1),
        cylinder(ring, t + 1, (0, -h, 0), ALONG_Z, rounding=1),
        box(0.5 * jaw, jaw, t + 10, (0.15 * jaw, h + 0.7 * jaw, 0), turn_z(-0.26), operation=SUBTRACT),
        prism(0.6 * ring, t + 10, (0, -h, 0), ALONG_Z, operation=SUBTRACT),
    ]
    return Shape(rows, (-0.8 * h, 0.5 * h), ("metal", "any", "any"), gloss=0.4, thin=True)


def _knife(d: Draws) -> Shape:
    h, r = d.between(40, 60), d.between(7, 11)
    blade, width = d.between(45, 95), d.between(7, 20)
    low = -blade
    rows = [
        box(r, h, r * d.between(0.5, 0.9), (0, low, 0), rounding=d.between(2, 5)),
        box(width, blade, 0.9, (width - r, low + h + blade - 3, 0), rounding=0.4, slot=1),
        # The point: what lies beyond a sloping edge is cut away; the box is small enough to spare the handle.
        box(
            40,
            2.2 * width,
            10,
            (width - r + 40.0 + width * 0.35, low + h + 2 * blade, 0),
            turn_z(0.6),
            operation=SUBTRACT,
            slot=1,
        ),
    ]
    return Shape(
        rows, (low - 0.8 * h, low + 0.6 * h), (d.pick(("dark", "wood", "any")), "metal", "any"), gloss=0.3, thin=True
    )


def _spoon(d: Draws) -> Shape:
    h, s = d.between(45, 75), d.between(0.7, 1.3)
    x, y = 17 * s, 26 * s
    rows = [
        ellipsoid(x, y, 7 * s, (0, h + 0.6 * y, 0), slot=0),
        # A large ball hollows the bowl (an ellipsoid must not be subtracted).
        ball(60 * s, (0, h + 0.6 * y, 61.5 * s), operation=SUBTRACT),
        limb((0, h, 0), (0, -h, d.between(0, 10)), 2.2, 3.2),
    ]
    if d.chance(0.5):
        rows.append(box(6, 0.35 * h, 1.5, (0, -0.7 * h, 5), rounding=1, slot=0))
    return Shape(
        rows,
        (-0.9 * h, 0.2 * h),
        (d.pick(("metal", "wood", "any")), "any", "any"),
        gloss=0.4,
        small=d.chance(0.6),
        thin=True,
    )


def _fork(d: Draws) -> Shape:
    h, w = d.between(50, 75), d.between(9, 14)
    tines = d.between(18, 30)
    rows = [
        limb((0, -h, 0), (0, h, 0), d.between(3, 4.5), 2.2),
        box(w, 9, 1.3, (0, h + 6, 0), rounding=1),
    ]
    rows += [box(1.4, tines, 1.2, (x, h + 10 + tines, 0), rounding=0.8) for x in (-w + 1.4, 0.0, w - 1.4)]
    return Shape(
        rows,
        (-0.9 * h, 0.3 * h),
        (d.pick(("metal", "white", "wood")), "any", "any"),
        gloss=0.4,
        small=d.chance(0.6),
        thin=True,
    )


def _ladle(d: Draws) -> Shape:
    h, r = d.between(90, 140), d.between(24, 42)
    side = 2.0 * r
    rows = [
        ball(r, (0, h, 0)),
        ball(r - 2.5, (0, h, 0), operation=SUBTRACT),
        box(side, side, side, (0, h, side), operation=SUBTRACT),
        limb((0, h - r + 1, 0), (0, -h, d.between(5, 30)), 3.5, d.between(4, 8), slot=1),
    ]
    return Shape(
        rows,
        (-0.9 * h, 0.3 * h),
        (d.pick(("metal", "any")), d.pick(("metal", "any", "wood")), "any"),
        gloss=0.3,
        thin=True,
    )


def _whisk(d: Draws) -> Shape:
    h, r = d.between(45, 65), d.between(20, 34)
    wire = d.between(1.3, 2.2)
    middle = h
    rows = [limb((0, -2 * h + middle - 40, 0), (0, middle - 40, 0), d.between(8, 12), 6)]
    # Four wire loops would be usual; two crossing rings look alike and cost half.
    rows += [torus(r, wire, (0, middle - 40 + r, 0), turn, slot=1) for turn in (ALONG_X, ALONG_Z)]
    return Shape(
        rows,
        (middle - 40 - 1.8 * h, middle - 50),
        (d.pick(("metal", "wood", "any")), "metal", "any"),
        gloss=0.2,
        thin=True,
    )


def _spatula(d: Draws) -> Shape:
    h, x, y = d.between(60, 100), d.between(20, 42), d.between(25, 50)
    tilt = d.between(0.0, 0.4)
    rows = [
        limb((0, -h, 0), (0, h - y, 0), d.between(7, 11), 4.5),
        box(x, y, 1.3, (0, h - 3, y * math.sin(tilt)), turn_x(tilt), rounding=0.6, slot=1),
    ]
    return Shape(
        rows, (-0.9 * h, 0.0), (d.pick(("wood", "dark", "any")), d.pick(("metal", "any")), "any"), gloss=0.5, thin=True
    )


def _brush(d: Draws) -> Shape:
    # Hair brush, dustpan brush or paint brush.
    h, r = d.between(50, 80), d.between(8, 13)
    x, y, z = d.between(14, 32), d.between(25, 60), d.between(4, 8)
    bristle = d.between(8, 30)
    if d.chance(0.35):
        rows = [
            limb((0, -h - 0.5 * y, 0), (0, h - 0.5 * y, 0), 0.6 * r, r),
            box(x, 12, z, (0, h - 0.5 * y + 8, 0), rounding=1, slot=1),
            box(0.95 * x, bristle, 0.8 * z, (0, h - 0.5 * y + 18 + bristle, 0), rounding=1, slot=2),
        ]
    else:
        rows = [
            limb((0, -h - 0.5 * y, 0), (0, h - 0.5 * y, 0), r, 0.75 * r),
            box(x, y, z, (0, h + 0.3 * y, 0), rounding=4, slot=0),
            box(0.8 * x, 0.85 * y, 0.5 * bristle, (0, h + 0.3 * y, z + 0.5 * bristle - 1), rounding=2, slot=2),
        ]
    return Shape(
        rows,
        (-0.9 * h - 0.5 * y, 0.4 * h - 0.5 * y),
        (d.pick(("wood", "any", "dark")), "metal", d.pick(("dark", "cream"))),
        gloss=0.4,
    )


def _toothbrush(d: Draws) -> Shape:
    h, r = d.between(55, 75), d.between(4.5, 7.5)
    rows = [
        limb((0, -h, 0), (0, 0.3 * h, d.between(0, 5)), r, 0.8 * r),
        box(3.2, 0.35 * h + 8, 2.4, (0, 0.65 * h, 2), rounding=1.5),
        box(5.5, 13, 6, (0, h, 7), rounding=1.5, slot=1),
    ]
    return Shape(rows, (-0.9 * h, 0.2 * h), ("any", "white", "any"), gloss=0.4, small=d.chance(0.3))


def _scissors(d: Draws) -> Shape:
    # Two halves crossing at the pivot, which lies above the origin; blades towards +y, rings towards -y.
    s, opening = d.between(0.7, 1.35), d.between(0.02, 0.5)
    blade, shank, ring, thick = 48 * s, 26 * s, d.between(11, 15) * s, 1.2 * s
    pivot = 0.5 * (shank + 2 * ring - 2 * blade) + 15 * s
    rows = []
    for side in (-1.0, 1.0):
        c, sine = math.cos(side * opening), math.sin(side * opening)
        z = side * thick
        rows.append(
            box(
                6 * s,
                blade,
                thick,
                (-sine * blade * 0.85, pivot + c * blade * 0.85, z),
                turn_z(side * opening),
                rounding=0.5,
                slot=1,
            )
        )
        # The handle leaves the pivot towards the other side of the blade and bends outwards.
        end: Point = (side * (ring * 0.75 + shank * abs(sine)), pivot - shank, z)
        rows.append(limb((0, pivot, z), end, 4 * s, 3.5 * s))
        rows.append(torus(ring, 3.3 * s, (end[0] + side * 2, end[1] - ring, z), ALONG_Z))
    return Shape(
        rows,
        (pivot - shank - ring, pivot - 0.4 * shank),
        (d.pick(("paint", "dark")), "metal", "any"),
        gloss=0.3,
        thin=True,
    )


def _pliers(d: Draws) -> Shape:
    s, opening = d.between(0.7, 1.2), d.between(0.05, 0.35)
    pivot, t = 45 * s, d.between(4, 6.5) * s
    rows = [cylinder(11 * s, t * 1.15, (0, pivot, 0), ALONG_Z, rounding=1, slot=1)]
    for side in (-1.0, 1.0):
        c, sine = math.cos(side * opening), math.sin(side * opening)
        jaw = 24 * s
        rows.append(
            box(
                6.5 * s,
                jaw,
                0.8 * t,
                (-sine * jaw * 0.9 + side * 6.5 * s, pivot + c * jaw * 0.9, 0),
                turn_z(side * opening),
                rounding=1.5,
                slot=1,
            )
        )
        knee: Point = (side * (13 + 45 * abs(sine)) * s, pivot - 45 * s, 0.0)
        rows.append(limb((0, pivot, 0), knee, 6 * s, 6.5 * s, slot=0))
        rows.append(limb(knee, (knee[0] * (0.8 + abs(sine)), pivot - 125 * s, 0), 6.5 * s, 6 * s, slot=0))
    return Shape(rows, (pivot - 110 * s, pivot - 35 * s), ("paint", "metal", "any"), gloss=0.3)


def _tongs(d: Draws) -> Shape:
    # Tweezers, tongs or a clothes peg: two legs joined at one end.
    h, opening = d.between(28, 110), d.between(0.04, 0.2)
    r = d.between(0.035, 0.06) * h + 1.2
    x = 2 * h * math.sin(opening)
    rows = [
        limb((0, -h, 0), (x, h, 0), r * 1.2, r),
        limb((0, -h, 0), (-x, h, 0), r * 1.2, r, slot=d.count(0, 1)),
    ]
    return Shape(rows, (-0.6 * h, 0.2 * h), (d.pick(("metal", "wood", "any")), "any", "any"), gloss=0.4, small=h < 60)


def _key(d: Draws) -> Shape:
    s = d.between(0.8, 1.6)
    bow, t = d.between(9, 13) * s, 1.3 * s
    rows = [
        cylinder(bow, t, (0, -18 * s, 0), ALONG_Z, rounding=0.5, slot=d.count(0, 1)),
        cylinder(0.35 * bow, 10, (0, -22 * s, 0), ALONG_Z, operation=SUBTRACT),
        box(3 * s, 20 * s, t, (0, 10 * s, 0), rounding=0.5),
        box(2.2 * s, 5 * s, t, (4 * s, 20 * s, 0), rounding=0.4),
    ]
    return Shape(
        rows,
        (-24 * s, -10 * s),
        (d.pick(("metal", "metal", "yellow")), "dark", "any"),
        gloss=0.3,
        small=True,
        flat=True,
        thin=True,
    )


def _torch(d: Draws) -> Shape:
    r, h = d.between(10, 19), d.between(35, 90)
    head = r * d.between(1.2, 1.9)
    rows = [
        cylinder(r, h, (0, -8, 0), rounding=1.5),
        cone(r, head, 9, (0, h, 0), rounding=1),
        cylinder(head, d.between(5, 14), (0, h + 14, 0), rounding=1, slot=1),
    ]
    return Shape(
        rows, (-0.8 * h, 0.7 * h), (d.pick(("dark", "metal", "any")), d.pick(("dark", "metal")), "any"), gloss=0.4
    )


def _microphone(d: Draws) -> Shape:
    r, h = d.between(11, 16), d.between(55, 85)
    head = r * d.between(1.4, 1.9)
    rows = [limb((0, -h, 0), (0, h - 10, 0), 0.75 * r, r), ball(head, (0, h + 8, 0), slot=1)]
    return Shape(rows, (-0.85 * h, 0.6 * h), ("dark", d.pick(("metal", "dark", "any")), "any"), gloss=0.2)


def _bat(d: Draws) -> Shape:
    # Table-tennis bat, hand mirror, magnifying glass, fly swatter: a flat disc on a handle.
    r, h = d.between(35, 80), d.between(40, 70)
    t = d.between(2, 7)
    middle = h
    rows = [
        cylinder(r, t, (0, middle, 0), ALONG_Z, rounding=1, slot=1),
        box(d.between(8, 14), h, max(t, 5) + d.between(1, 5), (0, middle - r - 0.8 * h, 0), rounding=4, slot=0),
    ]
    if d.chance(0.3):
        rows.insert(1, cylinder(0.85 * r, 30, (0, middle, 0), ALONG_Z, operation=SUBTRACT))
    return Shape(
        rows,
        (middle - r - 1.6 * h, middle - r - 0.2 * h),
        (d.pick(("wood", "any")), d.pick(("any", "red", "dark")), "any"),
        gloss=0.5,
        thin=True,
    )


def _saw(d: Draws) -> Shape:
    # A saw or a trowel: a wide thin blade beyond a closed or plain handle.
    h, x = d.between(50, 90), d.between(18, 38)
    rows = [
        box(x, h, 1.0, (0, 0.55 * h, 0), turn_z(d.between(-0.1, 0.1)), rounding=0.4, slot=1),
        box(x * 0.9, 38, 9, (0, -0.45 * h - 30, 0), rounding=4),
        capsule(13, 13, 12, (0, -0.45 * h - 30, 0), operation=SUBTRACT),
    ]
    return Shape(
        rows, (-0.45 * h - 60, -0.45 * h - 10), (d.pick(("wood", "any", "dark")), "metal", "any"), gloss=0.4, thin=True
    )


def _comb(d: Draws) -> Shape:
    # The teeth are one thin plate: at the camera's resolution they run together.
    h, x = d.between(50, 95), d.between(5, 9)
    rows = [
        box(x, h, d.between(1.8, 3.5), rounding=1),
        box(d.between(8, 14), 0.6 * h, 0.9, (1.5 * x, 0.35 * h, 0), turn_y(0.0), rounding=0.4),
    ]
    return Shape(rows, (-0.9 * h, 0.3 * h), gloss=0.5, small=d.chance(0.4), flat=True, thin=True)


TOOL_KINDS: dict[str, Callable[[Draws], Shape]] = {
    "pen": _pen,
    "hammer": _hammer,
    "screwdriver": _screwdriver,
    "wrench": _wrench,
    "knife": _knife,
    "spoon": _spoon,
    "fork": _fork,
    "ladle": _ladle,
    "whisk": _whisk,
    "spatula": _spatula,
    "brush": _brush,
    "toothbrush": _toothbrush,
    "scissors": _scissors,
    "pliers": _pliers,
    "tongs": _tongs,
    "key": _key,
    "torch": _torch,
    "microphone": _microphone,
    "bat": _bat,
    "saw": _saw,
    "comb": _comb,
}
