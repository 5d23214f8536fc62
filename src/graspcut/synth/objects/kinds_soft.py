"""Kinds of held object: fruit, toys, cloth, paper and hand-shaped devices - smooth, bent or soft-looking things."""

from __future__ import annotations

import math
from collections.abc import Callable

from graspcut.synth.objects.building_blocks import (
    ALONG_Z,
    Draws,
    Point,
    Row,
    Shape,
    arc,
    ball,
    box,
    capsule,
    cylinder,
    edge_grip,
    ellipsoid,
    limb,
    pointing,
    sheet,
    torus,
    turn_x,
    turn_y,
    turn_z,
)
from graspcut.synth.objects.signed_distance import SMOOTH_UNION, SUBTRACT


def _cloth(d: Draws) -> Shape:
    x, y = d.between(45, 130), d.between(55, 140)
    length_x, length_y = d.between(50, 160), d.between(50, 160)
    if d.chance(0.6):  # hanging folds rather than an egg box
        length_x, length_y = (length_x, 5 * length_y) if d.chance(0.5) else (5 * length_x, length_y)
    # The steeper the waves, the smaller the steps of sphere tracing: the slope stays below 0.7.
    amplitude = d.between(0.02, 0.11) * min(length_x, length_y)
    rows = [sheet(x, d.between(0.7, 1.8), y, (amplitude, length_x, length_y), turn=ALONG_Z)]
    if d.chance(0.4):
        # A second layer hanging down from a fold.
        rows.append(
            sheet(
                x * 0.9,
                1.0,
                0.5 * y,
                (amplitude, length_y, length_x),
                (0, 0.4 * y, -amplitude - 3),
                turn_x(math.pi / 2 + d.between(-0.5, 0.5)),
            )
        )
    colours = (d.pick(("any", "white", "pastel")), "any", "any")
    return Shape(rows, edge_grip(d, y), colours, gloss=0.0, small=d.chance(0.5), flat=True, thin=True)


def _towel(d: Draws) -> Shape:
    # Cloth gathered in the hand, hanging down in a widening bundle of folds.
    r, h = d.between(9, 18), d.between(45, 110)
    wide = r * d.between(1.3, 3.0)
    rows = [limb((0, h, 0), (0, -h, 0), r, wide)]
    for _ in range(d.count(1, 3)):
        x, z = d.between(-0.9, 0.9) * wide, d.between(-0.9, 0.9) * wide
        rows.append(
            limb(
                (0.3 * x, 0.8 * h, 0.3 * z),
                (x, -h - d.between(-20, 25), z),
                0.7 * r,
                d.between(0.4, 0.8) * wide,
                operation=SMOOTH_UNION,
            )
        )
    return Shape(rows, (0.2 * h, 0.9 * h), (d.pick(("any", "white", "pastel")), "any", "any"), gloss=0.0)


def _paper(d: Draws) -> Shape:
    x, y = d.between(35, 105), d.between(50, 148)
    style = d.unit()
    if style < 0.35:
        rows = [box(x, y, 0.6, rounding=0.3)]
    elif style < 0.7:
        # Folded once along y.
        angle = d.between(0.1, 1.2)
        half = 0.5 * x
        shift, lift = half * math.cos(angle), half * math.sin(angle) * 0.5
        rows = [
            box(half, y, 0.6, (shift, 0, half * math.sin(angle) - lift), turn_y(-angle), rounding=0.3),
            box(half, y, 0.6, (-shift, 0, half * math.sin(angle) - lift), turn_y(angle), rounding=0.3),
        ]
    else:
        # Bent by its own weight: less than one wave over its length.
        rows = [sheet(x, 0.6, y, (d.between(4, 12), 4.0 * x, d.between(3.0, 5.0) * y), turn=ALONG_Z)]
    colours = (d.pick(("paper", "paper", "any")), "any", "any")
    return Shape(rows, edge_grip(d, y), colours, gloss=0.7, small=d.chance(0.6), flat=True, thin=True)


def _plush(d: Draws) -> Shape:
    s = d.between(0.7, 1.9)
    x, y, z = 26 * s * d.between(0.85, 1.2), 34 * s * d.between(0.85, 1.2), 22 * s * d.between(0.85, 1.1)
    head = 22 * s * d.between(0.8, 1.2)
    top = y + 0.6 * head
    rows = [
        ellipsoid(x, y, z),
        ellipsoid(head, head * 0.9, head * 0.95, (0, top, 0.1 * head), operation=SMOOTH_UNION, slot=d.count(0, 1)),
    ]
    arm, leg = 8 * s * d.between(0.8, 1.2), 10 * s * d.between(0.8, 1.2)
    ear = head * d.between(0.25, 0.5)
    for side in (-1.0, 1.0):
        hand: Point = (side * (x + 16 * s), 0.5 * y * d.between(-1, 1.5), d.between(-5, 14) * s)
        rows.append(limb((side * 0.7 * x, 0.5 * y, 0), hand, arm, arm, operation=SMOOTH_UNION))
        foot: Point = (side * 0.8 * x, -y - d.between(-5, 8) * s, d.between(0, 18) * s)
        rows.append(limb((side * 0.5 * x, -0.6 * y, 0), foot, leg, leg, operation=SMOOTH_UNION))
        if d.chance(0.7):
            rows.append(
                ellipsoid(
                    0.7 * ear,
                    ear * d.between(0.8, 2),
                    0.5 * ear,
                    (side * 0.7 * head, top + 0.8 * head, 0),
                    operation=SMOOTH_UNION,
                )
            )
    return Shape(
        rows, (-0.6 * y, 0.7 * y), (d.pick(("plush", "any", "pastel")), d.pick(("plush", "any")), "any"), gloss=0.0
    )


def _banana(d: Draws) -> Shape:
    r, ring, half = d.between(13, 19), d.between(75, 130), d.between(75, 100)
    angle = half / ring
    offset = -0.5 * ring * (1.0 + math.cos(angle))
    end_x, end_y = offset + ring * math.cos(angle), ring * math.sin(angle)
    # Ends point along the arc's tangent.
    tangent_x, tangent_y = -math.sin(angle), math.cos(angle)
    rows = [
        arc(ring, r, 0.75 * angle, (offset, 0, 0), turn_z(-math.pi / 2)),
        limb(
            (offset + ring * math.cos(0.75 * angle), ring * math.sin(0.75 * angle), 0),
            (end_x + 16 * tangent_x, end_y + 16 * tangent_y, 0),
            0.98 * r,
            4.0,
            operation=SMOOTH_UNION,
        ),
        limb(
            (offset + ring * math.cos(0.75 * angle), -ring * math.sin(0.75 * angle), 0),
            (end_x, -end_y, 0),
            0.98 * r,
            5.0,
            operation=SMOOTH_UNION,
        ),
    ]
    return Shape(rows, (-0.6 * half, 0.6 * half), ("yellow", "leather", "any"), gloss=0.4)


def _apple(d: Draws) -> Shape:
    r = d.between(26, 46)
    rows = [
        ellipsoid(r, 0.9 * r, r),
        ball(0.35 * r, (0, 1.1 * r, 0), operation=SUBTRACT),
        limb((0, 0.7 * r, 0), (3, 1.1 * r, 1), 1.5, 1.8, slot=1),
    ]
    return Shape(rows, (-0.5 * r, 0.5 * r), (d.pick(("red", "green", "yellow")), "leather", "any"), gloss=0.5)


def _pear(d: Draws) -> Shape:
    # Also an aubergine, an avocado, a gourd.
    r = d.between(22, 38)
    rows = [
        capsule(r, r * d.between(0.35, 0.65), r * d.between(0.5, 0.9)),
        limb((0, r, 0), (4, 1.9 * r, 0), 1.8, 2.2, slot=1),
    ]
    return Shape(rows, (-0.7 * r, 0.7 * r), (d.pick(("green", "yellow", "dark")), "leather", "any"), gloss=0.4)


def _berry(d: Draws) -> Shape:
    # Cherry, grape, nut, small tomato, bead.
    r = d.between(7, 16)
    rows = [ellipsoid(r, r * d.between(0.8, 1.4), r)]
    if d.chance(0.5):
        rows.append(limb((0, r, 0), (d.between(-10, 10), r + d.between(5, 35), d.between(-8, 8)), 1.2, 1.2, slot=1))
    return Shape(
        rows, (-0.4 * r, 0.4 * r), (d.pick(("red", "green", "leather", "any")), "green", "any"), gloss=0.4, small=True
    )


def _carrot(d: Draws) -> Shape:
    # Carrot, cucumber, sweetcorn, bread roll: long, round, a little bent.
    r, h = d.between(11, 30), d.between(55, 110)
    end = r * d.between(0.2, 0.95)
    bend = d.between(-0.12, 0.12) * h
    rows = [
        limb((0, -h + r, 0), (bend, 0, 0), r, 0.5 * (r + end)),
        limb((bend, 0, 0), (0, h - end, 0), 0.5 * (r + end), end, operation=SMOOTH_UNION),
    ]
    return Shape(rows, (-0.7 * h, 0.6 * h), (d.pick(("red", "green", "wood", "yellow")), "green", "any"), gloss=0.3)


def _doughnut(d: Draws) -> Shape:
    ring = d.between(20, 36)
    tube = ring * d.between(0.45, 0.75)
    return Shape(
        [torus(ring, tube, turn=ALONG_Z)],
        (-0.5 * ring, 0.5 * ring),
        (d.pick(("wood", "leather", "any")), "any", "any"),
        gloss=0.2,
        flat=True,
    )


def _sponge(d: Draws) -> Shape:
    x, y, z = d.between(22, 42), d.between(38, 65), d.between(9, 22)
    rows = [box(x, y, z, rounding=d.between(3, 8))]
    if d.chance(0.5):
        rows.append(box(x + 0.5, y + 0.5, 2.5, (0, 0, z), rounding=1, slot=1))
    return Shape(rows, (-0.7 * y, 0.7 * y), ("any", "green", "any"), gloss=0.1)


def _case(d: Draws) -> Shape:
    # Glasses case or purse.
    x, y, z = d.between(24, 38), d.between(60, 85), d.between(14, 24)
    row = ellipsoid(x * 1.1, y * 1.1, z * 1.1) if d.chance(0.3) else box(x, y, z, rounding=0.8 * z)
    return Shape([row], (-0.7 * y, 0.7 * y), (d.pick(("leather", "dark", "any")), "any", "any"), gloss=0.3)


def _wallet(d: Draws) -> Shape:
    x, y, z = d.between(32, 50), d.between(45, 95), d.between(4, 12)
    rows = [box(x, y, z, rounding=d.between(2, 4))]
    if d.chance(0.4):
        rows.append(box(0.25 * x, 8, z + 1.5, (0.8 * x, 0, 0), rounding=2, slot=1))
    return Shape(rows, (-0.7 * y, 0.7 * y), ("leather", "dark", "any"), gloss=0.2, flat=True)


def _mouse(d: Draws) -> Shape:
    x, y, z = d.between(27, 35), d.between(46, 62), d.between(16, 24)
    rows = [
        ellipsoid(x, y, 1.5 * z, (0, 0, -0.5 * z)),
        box(2 * x, 2 * y, z, (0, 0, -1.7 * z), operation=SUBTRACT, slot=1),
        cylinder(9, 3, (0, 0.55 * y, 0.55 * z), pointing(1, 0, 0), rounding=1, slot=1),
    ]
    return Shape(rows, (-0.6 * y, 0.4 * y), (d.pick(("dark", "white", "grey")), "grey", "any"), gloss=0.4)


def _game_controller(d: Draws) -> Shape:
    # Long along y: one grip at each end.
    s = d.between(0.85, 1.15)
    y = d.between(46, 58) * s
    rows = [box(26 * s, y, 14 * s, rounding=11 * s)]
    for side in (-1.0, 1.0):
        rows.append(
            limb(
                (0, side * 0.95 * y, 0),
                (-52 * s, side * (y + 16 * s), -10 * s),
                20 * s,
                d.between(11, 16) * s,
                operation=SMOOTH_UNION,
            )
        )
    rows += [
        cylinder(8 * s, 9 * s, (-8 * s, side * 0.45 * y, 14 * s), ALONG_Z, rounding=2, slot=1) for side in (-1.0, 1.0)
    ]
    side = d.pick((-1.0, 1.0))
    low, high = sorted((side * 0.75 * y, side * 1.2 * y))
    return Shape(rows, (low, high), (d.pick(("dark", "white", "any")), "dark", "any"), gloss=0.4)


def _headphones(d: Draws) -> Shape:
    ring, tube = d.between(65, 85), d.between(4, 8)
    r = d.between(24, 38)
    # The band passes through the origin along y, where a hand takes it; the origin lies half way to the ear pieces.
    rows = [arc(ring, tube, math.pi / 2, (-ring, 0, 0), turn_z(-math.pi / 2))]
    rows += [cylinder(r, 12, (-ring - 10, side * ring, 0), rounding=5, slot=1) for side in (-1.0, 1.0)]
    return Shape(rows, (-0.3 * ring, 0.3 * ring), (d.pick(("dark", "white", "any")), "dark", "any"), gloss=0.3)


def _glasses(d: Draws) -> Shape:
    # Spectacles: two rims in the plane x-y and two side pieces towards -z, folded or open.
    r, tube = d.between(19, 27), d.between(1.5, 3)
    x = r + d.between(7, 10)
    folded = d.chance(0.5)
    rows: list[Row] = []
    for side in (-1.0, 1.0):
        rows.append(torus(r, tube, (0, side * x, 0), ALONG_Z))
        tip: Point = (0.3 * r, -side * 0.8 * x, -6.0 - 3 * side) if folded else (0.3 * r, side * (x + r), -110.0)
        rows.append(limb((0.3 * r, side * (x + r), -3), tip, tube + 0.5, tube))
    rows.append(limb((0.3 * r, -0.35 * x, 0), (0.3 * r, 0.35 * x, 0), tube, tube))
    return Shape(
        rows,
        (0.3 * x, 1.6 * x),
        (d.pick(("dark", "metal", "any")), "any", "any"),
        gloss=0.2,
        small=d.chance(0.5),
        flat=True,
        thin=True,
    )


def _bag(d: Draws) -> Shape:
    # A pouch or a crisp packet: pillow with flat seams.
    x, y, z = d.between(35, 75), d.between(45, 100), d.between(12, 30)
    rows = [box(x, y, z, rounding=0.9 * z), box(x - 2, y + d.between(5, 10), 1.2, rounding=0.5, slot=1)]
    return Shape(rows, (-0.6 * y, 0.6 * y), ("any", "any", "any"), gloss=0.4)


def _blob(d: Draws) -> Shape:
    # A stone, a lump of clay, a toy animal: nothing in particular but smooth.
    size = d.between(14, 50)
    rows = [ellipsoid(size * d.between(0.5, 1), size, size * d.between(0.45, 1))]
    for i in range(d.count(0, 3)):
        at: Point = (d.between(-0.4, 0.4) * size, d.between(-0.6, 0.6) * size, d.between(-0.4, 0.4) * size)
        turn = pointing(d.between(-1, 1), d.between(0.1, 1), d.between(-1, 1))
        row = ellipsoid(
            size * d.between(0.3, 0.7),
            size * d.between(0.4, 0.9),
            size * d.between(0.3, 0.7),
            at,
            turn,
            operation=SMOOTH_UNION,
            slot=i % 2,
        )
        rows.append(row)
    return Shape(
        rows, (-0.4 * size, 0.4 * size), (d.pick(("grey", "any", "wood")), "any", "any"), gloss=0.2, small=size < 18
    )


def _duck(d: Draws) -> Shape:
    # A bath duck or bird figure.
    s = d.between(0.6, 1.5)
    rows = [
        ellipsoid(22 * s, 30 * s, 20 * s),
        ball(16 * s * d.between(0.85, 1.1), (0, 16 * s, 25 * s), operation=SMOOTH_UNION),
        limb((0, 28 * s, 24 * s), (0, 40 * s, 22 * s), 6 * s, 3 * s, slot=1),
        limb((0, -20 * s, 5 * s), (0, -40 * s, 18 * s), 9 * s, 3 * s, operation=SMOOTH_UNION),
    ]
    return Shape(rows, (-18 * s, 14 * s), (d.pick(("yellow", "any")), "red", "any"), gloss=0.5, small=s < 0.7)


def _doll(d: Draws) -> Shape:
    # A stiff figure: peg doll, chess man, action figure.
    s = d.between(0.6, 1.7)
    r = 9 * s
    rows = [
        limb((0, -40 * s, 0), (0, 15 * s, 0), r * d.between(0.9, 1.5), r * 0.8),
        ball(r * d.between(0.9, 1.3), (0, 30 * s, 0), slot=1),
    ]
    if d.chance(0.6):
        rows += [
            limb(
                (side * 5 * s, 12 * s, 0),
                (side * d.between(14, 28) * s, d.between(-15, 30) * s, 0),
                4 * s,
                3.5 * s,
                slot=2,
            )
            for side in (-1.0, 1.0)
        ]
    return Shape(rows, (-40 * s, 8 * s), ("any", "cream", "any"), gloss=0.5, small=s < 0.9)


SOFT_KINDS: dict[str, Callable[[Draws], Shape]] = {
    "cloth": _cloth,
    "towel": _towel,
    "paper": _paper,
    "plush": _plush,
    "banana": _banana,
    "apple": _apple,
    "pear": _pear,
    "berry": _berry,
    "carrot": _carrot,
    "doughnut": _doughnut,
    "sponge": _sponge,
    "case": _case,
    "wallet": _wallet,
    "mouse": _mouse,
    "game_controller": _game_controller,
    "headphones": _headphones,
    "glasses": _glasses,
    "bag": _bag,
    "blob": _blob,
    "duck": _duck,
    "doll": _doll,
}
