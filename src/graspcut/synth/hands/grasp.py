"""Grasps: an object is brought to the palm, then every digit closes until it touches it.

Contact is judged by the object's signed distance along the axes of the hand's flesh minus the flesh's radius there, so
nothing that is drawn of the hand goes deeper than `PENETRATION_LIMIT_MM` into the object or the object into it. Sleeves
are cloth and do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.synth.hands.grasp_closing import FAR_MM, approach, close_hand, workspace
from graspcut.synth.hands.kinematics import (
    ABDUCTION,
    DIP_FLEXION,
    INDEX_MCP_RADIUS,
    LOWER_LIMIT,
    MCP_FLEXION,
    MEAN_INDEX_MCP_RADIUS_MM,
    PIP_FLEXION,
    POSE_SIZE,
    THUMB,
    UPPER_LIMIT,
    WRIST,
    HandPose,
    forward_kinematics,
)
from graspcut.synth.objects.catalogue import HeldObject, transform_rows
from graspcut.synth.rendering.primitives import Float64Array

PENETRATION_LIMIT_MM = 2.0


@dataclass(frozen=True)
class Grasp:
    """A hand around an object.

    Attributes:
        hand: Shape, pose and joints in the hand frame.
        rows: The object's primitives in the hand frame, float64 (n, ROW).
        centre_mm: The object's origin in the hand frame, (3,).
        rotation: From the object's own frame to the hand frame, (3, 3).
        touching: How many digits touch the object.
        penetration_mm: Deepest penetration of hand and object.
    """

    hand: HandPose
    rows: Float64Array
    centre_mm: Float64Array
    rotation: Float64Array
    touching: int
    penetration_mm: float

    @property
    def axis(self) -> Float64Array:
        """Where the object's long axis points in the hand frame, (3,)."""
        return self.rotation[:, 1]


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


def _orientation(held: HeldObject, rng: np.random.Generator, flush: float) -> Float64Array:
    # Columns: where the object's axes point in the hand frame.
    spin = _rotation_about(1, rng.uniform(0, 2 * np.pi))
    if flush > 0.0 and rng.random() < flush:  # along the fingers and level with them
        along = _rotation_about(2, rng.normal(0, 0.12) + (np.pi if rng.random() < 0.5 else 0.0))
        return np.asarray(_rotation_about(0, rng.normal(0, 0.1)) @ along @ spin)
    choice = rng.random()
    if choice < 0.5:  # across the palm, as one holds a bar
        across = _rotation_about(2, np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.45))
        return np.asarray(_rotation_about(1, rng.normal(0, 0.3)) @ across @ spin)
    if choice < 0.72:  # along the fingers
        along = _rotation_about(2, rng.normal(0, 0.35) + (np.pi if rng.random() < 0.5 else 0.0))
        return np.asarray(_rotation_about(0, rng.normal(0, 0.3)) @ along @ spin)
    return random_rotation(rng)


def sample_grasp(
    rng: np.random.Generator,
    shape: Float64Array,
    held: HeldObject,
    attempts: int = 8,
    *,
    flush: float = 0.0,
    open_handed: float = 0.0,
) -> Grasp | None:
    """Try to grasp an object with a hand of the given shape.

    Args:
        rng: Source of all choices.
        shape: (SHAPE_SIZE,) from `kinematics.sample_shape`.
        held: The object.
        attempts: How many placements to try.
        flush: Share of the placements along the fingers, level with them.
        open_handed: Share of the grasps in which most fingers stay stretched, as behind something flat that the thumb
            holds against the palm.

    Returns:
        A grasp with two or more touching digits and at most `PENETRATION_LIMIT_MM` penetration, or None.
    """
    size = float(shape[INDEX_MCP_RADIUS]) / MEAN_INDEX_MCP_RADIUS_MM
    work = workspace()
    for _ in range(attempts):
        pose = np.zeros(POSE_SIZE)
        pose[ABDUCTION] = rng.normal(0, 3, 4)
        pose[MCP_FLEXION] = rng.uniform(-17, 15) + rng.normal(0, 4, 4)
        pose[PIP_FLEXION] = rng.uniform(0, 25)
        pose[DIP_FLEXION] = pose[PIP_FLEXION] * 0.5
        pose[THUMB] = (30, 60, 0, -10)
        pose[WRIST] = rng.normal(0, (18, 8))
        pose = np.clip(pose, LOWER_LIMIT, UPPER_LIMIT)
        pinch = rng.random() < (0.75 if held.small else 0.2)
        rotation = _orientation(held, rng, flush)
        grip = np.array([0.0, rng.uniform(held.grip_low_mm, held.grip_high_mm), 0.0])
        if pinch:
            target = np.array([rng.uniform(-5, 28), rng.uniform(70, 110), -160.0]) * size
            stop = rng.uniform(5, 45)
            pose[MCP_FLEXION] = np.clip(pose[MCP_FLEXION] + rng.uniform(5, 40), -17, 92)
        else:
            target = np.array([rng.uniform(-14, 14), rng.uniform(42, 92), -held.bound_mm / size - 60.0]) * size
            stop = -0.7 if rng.random() < 0.75 else rng.uniform(0, 15)
        rows = transform_rows(held.rows, rotation, target - rotation @ grip)
        distance = approach(rows, shape, pose, stop, work.joints, work.spheres, work.flesh)
        if distance > FAR_MM:
            continue
        shift = np.array([0.0, 0.0, distance])
        limit = np.empty((4, 3))
        limit[:, 0] = rng.uniform(60, 88, 4)
        limit[:, 1] = rng.uniform(60, 102, 4)
        limit[:, 2] = limit[:, 1] * rng.uniform(0.35, 0.65, 4)
        lazy_share = 0.45 if pinch else 0.18
        if open_handed > 0.0 and rng.random() < open_handed:
            lazy_share = 0.85
        lazy = rng.random(4) < lazy_share  # fingers that do not take part
        limit[lazy] = pose[:16].reshape(4, 4)[lazy, 1:] + rng.uniform(0, 0.5, (int(lazy.sum()), 1)) * np.array(
            [50.0, 60.0, 30.0]
        )
        limit = np.clip(limit, LOWER_LIMIT[1:4], UPPER_LIMIT[1:4])
        thumbs = np.stack([rng.uniform(15, 72, 10), rng.uniform(15, 62, 10)], 1)
        touching, penetration = close_hand(rows, shape, pose, limit, thumbs, *work)
        if touching >= 2 and penetration <= PENETRATION_LIMIT_MM:
            hand = HandPose(shape, pose, forward_kinematics(shape, pose))
            centre = target - rotation @ grip + shift
            return Grasp(hand, rows, centre, rotation, int(touching), float(penetration))
    return None
