"""Collects the hands, objects and background of one scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.labels import FOREARM_PART
from graspcut.synth.hands import details
from graspcut.synth.hands.flesh import forearm_axis, hand_primitives
from graspcut.synth.hands.grasp import Grasp
from graspcut.synth.hands.kinematics import SHAPE_RADIUS, WRIST_RADIUS, HandPose, sample_shape, sample_varied_shape
from graspcut.synth.hands.skinned import SkinnedHand
from graspcut.synth.objects.catalogue import HeldObject, build_object, draw_kind, scaled, transform_rows
from graspcut.synth.objects.files import drawn_anew
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.objects.own_kinds import OwnKinds
from graspcut.synth.objects.signed_distance import ROW
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.primitives import PRIMITIVE_ROW, SURFACE, Float64Array, transform_flesh
from graspcut.synth.rendering.ray_casting import SceneGeometry
from graspcut.synth.scenes.config import ProfileName, SceneConfig
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
class Body:
    """What moves with one hand: its flesh, and what it holds.

    Attributes:
        primitives: Rows of `SceneGeometry.primitives`.
        components: Rows of its components.
        objects: Rows of its objects.
        meshes: Its meshes.
    """

    primitives: slice
    components: slice
    objects: slice
    meshes: slice


@dataclass(frozen=True)
class Scene:
    """Everything that a camera can see.

    Attributes:
        geometry: What rays hit, depth camera coordinates.
        surfaces: Labels and looks.
        hands: The hands, in the order of the instance table.
        bodies: What moves with each hand.
    """

    geometry: SceneGeometry
    surfaces: Surfaces
    hands: tuple[PlacedHand, ...]
    bodies: tuple[Body, ...] = ()


class SceneBuilder:
    """Collects the parts of one scene, in the coordinates of the depth camera.

    Args:
        rng: Source of all choices.
        config: How often things occur.
        camera: The depth camera.
        profile: Version of the renderer.
        own_objects: Objects of the user's, from `objects.files.read_own`.
        own_hands: Skinned meshes that some of the hands are drawn with, one at random each; none: cones alone.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        config: SceneConfig,
        camera: Camera,
        profile: ProfileName = "v2",
        own_objects: tuple[HeldObject | OwnKinds, ...] = (),
        own_hands: tuple[SkinnedHand, ...] = (),
    ) -> None:
        self.own_hands = own_hands
        self.own_objects = own_objects
        self.profile = profile
        self.rng = rng
        self.config = config
        self.camera = camera
        self.surfaces = Surfaces()
        self.primitives: list[Float64Array] = []
        self.rows: list[Float64Array] = []
        self.objects: list[list[float]] = []
        self.meshes: list[Mesh] = []
        self.hands: list[PlacedHand] = []
        self.bodies: list[Body] = []
        self.elbows: list[Float64Array] = []
        self.elbow_radius = 35.0
        # Spheres that stand for hands and objects when something must not touch them.
        self.points: list[Float64Array] = []
        self.radii: list[Float64Array] = []

    def kind(self) -> str:
        """Name of the next object's kind."""
        return draw_kind(self.rng, held_out=self.config.held_out_kinds)

    def add_object(
        self, held: HeldObject, rows: Float64Array, centre: Float64Array, rotation: Float64Array, first_surface: int
    ) -> None:
        """Add an object.

        Args:
            held: The object.
            rows: Its components in camera coordinates already.
            centre: (3,), its origin in camera coordinates.
            rotation: (3, 3), its own frame to the camera's; mirroring for what a right hand holds.
            first_surface: Surface of its first colour.
        """
        if held.mesh is not None:
            self.meshes.append(held.mesh.transformed(rotation, centre, first_surface))
            return
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
        rng, varied = self.rng, self.profile != "v1"
        before = self._counts()
        right = bool(np.linalg.det(matrix) < 0)
        base, identity = self.surfaces.add_hand(rng, "right hand" if right else "left hand", varied=varied)
        sleeved = rng.random() < self.config.sleeve
        start = rng.uniform(0.02, 0.8) if sleeved else 2.0
        thickness = rng.uniform(2, 14)
        if varied and rng.random() < 0.25:
            thickness = rng.uniform(10, 32)
        flesh = hand_primitives(pose.shape, pose.pose, pose.joints_mm, base, start, thickness)
        if self.own_hands and rng.random() < self.config.own_hand:
            # One alone draws no number: its frames stay what they were.
            chosen = self.own_hands[int(rng.integers(len(self.own_hands))) if len(self.own_hands) > 1 else 0]
            self.meshes.append(chosen.posed(pose).transformed(matrix, place, base))
            flesh = flesh[flesh[:, SURFACE] >= base + FOREARM_PART]
        elif varied:
            flesh = np.concatenate([flesh, self._details(pose, base)])
        self.primitives.append(transform_flesh(flesh, matrix, place))
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
            rows = transform_rows(held_grasp.rows, matrix, place)
            self.add_object(held, rows, centre, matrix @ held_grasp.rotation, first)
            self.guard(centre, held.bound_mm * 0.8)
        self.bodies.append(Body(*(slice(a, b) for a, b in zip(before, self._counts(), strict=True))))

    def _counts(self) -> tuple[int, int, int, int]:
        """How many primitives, components, objects and meshes there are."""
        primitives, components = (sum(len(rows) for rows in table) for table in (self.primitives, self.rows))
        return primitives, components, len(self.objects), len(self.meshes)

    def _details(self, pose: HandPose, surface: int) -> Float64Array:
        """Pads, nails, webs, and sometimes rings and a watch, (n, PRIMITIVE_ROW) in the hand frame."""
        rows = details.finger_details(pose, surface) + details.palm_details(pose, surface)
        if self.rng.random() < 0.25:
            rows += details.rings(self.rng, pose, surface)
        if self.rng.random() < 0.3:
            rows += details.watch(self.rng, pose, surface)
        return np.stack(rows)

    def hand_shape(self) -> Float64Array:
        """Draw a hand's shape: grown-ups for profile v1, people of all sizes, some in gloves, for others."""
        rng = self.rng
        if self.profile == "v1":
            return sample_shape(rng)
        return sample_varied_shape(rng, rng.uniform(0.8, 3.5) if rng.random() < 0.15 else 0.0)

    def _own_object(self, share: float, mirrored: bool | None) -> HeldObject | None:
        if not self.own_objects or self.rng.random() >= share:
            return None
        if mirrored is None:
            mirrored = bool(self.rng.random() < 0.5)
        held = self.own_objects[int(self.rng.integers(len(self.own_objects)))]
        if isinstance(held, OwnKinds):  # its mirror image is only another draw
            return held.draw(self.rng)
        return drawn_anew(held, self.rng, mirrored=mirrored)

    def thing_to_lay(self) -> HeldObject:
        """Draw an object that lies about; of the user's own ones half as often as in a hand."""
        own = self._own_object(0.5 * self.config.own_objects, False)
        return own if own is not None else build_object(self.kind(), self.rng)

    def object_to_hold(self, right: bool | None = None) -> HeldObject:
        """Draw an object; profiles after v1 make some larger than a hand and some smaller than a finger.

        Args:
            right: Whether a right hand will hold it, None for either.
        """
        own = self._own_object(self.config.own_objects, right)
        if own is not None:
            return own
        held = build_object(self.kind(), self.rng)
        if self.profile == "v1":
            return held
        choice = self.rng.random()
        factor = 1.0 if choice < 0.75 else self.rng.uniform(1.3, 2.4) if choice < 0.88 else self.rng.uniform(0.3, 0.65)
        return held if factor == 1.0 else scaled(held, float(factor))

    def clear_of_others(self, centre: Float64Array, radius: float) -> bool:
        """Whether a sphere touches none of the guarded ones."""
        return all(
            bool(np.all(np.linalg.norm(p - centre, axis=1) - r > radius))
            for p, r in zip(self.points, self.radii, strict=True)
        )

    def all_clear_of_others(self, centres: Float64Array, radii: Float64Array) -> bool:
        """Whether none of several spheres, (n, 3) and (n,), touches a guarded one."""
        if not self.points:
            return True
        guarded, reach = np.concatenate(self.points), np.concatenate(self.radii)
        square = ((centres[:, None] - guarded[None]) ** 2).sum(axis=2)
        return bool(np.all(square > (radii[:, None] + reach[None]) ** 2))

    def finish(self) -> Scene:
        """Join the arrays."""
        geometry = SceneGeometry(
            primitives=np.concatenate(self.primitives) if self.primitives else np.zeros((0, PRIMITIVE_ROW)),
            components=np.ascontiguousarray(np.concatenate(self.rows)) if self.rows else np.zeros((0, ROW)),
            objects=np.array(self.objects, np.float64) if self.objects else np.zeros((0, OBJECT_COLUMNS)),
            meshes=tuple(self.meshes),
        )
        return Scene(geometry, self.surfaces, tuple(self.hands), tuple(self.bodies))
