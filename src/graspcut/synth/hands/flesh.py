"""The flesh of a hand around its joints: round cones along the bones and wedges (hulls of three spheres) for the palm.

The same elements are drawn (`hand_primitives`), kept out of objects (`grasp.py`) and out of each other (`overlap.py`).
"""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.hands.kinematics import (
    ELBOW_RADIUS,
    FOREARM_LENGTH,
    INDEX_MCP_RADIUS,
    MEAN_INDEX_MCP_RADIUS_MM,
    POSE_WRIST,
    SHAPE_RADIUS,
    WRIST_HALF_WIDTH,
    WRIST_RADIUS,
)
from graspcut.synth.kernels.compiling import scalar, subroutine
from graspcut.synth.rendering import primitives as primitives
from graspcut.synth.rendering.primitives import PRIMITIVE_ROW, Float64Array, write_round_cone, write_wedge_sides

# Columns of an element.
CENTRE_A = 0  # three columns each
CENTRE_B = 3
CENTRE_C = 6
RADIUS = 9  # of a, b, c
PART = 12
CORNERS = 13  # 3 for a wedge; 2 for a round cone between the first two spheres, its third equals its first
CONES = 14  # which edges are drawn as round cones: 1 first-second, 2 second-third, 4 third-first, added up
ELEMENT_ROW = 15

# Rows: three bones of each digit from the thumb's metacarpal on, then the palm, then the forearm.
FIRST_PALM = 15
FIRST_FOREARM = 31
ELEMENTS = 35
FOREARM = 21
SLEEVE = 22  # surface offset of the sleeve; 1..20 are the parts, 21 the bare forearm

_AB, _BC, _CA = 1, 2, 4

# Spheres that span the palm, see `_place_palm_spheres`. Edges of two wedges are drawn once.
_PALM_SPHERES = 12
_PALM_PART = 20
_WEDGES = np.array(
    [
        [0, 2, 3, _AB + _BC],
        [0, 3, 1, _AB + _BC],
        [3, 4, 1, _AB + _BC],
        [4, 5, 1, _AB + _BC],
        [6, 8, 0, _AB + _BC + _CA],
        [1, 9, 10, _AB + _BC + _CA],
        [9, 10, 4, _BC + _CA],
        [8, 7, 11, _AB + _BC + _CA],
        [11, 2, 8, _AB + _BC],
    ]
)
_CONES = np.array([[0, 1], [10, 5], [8, 3]])


@scalar
def _sphere(spheres: np.ndarray, i: int, x: float, y: float, z: float, radius: float) -> None:
    spheres[i, 0] = x
    spheres[i, 1] = y
    spheres[i, 2] = z
    spheres[i, 3] = radius


@subroutine
def _place_palm_spheres(shape: np.ndarray, joints: np.ndarray, spheres: np.ndarray) -> None:
    """Write centres and radii (12, 4) in mm of the spheres that span the palm.

    Order: wrist at the thumb side, wrist at the little side, four MCP joints, thumb CMC, thumb MCP, thenar, hypothenar
    near the wrist, hypothenar near the little finger, web between thumb and index.
    """
    girth = shape[INDEX_MCP_RADIUS] / MEAN_INDEX_MCP_RADIUS_MM
    half_width = shape[WRIST_HALF_WIDTH]
    _sphere(spheres, 0, half_width, 0.0, 0.0, 14.0 * girth)
    _sphere(spheres, 1, -half_width, 0.0, -2.0, 13.5 * girth)
    for f in range(4):
        i = 5 + 4 * f
        # The knuckle's cone stands out of the palm and keeps its own part.
        _sphere(spheres, 2 + f, joints[i, 0], joints[i, 1], joints[i, 2], shape[SHAPE_RADIUS + 4 + 4 * f] - 0.5)
    for k in range(2):
        _sphere(spheres, 6 + k, joints[1 + k, 0], joints[1 + k, 1], joints[1 + k, 2], shape[SHAPE_RADIUS + k])
    for k in range(3):
        # Thenar: on the metacarpal, drawn towards the middle of the palm. Web: from the metacarpal towards the index.
        on_bone = joints[1, k] + 0.45 * (joints[2, k] - joints[1, k])
        spheres[8, k] = on_bone + 0.35 * (0.55 * joints[9, k] - on_bone)
        spheres[9, k] = spheres[1, k] + 0.25 * (joints[17, k] - spheres[1, k])
        spheres[10, k] = spheres[1, k] + 0.78 * (joints[17, k] - spheres[1, k])
        on_bone = joints[1, k] + 0.62 * (joints[2, k] - joints[1, k])
        spheres[11, k] = on_bone + 0.5 * (0.74 * joints[5, k] - on_bone)
    spheres[9, 2] -= 8.0 * girth
    spheres[10, 2] -= 6.0 * girth
    spheres[8, 3] = 14.5 * girth
    spheres[9, 3] = 12.5 * girth
    spheres[10, 3] = 10.5 * girth
    spheres[11, 3] = 8.0 * girth


@subroutine
def _place_forearm_spheres(shape: np.ndarray, pose: np.ndarray, spheres: np.ndarray) -> None:
    """Write centres and radii (6, 4) in mm: wrist, middle and elbow, of each first the thumb's side."""
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
    wrist = shape[WRIST_RADIUS]
    elbow = shape[ELBOW_RADIUS]
    for k in range(3):
        along = shape[FOREARM_LENGTH] * (0.02, 0.5, 1.0)[k]
        radius = (wrist, 0.54 * (wrist + elbow), elbow)[k]
        half = shape[WRIST_HALF_WIDTH] * (0.95, 1.15, 1.0)[k] / norm
        for side in range(2):
            across = half if side == 0 else -half
            _sphere(
                spheres,
                2 * k + side,
                dx * along + across * wx,
                dy * along + across * wy,
                dz * along + across * wz,
                radius,
            )


@scalar
def _element(
    elements: np.ndarray, i: int, part: int, cones: int, corners: int, spheres: np.ndarray, a: int, b: int, c: int
) -> None:
    for k in range(3):
        elements[i, CENTRE_A + k] = spheres[a, k]
        elements[i, CENTRE_B + k] = spheres[b, k]
        elements[i, CENTRE_C + k] = spheres[c, k]
    elements[i, RADIUS] = spheres[a, 3]
    elements[i, RADIUS + 1] = spheres[b, 3]
    elements[i, RADIUS + 2] = spheres[c, 3]
    elements[i, PART] = part
    elements[i, CORNERS] = corners
    elements[i, CONES] = cones


@scalar
def _slab(elements: np.ndarray, i: int, part: int, spheres: np.ndarray, first: int, last: int, is_end: bool) -> None:
    # Between two pairs of spheres: two wedges, each drawing one of the long edges; the far edge only where the arm
    # ends.
    _element(elements, i, part, _AB + _CA, 3, spheres, first, last, first + 1)
    _element(elements, i + 1, part, _AB + _BC if is_end else _AB, 3, spheres, first + 1, last + 1, last)


@scalar
def _bone(
    elements: np.ndarray, i: int, part: int, joints: np.ndarray, first: int, last: int, ra: float, rb: float
) -> None:
    for k in range(3):
        elements[i, CENTRE_A + k] = joints[first, k]
        elements[i, CENTRE_B + k] = joints[last, k]
        elements[i, CENTRE_C + k] = joints[first, k]
    elements[i, RADIUS] = ra
    elements[i, RADIUS + 1] = rb
    elements[i, RADIUS + 2] = ra
    elements[i, PART] = part
    elements[i, CORNERS] = 2
    elements[i, CONES] = _AB


@subroutine
def place_digits(shape: np.ndarray, joints: np.ndarray, elements: np.ndarray) -> None:
    """Write the elements of all digits' bones: row 3 * digit + bone, digit 0 being the thumb."""
    for digit in range(5):
        for bone in range(3):
            i = 1 + 4 * digit + bone
            r = SHAPE_RADIUS + 4 * digit + bone
            part = 1 + bone if digit == 0 else 1 + 4 * digit + bone
            _bone(elements, 3 * digit + bone, part, joints, i, i + 1, shape[r], shape[r + 1])


@subroutine
def place_palm(shape: np.ndarray, joints: np.ndarray, spheres: np.ndarray, elements: np.ndarray) -> None:
    """Write the elements of the palm, which depend on the thumb but not on how the fingers bend.

    Args:
        shape: (SHAPE_SIZE,).
        joints: (21, 3).
        spheres: (12, 4), overwritten.
        elements: (ELEMENTS, ELEMENT_ROW); rows `FIRST_PALM` to `FIRST_FOREARM` - 1 are written.
    """
    row = FIRST_PALM
    for f in range(4):
        i = 5 + 4 * f
        radius = shape[SHAPE_RADIUS + 4 + 4 * f]
        _bone(elements, row, 4 + 4 * f, joints, i, i, radius, radius + 0.6)
        for k in range(3):
            elements[row, CENTRE_A + k] = 0.8 * joints[i, k]
            elements[row, CENTRE_C + k] = 0.8 * joints[i, k]
        row += 1
    _place_palm_spheres(shape, joints, spheres)
    for w in range(_WEDGES.shape[0]):
        _element(elements, row, _PALM_PART, _WEDGES[w, 3], 3, spheres, _WEDGES[w, 0], _WEDGES[w, 1], _WEDGES[w, 2])
        row += 1
    for w in range(_CONES.shape[0]):
        _element(elements, row, _PALM_PART, _AB, 2, spheres, _CONES[w, 0], _CONES[w, 1], _CONES[w, 0])
        row += 1


@subroutine
def place_forearm(shape: np.ndarray, pose: np.ndarray, spheres: np.ndarray, elements: np.ndarray) -> None:
    """Write the forearm's elements; `spheres` (12, 4) holds its six spheres afterwards."""
    _place_forearm_spheres(shape, pose, spheres)
    _slab(elements, FIRST_FOREARM, FOREARM, spheres, 0, 2, False)
    _slab(elements, FIRST_FOREARM + 2, FOREARM, spheres, 2, 4, True)


@subroutine
def place_flesh(
    shape: np.ndarray, pose: np.ndarray, joints: np.ndarray, spheres: np.ndarray, elements: np.ndarray
) -> None:
    """Write all elements of a hand; `spheres` as in `place_forearm`."""
    place_digits(shape, joints, elements)
    place_palm(shape, joints, spheres, elements)
    place_forearm(shape, pose, spheres, elements)


@subroutine
def _place_sleeve(
    shape: np.ndarray, start: float, thickness: float, spheres: np.ndarray, elements: np.ndarray, i: int
) -> None:
    # A sleeve follows the arm, wider by its thickness, from where it begins to the elbow.
    piece = 0 if start < 0.5 else 2
    t = 2.0 * start - (0.0 if start < 0.5 else 1.0)
    wrist = shape[WRIST_RADIUS]
    elbow = shape[ELBOW_RADIUS]
    for side in range(2):
        for k in range(3):
            near = spheres[piece + side, k]
            spheres[6 + side, k] = near + t * (spheres[piece + 2 + side, k] - near)
            spheres[8 + side, k] = spheres[4 + side, k]
        spheres[6 + side, 3] = wrist + (elbow - wrist) * start + 0.6 * thickness + 2.0
        spheres[8 + side, 3] = elbow + thickness
    _slab(elements, i, SLEEVE, spheres, 6, 8, True)


@subroutine
def _draw(elements: np.ndarray, surface: int, out: np.ndarray) -> int:
    n = 0
    for i in range(elements.shape[0]):
        part = surface + int(elements[i, PART])
        a = elements[i, CENTRE_A:CENTRE_B]
        b = elements[i, CENTRE_B:CENTRE_C]
        c = elements[i, CENTRE_C:RADIUS]
        ra = elements[i, RADIUS]
        rb = elements[i, RADIUS + 1]
        rc = elements[i, RADIUS + 2]
        cones = int(elements[i, CONES])
        if elements[i, CORNERS] == 3.0:
            n = write_wedge_sides(out, n, part, a, b, c, ra, rb, rc)
        if cones & _AB:
            n = write_round_cone(out, n, part, a, b, ra, rb)
        if cones & _BC:
            n = write_round_cone(out, n, part, b, c, rb, rc)
        if cones & _CA:
            n = write_round_cone(out, n, part, c, a, rc, ra)
    return n


def hand_flesh(shape: Float64Array, pose: Float64Array, joints_mm: Float64Array) -> Float64Array:
    """Elements (ELEMENTS, ELEMENT_ROW) of a hand and its bare forearm in the hand frame."""
    elements = np.empty((ELEMENTS, ELEMENT_ROW))
    place_flesh(shape, pose, joints_mm, np.empty((_PALM_SPHERES, 4)), elements)
    return elements


def forearm_spheres(shape: Float64Array, pose: Float64Array) -> Float64Array:
    """Centres and radii (6, 4) in mm of the forearm's spheres in the hand frame.

    At the wrist, half way and at the elbow, of each first the thumb's side.
    """
    spheres = np.empty((_PALM_SPHERES, 4))
    _place_forearm_spheres(shape, pose, spheres)
    return spheres[:6]


def forearm_axis(shape: Float64Array, pose: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Centres (3, 3) and radii (3,) in mm of the forearm at the wrist, half way and at the elbow, in the hand frame."""
    spheres = forearm_spheres(shape, pose)
    return spheres[:, :3].reshape(3, 2, 3).mean(axis=1), spheres[::2, 3].copy()


def hand_primitives(
    shape: Float64Array,
    pose: Float64Array,
    joints_mm: Float64Array,
    surface: int,
    sleeve_start: float,
    sleeve_thickness_mm: float,
) -> Float64Array:
    """All primitives of a hand in the hand frame.

    Args:
        shape: (SHAPE_SIZE,).
        pose: (POSE_SIZE,), degrees.
        joints_mm: (21, 3) from `kinematics.forward_kinematics`.
        surface: Surface of part p is `surface + p`; the sleeve is `surface + SLEEVE`.
        sleeve_start: Where the sleeve begins, as a fraction of the forearm from the wrist; 1 or more for a bare arm.
        sleeve_thickness_mm: Between arm and sleeve.

    Returns:
        float64 (n, PRIMITIVE_ROW).
    """
    elements = np.empty((ELEMENTS + 2, ELEMENT_ROW))
    spheres = np.empty((_PALM_SPHERES, 4))
    place_flesh(shape, pose, joints_mm, spheres, elements)
    count = ELEMENTS
    if sleeve_start < 1.0:
        _place_sleeve(shape, sleeve_start, sleeve_thickness_mm, spheres, elements, ELEMENTS)
        count += 2
    out = np.zeros((5 * count, PRIMITIVE_ROW))
    return out[: _draw(elements[:count], surface, out)]
