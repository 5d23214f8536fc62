"""How deep a hand goes into itself: digits into digits and into the palm."""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.hands.flesh import CENTRE_A, CENTRE_B, CENTRE_C, FIRST_PALM, RADIUS
from graspcut.synth.kernels.compiling import scalar, subroutine

# Nothing shall overlap by more than 2 mm. Radii are taken where axes are nearest, which falls up to 0.6 mm short of the
# deepest place between spheres of different size.
OVERLAP_LIMIT_MM = 1.4

# Palm elements that a bent finger or the thumb's tip can press into: all wedges for the fingers; not the thumb's own
# flesh (its CMC, thenar and web) for the thumb.
_FIRST_WEDGE = FIRST_PALM + 4
_LAST_WEDGE = FIRST_PALM + 13
_THUMB_WEDGES = (_FIRST_WEDGE + 4, _FIRST_WEDGE + 7, _FIRST_WEDGE + 8)
_SAMPLES = 5  # points along a bone that are tested against the palm
_SLACK_MM = 5.0  # how much faster than 1 mm a mm the distance to a wedge may change over half a bone


@subroutine
def closest_parameters(
    px: float, py: float, pz: float, qx: float, qy: float, qz: float,
    ax: float, ay: float, az: float, bx: float, by: float, bz: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Where the segments p-q and a-b are nearest to each other (C. Ericson, Real-Time Collision Detection, 5.1.9).

    Returns:
        Fraction along p-q, fraction along a-b, distance in mm there.
    """
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
    return s, t, math.sqrt(x * x + y * y + z * z)


@scalar
def _bone_overlap(flesh: np.ndarray, i: int, j: int) -> float:
    # Radii change slowly along a bone, so the deepest place is where the axes are nearest.
    s, t, distance = closest_parameters(
        flesh[i, CENTRE_A], flesh[i, CENTRE_A + 1], flesh[i, CENTRE_A + 2],
        flesh[i, CENTRE_B], flesh[i, CENTRE_B + 1], flesh[i, CENTRE_B + 2],
        flesh[j, CENTRE_A], flesh[j, CENTRE_A + 1], flesh[j, CENTRE_A + 2],
        flesh[j, CENTRE_B], flesh[j, CENTRE_B + 1], flesh[j, CENTRE_B + 2],
    )  # fmt: skip
    r = flesh[i, RADIUS] + s * (flesh[i, RADIUS + 1] - flesh[i, RADIUS])
    q = flesh[j, RADIUS] + t * (flesh[j, RADIUS + 1] - flesh[j, RADIUS])
    return float(r + q - distance)


@scalar
def _weights(d1: float, d2: float, d3: float, d4: float, d5: float, d6: float) -> tuple[float, float]:
    # Barycentric weights of the second and third corner of the triangle's point nearest to p (Ericson 5.1.5):
    # d1, d2 = ab.ap, ac.ap; d3, d4 = ab.bp, ac.bp; d5, d6 = ab.cp, ac.cp.
    if d1 <= 0.0 and d2 <= 0.0:
        return 0.0, 0.0
    if d3 >= 0.0 and d4 <= d3:
        return 1.0, 0.0
    if d6 >= 0.0 and d5 <= d6:
        return 0.0, 1.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        return d1 / (d1 - d3), 0.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        return 0.0, d2 / (d2 - d6)
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 1.0 - w, w
    total = va + vb + vc
    return vb / total, vc / total


@subroutine
def wedge_distance(flesh: np.ndarray, i: int, x: float, y: float, z: float) -> float:
    """Distance in mm from a point to the wedge of element `i`, negative inside."""
    ux = flesh[i, CENTRE_B] - flesh[i, CENTRE_A]
    uy = flesh[i, CENTRE_B + 1] - flesh[i, CENTRE_A + 1]
    uz = flesh[i, CENTRE_B + 2] - flesh[i, CENTRE_A + 2]
    vx = flesh[i, CENTRE_C] - flesh[i, CENTRE_A]
    vy = flesh[i, CENTRE_C + 1] - flesh[i, CENTRE_A + 1]
    vz = flesh[i, CENTRE_C + 2] - flesh[i, CENTRE_A + 2]
    px = x - flesh[i, CENTRE_A]
    py = y - flesh[i, CENTRE_A + 1]
    pz = z - flesh[i, CENTRE_A + 2]
    uu = ux * ux + uy * uy + uz * uz
    uv = ux * vx + uy * vy + uz * vz
    vv = vx * vx + vy * vy + vz * vz
    d1 = ux * px + uy * py + uz * pz
    d2 = vx * px + vy * py + vz * pz
    b, c = _weights(d1, d2, d1 - uu, d2 - uv, d1 - uv, d2 - vv)
    dx = px - b * ux - c * vx
    dy = py - b * uy - c * vy
    dz = pz - b * uz - c * vz
    radius = flesh[i, RADIUS] * (1.0 - b - c) + flesh[i, RADIUS + 1] * b + flesh[i, RADIUS + 2] * c
    return float(math.sqrt(dx * dx + dy * dy + dz * dz) - radius)


@subroutine
def _palm_overlap(flesh: np.ndarray, bone: int, deepest: float) -> float:
    thumb = bone < 3
    ux = flesh[bone, CENTRE_B] - flesh[bone, CENTRE_A]
    uy = flesh[bone, CENTRE_B + 1] - flesh[bone, CENTRE_A + 1]
    uz = flesh[bone, CENTRE_B + 2] - flesh[bone, CENTRE_A + 2]
    reach = 0.5 * math.sqrt(ux * ux + uy * uy + uz * uz) + max(flesh[bone, RADIUS], flesh[bone, RADIUS + 1])
    x = flesh[bone, CENTRE_A] + 0.5 * ux
    y = flesh[bone, CENTRE_A + 1] + 0.5 * uy
    z = flesh[bone, CENTRE_A + 2] + 0.5 * uz
    for i in range(_FIRST_WEDGE, _LAST_WEDGE):
        if thumb and i in _THUMB_WEDGES:
            continue
        if wedge_distance(flesh, i, x, y, z) > reach + _SLACK_MM:
            continue
        for k in range(1, _SAMPLES + 1):
            t = k / _SAMPLES
            r = flesh[bone, RADIUS] + t * (flesh[bone, RADIUS + 1] - flesh[bone, RADIUS])
            distance = wedge_distance(
                flesh,
                i,
                flesh[bone, CENTRE_A] + t * ux,
                flesh[bone, CENTRE_A + 1] + t * uy,
                flesh[bone, CENTRE_A + 2] + t * uz,
            )
            deepest = max(deepest, r - distance)
    return deepest


@subroutine
def self_penetration(flesh: np.ndarray, first: int, last: int) -> float:
    """Deepest overlap in mm of digits `first` to `last` - 1 (0 = thumb) with lower digits and with the palm.

    What grows together does not count: the bones of one digit, the first bones of two fingers, the thumb's metacarpal
    with anything, and the first bones of fingers with the palm.

    Args:
        flesh: Elements of the hand, from `flesh.py`.
        first: First digit.
        last: One past the last digit.

    Returns:
        0 when nothing overlaps.
    """
    deepest = 0.0
    for digit in range(first, last):
        for bone in range(1 if digit == 0 else 0, 3):
            i = 3 * digit + bone
            for other in range(digit):
                for k in range(1 if other == 0 or bone == 0 else 0, 3):
                    deepest = max(deepest, _bone_overlap(flesh, i, 3 * other + k))
            if bone > (1 if digit == 0 else 0):
                deepest = _palm_overlap(flesh, i, deepest)
    return deepest
