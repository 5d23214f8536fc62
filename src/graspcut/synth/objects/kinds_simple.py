"""Kinds of held object: plain solids and things made of a few boxes and cylinders."""

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
    pointing,
    prism,
    torus,
    turn_x,
    turn_y,
    turn_z,
)
from graspcut.synth.objects.signed_distance import INTERSECT, SMOOTH_UNION, SUBTRACT


def _box(d: Draws) -> Shape:
    x, y, z = d.between(18, 50), d.between(35, 100), d.between(10, 35)
    rows = [box(x, y, z, rounding=d.between(0.3, 4))]
    return Shape(rows, (-0.8 * y, 0.8 * y), (d.pick(("any", "cardboard", "white")), "any", "any"), gloss=0.8)


def _carton(d: Draws) -> Shape:
    # Large enough to hide the palm and most fingers.
    x, y, z = d.between(40, 110), d.between(60, 130), d.between(25, 80)
    return Shape(
        [box(x, y, z, rounding=d.between(0.3, 3))], (-0.7 * y, 0.7 * y), ("cardboard", "any", "any"), gloss=0.6
    )


def _book(d: Draws) -> Shape:
    x, y, z = d.between(45, 105), d.between(65, 150), d.between(3, 16)
    # The block of pages stands back behind the covers on the open side.
    rows = [box(x, y, z, rounding=0.6)]
    if z > 6:
        rows += [box(4, y + 1, z - 2, (x, 0, 0), operation=SUBTRACT, slot=1)]
    return Shape(rows, edge_grip(d, y), ("any", "paper", "any"), gloss=0.5, flat=True)


def _open_book(d: Draws) -> Shape:
    x, y, z = d.between(35, 75), d.between(50, 110), d.between(2, 9)
    angle = d.between(0.1, 0.6)
    shift = x * math.cos(angle)
    lift = x * math.sin(angle) * 0.5
    rows = [
        box(x, y, z, (shift, 0, -lift + x * 0.5 * math.sin(angle)), turn_y(-angle), rounding=0.6),
        box(x, y, z, (-shift, 0, -lift + x * 0.5 * math.sin(angle)), turn_y(angle), rounding=0.6),
    ]
    return Shape(rows, edge_grip(d, y), ("paper", "any", "any"), gloss=0.6, flat=True, thin=True)


def _cube(d: Draws) -> Shape:
    h = d.between(15, 40)
    rows = [box(h, h, h, rounding=d.between(0.3, 0.15 * h))]
    return Shape(rows, (-0.6 * h, 0.6 * h), (d.pick(("white", "any", "wood")), "any", "any"), gloss=1.0, small=h < 19)


def _die(d: Draws) -> Shape:
    h = d.between(7, 15)
    rows = [box(h, h * d.between(0.8, 1.3), h * d.between(0.6, 1.0), rounding=d.between(0.5, 3))]
    return Shape(rows, (-0.5 * h, 0.5 * h), gloss=0.7, small=True)


def _bar(d: Draws) -> Shape:
    r, h = d.between(6, 20), d.between(40, 150)
    turn = turn_y(d.between(0, 1.57))
    style = d.unit()
    if style < 0.55:
        rows = [box(r, h, r * d.between(0.6, 1.0), turn=turn, rounding=d.between(0.3, 0.3 * r))]
    elif style < 0.9:
        rows = [cylinder(r, h, rounding=d.between(0.3, 0.5 * r))]
    else:
        rows = [prism(r, h, turn=turn, rounding=0.5)]
    return Shape(rows, (-0.85 * h, 0.85 * h), (d.pick(("any", "wood", "red")), "any", "any"), gloss=0.6)


def _stick(d: Draws) -> Shape:
    # As thick and as long as a finger: sausage, chalk, marker, crayon.
    r, h = d.between(5.5, 12), d.between(25, 75)
    colours = (d.pick(("any", "cream", "white", "plush")), "any", "any")
    if d.chance(0.3):
        bend = d.between(0.15, 0.6)
        ring = h / bend
        row = arc(ring, r, bend, (-ring * (0.5 + 0.5 * math.cos(bend)), 0, 0), turn_z(-math.pi / 2))
        return Shape([row], (-0.7 * h, 0.7 * h), colours, gloss=0.3)
    row = (
        capsule(r, r * d.between(0.7, 1.0), h - r)
        if d.chance(0.6)
        else cylinder(r, h, rounding=d.between(0.5, 0.5 * r))
    )
    return Shape([row], (-0.7 * h, 0.7 * h), colours, gloss=0.5, small=d.chance(0.4))


def _crayons(d: Draws) -> Shape:
    # Several finger-like rods side by side, like the fingers of a hand.
    count, r, h = d.count(2, 4), d.between(5, 9.5), d.between(35, 75)
    rows = []
    for i in range(count):
        x = (i - 0.5 * (count - 1)) * 2.0 * r
        rows.append(
            limb(
                (x, -h + r, 0),
                (x * d.between(0.9, 1.3), h - r + d.between(-12, 12), d.between(-4, 4)),
                r,
                r * 0.85,
                slot=i % 3,
            )
        )
    return Shape(rows, (-0.7 * h, 0.5 * h), ("any", "any", "any"), gloss=0.4)


def _ball(d: Draws) -> Shape:
    r = d.between(8, 55) if d.chance(0.8) else d.between(55, 115)
    return Shape([ball(r)], (-0.3 * r, 0.3 * r), gloss=0.5, small=r < 17)


def _egg(d: Draws) -> Shape:
    r = d.between(18, 26)
    rows = [ellipsoid(r, r * d.between(1.2, 1.4), r)]
    return Shape(
        rows, (-0.5 * r, 0.5 * r), (d.pick(("cream", "white", "pastel")), "any", "any"), gloss=0.6, small=d.chance(0.4)
    )


def _ring(d: Draws) -> Shape:
    ring = d.between(22, 95)
    tube = d.between(0.08, 0.3) * ring
    tube = min(max(tube, 3.0), 20.0)
    # In the plane x-y; half of the time the origin is moved to where the ring runs along y, so that it is held there.
    centre = (-ring, 0.0, 0.0) if d.chance(0.5) else (0.0, 0.0, 0.0)
    return Shape([torus(ring, tube, centre, ALONG_Z)], (-0.3 * ring, 0.3 * ring), gloss=0.4, flat=True)


def _cone(d: Draws) -> Shape:
    r, h = d.between(15, 50), d.between(25, 90)
    rows = [cone(r, r * d.between(0.0, 0.35), h, rounding=d.between(0.5, 3))]
    if d.chance(0.3):
        rows.append(cylinder(r * 1.3, 2.5, (0, -h, 0), rounding=1, slot=1))
    return Shape(rows, (-0.6 * h, 0.4 * h), gloss=0.7)


def _hexagonal_prism(d: Draws) -> Shape:
    r, h = d.between(9, 35), d.between(15, 90)
    rows = [prism(r, h, turn=turn_y(d.between(0, 1)), rounding=d.between(0.3, 3))]
    return Shape(rows, (-0.7 * h, 0.7 * h), gloss=0.7, small=r < 14 and h < 30)


def _nut(d: Draws) -> Shape:
    r = d.between(8, 20)
    h = r * d.between(0.35, 0.7)
    rows = [
        prism(r, h, turn=ALONG_Z, rounding=1),
        cylinder(r * d.between(0.45, 0.65), h + 3, turn=ALONG_Z, operation=SUBTRACT),
    ]
    return Shape(rows, (-0.4 * r, 0.4 * r), ("metal", "any", "any"), gloss=0.5, small=True, flat=True)


def _coin(d: Draws) -> Shape:
    r = d.between(9, 28)
    rows = [cylinder(r, d.between(1, 4.5), turn=ALONG_Z, rounding=0.6)]
    return Shape(
        rows, (-0.4 * r, 0.4 * r), (d.pick(("metal", "any")), "any", "any"), gloss=0.5, small=True, flat=True, thin=True
    )


def _cross(d: Draws) -> Shape:
    r, h = d.between(6, 16), d.between(35, 90)
    y = d.between(-0.1, 0.5) * h
    rows = [
        box(r, h, r, rounding=1),
        box(h * d.between(0.4, 0.8), r, r * 0.98, (0, y, 0), rounding=1, slot=d.count(0, 1)),
    ]
    if d.chance(0.3):
        rows.append(box(r * 0.98, r, h * 0.6, (0, y, 0), rounding=1, slot=1))
    return Shape(rows, (-0.8 * h, y - r if y > 0 else -0.2 * h), gloss=0.7)


def _brick(d: Draws) -> Shape:
    # A toy brick with studs: 2 x 2 or 2 x 4 of any scale.
    s = d.between(4, 12)
    long = d.chance(0.35)
    y, z = (4 * s if long else 2 * s), s * d.between(0.8, 1.2)
    rows = [box(2 * s, y, z, rounding=0.3)]
    steps = (-3, -1, 1, 3) if long else (-1, 1)
    if long:
        # Eight studs would cost eight rows: four long ones look alike at the camera's resolution.
        rows += [cylinder(0.6 * s, 0.4 * s, (0 if j % 2 else s * 0.5, s * j, z), ALONG_Z) for j in steps]
    else:
        rows += [cylinder(0.6 * s, 0.4 * s, (s * i, s * j, z), ALONG_Z) for i in (-1, 1) for j in steps]
    return Shape(rows, (-0.6 * y, 0.6 * y), ("paint", "any", "any"), gloss=0.9, small=s < 9)


def _block_with_holes(d: Draws) -> Shape:
    x, y, z = d.between(14, 40), d.between(25, 80), d.between(8, 25)
    r = d.between(0.35, 0.7) * x
    rows = [box(x, y, z, rounding=d.between(0.3, 3))]
    for i in range(d.count(1, 2)):
        rows.append(cylinder(r, z + 10, (0, (0.5 - i) * y, 0), ALONG_Z, operation=SUBTRACT, slot=1))
    return Shape(rows, (-0.7 * y, 0.7 * y), gloss=0.7)


def _pipe(d: Draws) -> Shape:
    r, h = d.between(9, 38), d.between(30, 130)
    rows = [cylinder(r, h), cylinder(r * d.between(0.7, 0.92), h + 10, operation=SUBTRACT, slot=1)]
    return Shape(rows, (-0.8 * h, 0.8 * h), (d.pick(("cardboard", "grey", "any")), "dark", "any"), gloss=0.5, thin=True)


def _bracket(d: Draws) -> Shape:
    # An L or a T of two bars.
    r, h, w = d.between(6, 15), d.between(35, 90), d.between(25, 70)
    x = w - r if d.chance(0.6) else 0.0
    flat = d.between(0.5, 1.0) * r
    rows = [box(r, h, flat, rounding=1), box(w, r, flat, (x, h - r, 0), rounding=1)]
    return Shape(rows, (-0.85 * h, 0.4 * h), (d.pick(("metal", "wood", "any")), "any", "any"), gloss=0.6)


def _phone(d: Draws) -> Shape:
    x, y, z = d.between(30, 40), d.between(60, 84), d.between(3.2, 5.5)
    rows = [box(x, y, z, rounding=d.between(1.5, 4))]
    if d.chance(0.5):
        rows.append(box(9, 14, 1.5, (0.5 * x, y - 20, z), rounding=1, slot=1))
    return Shape(
        rows,
        (-0.7 * y, 0.5 * y),
        (d.pick(("dark", "dark", "white", "any")), "dark", "any"),
        gloss=0.5,
        flat=True,
        thin=True,
    )


def _tablet(d: Draws) -> Shape:
    x, y, z = d.between(60, 95), d.between(95, 135), d.between(3, 6)
    colours = (d.pick(("dark", "grey", "white")), "any", "any")
    return Shape([box(x, y, z, rounding=3)], edge_grip(d, y), colours, gloss=0.5, flat=True, thin=True)


def _card(d: Draws) -> Shape:
    x, y = d.between(18, 32), d.between(30, 48)
    rows = [box(x, y, d.between(0.4, 1.0), rounding=0.3)]
    return Shape(rows, edge_grip(d, y), gloss=0.8, small=True, flat=True, thin=True)


def _remote(d: Draws) -> Shape:
    x, y, z = d.between(17, 27), d.between(65, 110), d.between(6, 12)
    rows = [box(x, y, z, rounding=d.between(2, 6))]
    if d.chance(0.6):
        rows.append(box(x * 0.65, y * 0.5, 1.2, (0, 0.3 * y, z), rounding=0.8, slot=1))
    return Shape(rows, (-0.8 * y, 0.3 * y), (d.pick(("dark", "dark", "grey", "white")), "grey", "any"), gloss=0.4)


def _camera(d: Draws) -> Shape:
    x, y, z = d.between(28, 45), d.between(45, 70), d.between(10, 22)
    lens = d.between(15, 0.8 * x)
    depth = d.between(4, 25)
    rows = [
        box(x, y, z, rounding=3),
        cylinder(lens, depth, (0, d.between(-0.1, 0.3) * y, z + depth * 0.8), ALONG_Z, rounding=1, slot=1),
    ]
    return Shape(rows, (-0.9 * y, -0.5 * y), ("dark", "dark", "grey"), gloss=0.3)


def _toy_car(d: Draws) -> Shape:
    s = d.between(0.6, 1.8)
    x, y, z, wheel = 15 * s, 36 * s, 6.5 * s, 6.5 * s
    shift = d.between(-0.2, 0.1) * y
    rows = [
        box(x, y, z, rounding=2 * s),
        box(0.85 * x, d.between(0.4, 0.6) * y, 6 * s, (0, shift, 1.75 * z), rounding=2.5 * s, slot=1),
        cylinder(wheel, x + 1.5 * s, (0, 0.6 * y, -z), ALONG_X, rounding=1, slot=2),
        cylinder(wheel, x + 1.5 * s, (0, -0.6 * y, -z), ALONG_X, rounding=1, slot=2),
    ]
    return Shape(rows, (-0.6 * y, 0.6 * y), ("paint", "any", "dark"), gloss=0.8, small=s < 0.8)


def _dumbbell(d: Draws) -> Shape:
    r, h, end = d.between(10, 16), d.between(45, 75), d.between(22, 48)
    rows = [cylinder(r, h, slot=1)]
    style = d.unit()
    for side in (-1.0, 1.0):
        at = (0.0, side * h, 0.0)
        if style < 0.4:
            rows.append(prism(end, end * 0.55, at, rounding=2))
        elif style < 0.7:
            rows.append(ball(end * 0.85, at))
        else:
            rows.append(cylinder(end, end * 0.4, at, rounding=3))
    reach = h - 0.5 * end - 5
    return Shape(rows, (-0.4 * reach, 0.4 * reach), (d.pick(("dark", "paint")), "metal", "any"), gloss=0.4)


def _spool(d: Draws) -> Shape:
    r, h = d.between(7, 22), d.between(14, 40)
    flange = r * d.between(1.3, 1.8)
    rows = [
        cylinder(r, h),
        cylinder(flange, 0.15 * h, (0, h, 0), rounding=1, slot=1),
        cylinder(flange, 0.15 * h, (0, -h, 0), rounding=1, slot=1),
    ]
    return Shape(rows, (-0.6 * h, 0.6 * h), gloss=0.4, small=h < 20)


def _assembly(d: Draws) -> Shape:
    # Nothing in particular: a few random solids stuck together, so that no network learns a closed list of things.
    rows: list[Row] = []
    size = d.between(12, 40)
    at: Point = (0.0, 0.0, 0.0)
    for i in range(d.count(2, 4)):
        direction = (d.between(-1, 1), d.between(0.2, 1), d.between(-1, 1))
        turn = pointing(*direction)
        a, b, c = size * d.between(0.25, 0.8), size * d.between(0.4, 1.4), size * d.between(0.25, 0.8)
        style = d.count(0, 5)
        operation = SMOOTH_UNION if i and d.chance(0.4) else 0
        if style == 0:
            row = box(a, b, c, at, turn, rounding=1.5, operation=operation, slot=i % 3)
        elif style == 1:
            row = cylinder(a, b, at, turn, rounding=1.5, operation=operation, slot=i % 3)
        elif style == 2:
            row = cone(a, c, b, at, turn, rounding=1.5, operation=operation, slot=i % 3)
        elif style == 3:
            row = capsule(0.8 * a, 0.8 * c, 0.7 * b, at, turn, operation=operation, slot=i % 3)
        elif style == 4:
            row = ellipsoid(a, b, c, at, turn, operation=operation, slot=i % 3)
        else:
            row = prism(a, 0.7 * b, at, turn, rounding=1, operation=operation, slot=i % 3)
        rows.append(row)
        # The next part starts from a point of this one's axis, so that all hang together.
        along = d.between(-0.65, 0.65) * b / math.hypot(*direction)
        at = (at[0] + along * direction[0], at[1] + along * direction[1], at[2] + along * direction[2])
    return Shape(rows, (-0.3 * size, 0.3 * size), gloss=0.5)


def _part(d: Draws, at: Point, turn: Turn, slot: int) -> list[Row]:
    # One part of a composite, of any proportions: rods, plates, discs, rings, cups, lumps.
    size = math.exp(d.between(math.log(6), math.log(50)))
    slim = size * math.exp(d.between(math.log(0.06), math.log(0.6)))
    slim = min(max(slim, 1.2), 25.0)
    style = d.count(0, 8)
    operation = SMOOTH_UNION if d.chance(0.2) else 0
    if style == 0:
        return [box(slim, size, slim * d.between(0.3, 1), at, turn, rounding=0.4, operation=operation, slot=slot)]
    if style == 1:
        return [box(size * d.between(0.4, 1), size, min(slim, 8.0), at, turn, rounding=0.5, slot=slot)]
    if style == 2:
        return [cylinder(slim, size, at, turn, rounding=0.4, operation=operation, slot=slot)]
    if style == 3:
        return [cylinder(size, min(slim, 12.0), at, turn, rounding=0.5, slot=slot)]
    if style == 4:
        ring = max(size, 9.0)
        return [torus(ring, min(max(slim, 1.5), 0.45 * ring), at, turn, operation=operation, slot=slot)]
    if style == 5:
        wall = d.between(1.5, 4.0)
        radius = max(0.6 * size, wall + 4.0)
        inner = (at[0], at[1] + d.between(0.0, 0.3) * size, at[2])
        return [
            cylinder(radius, size, at, turn, rounding=0.5, slot=slot),
            cylinder(radius - wall, size, inner, turn, operation=SUBTRACT, slot=slot),
        ]
    if style == 6:
        return [cone(max(slim, 3.0), d.between(0.0, 1.0) * slim, size, at, turn, rounding=0.4, slot=slot)]
    if style == 7:
        bend = d.between(0.4, 1.6)
        return [arc(max(size, 10.0), min(max(slim, 1.5), 8.0), bend, at, turn, operation=operation, slot=slot)]
    return [ellipsoid(size, size * d.between(0.4, 1), max(slim, 4.0), at, turn, operation=operation, slot=slot)]


def _composite(d: Draws) -> Shape:
    # A handle to hold, and parts of any form at its ends or along it, sometimes in mirrored pairs. Tools, vessels and
    # devices are built this way; so no network can learn a closed list of them.
    h = math.exp(d.between(math.log(18), math.log(100)))
    r = d.between(3.5, 20.0)
    cups: list[Row] = []
    rows: list[Row] = []
    for i in range(d.count(1, 4)):
        if len(cups) + len(rows) > 4:
            break  # a ray's time grows with the parts
        end = d.pick((-1.0, 1.0)) if d.chance(0.7) else d.between(-1.0, 1.0)
        turn = (
            d.pick((ALONG_X, ALONG_Z, turn_y(0.0)))
            if d.chance(0.6)
            else pointing(d.between(-1, 1), d.between(-1, 1), d.between(0.1, 1))
        )
        out = d.between(0.0, 25.0) if d.chance(0.4) else 0.0
        sides = (1.0, -1.0) if d.chance(0.3) else (d.pick((-1.0, 1.0)),)
        for side in sides:
            at: Point = (side * out, end * h, d.between(-2, 2))
            part = _part(d, at, turn, (i + 1) % 3)
            (cups if len(part) > 1 else rows).extend(part)
            if out:
                rows.append(limb((0.0, end * h * 0.8, 0.0), at, 0.5 * r, min(0.5 * r, 4.0), slot=0))
    style = d.count(0, 3)
    if style == 0:
        handle = box(r, h, r * d.between(0.25, 1), turn=turn_y(d.between(0, 1.57)), rounding=d.between(0.3, 0.3 * r))
    elif style == 1:
        handle = cylinder(r, h, rounding=d.between(0.3, 0.5 * r))
    else:
        handle = limb((0.0, -h, 0.0), (0.0, h, 0.0), r, r * d.between(0.5, 1.2))
    # What is cut out of a cup must not cut the handle or the other parts: cups come first.
    return Shape([*cups, handle, *rows], (-0.7 * h, 0.7 * h), gloss=d.pick((0.0, 0.5, 0.9)), small=h < 22, thin=True)


def _wedge(d: Draws) -> Shape:
    # A door stop, a piece of cheese, a roof block: a box cut by a sloping plane.
    x, y, z = d.between(14, 40), d.between(25, 70), d.between(10, 35)
    angle = math.atan2(2 * z, 2 * y) * d.between(0.6, 1.0)
    far = 200.0
    normal: Point = (0.0, math.sin(angle), math.cos(angle))
    rows = [
        box(x, y, z, rounding=d.between(0.3, 1.5)),
        box(far, far, far, (0.0, -normal[1] * far, -normal[2] * far), turn_x(-angle), operation=INTERSECT),
    ]
    return Shape(rows, (-0.7 * y, 0.0), (d.pick(("any", "wood", "yellow")), "any", "any"), gloss=0.7)


SIMPLE_KINDS: dict[str, Callable[[Draws], Shape]] = {
    "box": _box,
    "carton": _carton,
    "book": _book,
    "open_book": _open_book,
    "cube": _cube,
    "die": _die,
    "bar": _bar,
    "stick": _stick,
    "crayons": _crayons,
    "ball": _ball,
    "egg": _egg,
    "ring": _ring,
    "cone": _cone,
    "hexagonal_prism": _hexagonal_prism,
    "nut": _nut,
    "coin": _coin,
    "cross": _cross,
    "brick": _brick,
    "block_with_holes": _block_with_holes,
    "pipe": _pipe,
    "bracket": _bracket,
    "phone": _phone,
    "tablet": _tablet,
    "card": _card,
    "remote": _remote,
    "camera": _camera,
    "toy_car": _toy_car,
    "dumbbell": _dumbbell,
    "spool": _spool,
    "assembly": _assembly,
    "composite": _composite,
    "wedge": _wedge,
}
