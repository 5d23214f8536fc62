"""The articulated hand: shape, joint limits and forward kinematics.

The hand frame is right-handed: x towards the thumb, y towards the finger tips, z out of the back of the hand, the wrist
at the origin, millimetres. In a right-handed frame these axes describe a LEFT hand; a right hand is the mirror image
(x -> -x) of the same numbers.

Sources. Bone lengths: fractions of hand length after Buchholz, Armstrong and Goldstein (1992), at a hand length near
185 mm. Joint limits: Lin, Wu and Huang (2000) for the fingers, the ranges of the AAOS for the thumb, narrowed to what
looked natural. Radii are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graspcut.synth.kernels.compiling import subroutine
from graspcut.synth.rendering.primitives import Float64Array

# Columns of a pose vector, all in degrees.
# Four fingers from the index on, each with four columns: abduction, MCP, PIP and DIP flexion.
FINGER_COLUMNS = 4
ABDUCTION = slice(0, 16, 4)  # of all fingers
MCP_FLEXION = slice(1, 16, 4)
PIP_FLEXION = slice(2, 16, 4)
DIP_FLEXION = slice(3, 16, 4)
POSE_THUMB = 16  # opposition, abduction, MCP flexion, IP flexion
POSE_WRIST = 20  # flexion, deviation
POSE_SIZE = 22
THUMB = slice(POSE_THUMB, POSE_WRIST)
WRIST = slice(POSE_WRIST, POSE_SIZE)

# Columns of a shape vector, mm (degrees for the splay).
SHAPE_MCP = 0  # four MCP joints, x y z each
SHAPE_LENGTH = 12  # four fingers: proximal, middle, distal
SHAPE_THUMB = 24  # CMC joint x y z
SHAPE_THUMB_LENGTH = 27  # metacarpal, proximal, distal
SHAPE_RADIUS = 30  # thumb then four fingers: four radii each
SHAPE_SPLAY = 50  # four rest splay angles in degrees
WRIST_HALF_WIDTH = 54
WRIST_RADIUS = 55
ELBOW_RADIUS = 56
FOREARM_LENGTH = 57
SHAPE_SIZE = 58

INDEX_MCP_RADIUS = SHAPE_RADIUS + 4
MEAN_INDEX_MCP_RADIUS_MM = 11.0  # girth 1 is a hand of this
MEAN_MIDDLE_KNUCKLE_MM = 92.0  # how far it is from the wrist
_MEAN_RADII_MM = np.array(
    [16, 12.5, 10.2, 7.6, 11, 9.3, 8, 6.3, 11, 9.6, 8.2, 6.5, 10.5, 9, 7.6, 6.2, 9.5, 7.8, 6.7, 5.4], np.float64
)

LOWER_LIMIT = np.array(
    [-15, -17, 0, 0, -10, -17, 0, 0, -12, -17, 0, 0, -15, -17, 0, 0, 10, 5, 0, -20, -57, -23], np.float64
)
UPPER_LIMIT = np.array(
    [15, 92, 104, 70, 10, 92, 104, 70, 12, 92, 104, 70, 15, 92, 104, 70, 75, 65, 55, 75, 57, 23], np.float64
)

JOINTS = 21


@dataclass(frozen=True)
class HandPose:
    """A hand with all its numbers.

    Attributes:
        shape: float64 (SHAPE_SIZE,).
        pose: float64 (POSE_SIZE,), degrees.
        joints_mm: float64 (21, 3) in the hand frame, order of `labels.JOINT_NAMES`.
    """

    shape: Float64Array
    pose: Float64Array
    joints_mm: Float64Array


def sample_varied_shape(rng: np.random.Generator, glove_mm: float = 0.0) -> Float64Array:
    """Draw a hand shape (SHAPE_SIZE,) of a grown-up, a child or somebody large, thin or thick.

    Args:
        rng: Source of all choices.
        glove_mm: Thickness of a glove, which makes every finger thicker.
    """
    choice = rng.random()
    low, high = (0.86, 1.14) if choice < 0.7 else (0.6, 0.86) if choice < 0.9 else (1.1, 1.22)
    shape = _sample_shape(rng, rng.uniform(low, high), rng.uniform(0.82, 1.24))
    shape[SHAPE_RADIUS : SHAPE_RADIUS + 20] += glove_mm
    shape[WRIST_RADIUS] += glove_mm
    return shape


def sample_shape(rng: np.random.Generator) -> Float64Array:
    """Draw a grown-up's hand shape (SHAPE_SIZE,): overall size, each bone, palm width and girth vary independently."""
    return _sample_shape(rng, rng.uniform(0.86, 1.14), rng.uniform(0.9, 1.15))


def _sample_shape(rng: np.random.Generator, size: float, girth_share: float) -> Float64Array:
    girth = size * girth_share
    palm = size * rng.uniform(0.92, 1.08)
    shape = np.zeros(SHAPE_SIZE)
    mcp = np.array([[25, 88, 0], [4, 92, 2.5], [-16, 86, 1], [-33, 76, -3]], np.float64)
    mcp *= np.array([palm, size, size])
    shape[SHAPE_MCP : SHAPE_MCP + 12] = mcp.ravel()
    lengths = np.array([44, 26, 18, 49, 30, 19, 45, 28, 19, 36, 20, 17], np.float64)
    shape[SHAPE_LENGTH : SHAPE_LENGTH + 12] = lengths * size * rng.uniform(0.92, 1.08, 12)
    shape[SHAPE_THUMB : SHAPE_THUMB + 3] = np.array([22, 20, -9]) * size
    shape[SHAPE_THUMB_LENGTH : SHAPE_THUMB_LENGTH + 3] = np.array([44, 33, 23]) * size * rng.uniform(0.92, 1.08, 3)
    shape[SHAPE_RADIUS : SHAPE_RADIUS + 20] = _MEAN_RADII_MM * girth * np.repeat(rng.uniform(0.95, 1.05, 5), 4)
    shape[SHAPE_SPLAY : SHAPE_SPLAY + 4] = np.array([6, 0, -5, -12]) + rng.normal(0, 1.5, 4)
    shape[WRIST_HALF_WIDTH] = 13.5 * palm
    shape[WRIST_RADIUS] = 16.0 * girth * rng.uniform(0.92, 1.08)
    shape[ELBOW_RADIUS] = 31.0 * girth * rng.uniform(0.85, 1.15)
    shape[FOREARM_LENGTH] = 300.0 * size * rng.uniform(0.9, 1.1)
    return shape


def digit_girths(shape: Float64Array) -> Float64Array:
    """How thick the five digits of a hand shape are, thumb first; 1 is a grown-up's mean (5,)."""
    ratios = shape[SHAPE_RADIUS : SHAPE_RADIUS + 20] / _MEAN_RADII_MM
    return np.asarray(ratios.reshape(5, 4).mean(axis=1))


@subroutine
def place_joints(shape: np.ndarray, pose: np.ndarray, joints: np.ndarray) -> None:
    """Write the joint centres of `forward_kinematics` to `joints` (21, 3)."""
    for k in range(3):
        joints[0, k] = 0.0
    to_radians = math.pi / 180.0
    opposition = pose[POSE_THUMB] * to_radians
    abduction = pose[POSE_THUMB + 1] * to_radians
    # Metacarpal direction, and the direction its tip bends to: across the palm, turning with opposition.
    dx = math.sin(abduction) * math.cos(opposition)
    dy = math.cos(abduction)
    dz = -math.sin(abduction) * math.sin(opposition)
    turn = 0.55 * opposition
    ex = -math.cos(turn)
    ey = 0.15
    ez = -math.sin(turn)
    dot = ex * dx + ey * dy + ez * dz
    ex -= dot * dx
    ey -= dot * dy
    ez -= dot * dz
    norm = math.sqrt(ex * ex + ey * ey + ez * ez)
    ex /= norm
    ey /= norm
    ez /= norm
    for k in range(3):
        joints[1, k] = shape[SHAPE_THUMB + k]
    angle = 0.0
    for k in range(3):
        if k > 0:
            angle += pose[POSE_THUMB + 1 + k] * to_radians
        c = math.cos(angle)
        s = math.sin(angle)
        length = shape[SHAPE_THUMB_LENGTH + k]
        joints[2 + k, 0] = joints[1 + k, 0] + length * (c * dx + s * ex)
        joints[2 + k, 1] = joints[1 + k, 1] + length * (c * dy + s * ey)
        joints[2 + k, 2] = joints[1 + k, 2] + length * (c * dz + s * ez)
    for f in range(4):
        base = 5 + 4 * f
        for k in range(3):
            joints[base, k] = shape[SHAPE_MCP + 3 * f + k]
        # A bent finger cannot splay: the spread fades with MCP flexion.
        fade = max(0.25, 1.0 - pose[4 * f + 1] / 120.0)
        splay = (shape[SHAPE_SPLAY + f] + pose[4 * f]) * fade * to_radians
        angle = 0.0
        for k in range(3):
            angle += pose[4 * f + 1 + k] * to_radians
            length = shape[SHAPE_LENGTH + 3 * f + k]
            joints[base + 1 + k, 0] = joints[base + k, 0] + length * math.cos(angle) * math.sin(splay)
            joints[base + 1 + k, 1] = joints[base + k, 1] + length * math.cos(angle) * math.cos(splay)
            joints[base + 1 + k, 2] = joints[base + k, 2] - length * math.sin(angle)


def forward_kinematics(shape: Float64Array, pose: Float64Array) -> Float64Array:
    """Joint centres (21, 3) in mm in the hand frame: wrist, then thumb and four fingers from base to tip.

    A finger bends about the axis across the palm by the sum of its flexions, in the plane that its abduction and rest
    splay turn about z.

    Args:
        shape: (SHAPE_SIZE,).
        pose: (POSE_SIZE,), degrees.
    """
    joints = np.empty((JOINTS, 3))
    place_joints(shape, pose, joints)
    return joints
