"""Natural hand poses without an object."""

from __future__ import annotations

import numpy as np

from graspcut.synth.hands.flesh import hand_flesh
from graspcut.synth.hands.kinematics import (
    ABDUCTION,
    DIP_FLEXION,
    LOWER_LIMIT,
    MCP_FLEXION,
    PIP_FLEXION,
    POSE_SIZE,
    THUMB,
    UPPER_LIMIT,
    WRIST,
    HandPose,
    forward_kinematics,
)
from graspcut.synth.hands.overlap import OVERLAP_LIMIT_MM, self_penetration
from graspcut.synth.rendering.primitives import Float64Array

ATTEMPTS = 40


def _draw(rng: np.random.Generator) -> Float64Array:
    pose = np.zeros(POSE_SIZE)
    # A common curl of all fingers, or a gesture: each finger straight or bent.
    curl = np.full(4, rng.uniform(0, 1)) if rng.random() < 0.6 else (rng.random(4) < 0.5).astype(np.float64)
    curl = np.clip(curl + rng.normal(0, 0.12, 4), 0, 1)
    pose[MCP_FLEXION] = -10 + 90 * np.clip(curl + rng.normal(0, 0.1, 4), 0, 1)
    pose[PIP_FLEXION] = 100 * np.clip(curl + rng.normal(0, 0.1, 4), 0, 1)
    pose[DIP_FLEXION] = pose[PIP_FLEXION] * rng.uniform(0.4, 0.75, 4)
    pose[ABDUCTION] = rng.normal(0, 4, 4) + np.array([4, 0, -3, -6]) * rng.uniform(-0.5, 1.5)
    pose[THUMB] = rng.uniform((12, 15, 0, -10), (70, 60, 50, 65))
    pose[WRIST] = rng.normal(0, (20, 8))
    return np.asarray(np.clip(pose, LOWER_LIMIT, UPPER_LIMIT))


def _draw_pointing(rng: np.random.Generator) -> Float64Array:
    pose = _draw(rng)
    curl = rng.uniform(0.55, 1.0, 4)
    curl[0] = rng.uniform(0.0, 0.15)
    pose[MCP_FLEXION] = -10 + 90 * curl
    pose[PIP_FLEXION] = 100 * curl
    pose[DIP_FLEXION] = 55 * curl
    return np.asarray(np.clip(pose, LOWER_LIMIT, UPPER_LIMIT))


def _draw_relaxed(rng: np.random.Generator) -> Float64Array:
    """Fingers slightly and evenly bent, as on a table: flat at one end, a loose fist at the other."""
    pose = _draw(rng)
    curl = rng.uniform(0.0, 1.0) ** 2 * 0.8 + rng.normal(0, 0.04, 4)
    pose[ABDUCTION] = rng.normal(0, 4, 4) + np.array([5, 0, -4, -8]) * rng.uniform(-0.6, 1.2)
    pose[MCP_FLEXION] = rng.uniform(-8, 10) + 75 * curl
    pose[PIP_FLEXION] = rng.uniform(0, 12) + 85 * curl
    pose[DIP_FLEXION] = pose[PIP_FLEXION] * 0.5
    return np.asarray(np.clip(pose, LOWER_LIMIT, UPPER_LIMIT))


def sample_free_pose(
    rng: np.random.Generator, shape: Float64Array, *, pointing: bool = False, relaxed: bool = False
) -> HandPose:
    """Draw a natural pose: a common curl plus each finger's own, or a gesture; no overlap deeper than 2 mm.

    Args:
        rng: Source of all choices.
        shape: (SHAPE_SIZE,) from `kinematics.sample_shape`.
        pointing: The index finger is stretched, the others are bent.
        relaxed: All fingers lie evenly, slightly bent.
    """
    draw = _draw_pointing if pointing else _draw_relaxed if relaxed else _draw
    for _ in range(ATTEMPTS):
        pose = draw(rng)
        joints = forward_kinematics(shape, pose)
        if self_penetration(hand_flesh(shape, pose, joints), 0, 5) <= OVERLAP_LIMIT_MM:
            return HandPose(shape, pose, joints)
    # An open hand with the fingers spread and the thumb away from the palm.
    pose = np.zeros(POSE_SIZE)
    pose[ABDUCTION] = (8, 0, -6, -10)
    pose[THUMB] = (30, 45, 5, 5)
    return HandPose(shape, pose, forward_kinematics(shape, pose))
