"""Grasps: an object is brought to the palm, then every digit closes until it touches it.

Contact is judged by the object's signed distance at points along each bone minus the bone's radius there, so nothing interpenetrates
deeper than `PENETRATION_LIMIT_MM`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from graspcut.synth.kernel import kernel

from graspcut.synth.geometry import CENTRE, object_distance
from graspcut.synth.hand import (
    LOWER_LIMIT,
    POSE_SIZE,
    POSE_THUMB,
    SHAPE_RADIUS,
    UPPER_LIMIT,
    HandPose,
    forearm_points,
    forward_kinematics,
    palm_spheres,
    self_penetration,
)
from graspcut.synth.objects import HeldObject, transform_rows
from graspcut.synth.solids import Float64Array

PENETRATION_LIMIT_MM = 2.0
STEPS = 36
CONTACT_MM = 1.5


@dataclass(frozen=True)
class Grasp:
    """A hand around an object.

    Attributes:
        hand: Shape, pose and joints in the hand frame.
        rows: The object's primitives in the hand frame, float64 (n, ROW).
        centre_mm: The object's origin in the hand frame, (3,).
        touching: How many digits touch the object.
        penetration_mm: Deepest penetration of hand and object.
    """

    hand: HandPose
    rows: Float64Array
    centre_mm: Float64Array
    touching: int
    penetration_mm: float


@kernel
def bone_clearance(rows: np.ndarray, shape: np.ndarray, joints: np.ndarray, digit: int, bone: int) -> float:
    """Smallest gap in mm between a bone of a digit (0 = thumb) and the object; negative where they overlap."""
    r0 = shape[SHAPE_RADIUS + 4 * digit + bone]
    r1 = shape[SHAPE_RADIUS + 4 * digit + bone + 1]
    a = joints[1 + 4 * digit + bone]
    b = joints[2 + 4 * digit + bone]
    smallest = 1e9
    for k in range(1, 5):
        t = 0.25 * k
        d = object_distance(rows, a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]))
        smallest = min(smallest, d - (r0 + t * (r1 - r0)))
    return smallest


@kernel
def palm_clearance(rows: np.ndarray, shape: np.ndarray, joints: np.ndarray, pose: np.ndarray) -> float:
    """Smallest gap in mm between the object and the palm or the first part of the forearm."""
    centres, radii = palm_spheres(shape, joints)
    smallest = 1e9
    for i in range(centres.shape[0]):
        d = object_distance(rows, centres[i, 0], centres[i, 1], centres[i, 2]) - radii[i]
        smallest = min(smallest, d)
    for f in range(4):  # between wrist and knuckles
        for t in (0.3, 0.6, 0.85):
            w = 0 if f < 2 else 1
            x = centres[w, 0] + t * (centres[2 + f, 0] - centres[w, 0])
            y = centres[w, 1] + t * (centres[2 + f, 1] - centres[w, 1])
            z = centres[w, 2] + t * (centres[2 + f, 2] - centres[w, 2])
            smallest = min(smallest, object_distance(rows, x, y, z) - (radii[w] + t * (radii[2 + f] - radii[w])))
    arm, arm_radii = forearm_points(shape, pose)
    for side in range(2):
        for t in (0.0, 0.2, 0.45, 0.7, 1.0):
            p = arm[0, side] + t * (arm[1, side] - arm[0, side])
            r = arm_radii[0] + t * (arm_radii[1] - arm_radii[0])
            smallest = min(smallest, object_distance(rows, p[0], p[1], p[2]) - r)
    return smallest


@kernel
def hand_clearance(rows: np.ndarray, shape: np.ndarray, joints: np.ndarray, pose: np.ndarray) -> float:
    """Smallest gap in mm between the object and the whole hand; minus the penetration depth where they overlap."""
    smallest = palm_clearance(rows, shape, joints, pose)
    for digit in range(5):
        for bone in range(3):
            if digit == 0 and bone == 0:
                continue  # the thumb's metacarpal lies within the thenar spheres of the palm
            smallest = min(smallest, bone_clearance(rows, shape, joints, digit, bone))
    return smallest


@kernel
def close_digit(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, digit: int, columns: np.ndarray, end: np.ndarray, overlap: float
) -> bool:
    """Close one digit in place from its present angles towards `end`; a bone that touches freezes its joint and all before it.

    Args:
        rows: The object.
        shape: Hand shape.
        pose: (POSE_SIZE,), changed in place.
        digit: 0 = thumb.
        columns: The digit's three flexion columns of the pose, base first (-1: the joint does not bend).
        end: (3,) angles to reach.
        overlap: How deep this digit may press into other digits and the palm, mm.

    Returns:
        Whether a bone touched the object.
    """
    start = np.zeros(3)
    frozen = 0  # joints below this index are fixed
    for k in range(3):
        if columns[k] >= 0:
            start[k] = pose[columns[k]]
    for step in range(1, STEPS + 1):
        previous = pose.copy()
        fraction = step / STEPS
        for k in range(frozen, 3):
            if columns[k] >= 0:
                pose[columns[k]] = start[k] + fraction * (end[k] - start[k])
        joints = forward_kinematics(shape, pose)
        while frozen < 3:
            touching = -1
            for bone in range(2, frozen - 1, -1):
                if bone_clearance(rows, shape, joints, digit, bone) < 0.0:
                    touching = bone
                    break
            if touching < 0:
                break
            for k in range(frozen, touching + 1):
                if columns[k] >= 0:
                    pose[columns[k]] = previous[columns[k]]
            frozen = touching + 1
            joints = forward_kinematics(shape, pose)
        # A thumb is the lowest digit, so it is the fingers that are tested against it.
        first = 1 if digit == 0 else digit
        if self_penetration(shape, joints, first, 5 if digit == 0 else digit + 1) > overlap:
            pose[:] = previous
            break
        if frozen >= 3:
            # The last bone stopped on its way: the joints before it were put back, which may have moved it into the object.
            if hand_digit_clearance(rows, shape, joints, digit) < -PENETRATION_LIMIT_MM:
                pose[:] = previous
            break
    joints = forward_kinematics(shape, pose)
    return hand_digit_clearance(rows, shape, joints, digit) < CONTACT_MM + 2.0


@kernel
def hand_digit_clearance(rows: np.ndarray, shape: np.ndarray, joints: np.ndarray, digit: int) -> float:
    """Smallest gap in mm between one digit (its metacarpal left out for the thumb) and the object."""
    smallest = 1e9
    for bone in range(1 if digit == 0 else 0, 3):
        smallest = min(smallest, bone_clearance(rows, shape, joints, digit, bone))
    return smallest


@kernel
def approach(rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, stop: float) -> float:
    """How far in mm the object must move along z (towards the palm) until its gap to the palm and the open fingers is `stop`."""
    moved = rows.copy()
    joints = forward_kinematics(shape, pose)
    total = 0.0
    for _ in range(40):
        gap = palm_clearance(moved, shape, joints, pose)
        for digit in range(1, 5):
            gap = min(gap, hand_digit_clearance(moved, shape, joints, digit) + 0.5)
        gap -= stop
        if gap < 0.2:
            break
        total += gap
        for i in range(moved.shape[0]):
            moved[i, CENTRE + 2] += gap
        if total > 400.0:
            break
    return total


@kernel
def close_hand(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, limit: np.ndarray, thumbs: np.ndarray
) -> tuple[int, float]:
    """Close all digits around the object, changing `pose` in place.

    Args:
        rows: The object in the hand frame.
        shape: Hand shape.
        pose: (POSE_SIZE,) the open hand.
        limit: (4, 3) flexions at which the fingers stop when nothing is in their way.
        thumbs: (n, 2) opposition and abduction to try for the thumb, degrees.

    Returns:
        How many digits touch, and the deepest penetration in mm.
    """
    touching = 0
    columns = np.zeros(3, np.int64)
    for f in range(4):
        for k in range(3):
            columns[k] = 4 * f + 1 + k
        if close_digit(rows, shape, pose, f + 1, columns, limit[f], 2.0):
            touching += 1
    columns[0] = -1
    columns[1] = POSE_THUMB + 2
    columns[2] = POSE_THUMB + 3
    best = pose.copy()
    best_score = -1e9
    best_touch = False
    end = np.array([0.0, 50.0, 70.0])
    for i in range(thumbs.shape[0]):
        trial = pose.copy()
        trial[POSE_THUMB] = thumbs[i, 0]
        trial[POSE_THUMB + 1] = thumbs[i, 1]
        trial[POSE_THUMB + 2] = 0.0
        trial[POSE_THUMB + 3] = -10.0
        joints = forward_kinematics(shape, trial)
        if hand_digit_clearance(rows, shape, joints, 0) < -0.5 or self_penetration(shape, joints, 1, 5) > 2.0:
            continue
        touch = close_digit(rows, shape, trial, 0, columns, end, 2.0)
        # Prefer contact, and of two contacts the one with the straighter thumb.
        score = (1000.0 if touch else 0.0) - abs(trial[POSE_THUMB + 2]) - abs(trial[POSE_THUMB + 3])
        if score > best_score:
            best_score = score
            best = trial
            best_touch = touch
        if touch:
            break
    if best_score <= -1e9:
        return 0, 1e9
    pose[:] = best
    if best_touch:
        touching += 1
    joints = forward_kinematics(shape, pose)
    return touching, max(0.0, -hand_clearance(rows, shape, joints, pose))


def _rotation_about(axis: int, angle: float) -> Float64Array:
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def random_rotation(rng: np.random.Generator) -> Float64Array:
    """Uniform rotation (3, 3) from a random unit quaternion."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _orientation(held: HeldObject, rng: np.random.Generator) -> Float64Array:
    # Columns: where the object's axes point in the hand frame.
    spin = _rotation_about(1, rng.uniform(0, 2 * np.pi))
    choice = rng.random()
    if choice < 0.5:  # across the palm, as one holds a bar
        across = _rotation_about(2, np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.45))
        return np.asarray(_rotation_about(1, rng.normal(0, 0.3)) @ across @ spin)
    if choice < 0.72:  # along the fingers
        along = _rotation_about(2, rng.normal(0, 0.35) + (np.pi if rng.random() < 0.5 else 0.0))
        return np.asarray(_rotation_about(0, rng.normal(0, 0.3)) @ along @ spin)
    return random_rotation(rng)


def sample_grasp(rng: np.random.Generator, shape: Float64Array, held: HeldObject, attempts: int = 8) -> Grasp | None:
    """Try to grasp an object with a hand of the given shape.

    Args:
        rng: Source of all choices.
        shape: (SHAPE_SIZE,) from `hand.sample_shape`.
        held: The object.
        attempts: How many placements to try.

    Returns:
        A grasp with two or more touching digits and at most `PENETRATION_LIMIT_MM` penetration, or None.
    """
    size = float(shape[SHAPE_RADIUS + 4]) / 11.0
    for _ in range(attempts):
        pose = np.zeros(POSE_SIZE)
        pose[0:16:4] = rng.normal(0, 3, 4)
        pose[1:16:4] = rng.uniform(-17, 15) + rng.normal(0, 4, 4)
        pose[2:16:4] = rng.uniform(0, 25)
        pose[3:16:4] = pose[2:16:4] * 0.5
        pose[16:20] = (30, 60, 0, -10)
        pose[20:22] = rng.normal(0, (18, 8))
        pose = np.clip(pose, LOWER_LIMIT, UPPER_LIMIT)
        pinch = rng.random() < (0.75 if held.small else 0.2)
        rotation = _orientation(held, rng)
        grip = np.array([0.0, rng.uniform(held.grip_low_mm, held.grip_high_mm), 0.0])
        if pinch:
            target = np.array([rng.uniform(-5, 28), rng.uniform(70, 110), -160.0]) * size
            stop = rng.uniform(5, 45)
            pose[1:16:4] = np.clip(pose[1:16:4] + rng.uniform(5, 40), -17, 92)
        else:
            target = np.array([rng.uniform(-14, 14), rng.uniform(42, 92), -held.bound_mm / size - 60.0]) * size
            stop = -0.7 if rng.random() < 0.75 else rng.uniform(0, 15)
        rows = transform_rows(held.rows, rotation, target - rotation @ grip)
        distance = approach(rows, shape, pose, stop)
        if distance > 400.0:
            continue
        shift = np.array([0.0, 0.0, distance])
        rows[:, CENTRE + 2] += distance
        limit = np.empty((4, 3))
        limit[:, 0] = rng.uniform(60, 88, 4)
        limit[:, 1] = rng.uniform(60, 102, 4)
        limit[:, 2] = limit[:, 1] * rng.uniform(0.35, 0.65, 4)
        lazy = rng.random(4) < (0.45 if pinch else 0.18)  # fingers that do not take part
        limit[lazy] = pose[:16].reshape(4, 4)[lazy, 1:] + rng.uniform(0, 0.5, (int(lazy.sum()), 1)) * np.array([50.0, 60.0, 30.0])
        limit = np.clip(limit, LOWER_LIMIT[1:4], UPPER_LIMIT[1:4])
        thumbs = np.stack([rng.uniform(15, 72, 10), rng.uniform(15, 62, 10)], 1)
        touching, penetration = close_hand(rows, shape, pose, limit, thumbs)
        if touching >= 2 and penetration <= PENETRATION_LIMIT_MM:
            hand = HandPose(shape, pose, forward_kinematics(shape, pose))
            return Grasp(hand, rows, target - rotation @ grip + shift, int(touching), float(penetration))
    return None
