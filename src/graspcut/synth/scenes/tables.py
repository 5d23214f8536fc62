"""People at a table, seen from above or from the side: one or two of them, hands on it, things about."""

from __future__ import annotations

import numpy as np

from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes.builder import SceneBuilder
from graspcut.synth.scenes.furniture import ON_A_TABLE, ON_THE_FLOOR, chair, table_top
from graspcut.synth.scenes.people import Person, add_arm, add_body, head_clear_of, sample_person
from graspcut.synth.scenes.rooms import sample_roll
from graspcut.synth.scenes.things import lay_things
from graspcut.synth.scenes.world import UP, Viewpoint, World

_TABLE_HEIGHT_MM = 740.0
_ACTIVITIES = ("rest", "hover", "point", "hold")


def add_people_at_table(builder: SceneBuilder, farthest_mm: float) -> None:
    """Draw one or two people at a table.

    Args:
        builder: The scene.
        farthest_mm: How far the depth camera sees.
    """
    rng = builder.rng
    half_width, half_depth = float(rng.uniform(350, 1000)), float(rng.uniform(230, 500))
    near_edge = np.array([float(rng.uniform(-0.5, 0.5)) * half_width, 0.0, 0.0])
    people = [sample_person(rng, near_edge, float(np.pi + rng.normal(0, 0.15)))]
    world = World(builder, _viewpoint(builder, people[0], half_depth, farthest_mm))
    if rng.random() < 0.3:
        people.append(_second_person(rng, near_edge, half_width, half_depth))
    top = world.piece(np.array([0.0, _TABLE_HEIGHT_MM, half_depth]), 0.0)
    table_top(top, half_width, half_depth, _TABLE_HEIGHT_MM)
    world.level(world.surface(), -_TABLE_HEIGHT_MM)
    for person in people:
        _add_person(world, person, half_depth)
    _add_surroundings(world, near_edge, half_width, half_depth)


def _second_person(rng: np.random.Generator, near_edge: Float64Array, half_width: float, half_depth: float) -> Person:
    choice = rng.random()
    if choice < 0.4:  # opposite
        edge = np.array([near_edge[0] + rng.normal(0, 150), 0.0, 2 * half_depth])
        return sample_person(rng, edge, float(rng.normal(0, 0.15)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if choice < 0.7:  # beside
        edge = near_edge + np.array([side * rng.uniform(520, 750), 0.0, 0.0])
        return sample_person(rng, edge, float(np.pi + rng.normal(0, 0.2)))
    edge = np.array([side * half_width, 0.0, half_depth])
    return sample_person(rng, edge, float(-side * np.pi / 2 + np.pi + rng.normal(0, 0.15)))


def _viewpoint(builder: SceneBuilder, person: Person, half_depth: float, farthest_mm: float) -> Viewpoint:
    """A camera that looks at where the person's hands are: from above at a half to 1.2 m, or from the side."""
    rng = builder.rng
    target = np.array(
        [person.origin[0] + rng.normal(0, 130), -float(rng.uniform(0, 120)), float(rng.uniform(0.0, 0.8)) * half_depth]
    )
    reach = max(min(1500.0, 0.75 * farthest_mm), 450.0)
    position = target + UP * 900.0
    for _ in range(20):
        above = rng.random() < 0.65
        pitch = float(np.radians(rng.uniform(48, 90) if above else rng.uniform(6, 48)))
        distance = float(rng.uniform(450, min(1200.0, reach)) if above else rng.uniform(400, reach))
        azimuth = float(rng.uniform(0, 2 * np.pi))
        flat = np.array([np.cos(azimuth), 0.0, np.sin(azimuth)])
        position = target + distance * (UP * np.sin(pitch) + flat * np.cos(pitch))
        if head_clear_of(person, position, 150.0):
            break
    # Looking straight down has no up of its own: turned at random it is seen from any side.
    turn = float(rng.uniform(0, 2 * np.pi)) if abs(position[0] - target[0]) + abs(position[2] - target[2]) < 60 else 0.0
    return Viewpoint.looking_at(position, target, sample_roll(rng) + turn)


def _add_person(world: World, person: Person, half_depth: float) -> None:
    rng = world.rng
    shirt = world.surface(relief_mm=float(rng.uniform(0, 7)))
    both = rng.random()
    first: Float64Array | None = None
    for side in (1.0, -1.0):
        if rng.random() < 0.1:
            continue
        wish = np.array(
            [side * float(rng.uniform(-30, 300)), float(rng.uniform(20, 60)), float(rng.uniform(30, 1.2 * half_depth))]
        )
        if first is not None and both < 0.4:  # hands together
            wish = first + np.array([-70.0 - rng.uniform(0, 90), rng.normal(0, 15), rng.normal(0, 50)])
        activity = str(rng.choice(_ACTIVITIES, p=[0.35, 0.15, 0.1, 0.4]))
        if activity != "rest":
            wish[1] += float(rng.exponential(70))
        if add_arm(world, person, shirt, side, wish, activity) and first is None:
            first = wish
    add_body(world, person, shirt)
    if person.shoulder_mm < 450 and rng.random() < 0.6:
        spot = person.to_world(np.array([0.0, -_TABLE_HEIGHT_MM, -person.back_mm - 60.0]))
        chair(world.piece(spot, person.yaw))


def _add_surroundings(world: World, near_edge: Float64Array, half_width: float, half_depth: float) -> None:
    """What lies on the table, as often as things are held, and what stands behind."""
    rng, builder = world.rng, world.builder

    def spot() -> Float64Array | None:
        camera = builder.camera
        place = world.view.on_level(
            camera, float(rng.uniform(0, camera.width)), float(rng.uniform(0, camera.height)), 0.0
        )
        if place is None or not (abs(place[0]) < half_width and 0 < place[2] < 2 * half_depth):
            return None
        return place

    lay_things(world, int(rng.integers(0, 6)), spot)
    for _ in range(int(rng.integers(0, 7))):
        place = spot()
        if place is not None and builder.clear_of_others(world.view.to_camera(place), 110.0):
            build = ON_A_TABLE[int(rng.integers(len(ON_A_TABLE)))]
            build(world.piece(place, float(rng.uniform(0, 2 * np.pi))))
    for _ in range(int(rng.integers(0, 4))):
        angle, away = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(1.2, 2.5))
        place = np.array([away * half_width * np.cos(angle), _TABLE_HEIGHT_MM, half_depth * (1 + 3 * np.sin(angle))])
        if np.linalg.norm((place - world.view.position)[[0, 2]]) > 500 and abs(np.sin(angle)) > 0.35:
            build = ON_THE_FLOOR[int(rng.integers(len(ON_THE_FLOOR)))]
            build(world.piece(place, float(rng.uniform(0, 2 * np.pi))))
    if rng.random() < 0.5:
        far = world.view.rotation[2] * np.array([1.0, 0.0, 1.0])
        if np.linalg.norm(far) > 0.3:
            far /= np.linalg.norm(far)
            world.plane(world.surface(), -far, near_edge + far * float(rng.uniform(1300, 3500)))
