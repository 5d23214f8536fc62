"""The kernels behind `grasp.py`: gaps between hand and object, and digits that close until they touch."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from graspcut.synth.hands import overlap as overlap
from graspcut.synth.hands.flesh import (
    CENTRE_A,
    CENTRE_B,
    CENTRE_C,
    CORNERS,
    ELEMENT_ROW,
    ELEMENTS,
    FIRST_PALM,
    RADIUS,
    place_digits,
    place_flesh,
    place_palm,
)
from graspcut.synth.hands.kinematics import JOINTS, POSE_SIZE, POSE_THUMB, place_joints
from graspcut.synth.hands.overlap import OVERLAP_LIMIT_MM, self_penetration
from graspcut.synth.kernels.compiling import loop, scalar, subroutine
from graspcut.synth.objects.signed_distance import CENTRE, object_distance

STEPS = 18
BISECTIONS = 3
CONTACT_MM = 3.5  # a digit as near as this touches
PRESS_MM = 2.0  # how deep a digit may end up in the object
FAR_MM = 400.0
_ALONG_MM = 2.0  # spacing of the points that are tested along an axis
_ACROSS_MM = 4.0  # spacing of such lines across a wedge

Array = np.ndarray


class Workspace(NamedTuple):
    """Arrays that the kernels write to; none of them may create its own."""

    joints: Array
    spheres: Array
    flesh: Array
    previous: Array
    best: Array
    trial: Array


def workspace() -> Workspace:
    """Fresh arrays of the right sizes."""
    poses = np.empty((3, POSE_SIZE))
    return Workspace(
        np.empty((JOINTS, 3)), np.empty((12, 4)), np.empty((ELEMENTS, ELEMENT_ROW)), poses[0], poses[1], poses[2]
    )


@subroutine
def _axis_clearance(
    rows: np.ndarray,
    ax: float,
    ay: float,
    az: float,
    ra: float,
    bx: float,
    by: float,
    bz: float,
    rb: float,
    best: float,
) -> float:
    """The smaller of `best` and the smallest gap in mm between the object and a round cone."""
    length = math.sqrt((bx - ax) ** 2 + (by - ay) ** 2 + (bz - az) ** 2)
    taper = 1.0 + abs(rb - ra) / max(length, 1e-6)
    along = 0.0
    while True:
        t = along / length if length > 0.0 else 0.0
        gap = object_distance(rows, ax + t * (bx - ax), ay + t * (by - ay), az + t * (bz - az)) - (ra + t * (rb - ra))
        best = min(best, gap)
        if along >= length:
            return best
        # The gap shrinks by at most `taper` mm a mm: nothing smaller than `best` is skipped.
        along = min(along + max(_ALONG_MM, (gap - best) / taper), length)


@subroutine
def _element_clearance(rows: np.ndarray, flesh: np.ndarray, i: int, best: float) -> float:
    """The smaller of `best` and the smallest gap in mm between the object and element `i` of the hand."""
    corners = int(flesh[i, CORNERS])
    x = y = z = 0.0
    for k in range(corners):
        x += flesh[i, CENTRE_A + 3 * k] / corners
        y += flesh[i, CENTRE_A + 3 * k + 1] / corners
        z += flesh[i, CENTRE_A + 3 * k + 2] / corners
    reach = 0.0
    for k in range(corners):
        dx = flesh[i, CENTRE_A + 3 * k] - x
        dy = flesh[i, CENTRE_A + 3 * k + 1] - y
        dz = flesh[i, CENTRE_A + 3 * k + 2] - z
        reach = max(reach, math.sqrt(dx * dx + dy * dy + dz * dz) + flesh[i, RADIUS + k])
    if object_distance(rows, x, y, z) - reach >= best:
        return best
    if corners == 2:
        return _axis_clearance(
            rows, flesh[i, CENTRE_A], flesh[i, CENTRE_A + 1], flesh[i, CENTRE_A + 2], flesh[i, RADIUS],
            flesh[i, CENTRE_B], flesh[i, CENTRE_B + 1], flesh[i, CENTRE_B + 2], flesh[i, RADIUS + 1], best,
        )  # fmt: skip
    # A wedge: lines from the side a-c to the side b-c.
    side = 0.0
    for k in range(2):
        dx = flesh[i, CENTRE_C] - flesh[i, CENTRE_A + 3 * k]
        dy = flesh[i, CENTRE_C + 1] - flesh[i, CENTRE_A + 3 * k + 1]
        dz = flesh[i, CENTRE_C + 2] - flesh[i, CENTRE_A + 3 * k + 2]
        side = max(side, math.sqrt(dx * dx + dy * dy + dz * dz))
    lines = int(side / _ACROSS_MM) + 1
    for j in range(lines + 1):
        s = j / lines
        best = _axis_clearance(
            rows,
            flesh[i, CENTRE_A] + s * (flesh[i, CENTRE_C] - flesh[i, CENTRE_A]),
            flesh[i, CENTRE_A + 1] + s * (flesh[i, CENTRE_C + 1] - flesh[i, CENTRE_A + 1]),
            flesh[i, CENTRE_A + 2] + s * (flesh[i, CENTRE_C + 2] - flesh[i, CENTRE_A + 2]),
            flesh[i, RADIUS] + s * (flesh[i, RADIUS + 2] - flesh[i, RADIUS]),
            flesh[i, CENTRE_B] + s * (flesh[i, CENTRE_C] - flesh[i, CENTRE_B]),
            flesh[i, CENTRE_B + 1] + s * (flesh[i, CENTRE_C + 1] - flesh[i, CENTRE_B + 1]),
            flesh[i, CENTRE_B + 2] + s * (flesh[i, CENTRE_C + 2] - flesh[i, CENTRE_B + 2]),
            flesh[i, RADIUS + 1] + s * (flesh[i, RADIUS + 2] - flesh[i, RADIUS + 1]),
            best,
        )
    return best


@subroutine
def clearance(rows: np.ndarray, flesh: np.ndarray, first: int, last: int, best: float) -> float:
    """The smaller of `best` and the smallest gap in mm between the object and elements `first` to `last` - 1.

    Minus the depth of the penetration where they overlap.
    """
    for i in range(first, last):
        best = _element_clearance(rows, flesh, i, best)
    return best


@scalar
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for k in range(source.shape[0]):
        target[k] = source[k]


@subroutine
def _bend(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, digit: int, first_column: int, frozen: int, fraction: float,
    start0: float, start1: float, start2: float, end0: float, end1: float, end2: float,
    joints: np.ndarray, flesh: np.ndarray,
) -> int:  # fmt: skip
    """Bend the joints of a digit from `frozen` on to a fraction of their way.

    Returns:
        The outermost bone that touches the object, not counting those before `frozen`; -1 for none.
    """
    if frozen <= 0:
        pose[first_column] = start0 + fraction * (end0 - start0)
    if frozen <= 1:
        pose[first_column + 1] = start1 + fraction * (end1 - start1)
    if frozen <= 2:
        pose[first_column + 2] = start2 + fraction * (end2 - start2)
    place_joints(shape, pose, joints)
    place_digits(shape, joints, flesh)
    for bone in range(2, frozen - 1, -1):
        if _element_clearance(rows, flesh, 3 * digit + bone, 1e-3) <= 0.0:
            return bone
    return -1


@subroutine
def _digit_clearance(rows: np.ndarray, flesh: np.ndarray, digit: int) -> float:
    # The thumb's metacarpal lies within the palm.
    return clearance(rows, flesh, 3 * digit + (1 if digit == 0 else 0), 3 * digit + 3, 1e9)


@subroutine
def _close_digit(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, digit: int,
    first_column: int, end0: float, end1: float, end2: float,
    joints: np.ndarray, flesh: np.ndarray, previous: np.ndarray,
) -> bool:  # fmt: skip
    """Close a digit from its present angles; a bone that touches freezes its joint and all before it.

    Args:
        rows: The object.
        shape: Hand shape.
        pose: (POSE_SIZE,), changed in place.
        digit: 0 = thumb.
        first_column: Column of the flexion of the digit's first bone; a thumb's first joint does not bend, and its
            column is left alone.
        end0: Flexion to reach, degrees.
        end1: The same of the second joint.
        end2: The same of the third joint.
        joints: Overwritten with the joints of the final pose.
        flesh: Palm and forearm of the hand; the digits are overwritten with those of the final pose.
        previous: (POSE_SIZE,), overwritten.

    Returns:
        Whether the digit touches the object.
    """
    start0 = pose[first_column]
    start1 = pose[first_column + 1]
    start2 = pose[first_column + 2]
    frozen = 1 if digit == 0 else 0  # joints below this index are fixed
    for step in range(1, STEPS + 1):
        _copy(pose, previous)
        touching = _bend(
            rows, shape, pose, digit, first_column, frozen, step / STEPS,
            start0, start1, start2, end0, end1, end2, joints, flesh,
        )  # fmt: skip
        if touching >= 0:
            # Between the last step and this one: the largest fraction found at which nothing touches yet.
            low = (step - 1) / STEPS
            high = step / STEPS
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                bone = _bend(
                    rows, shape, pose, digit, first_column, frozen, middle,
                    start0, start1, start2, end0, end1, end2, joints, flesh,
                )  # fmt: skip
                if bone >= 0:
                    high = middle
                    touching = bone
                else:
                    low = middle
            _bend(
                rows, shape, pose, digit, first_column, frozen, low,
                start0, start1, start2, end0, end1, end2, joints, flesh,
            )  # fmt: skip
            frozen = touching + 1
        # A thumb is the lowest digit, so it is the fingers that are tested against it.
        overlap = self_penetration(flesh, 0, 5) if digit == 0 else self_penetration(flesh, digit, digit + 1)
        if overlap > OVERLAP_LIMIT_MM:
            _copy(previous, pose)
            break
        if frozen >= 3:
            break
    place_joints(shape, pose, joints)
    place_digits(shape, joints, flesh)
    return _digit_clearance(rows, flesh, digit) < CONTACT_MM


@loop
def approach(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, stop: float,
    joints: np.ndarray, spheres: np.ndarray, flesh: np.ndarray,
) -> float:  # fmt: skip
    """Move the object along z, towards the palm, until its gap to the palm and the open fingers is `stop` mm.

    Args:
        rows: The object, moved in place.
        shape: Hand shape.
        pose: (POSE_SIZE,) of the open hand.
        stop: mm; negative to press into the flesh.
        joints: Overwritten.
        spheres: Overwritten.
        flesh: Overwritten.

    Returns:
        How far it moved, more than `FAR_MM` when it meets nothing.
    """
    place_joints(shape, pose, joints)
    place_flesh(shape, pose, joints, spheres, flesh)
    total = 0.0
    for _ in range(40):
        gap = clearance(rows, flesh, FIRST_PALM, ELEMENTS, FAR_MM)
        gap = clearance(rows, flesh, 3, FIRST_PALM, gap - 0.5) + 0.5
        gap -= stop
        if gap < 0.2:
            break
        total += gap
        for i in range(rows.shape[0]):
            rows[i, CENTRE + 2] += gap
        if total > FAR_MM:
            break
    return total


@loop
def close_hand(
    rows: np.ndarray, shape: np.ndarray, pose: np.ndarray, limit: np.ndarray, thumbs: np.ndarray,
    joints: np.ndarray, spheres: np.ndarray, flesh: np.ndarray,
    previous: np.ndarray, best: np.ndarray, trial: np.ndarray,
) -> tuple[int, float]:  # fmt: skip
    """Close all digits around the object, changing `pose` in place.

    Args:
        rows: The object in the hand frame.
        shape: Hand shape.
        pose: (POSE_SIZE,) the open hand.
        limit: (4, 3) flexions at which the fingers stop when nothing is in their way.
        thumbs: (n, 2) opposition and abduction to try for the thumb, degrees.
        joints: Overwritten, as are all that follow; see `Workspace`.
        spheres: The same.
        flesh: The same.
        previous: The same.
        best: The same.
        trial: The same.

    Returns:
        How many digits touch, and the deepest penetration in mm.
    """
    place_joints(shape, pose, joints)
    place_flesh(shape, pose, joints, spheres, flesh)
    touching = 0
    for f in range(4):
        if _close_digit(
            rows, shape, pose, f + 1, 4 * f + 1, limit[f, 0], limit[f, 1], limit[f, 2], joints, flesh, previous
        ):
            touching += 1
    best_score = -1e9
    best_touch = False
    for i in range(thumbs.shape[0]):
        _copy(pose, trial)
        trial[POSE_THUMB] = thumbs[i, 0]
        trial[POSE_THUMB + 1] = thumbs[i, 1]
        trial[POSE_THUMB + 2] = 0.0
        trial[POSE_THUMB + 3] = -10.0
        place_joints(shape, trial, joints)
        place_digits(shape, joints, flesh)
        place_palm(shape, joints, spheres, flesh)
        if clearance(rows, flesh, 0, 3, 0.0) < -0.5 or self_penetration(flesh, 0, 5) > OVERLAP_LIMIT_MM:
            continue
        if clearance(rows, flesh, FIRST_PALM, ELEMENTS, 0.0) < -PRESS_MM:
            continue
        touch = _close_digit(rows, shape, trial, 0, POSE_THUMB + 1, 0.0, 50.0, 70.0, joints, flesh, previous)
        # Prefer contact, and of two contacts the one with the straighter thumb.
        score = (1000.0 if touch else 0.0) - abs(trial[POSE_THUMB + 2]) - abs(trial[POSE_THUMB + 3])
        if score > best_score:
            best_score = score
            _copy(trial, best)
            best_touch = touch
        if touch:
            break
    if best_score <= -1e9:
        return 0, 1e9
    _copy(best, pose)
    if best_touch:
        touching += 1
    place_joints(shape, pose, joints)
    place_flesh(shape, pose, joints, spheres, flesh)
    return touching, -clearance(rows, flesh, 0, ELEMENTS, 0.0)
