"""Furniture of rooms, each a function that builds one random piece around a frame that stands on its support.

Sizes are millimetres, chosen from everyday things; none is measured. Pieces with many long thin members side by side
(slats, radiators, railings) matter most: seen from near they look like fingers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes.world import Piece


def rotation_about(axis: int, angle: float) -> Float64Array:
    """Rotation (3, 3) by an angle (radians) about axis 0, 1 or 2."""
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def table_top(piece: Piece, half_width: float, half_depth: float, height: float) -> None:
    """A table whose top's upper side is at `height` above the frame; four legs, or two panels."""
    rng = piece.world.rng
    wood = piece.world.surface()
    thickness = float(rng.uniform(8, 22))
    piece.box(wood, (0, height - thickness, 0), (half_width, thickness, half_depth))
    x, z = half_width - 50, half_depth - 50
    if rng.random() < 0.7:
        radius = float(rng.uniform(14, 35))
        for sx in (-x, x):
            for sz in (-z, z):
                piece.rod(wood, (sx, 0, sz), (sx, height - 2 * thickness, sz), radius)
    else:
        for sx in (-x, x):
            piece.box(wood, (sx, 0.5 * height, 0), (12, 0.5 * height - thickness, z))


def table(piece: Piece) -> None:
    """A table or desk with a few plain things on it."""
    rng = piece.world.rng
    half_width, half_depth, height = rng.uniform(350, 900), rng.uniform(250, 450), rng.uniform(420, 780)
    table_top(piece, half_width, half_depth, height)
    for _ in range(int(rng.integers(0, 5))):
        spot = piece.inner(
            (float(rng.uniform(-0.85, 0.85) * half_width), float(height), float(rng.uniform(-0.8, 0.8) * half_depth)),
            rotation_about(1, float(rng.uniform(0, 6.28))),
        )
        small_thing(spot)


def chair(piece: Piece) -> None:
    """A chair: a back of slats, rungs or a panel; legs or a swivel base; sometimes armrests."""
    rng, world = piece.world.rng, piece.world
    wood = world.surface()
    half, seat = float(rng.uniform(190, 240)), float(rng.uniform(410, 480))
    cushion = world.surface(relief_mm=float(rng.uniform(0, 4))) if rng.random() < 0.4 else wood
    piece.box(cushion, (0, seat, 0), (half, float(rng.uniform(8, 35)), half))
    top = seat + float(rng.uniform(330, 560))
    lean = float(rng.uniform(0, 70))
    style = rng.random()
    post = float(rng.uniform(9, 20))
    for side in (-1.0, 1.0):
        piece.rod(wood, (side * (half - 20), seat, -half), (side * (half - 25), top, -half - lean), post)
    if style < 0.45:  # upright slats
        count = int(rng.integers(3, 9))
        flat = rng.random() < 0.5
        for k in range(count):
            x = (2 * (k + 1) / (count + 1) - 1) * (half - 25)
            low, high = (x, seat + 40, -half), (x, top - 30, -half - lean)
            if flat:
                centre = ((x), 0.5 * (seat + top), -half - 0.5 * lean)
                piece.box(wood, centre, (float(rng.uniform(8, 22)), 0.5 * (top - seat) - 40, 6))
            else:
                piece.rod(wood, low, high, float(rng.uniform(5, 12)))
        piece.rod(wood, (-half + 25, top, -half - lean), (half - 25, top, -half - lean), post)
    elif style < 0.75:  # rungs
        for k in range(int(rng.integers(2, 6))):
            share = (k + 1) / 6
            y, z = seat + share * (top - seat), -half - share * lean
            piece.box(wood, (0, y, z), (half - 30, float(rng.uniform(12, 35)), 7))
    else:
        piece.box(cushion, (0, 0.5 * (seat + top) + 30, -half - 0.5 * lean), (half - 20, 0.45 * (top - seat), 15))
    if rng.random() < 0.65:
        for sx in (-1, 1):
            for sz in (-1, 1):
                piece.rod(wood, (sx * (half - 15), 0, sz * (half - 15)), (sx * (half - 25), seat, sz * (half - 25)), 16)
    else:
        piece.rod(wood, (0, 70, 0), (0, seat, 0), 26)
        for k in range(5):
            angle = 1.257 * k
            piece.rod(wood, (0, 90, 0), (280 * np.cos(angle), 40, 280 * np.sin(angle)), 22, 16)
    if rng.random() < 0.35:
        for side in (-1.0, 1.0):
            y = seat + 200
            piece.rod(wood, (side * half, y, -half), (side * half, y, half * 0.7), float(rng.uniform(12, 28)))
            piece.rod(wood, (side * half, seat, half * 0.5), (side * half, y, half * 0.5), 12)


def shelf(piece: Piece) -> None:
    """Boards and sides, with rows of books and boxes."""
    rng, world = piece.world.rng, piece.world
    wood = world.surface()
    half, depth, height = float(rng.uniform(250, 600)), float(rng.uniform(110, 200)), float(rng.uniform(700, 2000))
    for side in (-1.0, 1.0):
        piece.box(wood, (side * half, 0.5 * height, 0), (11, 0.5 * height, depth))
    boards = int(rng.integers(2, 6))
    if rng.random() < 0.5:
        piece.box(wood, (0, 0.5 * height, -depth), (half, 0.5 * height, 4))
    for k in range(boards):
        y = height * (k + 0.5) / boards
        piece.box(wood, (0, y, 0), (half, 10, depth))
        room = height / boards - 40
        x = -half + 25
        while x < half - 40 and rng.random() < 0.93:
            width = float(rng.uniform(8, 45))
            tall = float(rng.uniform(0.45, 0.95)) * room
            lean = rotation_about(2, float(rng.normal(0, 0.05)))
            if rng.random() < 0.7:
                piece.box(world.surface(), (x + width, y + 12 + 0.5 * tall, 0.2 * depth), (width, 0.5 * tall, 70), lean)
            x += 2 * width + float(rng.exponential(12))


def monitor(piece: Piece) -> None:
    """A screen on a foot, or a laptop, with a keyboard and a mouse."""
    rng, world = piece.world.rng, piece.world
    dark = world.surface(rng.uniform(5, 80, 3))
    if rng.random() < 0.6:
        width, tall, lift = float(rng.uniform(220, 380)), float(rng.uniform(130, 220)), float(rng.uniform(60, 160))
        piece.box(dark, (0, lift + tall, 0), (width, tall, float(rng.uniform(5, 25))))
        piece.rod(dark, (0, 8, -20), (0, lift + tall, -20), 18)
        piece.box(dark, (0, 6, 0), (110, 6, 80))
        front = 200.0
    else:
        width, depth = float(rng.uniform(140, 190)), float(rng.uniform(100, 130))
        piece.box(dark, (0, 8, 0), (width, 8, depth))
        lid = rotation_about(0, float(rng.uniform(-0.6, 0.1)))
        piece.box(dark, (0, 8 + depth, -depth - 20), (width, depth, 4), lid)
        front = depth + 60.0
    if rng.random() < 0.6:
        piece.box(world.surface(), (0, 9, front), (float(rng.uniform(130, 220)), 9, float(rng.uniform(50, 75))))
        piece.ellipsoid(world.surface(), (260, 8, front), (30, 20, 52))


def lamp(piece: Piece) -> None:
    """A desk lamp with two arms and a shade."""
    rng, world = piece.world.rng, piece.world
    metal = world.surface()
    piece.ellipsoid(metal, (0, 6, 0), (80, 14, 80))
    knee = np.array([rng.uniform(-120, 120), rng.uniform(150, 300), rng.uniform(-120, 120)])
    tip = knee + np.array([rng.uniform(-200, 200), rng.uniform(0, 200), rng.uniform(0, 200)])
    radius = float(rng.uniform(5, 11))
    piece.rod(metal, (0, 10, 0), knee, radius)
    piece.rod(metal, knee, tip, radius)
    piece.rod(world.surface(), tip, tip + np.array([0, -90, 60]), 25, float(rng.uniform(45, 80)))


def plant(piece: Piece) -> None:
    """A pot with stems and long leaves."""
    rng, world = piece.world.rng, piece.world
    pot = float(rng.uniform(40, 130))
    piece.rod(world.surface(), (0, pot, 0), (0, 1.5 * pot, 0), 0.8 * pot, pot)
    leaf = world.surface(np.array([60.0, 130.0, 60.0]) * rng.uniform(0.5, 1.3))
    size = pot * float(rng.uniform(1.5, 5))
    for _ in range(int(rng.integers(5, 15))):
        angle, lift = rng.uniform(0, 6.28), rng.uniform(0.2, 1.4)
        direction = np.array([np.cos(angle) * np.cos(lift), np.sin(lift), np.sin(angle) * np.cos(lift)])
        root = np.array([0.0, 2 * pot, 0.0])
        tip = root + direction * size * rng.uniform(0.5, 1.0)
        piece.rod(leaf, root, tip, float(rng.uniform(2, 6)))
        turn = rotation_about(1, -angle) @ rotation_about(2, lift) @ rotation_about(0, float(rng.uniform(-0.7, 0.7)))
        radii = (0.25 * size * float(rng.uniform(0.5, 1)), 3.0, 0.09 * size * float(rng.uniform(0.5, 1.6)))
        piece.ellipsoid(leaf, (float(tip[0]), float(tip[1]), float(tip[2])), radii, turn)


def radiator(piece: Piece) -> None:
    """Upright ribs side by side: a radiator, a railing, a fence, organ pipes."""
    rng = piece.world.rng
    metal = piece.world.surface()
    count, radius = int(rng.integers(4, 16)), float(rng.uniform(7, 28))
    pitch, height, low = radius * float(rng.uniform(2.1, 6)), float(rng.uniform(250, 900)), float(rng.uniform(0, 150))
    half = 0.5 * pitch * (count - 1)
    for k in range(count):
        x = k * pitch - half
        piece.rod(metal, (x, low, 0), (x, low + height, 0), radius)
    for y in (low + 20, low + height - 20):
        piece.rod(metal, (-half, y, 0), (half, y, 0), radius * float(rng.uniform(0.5, 1.2)))


def boxes(piece: Piece) -> None:
    """A stack of boxes, none quite straight."""
    rng, world = piece.world.rng, piece.world
    y = 0.0
    width, depth = float(rng.uniform(60, 300)), float(rng.uniform(60, 250))
    for _ in range(int(rng.integers(1, 5))):
        half = float(rng.uniform(20, 160))
        turn = rotation_about(1, float(rng.normal(0, 0.15)))
        piece.box(
            world.surface(), (float(rng.normal(0, 10)), y + half, float(rng.normal(0, 10))), (width, half, depth), turn
        )
        y += 2 * half
        width, depth = width * float(rng.uniform(0.6, 1)), depth * float(rng.uniform(0.6, 1))


def cloth(piece: Piece) -> None:
    """Hanging cloth: a curtain's folds, or a coat on a hook."""
    rng, world = piece.world.rng, piece.world
    fabric = world.surface(relief_mm=float(rng.uniform(1, 9)))
    if rng.random() < 0.5:
        fold, count = float(rng.uniform(20, 60)), int(rng.integers(5, 14))
        height = float(rng.uniform(700, 2200))
        for k in range(count):
            x = (k - 0.5 * count) * 1.6 * fold
            piece.rod(fabric, (x, 20, float(rng.normal(0, 8))), (x, height, float(rng.normal(0, 8))), fold)
    else:
        height = float(rng.uniform(900, 1500))
        piece.ellipsoid(fabric, (0, height, 0), (float(rng.uniform(150, 240)), 420, 90))
        for side in (-1.0, 1.0):
            piece.rod(fabric, (side * 170, height + 250, 0), (side * 200, height - 300, 20), 65, 50)
        piece.rod(world.surface(), (0, height + 420, -60), (0, height + 440, 10), 10)


def sofa(piece: Piece) -> None:
    """Seat, back and arms, with cushions."""
    rng, world = piece.world.rng, piece.world
    fabric = world.surface(relief_mm=float(rng.uniform(0, 8)))
    half = float(rng.uniform(350, 900))
    piece.box(fabric, (0, 210, 0), (half, 210, 400))
    piece.box(fabric, (0, 420, -330), (half, 400, 100), rotation_about(0, -0.15))
    for side in (-1.0, 1.0):
        piece.box(fabric, (side * half, 300, 0), (80, 300, 400))
    for _ in range(int(rng.integers(0, 4))):
        cushion = world.surface(relief_mm=float(rng.uniform(0, 8)))
        turn = rotation_about(2, float(rng.normal(0, 0.3))) @ rotation_about(0, -0.3)
        piece.ellipsoid(cushion, (float(rng.uniform(-0.8, 0.8)) * half, 560, -180), (220, 190, 80), turn)


def cables(piece: Piece) -> None:
    """Cables or tubes lying about: chains of thin rods along a wandering path."""
    rng, world = piece.world.rng, piece.world
    for _ in range(int(rng.integers(1, 4))):
        rubber, radius = world.surface(rng.uniform(5, 200, 3)), float(rng.uniform(2, 14))
        point = np.array([rng.normal(0, 150), radius, rng.normal(0, 150)])
        heading, bend = rng.uniform(0, 6.28), rng.normal(0, 0.4)
        for _ in range(int(rng.integers(4, 12))):
            bend = 0.7 * bend + rng.normal(0, 0.35)
            heading += bend
            lift = radius + (float(rng.uniform(0, 60)) if rng.random() < 0.2 else 0.0)
            step = np.array([np.cos(heading), 0.0, np.sin(heading)]) * 60
            following = point + step
            following[1] = lift
            piece.rod(rubber, point, following, radius)
            point = following


def robot_arm(piece: Piece) -> None:
    """Links and joints up to a gripper with two or three fingers, which is no hand."""
    rng, world = piece.world.rng, piece.world
    paint, joint = world.surface(), world.surface(rng.uniform(10, 120, 3))
    radius = float(rng.uniform(25, 65))
    point, direction = np.array([0.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    piece.rod(joint, (0, 0, 0), (0, 60, 0), 1.5 * radius)
    for _ in range(int(rng.integers(3, 6))):
        following = point + direction * float(rng.uniform(120, 350))
        following[1] = max(following[1], 150.0)
        piece.rod(paint, point, following, radius, 0.85 * radius)
        piece.ellipsoid(joint, (following[0], following[1], following[2]), (1.2 * radius,) * 3)
        point, radius = following, 0.85 * radius
        direction = rng.normal(0, 1, 3) + np.array([0.0, 0.0, 0.8])
        direction /= np.linalg.norm(direction)
    down = np.array([rng.normal(0, 0.4), -1.0, rng.normal(0, 0.4)])
    down /= np.linalg.norm(down)
    side = np.cross(down, np.array([0.0, 0.0, 1.0]))
    side /= np.linalg.norm(side)
    axes = np.stack([side, down, np.cross(side, down)], axis=1)
    gripper = piece.inner((point[0], point[1], point[2]), axes)
    gripper.box(joint, (0, 50, 0), (float(rng.uniform(35, 70)), 30, float(rng.uniform(20, 40))))
    opening = float(rng.uniform(8, 50))
    for k in range(int(rng.integers(2, 4))):
        x = opening if k == 0 else -opening
        z = 0.0 if k < 2 else 22.0
        if rng.random() < 0.6:
            gripper.box(joint, (x, 110, z), (float(rng.uniform(5, 12)), 40, float(rng.uniform(7, 14))))
        else:
            gripper.rod(joint, (x, 70, z), (0.8 * x, 150, z), 11, 8)


def legs(piece: Piece) -> None:
    """Someone who stands or walks by, up to the hips or the shoulders; arms out of sight."""
    rng, world = piece.world.rng, piece.world
    trousers = world.surface(relief_mm=float(rng.uniform(1, 7)))
    shoe = world.surface()
    hip, stride = float(rng.uniform(800, 980)), float(rng.normal(0, 130))
    for side in (-1.0, 1.0):
        foot = side * stride
        piece.rod(trousers, (side * 90, hip, 0), (side * 100, 0.52 * hip, 0.5 * foot + 20), 85, 58)
        piece.rod(trousers, (side * 100, 0.52 * hip, 0.5 * foot + 20), (side * 100, 90, foot), 58, 45)
        piece.ellipsoid(shoe, (side * 105, 38, foot + 70), (45, 42, 135))
    if rng.random() < 0.6:
        shirt = world.surface(relief_mm=float(rng.uniform(1, 7)))
        piece.ellipsoid(shirt, (0, hip + 260, 0), (float(rng.uniform(170, 220)), 360, 130))
        for side in (-1.0, 1.0):  # arms behind the back
            piece.rod(shirt, (side * 185, hip + 480, 0), (side * 215, hip + 200, -60), 55, 45)
        skin = world.surface(np.array([190.0, 140.0, 110.0]) * rng.uniform(0.4, 1.2))
        piece.ellipsoid(skin, (0, hip + 760, 15), (76, 112, 96))
        piece.ellipsoid(
            world.surface(rng.uniform(10, 160, 3), float(rng.uniform(0, 6))), (0, hip + 785, -5), (82, 96, 98)
        )


def tubes(piece: Piece) -> None:
    """Things that stand upright: bottles, cups, tubes, candles, pens in a cup."""
    rng, world = piece.world.rng, piece.world
    if rng.random() < 0.3:  # pens in a cup
        radius, height = float(rng.uniform(30, 48)), float(rng.uniform(80, 120))
        piece.rod(world.surface(), (0, radius, 0), (0, height - radius, 0), radius)
        for _ in range(int(rng.integers(2, 7))):
            x, z = (float(v) for v in rng.normal(0, 0.4 * radius, 2))
            lean = rng.normal(0, 25, 2)
            tip = (x + float(lean[0]), height + float(rng.uniform(30, 100)), z + float(lean[1]))
            piece.rod(world.surface(), (x, 0.5 * height, z), tip, float(rng.uniform(3, 7)))
        return
    for _ in range(int(rng.integers(1, 6))):
        x, z = (float(v) for v in rng.normal(0, 90, 2))
        radius, height = float(rng.uniform(8, 45)), float(rng.uniform(60, 320))
        piece.rod(world.surface(), (x, 0, z), (x, height, z), radius, radius * float(rng.uniform(0.5, 1.1)))


def small_thing(piece: Piece) -> None:
    """Something plain on a table: a box, a ball, paper, an upright tube or a flat pad."""
    rng, world = piece.world.rng, piece.world
    surface, choice = world.surface(), rng.random()
    if choice < 0.35:
        half = rng.uniform(8, 90, 3)
        piece.box(surface, (0, float(half[1]), 0), (float(half[0]), float(half[1]), float(half[2])))
    elif choice < 0.5:
        piece.box(
            surface, (0, 2, 0), (float(rng.uniform(60, 110)), float(rng.uniform(0.3, 4)), float(rng.uniform(80, 150)))
        )
    elif choice < 0.7:
        radii = rng.uniform(12, 70, 3)
        piece.ellipsoid(surface, (0, float(radii[1]), 0), (float(radii[0]), float(radii[1]), float(radii[2])))
    elif choice < 0.85:
        tubes(piece)
    else:
        length, radius = float(rng.uniform(30, 150)), float(rng.uniform(4, 30))
        piece.rod(surface, (-length, radius, 0), (length, radius, 0), radius, radius * float(rng.uniform(0.6, 1)))


ON_THE_FLOOR: tuple[Callable[[Piece], None], ...] = (
    table, table, chair, chair, chair, shelf, shelf, plant, radiator, boxes, cloth, sofa, cables, robot_arm, legs, legs,
)  # fmt: skip
ON_A_TABLE: tuple[Callable[[Piece], None], ...] = (
    monitor, lamp, plant, boxes, tubes, tubes, cables, small_thing, small_thing, robot_arm, radiator,
)  # fmt: skip
