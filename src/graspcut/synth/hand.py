"""The articulated hand: shape, joint limits, forward kinematics and the solids that draw it.

The hand frame is right-handed: x towards the thumb, y towards the finger tips, z out of the back of the hand, the wrist at the origin,
millimetres. In a right-handed frame these axes describe a LEFT hand; a right hand is the mirror image (x -> -x) of the same numbers.

Sources. Bone lengths: fractions of hand length after Buchholz, Armstrong and Goldstein (1992), at a hand length near 185 mm. Joint
limits: Lin, Wu and Huang (2000) for the fingers, the ranges of the AAOS for the thumb, narrowed to what looked natural. Radii are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from graspcut.synth.kernel import kernel
from numpy.typing import NDArray

from graspcut.synth.solids import SOLID_ROW, Float64Array, write_round_cone, write_wedge_sides

# Columns of a pose vector, all in degrees.
POSE_FINGER = 0  # four fingers from the index on: abduction, MCP, PIP, DIP flexion each
POSE_THUMB = 16  # opposition, abduction, MCP flexion, IP flexion
POSE_WRIST = 20  # flexion, deviation
POSE_SIZE = 22

# Columns of a shape vector, mm (degrees for the splay).
SHAPE_MCP = 0  # four MCP joints, x y z each
SHAPE_LENGTH = 12  # four fingers: proximal, middle, distal
SHAPE_THUMB = 24  # CMC joint x y z, metacarpal, proximal, distal length
SHAPE_RADIUS = 30  # thumb then four fingers: four radii each
SHAPE_SPLAY = 50  # four rest splay angles in degrees
SHAPE_WRIST = 54  # half width of the wrist, wrist radius, forearm end radius, forearm length
SHAPE_SIZE = 58

LOWER_LIMIT = np.array(
    [-15, -17, 0, 0, -10, -17, 0, 0, -12, -17, 0, 0, -15, -17, 0, 0, 10, 5, 0, -20, -57, -23], np.float64
)
UPPER_LIMIT = np.array(
    [15, 92, 104, 70, 10, 92, 104, 70, 12, 92, 104, 70, 15, 92, 104, 70, 75, 65, 55, 75, 57, 23], np.float64
)

JOINTS = 21
SOLIDS_LIMIT = 96  # more rows than a hand ever needs
SLEEVE = 22  # surface offset of the sleeve; 1..20 are the parts, 21 the bare forearm


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


def sample_shape(rng: np.random.Generator) -> Float64Array:
    """Draw a hand shape: overall size, each bone, palm width and girth vary independently. Returns float64 (SHAPE_SIZE,)."""
    size = rng.uniform(0.86, 1.14)
    girth = size * rng.uniform(0.9, 1.15)
    palm = size * rng.uniform(0.92, 1.08)
    shape = np.zeros(SHAPE_SIZE)
    mcp = np.array([[25, 88, 0], [4, 92, 2.5], [-16, 86, 1], [-33, 76, -3]], np.float64)
    mcp *= np.array([palm, size, size])
    shape[SHAPE_MCP : SHAPE_MCP + 12] = mcp.ravel()
    lengths = np.array([44, 26, 18, 49, 30, 19, 45, 28, 19, 36, 20, 17], np.float64)
    shape[SHAPE_LENGTH : SHAPE_LENGTH + 12] = lengths * size * rng.uniform(0.92, 1.08, 12)
    shape[SHAPE_THUMB : SHAPE_THUMB + 3] = np.array([22, 20, -9]) * size
    shape[SHAPE_THUMB + 3 : SHAPE_THUMB + 6] = np.array([44, 33, 23]) * size * rng.uniform(0.92, 1.08, 3)
    radii = np.array(
        [16, 12.5, 10.2, 7.6, 11, 9.3, 8, 6.3, 11, 9.6, 8.2, 6.5, 10.5, 9, 7.6, 6.2, 9.5, 7.8, 6.7, 5.4], np.float64
    )
    shape[SHAPE_RADIUS : SHAPE_RADIUS + 20] = radii * girth * np.repeat(rng.uniform(0.95, 1.05, 5), 4)
    shape[SHAPE_SPLAY : SHAPE_SPLAY + 4] = np.array([6, 0, -5, -12]) + rng.normal(0, 1.5, 4)
    shape[SHAPE_WRIST] = 13.5 * palm
    shape[SHAPE_WRIST + 1] = 16.0 * girth * rng.uniform(0.92, 1.08)
    shape[SHAPE_WRIST + 2] = 31.0 * girth * rng.uniform(0.85, 1.15)
    shape[SHAPE_WRIST + 3] = 300.0 * size * rng.uniform(0.9, 1.1)
    return shape


@kernel
def forward_kinematics(shape: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Joint centres (21, 3) in the hand frame: wrist, then thumb and four fingers from base to tip.

    A finger bends about the axis across the palm by the sum of its flexions, in the plane that its abduction and rest splay turn about z.
    """
    joints = np.zeros((JOINTS, 3))
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
        length = shape[SHAPE_THUMB + 3 + k]
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
    return joints


@kernel
def _mix(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    return a + (b - a) * t


@kernel
def palm_spheres(shape: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (12, 3) and radii (12,) in mm of the spheres that span the palm's wedges.

    Order: wrist at the thumb side, wrist at the little side, four MCP joints, thumb CMC, thumb MCP, thenar, hypothenar near the wrist,
    hypothenar near the little finger, web between thumb and index.
    """
    centres = np.zeros((12, 3))
    radii = np.zeros(12)
    girth = shape[SHAPE_RADIUS + 4] / 11.0
    half_width = shape[SHAPE_WRIST]
    centres[0, 0] = half_width
    centres[1, 0] = -half_width
    centres[1, 2] = -2.0
    radii[0] = 14.0 * girth
    radii[1] = 13.5 * girth
    for f in range(4):
        centres[2 + f] = joints[5 + 4 * f]
        radii[2 + f] = shape[SHAPE_RADIUS + 4 + 4 * f] + 0.5
    centres[6] = joints[1]
    radii[6] = shape[SHAPE_RADIUS]
    centres[7] = joints[2]
    radii[7] = shape[SHAPE_RADIUS + 1]
    centres[8] = _mix(_mix(joints[1], joints[2], 0.45), joints[9] * 0.55, 0.35)
    radii[8] = 14.5 * girth
    centres[9] = _mix(centres[1], joints[17], 0.25)
    centres[9, 2] -= 8.0 * girth
    radii[9] = 12.5 * girth
    centres[10] = _mix(centres[1], joints[17], 0.78)
    centres[10, 2] -= 6.0 * girth
    radii[10] = 10.5 * girth
    centres[11] = _mix(_mix(joints[1], joints[2], 0.62), joints[5] * 0.74, 0.5)
    radii[11] = 8.0 * girth
    return centres, radii


@kernel
def forearm_points(shape: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (3, 2, 3) and radii (3,) in mm of the forearm at the wrist, half way and at the elbow, thumb side and little side."""
    flexion = pose[POSE_WRIST] * math.pi / 180.0
    deviation = pose[POSE_WRIST + 1] * math.pi / 180.0
    dx = math.sin(deviation)
    dy = -math.cos(deviation) * math.cos(flexion)
    dz = math.cos(deviation) * math.sin(flexion)
    # Across the forearm: x made perpendicular to its direction.
    wx = 1.0 - dx * dx
    wy = -dx * dy
    wz = -dx * dz
    norm = math.sqrt(wx * wx + wy * wy + wz * wz)
    centres = np.zeros((3, 2, 3))
    radii = np.zeros(3)
    for k in range(3):
        along = shape[SHAPE_WRIST + 3] * (0.02, 0.5, 1.0)[k]
        radii[k] = (shape[SHAPE_WRIST + 1], 0.5 * (shape[SHAPE_WRIST + 1] + shape[SHAPE_WRIST + 2]) * 1.08, shape[SHAPE_WRIST + 2])[k]
        half = shape[SHAPE_WRIST] * (0.95, 1.15, 1.0)[k]
        for side in range(2):
            sign = 1.0 if side == 0 else -1.0
            centres[k, side, 0] = dx * along + sign * half * wx / norm
            centres[k, side, 1] = dy * along + sign * half * wy / norm
            centres[k, side, 2] = dz * along + sign * half * wz / norm
    return centres, radii


@kernel
def _wedge(
    out: np.ndarray, n: int, surface: int, centres: np.ndarray, radii: np.ndarray, a: int, b: int, c: int
) -> int:
    n = write_wedge_sides(out, n, surface, centres[a], centres[b], centres[c], radii[a], radii[b], radii[c])
    n = write_round_cone(out, n, surface, centres[a], centres[b], radii[a], radii[b])
    return write_round_cone(out, n, surface, centres[b], centres[c], radii[b], radii[c])


@kernel
def _forearm_piece(
    out: np.ndarray, n: int, surface: int, c0: np.ndarray, c1: np.ndarray, r0: float, r1: float
) -> int:
    # A tapered slab between two pairs of spheres: two cones, a diagonal and four flat sides.
    n = write_round_cone(out, n, surface, c0[0], c1[0], r0, r1)
    n = write_round_cone(out, n, surface, c0[1], c1[1], r0, r1)
    n = write_wedge_sides(out, n, surface, c0[0], c0[1], c1[0], r0, r0, r1)
    return write_wedge_sides(out, n, surface, c0[1], c1[0], c1[1], r0, r1, r1)


@kernel
def hand_solids(
    shape: np.ndarray, pose: np.ndarray, joints: np.ndarray, surface: int, sleeve_start: float, sleeve_thickness: float
) -> np.ndarray:
    """All solids of a hand in the hand frame.

    Args:
        shape: (SHAPE_SIZE,).
        pose: (POSE_SIZE,), degrees.
        joints: (21, 3) from `forward_kinematics`.
        surface: Surface of part p is `surface + p`; the sleeve is `surface + SLEEVE`.
        sleeve_start: Where the sleeve begins, as a fraction of the forearm from the wrist; 1 or more for a bare arm.
        sleeve_thickness: mm between arm and sleeve.

    Returns:
        float64 (n, SOLID_ROW).
    """
    out = np.zeros((SOLIDS_LIMIT, SOLID_ROW))
    n = 0
    radius = shape[SHAPE_RADIUS:]
    for k in range(3):  # thumb: parts 1, 2, 3
        n = write_round_cone(out, n, surface + 1 + k, joints[1 + k], joints[2 + k], radius[k], radius[k + 1])
    for f in range(4):
        base = 5 + 4 * f
        part = surface + 4 + 4 * f
        first = radius[4 + 4 * f]
        knuckle = joints[base] * 0.8
        n = write_round_cone(out, n, part, knuckle, joints[base], first, first + 0.6)
        for k in range(3):
            r = radius[4 + 4 * f + k]
            n = write_round_cone(out, n, part + 1 + k, joints[base + k], joints[base + k + 1], r, radius[5 + 4 * f + k])
    centres, radii = palm_spheres(shape, joints)
    for f in range(4):
        radii[2 + f] -= 1.0  # the knuckle cone stands out of the palm and keeps its own part
    palm = surface + 20
    n = _wedge(out, n, palm, centres, radii, 0, 2, 3)
    n = _wedge(out, n, palm, centres, radii, 0, 3, 1)
    n = _wedge(out, n, palm, centres, radii, 3, 4, 1)
    n = _wedge(out, n, palm, centres, radii, 4, 5, 1)
    n = _wedge(out, n, palm, centres, radii, 6, 8, 0)
    n = _wedge(out, n, palm, centres, radii, 1, 9, 10)
    n = _wedge(out, n, palm, centres, radii, 9, 10, 4)
    n = _wedge(out, n, palm, centres, radii, 8, 7, 11)
    n = _wedge(out, n, palm, centres, radii, 11, 2, 8)
    n = write_round_cone(out, n, palm, centres[0], centres[1], radii[0], radii[1])
    n = write_round_cone(out, n, palm, centres[10], centres[5], radii[10], radii[5])
    n = write_round_cone(out, n, palm, centres[8], centres[3], radii[8], radii[3] - 1.0)
    arm, arm_radii = forearm_points(shape, pose)
    for k in range(2):
        n = _forearm_piece(out, n, surface + 21, arm[k], arm[k + 1], arm_radii[k], arm_radii[k + 1])
    if sleeve_start < 1.0:
        # A sleeve follows the arm, wider by its thickness, from where it begins to the elbow.
        start = _mix(arm[0], arm[1], 2.0 * sleeve_start) if sleeve_start < 0.5 else _mix(arm[1], arm[2], 2.0 * sleeve_start - 1.0)
        r = arm_radii[0] + (arm_radii[2] - arm_radii[0]) * sleeve_start
        n = _forearm_piece(
            out, n, surface + SLEEVE, start, arm[2], r + 0.6 * sleeve_thickness + 2.0, arm_radii[2] + sleeve_thickness
        )
    return out[:n]


@kernel
def segment_distance(
    px: float, py: float, pz: float, qx: float, qy: float, qz: float,
    ax: float, ay: float, az: float, bx: float, by: float, bz: float,
) -> float:  # fmt: skip
    """Smallest distance in mm between the segments p-q and a-b (C. Ericson, Real-Time Collision Detection, 5.1.9)."""
    ux = qx - px
    uy = qy - py
    uz = qz - pz
    vx = bx - ax
    vy = by - ay
    vz = bz - az
    wx = px - ax
    wy = py - ay
    wz = pz - az
    uu = max(ux * ux + uy * uy + uz * uz, 1e-9)
    vv = max(vx * vx + vy * vy + vz * vz, 1e-9)
    uv = ux * vx + uy * vy + uz * vz
    uw = ux * wx + uy * wy + uz * wz
    vw = vx * wx + vy * wy + vz * wz
    determinant = uu * vv - uv * uv
    s = 0.5
    if determinant > 1e-9:
        s = min(max((uv * vw - uw * vv) / determinant, 0.0), 1.0)
    t = (uv * s + vw) / vv
    if t < 0.0:
        t = 0.0
        s = min(max(-uw / uu, 0.0), 1.0)
    elif t > 1.0:
        t = 1.0
        s = min(max((uv - uw) / uu, 0.0), 1.0)
    x = wx + s * ux - t * vx
    y = wy + s * uy - t * vy
    z = wz + s * uz - t * vz
    return math.sqrt(x * x + y * y + z * z)


@kernel
def _bone_gap(shape: np.ndarray, joints: np.ndarray, digit: int, bone: int, other: int, other_bone: int) -> float:
    i = 1 + 4 * digit + bone
    j = 1 + 4 * other + other_bone
    r = 0.5 * (shape[SHAPE_RADIUS + 4 * digit + bone] + shape[SHAPE_RADIUS + 4 * digit + bone + 1])
    s = 0.5 * (shape[SHAPE_RADIUS + 4 * other + other_bone] + shape[SHAPE_RADIUS + 4 * other + other_bone + 1])
    distance = segment_distance(
        joints[i, 0], joints[i, 1], joints[i, 2], joints[i + 1, 0], joints[i + 1, 1], joints[i + 1, 2],
        joints[j, 0], joints[j, 1], joints[j, 2], joints[j + 1, 0], joints[j + 1, 1], joints[j + 1, 2],
    )  # fmt: skip
    return distance - r - s


@kernel
def self_penetration(shape: np.ndarray, joints: np.ndarray, first: int, last: int) -> float:
    """Deepest overlap in mm of digits `first` to `last` - 1 (0 = thumb) with lower digits and with the palm; 0 when none touch.

    Neighbouring bones of one digit, and the bases of fingers, grow out of each other and do not count.
    """
    deepest = 0.0
    half_width = shape[SHAPE_WRIST]
    for digit in range(first, last):
        for bone in range(1, 3):
            for other in range(digit):
                for k in range(1 if other == 0 else 0, 3):
                    deepest = max(deepest, -_bone_gap(shape, joints, digit, bone, other, k))
            if digit == 0:
                continue
            # The palm is its four metacarpals, a little thinner than the MCP joints.
            i = 1 + 4 * digit + bone
            r = 0.5 * (shape[SHAPE_RADIUS + 4 * digit + bone] + shape[SHAPE_RADIUS + 4 * digit + bone + 1])
            for f in range(4):
                gap = segment_distance(
                    joints[i, 0], joints[i, 1], joints[i, 2], joints[i + 1, 0], joints[i + 1, 1], joints[i + 1, 2],
                    half_width if f < 2 else -half_width, 0.0, 0.0,
                    0.92 * joints[5 + 4 * f, 0], 0.92 * joints[5 + 4 * f, 1], 0.92 * joints[5 + 4 * f, 2],
                )  # fmt: skip
                deepest = max(deepest, r + shape[SHAPE_RADIUS + 4 + 4 * f] - 1.0 - gap)
    return deepest


def sample_free_pose(rng: np.random.Generator, shape: Float64Array) -> HandPose:
    """Draw a natural pose without an object: a common curl plus each finger's own, or a canonical gesture; overlaps stay within 2 mm."""
    for _ in range(20):
        pose = np.zeros(POSE_SIZE)
        kind = rng.integers(0, 5)
        curl = np.full(4, rng.uniform(0, 1)) if kind < 3 else (rng.random(4) < 0.5).astype(np.float64)
        curl = np.clip(curl + rng.normal(0, 0.12, 4), 0, 1)
        pose[1:16:4] = -10 + 90 * np.clip(curl + rng.normal(0, 0.1, 4), 0, 1)
        pose[2:16:4] = 100 * np.clip(curl + rng.normal(0, 0.1, 4), 0, 1)
        pose[3:16:4] = pose[2:16:4] * rng.uniform(0.4, 0.75, 4)
        pose[0:16:4] = rng.normal(0, 4, 4) + np.array([4, 0, -3, -6]) * rng.uniform(-0.5, 1.5)
        pose[16:20] = rng.uniform((12, 15, 0, -10), (70, 60, 50, 65))
        pose[20:22] = rng.normal(0, (20, 8))
        pose = np.clip(pose, LOWER_LIMIT, UPPER_LIMIT)
        joints = forward_kinematics(shape, pose)
        if self_penetration(shape, joints, 1, 5) <= 2.0:
            break
    else:
        pose = np.zeros(POSE_SIZE)
        pose[16:20] = (30, 40, 5, 5)
        joints = forward_kinematics(shape, pose)
    return HandPose(shape, pose, joints)


def mirrored(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same points (..., 3) on the other hand: x changes its sign."""
    return np.asarray(points * np.array([-1.0, 1.0, 1.0]))
