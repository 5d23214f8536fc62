"""People at a table: body and arms, with hands that rest, hover, point or hold something on or above it.

A person's frame stands on the edge of the table: x to the person's left, y up from the table's surface, z ahead, across
the table. All of a person but hands and forearms is background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.synth.hands.flesh import forearm_axis
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.grasp import Grasp, sample_grasp
from graspcut.synth.hands.kinematics import (
    FOREARM_LENGTH,
    SHAPE_RADIUS,
    WRIST,
    WRIST_RADIUS,
    HandPose,
)
from graspcut.synth.objects.catalogue import HeldObject, transform_rows
from graspcut.synth.objects.settling import fall_mm
from graspcut.synth.rendering.primitives import Float64Array
from graspcut.synth.scenes.furniture import rotation_about
from graspcut.synth.scenes.world import UP, Viewpoint, World, cross, piece_axes, unit

UPPER_ARM_MM = 295.0
_ATTEMPTS = 6


@dataclass(frozen=True)
class Person:
    """Where somebody is.

    Attributes:
        origin: float64 (3,), world point on the table's edge.
        yaw: How the person's frame is turned, radians, see `World.piece`.
        shoulder_mm: Height of the shoulders above the table.
        back_mm: How far the shoulders are behind the table's edge.
        half_width: Half the distance between the shoulders.
    """

    origin: Float64Array
    yaw: float
    shoulder_mm: float
    back_mm: float
    half_width: float

    @property
    def axes(self) -> Float64Array:
        """float64 (3, 3), the person's frame to the world."""
        return piece_axes(self.yaw).T

    def to_world(self, point: Float64Array) -> Float64Array:
        """A point (3,) of the person's frame in the world."""
        return np.asarray(self.axes @ point + self.origin)

    def shoulder(self, side: float) -> Float64Array:
        """World point of the left (side 1) or right (side -1) shoulder."""
        return self.to_world(np.array([side * self.half_width, self.shoulder_mm, -self.back_mm]))


def sample_person(rng: np.random.Generator, edge: Float64Array, yaw: float) -> Person:
    """Draw where a person is who sits or stands at a table's edge (world point), facing along the frame's z."""
    standing = rng.random() < 0.3
    return Person(
        origin=edge,
        yaw=yaw,
        shoulder_mm=float(rng.uniform(520, 700) if standing else rng.uniform(230, 380)),
        back_mm=float(rng.uniform(-80, 260)),
        half_width=float(rng.uniform(150, 205)),
    )


def head_clear_of(person: Person, point: Float64Array, radius_mm: float) -> bool:
    """Whether a world point is at least so far from the person's head and chest."""
    head = person.to_world(np.array([0.0, person.shoulder_mm + 230, 60.0 - person.back_mm]))
    chest = person.to_world(np.array([0.0, person.shoulder_mm - 150, -person.back_mm]))
    return bool(np.linalg.norm(point - head) > radius_mm + 130 and np.linalg.norm(point - chest) > radius_mm + 330)


def add_body(world: World, person: Person, shirt: int) -> None:
    """Draw chest, shoulders, neck, head, hair, and thighs below the table; `shirt` is a surface."""
    rng, frame = world.rng, world.piece(person.origin, person.yaw)
    skin = world.surface(np.array([190.0, 140.0, 110.0]) * rng.uniform(0.4, 1.2))
    hair = world.surface(rng.uniform(10, 160, 3), float(rng.uniform(0, 6)))
    lean = rotation_about(0, float(rng.uniform(0.0, 0.45)))
    y, z, half = person.shoulder_mm, -person.back_mm, person.half_width
    thick = float(rng.uniform(95, 150))
    frame.ellipsoid(shirt, (0, y - 190, z - 40), (half + 5, 300, thick), lean)
    frame.ellipsoid(shirt, (0, y - 30, z), (half + 35, 85, 0.8 * thick), lean)
    frame.rod(skin, (0, y, z), (0, y + 120, z + 30), 58, 52)
    size = float(rng.uniform(0.9, 1.08))
    nod = rotation_about(0, float(rng.uniform(-0.1, 0.8)))
    head = frame.inner((0.0, y + 120, z + 25), nod @ rotation_about(1, float(rng.normal(0, 0.4))))
    head.ellipsoid(skin, (0, 95, 15), (76 * size, 112 * size, 96 * size))
    head.ellipsoid(skin, (0, 40, 40), (52 * size, 52 * size, 58 * size))
    head.rod(skin, (0, 115, 100 * size), (0, 80, 118 * size), 9, 14)
    head.ellipsoid(hair, (0, 125, 0), (82 * size, 95 * size, 97 * size))
    if rng.random() < 0.35:  # long hair
        head.ellipsoid(hair, (0, 30, -45), (88 * size, float(rng.uniform(90, 190)), 60))
    trousers = world.surface(relief_mm=float(rng.uniform(0, 6)))
    if y < 450:
        for side in (-1.0, 1.0):
            frame.rod(trousers, (side * 95, y - 520, z - 20), (side * 130, y - 500, z + 420), 85, 65)
            frame.rod(trousers, (side * 130, y - 500, z + 420), (side * 130, y - 900, z + 400), 62, 45)
    else:
        for side in (-1.0, 1.0):
            frame.rod(trousers, (side * 95, y - 560, z - 20), (side * 100, y - 1250, z - 20), 90, 50)


def reach(
    shoulder: Float64Array, wrist: Float64Array, upper: float, lower: float, pole: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Bend an arm to a wrist.

    Args:
        shoulder: (3,).
        wrist: (3,) wish; a point too far away is moved towards the shoulder.
        upper: Length of the upper arm.
        lower: Length of the forearm.
        pole: (3,) direction to which the elbow points.

    Returns:
        Elbow (3,) and wrist (3,); shoulder to elbow is `upper`, elbow to wrist `lower`.
    """
    axis = unit(wrist - shoulder)
    distance = float(np.clip(np.linalg.norm(wrist - shoulder), abs(upper - lower) + 1.0, 0.98 * (upper + lower)))
    along = (upper * upper - lower * lower + distance * distance) / (2.0 * distance)
    bend = unit(pole - axis * float(pole @ axis))
    elbow = shoulder + axis * along + bend * float(np.sqrt(max(upper * upper - along * along, 0.0)))
    return elbow, shoulder + axis * distance


def hand_rotation(
    arm_in_hand: Float64Array, back_in_hand: Float64Array, arm: Float64Array, back: Float64Array, right: bool
) -> Float64Array:
    """Matrix (3, 3) from the hand frame that brings the forearm to `arm` and the back of the hand towards `back`.

    Orthogonal; mirroring, with determinant -1, for a right hand.
    """

    def axes(first: Float64Array, second: Float64Array, sign: float) -> Float64Array:
        across = unit(second - first * float(second @ first))
        return np.stack([first, across, sign * cross(first, across)], axis=1)

    return np.asarray(axes(unit(arm), back, -1.0 if right else 1.0) @ axes(unit(arm_in_hand), back_in_hand, 1.0).T)


def _draw_hand(world: World, activity: str, right: bool) -> tuple[HandPose, tuple[Grasp, HeldObject] | None]:
    """A hand, and what it holds where the activity is "hold"."""
    rng, builder = world.rng, world.builder
    shape = builder.hand_shape()
    if activity == "hold":
        for _ in range(3):
            held = builder.object_to_hold(right)
            grasp = sample_grasp(rng, shape, held, flush=0.12)
            if grasp is not None:
                return grasp.hand, (grasp, held)
    return sample_free_pose(rng, shape, pointing=activity == "point", relaxed=activity == "rest"), None


def _bent_at_the_wrist(rng: np.random.Generator, free: HandPose, slope_deg: float) -> HandPose:
    """The same hand, bent by the forearm's slope so that it can lie flat."""
    pose = free.pose.copy()
    pose[WRIST] = np.clip((slope_deg + rng.normal(0, 6), rng.normal(0, 8)), (-57, -23), (57, 23))
    return HandPose(free.shape, pose, free.joints_mm)


def add_arm(world: World, person: Person, shirt: int, side: float, wish: Float64Array, activity: str) -> bool:
    """Draw one arm with its hand.

    Args:
        world: The scene; the table's surface is at height 0.
        person: Whose arm it is.
        shirt: Surface of the upper arm.
        side: 1 for the left arm, -1 for the right.
        wish: Where the wrist should be, (3,) in the person's frame.
        activity: "rest" on the table, "hover", "point" or "hold".

    Returns:
        False when there is no room for it.
    """
    rng, builder, view = world.rng, world.builder, world.view
    shoulder = person.shoulder(side)
    outward = person.axes[:, 0] * side
    drawn, grasp = _draw_hand(world, activity, side < 0)
    forearm = float(drawn.shape[FOREARM_LENGTH])
    for _ in range(_ATTEMPTS):
        pole = person.axes @ np.array([side * rng.uniform(0.1, 1.2), -rng.uniform(0.1, 1.0), -rng.uniform(0.0, 0.6)])
        wrist = person.to_world(wish + rng.normal(0, 25, 3) * np.array([1.0, 0.3, 1.0]))
        elbow, wrist = reach(shoulder, wrist, UPPER_ARM_MM, forearm, pole)
        slope = float(np.degrees(np.arcsin(np.clip(unit(elbow - wrist) @ UP, -1, 1))))
        pose = drawn if grasp is not None else _bent_at_the_wrist(rng, drawn, slope)
        arm, arm_radii = forearm_axis(pose.shape, pose.pose)
        turned = rng.normal(0.15, 0.3) if activity == "rest" else rng.uniform(-0.3, 1.9)
        back = UP * np.cos(turned) + outward * np.sin(turned)
        matrix = hand_rotation(arm[2] - arm[0], np.array([0.0, 0.0, 1.0]), elbow - wrist, back, side < 0)
        lift = _lift(pose, matrix, wrist, grasp, arm, arm_radii)
        # What rests or is put down touches the table, the rest only may not go through it.
        on_table = activity == "rest" or (activity == "hold" and rng.random() < 0.5)
        lift = lift + float(rng.uniform(-0.5, 2.0)) if on_table else max(lift, 0.0)
        place = wrist + UP * lift
        if _has_room(world, view, pose, grasp, matrix, place, arm):
            builder.add_hand(pose, grasp, view.rotation @ matrix, view.to_camera(place))
            elbow = matrix @ arm[2] + place
            upper = shoulder - elbow
            length = max(float(np.linalg.norm(upper)), 1.0)
            radius = builder.elbow_radius
            world.rod(shirt, elbow, elbow + upper * min(1.0, 350.0 / length), radius, 1.35 * radius)
            return True
    return False


def _lift(
    pose: HandPose,
    matrix: Float64Array,
    place: Float64Array,
    grasp: tuple[Grasp, HeldObject] | None,
    arm: Float64Array,
    arm_radii: Float64Array,
) -> float:
    """How far up the hand must move until its lowest point is on the plane of height 0."""
    radii = np.concatenate([[pose.shape[WRIST_RADIUS]], pose.shape[SHAPE_RADIUS : SHAPE_RADIUS + 20], arm_radii])
    heights = (np.concatenate([pose.joints_mm, arm]) @ matrix.T + place) @ UP
    lowest = float((heights - radii)[:-1].min())  # the elbow may hang over the table's edge
    if grasp is not None:
        found, held = grasp
        centre = matrix @ found.centre_mm + place
        rows = transform_rows(found.rows, matrix, place)
        lowest = min(lowest, float(centre @ UP) - held.bound_mm + fall_mm(rows, centre, held.bound_mm, UP))
    return -lowest


def _has_room(
    world: World,
    view: Viewpoint,
    pose: HandPose,
    grasp: tuple[Grasp, HeldObject] | None,
    matrix: Float64Array,
    place: Float64Array,
    arm: Float64Array,
) -> bool:
    joints = view.to_camera(pose.joints_mm @ matrix.T + place)
    elbow = view.to_camera(arm @ matrix.T + place)
    if float(joints[:, 2].min()) < 130.0 or float(elbow[1, 2]) < 90.0:
        return False
    points, radii = [*joints[::2], elbow[1]], [14.0] * (len(joints[::2]) + 1)
    if grasp is not None:
        points.append(view.to_camera(matrix @ grasp[0].centre_mm + place))
        radii.append(grasp[1].bound_mm * 0.8)
    return world.builder.all_clear_of_others(np.array(points), np.array(radii))
