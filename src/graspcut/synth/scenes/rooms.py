"""Rooms without a hand: furniture and things at every distance, nothing held, everything background."""

from __future__ import annotations

import numpy as np

from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes.builder import SceneBuilder
from graspcut.synth.scenes.furniture import ON_A_TABLE, ON_THE_FLOOR, table_top
from graspcut.synth.scenes.things import lay_things
from graspcut.synth.scenes.world import UP, Viewpoint, World, unit

NEAREST_MM = 300.0
FARTHEST_MM = 5000.0
_MOST_OBJECTS = 4  # sphere-traced ones: each costs as much as the rest of a room


def sample_roll(rng: np.random.Generator) -> float:
    """How a camera is turned about its axis (radians): mostly level, sometimes on its side or upside down."""
    choice = rng.random()
    quarter = 0.0 if choice < 0.86 else float(rng.integers(1, 4))
    return float(quarter * np.pi / 2 + rng.normal(0, 0.06))


def add_room(builder: SceneBuilder, farthest_mm: float = FARTHEST_MM) -> None:
    """Draw a room without a hand.

    Args:
        builder: The scene.
        farthest_mm: How far the sensor sees: what the camera looks at is nearer.
    """
    rng = builder.rng
    reach = max(min(FARTHEST_MM, 0.9 * farthest_mm), 2 * NEAREST_MM)
    focus = float(np.exp(rng.uniform(np.log(NEAREST_MM), np.log(reach))))
    if focus < 1100.0 and rng.random() < 0.6:
        _add_desk(builder, focus)
    else:
        _add_floor_and_furniture(builder, focus)


def _add_desk(builder: SceneBuilder, focus: float) -> None:
    """A table seen from near: along its edge, from the side, or from above."""
    rng = builder.rng
    pitch = float(np.radians(rng.uniform(3, 90)))
    height = float(np.clip(focus * np.sin(pitch), 40.0, 1500.0))
    world = World(builder, Viewpoint.at_height(height, pitch, sample_roll(rng)))
    middle = np.array([0.0, 0.0, height / np.tan(pitch) if pitch > 0.05 else focus])
    half_width, half_depth = float(rng.uniform(300, 900)), float(rng.uniform(200, 450))
    shift = np.array([rng.normal(0, 0.3) * half_width, 0.0, rng.uniform(-0.7, 0.9) * half_depth])
    table_height = float(rng.uniform(450, 800))
    piece = world.piece(middle + shift - UP * table_height, float(rng.normal(0, 0.5)))
    table_top(piece, half_width, half_depth, table_height)
    world.level(world.surface(), -table_height)
    if rng.random() < 0.5:
        _add_wall(world, focus * float(rng.uniform(1.3, 3)))
    for _ in range(int(rng.integers(2, 12))):
        spot = world.view.on_level(builder.camera, *_pixel(builder), 0.0)
        if spot is not None and 150.0 < np.linalg.norm(spot - world.view.position) < 4 * focus:
            build = ON_A_TABLE[int(rng.integers(len(ON_A_TABLE)))]
            build(world.piece(spot, float(rng.uniform(0, 2 * np.pi))))
    _add_things(world, 0.0, focus)
    if rng.random() < 0.5:
        _add_furniture(world, -table_height, focus * float(rng.uniform(1.5, 3)), 2)


def _add_floor_and_furniture(builder: SceneBuilder, focus: float) -> None:
    rng = builder.rng
    height = float(rng.uniform(200, min(2200.0, 600.0 + focus)))
    steepest = min(1.0, height / focus)
    pitch = float(np.clip(np.arcsin(steepest) * rng.uniform(-0.3, 1.0), -0.3, 1.55))
    world = World(builder, Viewpoint.at_height(height, pitch, sample_roll(rng)))
    world.level(world.surface(), 0.0)
    if rng.random() < 0.8:
        _add_wall(world, focus * float(rng.uniform(1.1, 2.2)))
    if rng.random() < 0.4:
        _add_wall(world, focus * float(rng.uniform(0.5, 2)), aside=True)
    _add_furniture(world, 0.0, focus, int(rng.integers(2, 9)))
    _add_things(world, 0.0, focus)


def _pixel(builder: SceneBuilder) -> tuple[float, float]:
    rng, camera = builder.rng, builder.camera
    return float(rng.uniform(0, camera.width)), float(rng.uniform(0, camera.height))


def _add_wall(world: World, distance: float, *, aside: bool = False) -> None:
    """An upright plane before the camera, or beside it."""
    rng = world.rng
    if aside:
        side = 1.0 if rng.random() < 0.5 else -1.0
        normal = unit(np.array([-side, 0.0, rng.normal(0, 0.2)]))
        point = np.array([side * distance, 0.0, 0.0])
    else:
        normal = unit(np.array([rng.normal(0, 0.35), 0.0, -1.0]))
        point = np.array([0.0, 0.0, distance])
    world.plane(world.surface(), normal, world.view.position + point)


def _add_furniture(world: World, floor_mm: float, focus: float, count: int) -> None:
    """Pieces on the floor about where the camera looks."""
    rng = world.rng
    for _ in range(count):
        spot = _floor_spot(world, floor_mm, focus)
        if spot is None:
            continue
        build = ON_THE_FLOOR[int(rng.integers(len(ON_THE_FLOOR)))]
        build(world.piece(spot, float(rng.uniform(0, 2 * np.pi))))


def _floor_spot(world: World, floor_mm: float, focus: float) -> Float64Array | None:
    """A place on the floor above which, at a height that furniture has, a ray arrives after about `focus` mm."""
    rng, builder = world.rng, world.builder
    for _ in range(8):
        ray = world.view.ray(builder.camera, *_pixel(builder))
        spot: Float64Array = world.view.position + unit(ray) * focus * float(rng.uniform(0.6, 1.6))
        height = float(spot @ UP) - floor_mm
        if not -150.0 < height < 1300.0:
            continue
        spot[1] = -floor_mm
        if np.hypot(spot[0] - world.view.position[0], spot[2] - world.view.position[2]) > 250.0:
            return spot
    return None


def _add_things(world: World, level_mm: float, focus: float) -> None:
    """Things of the kinds that hands hold elsewhere, lying or standing on a level."""

    def spot() -> Float64Array | None:
        place = world.view.on_level(world.builder.camera, *_pixel(world.builder), level_mm)
        far = place is not None and np.linalg.norm(place - world.view.position) > 3 * focus
        return None if far else place

    lay_things(world, int(world.rng.integers(0, _MOST_OBJECTS + 1)), spot)
