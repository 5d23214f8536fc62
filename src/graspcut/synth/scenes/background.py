"""What stands behind and below the hands: walls, tables with clutter, a person."""

from __future__ import annotations

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.hands.grasp import random_rotation
from graspcut.synth.objects.catalogue import CLUTTER_KINDS, HeldObject, build_object, transform_rows
from graspcut.synth.rendering.primitives import (
    BOX,
    ELLIPSOID,
    Float64Array,
    local_row,
    plane_row,
    round_cone_row,
)
from graspcut.synth.scenes.surfaces import Surfaces


def _unit(vector: Float64Array) -> Float64Array:
    return np.asarray(vector / np.linalg.norm(vector))


def wall(rng: np.random.Generator, surfaces: Surfaces, farthest_mm: float) -> list[Float64Array]:
    """A roughly frontal plane behind everything."""
    normal = _unit(np.array([rng.normal(0, 0.25), rng.normal(0, 0.25), -1.0]))
    distance = farthest_mm + rng.uniform(60, 1500)
    return [
        plane_row(surfaces.add_background(rng.uniform(40, 230, 3), rng.uniform(0, 0.3)), normal, normal[2] * distance)
    ]


def table(
    rng: np.random.Generator, surfaces: Surfaces, points: Float64Array, radii: Float64Array, upright: bool
) -> tuple[list[Float64Array], Float64Array, float]:
    """A table plane below all `points` (n, 3) with `radii` (n,): hands and objects stand or hover on it.

    Returns:
        The primitive, the unit normal towards the camera's side, and the offset: normal . x = offset on the plane.
    """
    pitch = np.radians(rng.uniform(12, 90))
    roll = rng.normal(0, 0.15) if upright else rng.uniform(0, 2 * np.pi)
    down = np.array([-np.sin(roll), np.cos(roll), 0.0])
    normal = _unit(-(np.cos(pitch) * down + np.sin(pitch) * np.array([0.0, 0.0, 1.0])))
    gap = rng.uniform(0.5, 20) if rng.random() < 0.4 else rng.uniform(5, 250)
    offset = float(np.min(points @ normal - radii)) - gap
    # The camera must stay above the table.
    offset = min(offset, -60.0)
    surface = surfaces.add_background(rng.uniform(20, 230, 3), rng.uniform(0, 0.4) if rng.random() < 0.3 else 0.0)
    return [plane_row(surface, normal, offset)], normal, offset


def clutter(
    rng: np.random.Generator,
    surfaces: Surfaces,
    camera: Camera,
    plane: tuple[Float64Array, float],
    points: Float64Array,
    radii: Float64Array,
) -> tuple[list[Float64Array], list[tuple[HeldObject, Float64Array, Float64Array, int]]]:
    """Things that stand on the plane and touch neither hand nor held object (`points` with `radii`).

    Returns:
        Analytic primitives, and sphere-traced objects as (object, rows in camera coordinates, centre, first surface).
    """
    normal, offset = plane
    primitives: list[Float64Array] = []
    objects: list[tuple[HeldObject, Float64Array, Float64Array, int]] = []
    side = _unit(np.cross(normal, rng.normal(size=3)))
    for _ in range(int(rng.integers(0, 10))):
        u, v = rng.uniform(-0.1, 1.1) * camera.width, rng.uniform(-0.1, 1.1) * camera.height
        ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
        slope = float(normal @ ray)
        if slope > -0.08 or not 150 < offset / slope < 2500:
            continue
        foot = ray * (offset / slope)
        half = np.array([rng.uniform(12, 75), rng.uniform(10, 130), rng.uniform(12, 75)])
        bound = float(np.linalg.norm(half))
        centre = foot + normal * half[1]
        if np.any(np.linalg.norm(points - centre, axis=1) - radii < bound + 8):
            continue
        across = np.cross(normal, side)
        angle = rng.uniform(0, 2 * np.pi)
        x_axis = np.cos(angle) * side + np.sin(angle) * across
        rotation = np.stack([x_axis, normal, np.cross(x_axis, normal)])
        colour = rng.uniform(20, 240, 3)
        choice = rng.random()
        if choice < 0.4:
            primitives.append(
                local_row(BOX, surfaces.add_background(colour), centre, rotation, (half[0], half[1], half[2]))
            )
        elif choice < 0.7:
            radius = half[0]
            low, high = centre - normal * max(half[1] - radius, 0), centre + normal * max(half[1] - radius, 0)
            primitives.append(
                round_cone_row(surfaces.add_background(colour), low, high, radius, radius * rng.uniform(0.5, 1.0))
            )
        elif choice < 0.8 or len(objects) >= 2:
            primitives.append(
                local_row(ELLIPSOID, surfaces.add_background(colour), centre, rotation, (half[0], half[1], half[2]))
            )
        else:
            held = build_object(str(rng.choice(CLUTTER_KINDS)), rng)
            turned = rotation.T if rng.random() < 0.5 else rotation.T @ random_rotation(rng)
            place = foot + normal * held.bound_mm * rng.uniform(0.4, 0.8)
            if np.any(np.linalg.norm(points - place, axis=1) - radii < held.bound_mm + 8):
                continue
            first, _ = surfaces.add_object(held, background=True)
            objects.append((held, transform_rows(held.rows, turned, place), place, first))
    return primitives, objects


def person(
    rng: np.random.Generator,
    surfaces: Surfaces,
    elbows: list[Float64Array],
    elbow_radius: float,
    points: Float64Array,
    radii: Float64Array,
) -> list[Float64Array]:
    """Torso, head, neck and the upper arms from the given elbows, behind the hands or, equally near, beside them.

    Args:
        rng: Source of all choices.
        surfaces: Table to add to.
        elbows: Elbow centres (3,) in camera coordinates, thumb-side agnostic.
        elbow_radius: mm.
        points: Centres (n, 3) of spheres around hands and objects, which the body must not swallow.
        radii: (n,) their radii.

    Returns:
        Primitives, all background.
    """
    shirt = surfaces.add_background(rng.uniform(15, 230, 3), relief_mm=rng.uniform(0, 7))
    farthest_mm = float(np.max(points[:, 2] + radii))
    skin = surfaces.add_background(np.array([190, 140, 110]) * rng.uniform(0.4, 1.2))
    anchor = np.mean(elbows, axis=0) if elbows else np.array([rng.normal(0, 150), rng.normal(100, 100), farthest_mm])
    depth_radius = rng.uniform(100, 140)
    chest_z = max(farthest_mm + rng.uniform(30, 420), float(anchor[2])) + depth_radius
    chest = np.array([anchor[0] + rng.normal(0, 160), anchor[1] + rng.uniform(-220, 160), chest_z])
    half_width = rng.uniform(170, 230)
    if rng.random() < 0.4:
        # A hand held beside the body, at the depth of the head: being nearest does not make a hand.
        left, right_end = float(np.min(points[:, 0] - radii)), float(np.max(points[:, 0] + radii))
        gap = half_width + rng.uniform(10, 120)
        chest[0] = left - gap if rng.random() < 0.5 else right_end + gap
        chest[2] = rng.uniform(float(np.min(points[:, 2])), farthest_mm) + rng.uniform(0.4, 1.0) * depth_radius
        chest[2] = max(chest[2], depth_radius + 250.0)
    lean = rng.normal(0, 0.12)
    turn = rng.normal(0, 0.35)
    up = np.array([np.sin(lean), -np.cos(lean), 0.0])
    right = np.array([np.cos(lean) * np.cos(turn), np.sin(lean) * np.cos(turn), np.sin(turn)])
    forward = np.cross(right, up)
    rotation = np.stack([right, up, forward])
    crown = chest + up * rng.uniform(360, 420) + forward * 20
    hair = surfaces.add_background(rng.uniform(10, 160, 3), relief_mm=rng.uniform(0, 6))
    size = rng.uniform(0.9, 1.08)
    primitives = [
        local_row(ELLIPSOID, shirt, chest, rotation, (half_width, rng.uniform(290, 380), depth_radius)),
        local_row(ELLIPSOID, shirt, chest + up * 130, rotation, (half_width * 1.05, 120, depth_radius * 0.9)),
        local_row(ELLIPSOID, skin, crown, rotation, (76 * size, 112 * size, 96 * size)),
        local_row(ELLIPSOID, skin, crown - up * 62 + forward * 28, rotation, (52 * size, 52 * size, 58 * size)),
        round_cone_row(skin, crown + up * 22 + forward * 92 * size, crown - up * 14 + forward * 108 * size, 9, 14),
        local_row(ELLIPSOID, hair, crown + up * 30 - forward * 14, rotation, (82 * size, 96 * size, 96 * size)),
        round_cone_row(skin, chest + up * 250, chest + up * 340, 62, 55),
    ]
    for elbow in elbows:
        side = np.sign((elbow - chest) @ right) or 1.0
        shoulder = chest + up * 190 + right * side * half_width * 0.95
        reach = shoulder - elbow
        length = max(float(np.linalg.norm(reach)), 1.0)
        # An upper arm is about 290 mm: where the drawn elbow is too far the arm simply ends out of sight in the torso.
        primitives.append(
            round_cone_row(shirt, elbow, elbow + reach * min(1.0, 340 / length), elbow_radius, elbow_radius * 1.45)
        )
    return primitives


def furniture(rng: np.random.Generator, surfaces: Surfaces, camera: Camera, farthest_mm: float) -> list[Float64Array]:
    """Boxes at any angle behind the hands: shelves, screens, chairs."""
    primitives = []
    for _ in range(int(rng.integers(1, 5))):
        z = farthest_mm + rng.uniform(120, 900)
        u, v = rng.uniform(0, 1) * camera.width, rng.uniform(0, 1) * camera.height
        centre = np.array([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z])
        half = rng.uniform(20, 250, 3)
        centre[2] += float(np.linalg.norm(half))
        surface = surfaces.add_background(rng.uniform(20, 240, 3))
        primitives.append(local_row(BOX, surface, centre, random_rotation(rng), (half[0], half[1], half[2])))
    return primitives
