"""What a hand has beside bones and palm: finger pads, nails, knuckles, webs, muscle pads, rings and watches.

Each stands at most a few millimetres out of the flesh of `flesh.py`, which alone is kept out of objects: where a hand
holds something these press into it and are not seen. All are round cones and wedges in the hand frame.
"""

from __future__ import annotations

import numpy as np

from graspcut.labels import FOREARM_PART
from graspcut.synth.hands.flesh import forearm_spheres
from graspcut.synth.hands.kinematics import (
    INDEX_MCP_RADIUS,
    MEAN_INDEX_MCP_RADIUS_MM,
    SHAPE_RADIUS,
    HandPose,
)
from graspcut.synth.rendering.primitives import PRIMITIVE_ROW, Float64Array, round_cone_row, write_wedge_sides

_PALM_PART = 20
_DIGITS = 5


def _unit(vector: Float64Array) -> Float64Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _part(digit: int, bone: int) -> int:
    """Part of a digit's bone: 0 is a thumb's metacarpal or a finger's proximal phalanx."""
    return 1 + bone if digit == 0 else 1 + 4 * digit + bone


def _backs(joints: Float64Array) -> Float64Array:
    """Direction (5, 3) in which the back of each digit's last bone faces."""
    backs = np.empty((_DIGITS, 3))
    for digit in range(_DIGITS):
        i = 1 + 4 * digit
        last = _unit(joints[i + 3] - joints[i + 2])
        before = _unit(joints[i + 2] - joints[i + 1])
        # Fingers bend towards the palm: the back faces away from where the last bone goes.
        bend = before - last * float(before @ last)
        back = np.array([0.0, 0.0, 1.0]) if digit else np.array([0.6, 0.2, 0.8])
        if float(np.linalg.norm(bend)) > 0.15:
            back = _unit(bend) * np.sign(float(bend @ back) or 1.0)
        backs[digit] = _unit(back - last * float(back @ last))
    return backs


def finger_details(pose: HandPose, surface: int) -> list[Float64Array]:
    """Pads, nails and knuckles of all digits; the surface of part p is `surface + p`."""
    joints, rows = pose.joints_mm, []
    radii = pose.shape[SHAPE_RADIUS : SHAPE_RADIUS + 4 * _DIGITS].reshape(_DIGITS, 4)
    backs = _backs(joints)
    for digit in range(_DIGITS):
        i = 1 + 4 * digit
        back = backs[digit]
        last, tip = joints[i + 2], joints[i + 3]
        along = tip - last
        r_last, r_tip = radii[digit, 2:]
        distal = surface + _part(digit, 2)
        pad = last + 0.45 * along - back * 0.2 * r_last
        rows.append(round_cone_row(distal, pad, tip - back * 0.16 * r_tip, 0.92 * r_last, 0.94 * r_tip))
        side = np.cross(_unit(along), back)
        for sign in (-1.0, 1.0):  # two thin rods side by side have a flat back, as a nail has
            offset = back * 0.6 * r_tip + side * sign * 0.36 * r_tip
            root, end = last + 0.5 * along + offset, tip + 0.1 * along + offset
            rows.append(round_cone_row(distal, root, end, 0.46 * r_tip, 0.4 * r_tip))
        for joint in (1, 2):
            part = surface + _part(digit, joint - 1)
            centre = joints[i + joint] + back * 0.16 * radii[digit, joint]
            rows.append(round_cone_row(part, centre, centre, 0.94 * radii[digit, joint], 0.93 * radii[digit, joint]))
    return rows


def palm_details(pose: HandPose, surface: int) -> list[Float64Array]:
    """Webs between the fingers and the muscle pads of the palm."""
    joints = pose.joints_mm
    palm = surface + _PALM_PART
    girth = float(pose.shape[INDEX_MCP_RADIUS]) / MEAN_INDEX_MCP_RADIUS_MM
    rows: list[Float64Array] = []
    for finger in range(1, 4):
        a, b = 1 + 4 * finger, 5 + 4 * finger
        left = joints[a] + 0.24 * (joints[a + 1] - joints[a])
        right = joints[b] + 0.24 * (joints[b + 1] - joints[b])
        root = 0.46 * (joints[a] + joints[b])
        radius = 0.55 * float(pose.shape[SHAPE_RADIUS + 4 * finger])
        rows += _wedge(palm, left, right, root, radius, radius, 1.4 * radius)
        pad = 0.5 * (joints[a] + joints[b]) * 0.97 - np.array([0.0, 0.0, 3.0 * girth])
        rows.append(round_cone_row(palm, pad, pad, 9.6 * girth, 9.5 * girth))
    thenar = 0.5 * (joints[1] + joints[2]) * 0.9 - np.array([0.0, 0.0, 3.0 * girth])
    rows.append(round_cone_row(palm, thenar, joints[2] - np.array([0.0, 0.0, 2.0 * girth]), 15.0 * girth, 12.0 * girth))
    heel = joints[17] * 0.3 - np.array([4.0, 0.0, 8.0]) * girth
    little = joints[17] * 0.75 - np.array([2.0, 0.0, 6.0]) * girth
    rows.append(round_cone_row(palm, heel, little, 13.0 * girth, 10.5 * girth))
    return rows


def _wedge(
    surface: int, a: Float64Array, b: Float64Array, c: Float64Array, ra: float, rb: float, rc: float
) -> list[Float64Array]:
    sides = np.zeros((2, PRIMITIVE_ROW))
    count = write_wedge_sides(sides, 0, surface, a, b, c, ra, rb, rc)
    edges = [(a, b, ra, rb), (b, c, rb, rc), (c, a, rc, ra)]
    return [*sides[:count], *(round_cone_row(surface, p, q, rp, rq) for p, q, rp, rq in edges)]


def rings(rng: np.random.Generator, pose: HandPose, surface: int) -> list[Float64Array]:
    """One or two rings on fingers' first bones."""
    rows = []
    for _ in range(int(rng.integers(1, 3))):
        digit = int(rng.integers(1, _DIGITS))
        i = 1 + 4 * digit
        share, half = float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.8, 3.0))
        axis = pose.joints_mm[i + 1] - pose.joints_mm[i]
        centre, step = pose.joints_mm[i] + share * axis, _unit(axis) * half
        r = pose.shape[SHAPE_RADIUS + 4 * digit : SHAPE_RADIUS + 4 * digit + 2]
        # Its ends are round: only what stands out beside the finger is seen.
        radius = float(r[0] + share * (r[1] - r[0])) + float(rng.uniform(0.4, 1.8))
        rows.append(round_cone_row(surface + _part(digit, 0), centre - step, centre + step, radius, radius))
    return rows


def watch(rng: np.random.Generator, pose: HandPose, surface: int) -> list[Float64Array]:
    """A band around the forearm near the wrist, with a face on its back, or a bracelet without one."""
    spheres = forearm_spheres(pose.shape, pose.pose)
    part = surface + FOREARM_PART
    start, width = float(rng.uniform(0.03, 0.3)), float(rng.uniform(0.02, 0.07))
    thickness = float(rng.uniform(1.0, 3.5))
    rows = []
    for share in (start, start + width):
        ends = spheres[:2] + share * (spheres[2:4] - spheres[:2])
        rows.append(round_cone_row(part, ends[0, :3], ends[1, :3], ends[0, 3] + thickness, ends[1, 3] + thickness))
    if rng.random() < 0.75:
        middle = (spheres[:2] + (start + 0.5 * width) * (spheres[2:4] - spheres[:2])).mean(axis=0)
        arm = _unit((spheres[2:4] - spheres[:2]).mean(axis=0)[:3])
        back = _unit(np.array([0.0, 0.0, 1.0]) - arm * arm[2])
        top = middle[:3] + back * (middle[3] - float(rng.uniform(4, 9)))
        side = np.cross(arm, back) * float(rng.uniform(4, 10))
        for sign in (-1.0, 1.0):
            rows.append(round_cone_row(part, top + sign * side - arm * 6, top + sign * side + arm * 6, 12.5, 12.5))
    return rows
