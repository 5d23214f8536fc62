"""Close-ups: a hand or two held before the camera, from any side, with what is behind and below.

The chances and the order of all draws are those of the first version of the renderer, so that its frames can be made
again.
"""

from __future__ import annotations

import numpy as np

from graspcut.synth.hands.flesh import forearm_axis
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.grasp import Grasp, random_rotation, sample_grasp
from graspcut.synth.objects.catalogue import HeldObject, build_object, transform_rows
from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes import background
from graspcut.synth.scenes.builder import SceneBuilder
from graspcut.synth.scenes.things import lay_things
from graspcut.synth.scenes.world import UP, Viewpoint, World, cross, unit

_FLUSH = 0.2  # share of the objects that lie along the fingers, level with them
_POINTING_AT_THE_CAMERA = 0.1


def add_close_up(builder: SceneBuilder) -> None:
    """Draw a close-up: hands, a lone object or nothing, and a background."""
    rng, config = builder.rng, builder.config
    chance = rng.random()
    if chance < config.nothing:
        pass
    elif chance < config.nothing + config.object_only:
        _add_lone_object(builder)
    else:
        _add_hand(builder, other=False)
        if builder.hands and rng.random() < config.two_hands:
            _add_hand(builder, other=True)
    _add_background(builder)


def _anchor(builder: SceneBuilder) -> Float64Array:
    """A point in view at a random distance, mostly near the middle of the image."""
    rng, camera = builder.rng, builder.camera
    z = np.exp(rng.uniform(np.log(builder.config.nearest_mm), np.log(builder.config.farthest_mm)))
    margin = 0.22 if rng.random() < 0.85 else 0.0
    u = rng.uniform(margin, 1 - margin) * camera.width
    v = rng.uniform(margin, 1 - margin) * camera.height
    return np.array([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z])


def _orientation(builder: SceneBuilder) -> Float64Array:
    """Rotation from the hand frame to the camera: forearms from any side, often from below, palms often seen."""
    rng = builder.rng
    angle = rng.normal(np.pi / 2, 0.5) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    tilt = rng.normal(0.25, 0.42)
    forearm = np.array([np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)])
    y = -forearm
    away = np.array([0.0, 0.0, 1.0]) - y * y[2]
    away /= max(float(np.linalg.norm(away)), 1e-6)
    side = np.cross(y, away)
    roll = rng.normal(0, 0.6) if rng.random() < 0.45 else rng.uniform(0, 2 * np.pi)
    z = np.cos(roll) * away + np.sin(roll) * side
    return np.stack([np.cross(y, z), y, z], axis=1)


def _pointed(builder: SceneBuilder, axis: Float64Array, mirrored: bool) -> Float64Array:
    """Of some orientations the one in which what the hand holds points most at the camera."""
    mirror = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    candidates = [_orientation(builder) @ mirror for _ in range(10)]
    return max(candidates, key=lambda matrix: abs(float(matrix[2] @ axis)))


def _add_hand(builder: SceneBuilder, other: bool) -> None:
    """Draw and place one hand, holding something or not; a second hand is near the first without touching it."""
    rng = builder.rng
    shape = builder.hand_shape()
    flush = 0.0 if builder.profile == "v1" else _FLUSH
    grasp: tuple[Grasp, HeldObject] | None = None
    if rng.random() >= builder.config.hand_only:
        for _ in range(3):
            held = builder.object_to_hold()
            found = sample_grasp(rng, shape, held, flush=flush, open_handed=builder.config.open_handed)
            if found is not None:
                grasp = (found, held)
                break
    pose = grasp[0].hand if grasp is not None else sample_free_pose(rng, shape)
    middle = 0.5 * (pose.joints_mm[0] + pose.joints_mm[9])
    if grasp is not None:
        middle = 0.6 * middle + 0.4 * grasp[0].centre_mm
    for _ in range(12 if other else 1):
        matrix = _orientation(builder)
        mirrored = bool(rng.random() < 0.5)
        if grasp is not None and grasp[1].mesh is not None:
            mirrored = grasp[1].mirrored
        if mirrored:
            matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
        if grasp is not None and builder.profile != "v1" and rng.random() < _POINTING_AT_THE_CAMERA:
            matrix = _pointed(builder, grasp[0].axis, mirrored)
        if other:
            place = builder.hands[0].joints_mm[9] + rng.normal(0, 1, 3) * np.array([150, 120, 70])
        else:
            place = _anchor(builder)
        place = place - matrix @ middle
        joints = pose.joints_mm @ matrix.T + place
        arm, _ = forearm_axis(shape, pose.pose)
        middle_arm = arm @ matrix.T + place
        if float(joints[:, 2].min()) < 130.0 or float(middle_arm[:, 2].min()) < 90.0:
            if not other:
                place[2] += 160.0 - min(float(joints[:, 2].min()), float(middle_arm[:, 2].min()) + 40)
                builder.add_hand(pose, grasp, matrix, place)
                return
            continue
        centres = [*joints[::2], middle_arm[1]]
        if grasp is not None:
            centre = matrix @ grasp[0].centre_mm + place
            if other and not builder.clear_of_others(centre, grasp[1].bound_mm * 0.8):
                continue
        if not other or all(builder.clear_of_others(c, 16.0) for c in centres):
            builder.add_hand(pose, grasp, matrix, place)
            return


def _add_lone_object(builder: SceneBuilder) -> None:
    """An object in front of the camera that nobody in view holds."""
    held = build_object(builder.kind(), builder.rng)
    place = _anchor(builder)
    place[2] = max(place[2], held.bound_mm + 120.0)
    first, _ = builder.surfaces.add_object(held, background=builder.profile != "v1")
    turn = random_rotation(builder.rng)
    builder.add_object(held, transform_rows(held.rows, turn, place), place, turn, first)
    builder.guard(place, held.bound_mm)


def _lay_things_near(builder: SceneBuilder, normal: Float64Array, offset: float, points: Float64Array) -> None:
    """Put things on the table (normal . x = offset) near the hands (`points`), which don't touch them."""
    rng = builder.rng
    forward = np.array([0.0, 0.0, 1.0]) - normal * normal[2]
    right = cross(-normal, unit(forward)) if np.linalg.norm(forward) > 0.05 else np.array([1.0, 0.0, 0.0])
    right = unit(right - normal * float(right @ normal))
    view = Viewpoint(np.stack([right, -normal, cross(right, -normal)], axis=1), -UP * offset)

    def spot() -> Float64Array:
        point = view.position + points[int(rng.integers(len(points)))] @ view.rotation
        return np.asarray((point + rng.normal(0, 110, 3)) * np.array([1.0, 0.0, 1.0]))

    lay_things(World(builder, view), int(rng.integers(0, 4)), spot)


def _add_background(builder: SceneBuilder) -> None:
    """Draw the background."""
    rng, config = builder.rng, builder.config
    if rng.random() < config.background_none:
        return
    points = np.concatenate(builder.points) if builder.points else np.array([[0.0, 0.0, 500.0]])
    radii = np.concatenate(builder.radii) if builder.radii else np.array([50.0])
    farthest = float(np.max(points[:, 2] + radii))
    if rng.random() < config.person:
        elbows = [e for e in builder.elbows if rng.random() < 0.85]
        builder.primitives += [
            row[None] for row in background.person(rng, builder.surfaces, elbows, builder.elbow_radius, points, radii)
        ]
    if rng.random() < config.table:
        primitives, normal, offset = background.table(rng, builder.surfaces, points, radii, upright=rng.random() < 0.75)
        more, objects = background.clutter(rng, builder.surfaces, builder.camera, (normal, offset), points, radii)
        builder.primitives += [row[None] for row in primitives + more]
        for held, rows, centre, first in objects:  # of the kinds that are no meshes
            builder.add_object(held, rows, centre, np.eye(3), first)
        if builder.profile != "v1":
            _lay_things_near(builder, normal, offset, points)
    if rng.random() < config.wall:
        builder.primitives += [row[None] for row in background.wall(rng, builder.surfaces, farthest)]
    if rng.random() < 0.25:
        builder.primitives += [
            row[None] for row in background.furniture(rng, builder.surfaces, builder.camera, farthest)
        ]
