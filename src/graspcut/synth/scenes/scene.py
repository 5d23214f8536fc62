"""Composes a scene in front of the depth camera: hands, what they hold, and what is behind.

Third-person views: the arm enters from any side, near or far; hands alone, objects alone or nothing also occur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.hands.flesh import forearm_axis, hand_primitives
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.grasp import Grasp, random_rotation, sample_grasp
from graspcut.synth.hands.kinematics import SHAPE_RADIUS, WRIST_RADIUS, HandPose, sample_shape
from graspcut.synth.objects.catalogue import HeldObject, build_object, draw_kind, transform_rows
from graspcut.synth.objects.signed_distance import ROW
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.primitives import PRIMITIVE_ROW, Float64Array, transform_flesh
from graspcut.synth.rendering.ray_casting import SceneGeometry
from graspcut.synth.scenes import background
from graspcut.synth.scenes.surfaces import Surfaces


@dataclass(frozen=True)
class PlacedHand:
    """A hand in camera coordinates.

    Attributes:
        joints_mm: float64 (21, 3).
        radii_mm: float64 (21,) flesh around each joint.
        instance: Instance id.
        right: True for a right hand.
    """

    joints_mm: Float64Array
    radii_mm: Float64Array
    instance: int
    right: bool


@dataclass(frozen=True)
class Scene:
    """Everything that a camera can see.

    Attributes:
        geometry: What rays hit, depth camera coordinates.
        surfaces: Labels and looks.
        hands: The hands, in the order of the instance table.
    """

    geometry: SceneGeometry
    surfaces: Surfaces
    hands: tuple[PlacedHand, ...]


@dataclass(frozen=True)
class SceneConfig:
    """How often things occur. Chances are 0..1.

    Attributes:
        held_out_kinds: Draw held objects from the kinds kept out of training instead of the training kinds.
        nothing: Chance of a frame with neither hand nor object.
        object_only: Chance of an object without a hand.
        hand_only: Chance that a hand holds nothing.
        two_hands: Chance of a second hand.
        sleeve: Chance of a sleeve.
        nearest_mm: Smallest distance of the hand from the camera.
        farthest_mm: Largest distance.
        background_none: Chance of no background at all.
        table: Chance of a table with clutter, when there is a background.
        person: Chance of a person behind, when there is a background.
        wall: Chance of a wall, when there is a background.
    """

    held_out_kinds: bool = False
    nothing: float = 0.02
    object_only: float = 0.04
    hand_only: float = 0.2
    two_hands: float = 0.16
    sleeve: float = 0.5
    nearest_mm: float = 215.0
    farthest_mm: float = 1100.0
    background_none: float = 0.3
    table: float = 0.5
    person: float = 0.45
    wall: float = 0.35


class _Builder:
    """Collects the parts of one scene."""

    def __init__(self, rng: np.random.Generator, config: SceneConfig, camera: Camera) -> None:
        self.rng = rng
        self.config = config
        self.camera = camera
        self.surfaces = Surfaces()
        self.primitives: list[Float64Array] = []
        self.rows: list[Float64Array] = []
        self.objects: list[list[float]] = []
        self.hands: list[PlacedHand] = []
        self.elbows: list[Float64Array] = []
        self.elbow_radius = 35.0
        # Spheres that stand for hands and objects when something must not touch them.
        self.points: list[Float64Array] = []
        self.radii: list[Float64Array] = []

    def anchor(self) -> Float64Array:
        """A point in view at a random distance, mostly near the middle of the image."""
        rng, camera = self.rng, self.camera
        z = np.exp(rng.uniform(np.log(self.config.nearest_mm), np.log(self.config.farthest_mm)))
        margin = 0.22 if rng.random() < 0.85 else 0.0
        u = rng.uniform(margin, 1 - margin) * camera.width
        v = rng.uniform(margin, 1 - margin) * camera.height
        return np.array([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z])

    def orientation(self) -> Float64Array:
        """Rotation from the hand frame to the camera: forearms from any side, often from below, palms often seen."""
        rng = self.rng
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

    def kind(self) -> str:
        """Name of the next object's kind."""
        return draw_kind(self.rng, held_out=self.config.held_out_kinds)

    def add_object(self, held: HeldObject, rows: Float64Array, centre: Float64Array, first_surface: int) -> None:
        """Add a sphere-traced object whose rows are in camera coordinates already."""
        start = sum(len(r) for r in self.rows)
        self.rows.append(rows)
        self.objects.append(
            [start, start + len(rows), *centre, held.bound_mm, held.bump_mm, held.bump_wavelength_mm, first_surface]
        )

    def guard(self, centre: Float64Array, radius: float) -> None:
        """Remember a sphere that background objects must not touch."""
        self.points.append(centre[None])
        self.radii.append(np.array([radius]))

    def add_hand(
        self, pose: HandPose, grasp: tuple[Grasp, HeldObject] | None, matrix: Float64Array, place: Float64Array
    ) -> None:
        """Add a hand and what it holds by an orthogonal `matrix` (mirroring for right hands) and a translation."""
        rng = self.rng
        right = bool(np.linalg.det(matrix) < 0)
        base, identity = self.surfaces.add_hand(rng, "right hand" if right else "left hand")
        sleeved = rng.random() < self.config.sleeve
        start = rng.uniform(0.02, 0.8) if sleeved else 2.0
        primitives = hand_primitives(pose.shape, pose.pose, pose.joints_mm, base, start, rng.uniform(2, 14))
        self.primitives.append(transform_flesh(primitives, matrix, place))
        joints = pose.joints_mm @ matrix.T + place
        shape = pose.shape
        radii = np.concatenate([[shape[WRIST_RADIUS]], shape[SHAPE_RADIUS : SHAPE_RADIUS + 20]])
        self.hands.append(PlacedHand(joints, radii, identity, right))
        self.points.append(joints)
        self.radii.append(radii)
        arm, arm_radii = forearm_axis(shape, pose.pose)
        middle = arm @ matrix.T + place
        self.elbows.append(middle[2])
        self.elbow_radius = float(arm_radii[2]) + 8
        self.guard(middle[1], float(arm_radii[1]) + 12)
        if grasp is not None:
            held_grasp, held = grasp
            first, _ = self.surfaces.add_object(held)
            centre = matrix @ held_grasp.centre_mm + place
            self.add_object(held, transform_rows(held_grasp.rows, matrix, place), centre, first)
            self.guard(centre, held.bound_mm * 0.8)

    def clear_of_others(self, centre: Float64Array, radius: float) -> bool:
        """Whether a sphere touches none of the guarded ones."""
        return all(
            bool(np.all(np.linalg.norm(p - centre, axis=1) - r > radius))
            for p, r in zip(self.points, self.radii, strict=True)
        )

    def hand(self, other: bool) -> None:
        """Draw and place one hand, holding something or not; a second hand is near the first without touching it."""
        rng = self.rng
        shape = sample_shape(rng)
        grasp: tuple[Grasp, HeldObject] | None = None
        if rng.random() >= self.config.hand_only:
            for _ in range(3):
                held = build_object(self.kind(), rng)
                found = sample_grasp(rng, shape, held)
                if found is not None:
                    grasp = (found, held)
                    break
        pose = grasp[0].hand if grasp is not None else sample_free_pose(rng, shape)
        middle = 0.5 * (pose.joints_mm[0] + pose.joints_mm[9])
        if grasp is not None:
            middle = 0.6 * middle + 0.4 * grasp[0].centre_mm
        for _ in range(12 if other else 1):
            matrix = self.orientation()
            if rng.random() < 0.5:
                matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
            if other:
                place = self.hands[0].joints_mm[9] + rng.normal(0, 1, 3) * np.array([150, 120, 70])
            else:
                place = self.anchor()
            place = place - matrix @ middle
            joints = pose.joints_mm @ matrix.T + place
            arm, _ = forearm_axis(shape, pose.pose)
            middle_arm = arm @ matrix.T + place
            if float(joints[:, 2].min()) < 130.0 or float(middle_arm[:, 2].min()) < 90.0:
                if not other:
                    place[2] += 160.0 - min(float(joints[:, 2].min()), float(middle_arm[:, 2].min()) + 40)
                    self.add_hand(pose, grasp, matrix, place)
                    return
                continue
            centres = [*joints[::2], middle_arm[1]]
            if grasp is not None:
                centre = matrix @ grasp[0].centre_mm + place
                if other and not self.clear_of_others(centre, grasp[1].bound_mm * 0.8):
                    continue
            if not other or all(self.clear_of_others(c, 16.0) for c in centres):
                self.add_hand(pose, grasp, matrix, place)
                return

    def lone_object(self) -> None:
        """An object in front of the camera that nobody in view holds."""
        held = build_object(self.kind(), self.rng)
        place = self.anchor()
        place[2] = max(place[2], held.bound_mm + 120.0)
        first, _ = self.surfaces.add_object(held)
        self.add_object(held, transform_rows(held.rows, random_rotation(self.rng), place), place, first)
        self.guard(place, held.bound_mm)

    def behind(self) -> None:
        """Draw the background."""
        rng, config = self.rng, self.config
        if rng.random() < config.background_none:
            return
        points = np.concatenate(self.points) if self.points else np.array([[0.0, 0.0, 500.0]])
        radii = np.concatenate(self.radii) if self.radii else np.array([50.0])
        farthest = float(np.max(points[:, 2] + radii))
        if rng.random() < config.person:
            elbows = [e for e in self.elbows if rng.random() < 0.85]
            self.primitives += [
                row[None] for row in background.person(rng, self.surfaces, elbows, self.elbow_radius, points, radii)
            ]
        if rng.random() < config.table:
            primitives, normal, offset = background.table(
                rng, self.surfaces, points, radii, upright=rng.random() < 0.75
            )
            more, objects = background.clutter(rng, self.surfaces, self.camera, (normal, offset), points, radii)
            self.primitives += [row[None] for row in primitives + more]
            for held, rows, centre, first in objects:
                self.add_object(held, rows, centre, first)
        if rng.random() < config.wall:
            self.primitives += [row[None] for row in background.wall(rng, self.surfaces, farthest)]
        if rng.random() < 0.25:
            self.primitives += [row[None] for row in background.furniture(rng, self.surfaces, self.camera, farthest)]

    def finish(self) -> Scene:
        """Join the arrays."""
        geometry = SceneGeometry(
            primitives=np.concatenate(self.primitives) if self.primitives else np.zeros((0, PRIMITIVE_ROW)),
            components=np.ascontiguousarray(np.concatenate(self.rows)) if self.rows else np.zeros((0, ROW)),
            objects=np.array(self.objects, np.float64) if self.objects else np.zeros((0, OBJECT_COLUMNS)),
        )
        return Scene(geometry, self.surfaces, tuple(self.hands))


def sample_scene(rng: np.random.Generator, camera: Camera, config: SceneConfig) -> Scene:
    """Draw a scene for a depth camera of the given view."""
    builder = _Builder(rng, config, camera)
    chance = rng.random()
    if chance < config.nothing:
        pass
    elif chance < config.nothing + config.object_only:
        builder.lone_object()
    else:
        builder.hand(other=False)
        if builder.hands and rng.random() < config.two_hands:
            builder.hand(other=True)
    builder.behind()
    return builder.finish()
