"""What the sensor does to one pixel (or one row, for the shadow), stage by stage, as scalar functions.

Each function reads whole arrays and writes only its own pixel, so pixels may be worked through in any order. Depth is
float32 millimetres with 0 = no data; every value is widened to float64 before arithmetic, because numba and plain
Python disagree on float32 with literals. `loops.py` loops over these functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from graspcut.synth.kernels.compiling import scalar
from graspcut.synth.kernels.random_numbers import lattice_value, normal, uniform

# Bits of the edge map.
JUMP = 1  # a 4-neighbour lies on another surface
BORDER = 2  # a 4-neighbour is beyond a step that loses pixels, or has no data
SECOND_BORDER = 4  # the same two pixels away
FAR_SIDE = 8  # the pixel lies on the farther side of such a step
TOO_STEEP = 1e8  # mm per pixel: steeper than any surface
UNCOVERED = 1e9  # a bin of the projector's row that no surface covers


# The numbers of each stage, in the order of its function's last parameters.
class ShadowNumbers(NamedTuple):
    """`shadow_row`: focal length [px] times |baseline| [mm]; projector on the left; widest gap of a surface [mm]."""

    shift: float
    mirrored: bool
    step: float


class TiltNumbers(NamedTuple):
    """`tilt_pixel`: focal length [px] and 1 / focal^2."""

    focal: float
    curvature: float


class EdgeBitsNumbers(NamedTuple):
    """`edge_bits_pixel`: smallest jump that lets pixels fly, and that loses pixels [mm]."""

    jump: float
    border: float


class FlyingNumbers(NamedTuple):
    """`flying_pixel`: share of the pixels at a jump, and the key of the random numbers."""

    probability: float
    key: int


class PatternNumbers(NamedTuple):
    """`pattern_pixel`, see there."""

    inverse_cell: float
    bias: float
    amplitude: float
    everywhere: float
    cycles_u: float
    cycles_v: float
    phase: float
    shift: float


class EdgeNumbers(NamedTuple):
    """`edge_pixel`, see there."""

    jitter: float
    loss: float
    second_loss: float
    near_share: float
    grazing_from: float
    grazing_slope: float
    key: int


@scalar
def _cover(covered: np.ndarray, v: int, low: float, high: float) -> None:
    first = int(low)
    if low < covered[v, first]:
        covered[v, first] = low
    for k in range(first + 1, int(high) + 1):
        covered[v, k] = k


@scalar
def shadow_row(
    v: int, clean: np.ndarray, shadowed: np.ndarray, covered: np.ndarray, shift: float, mirrored: bool, step: float
) -> None:
    """Remove from row `v` what the projector does not light.

    A point at column i has projector column d = i - shift / z, with shift = focal length times baseline. Scanned from
    the projector's side, whatever comes later with an already covered d is farther away and dark, so coverage is all
    that has to be remembered.

    Args:
        v: row.
        clean: (H, W) float32 mm.
        shadowed: (H, W) float32 mm, row v is written.
        covered: (H, bins) float32, row v is scratch: the lowest covered projector column in each bin of one pixel.
        shift: focal length [px] times length of the baseline [mm].
        mirrored: True if the projector lies on the camera's left.
        step: neighbours further apart than this [mm] are not joined by a surface.
    """
    width = clean.shape[1]
    bins = covered.shape[1]
    offset = float(bins - width - 2)
    for k in range(bins):
        covered[v, k] = UNCOVERED
    right_z = 0.0
    right_d = 0.0
    for step_count in range(width):
        i = width - 1 - step_count
        u = step_count if mirrored else i
        z = np.float64(clean[v, u])
        if z <= 0.0:
            shadowed[v, u] = 0.0
            right_z = 0.0
            continue
        d = max(i - shift / z + offset, 0.0)
        joined = right_z > 0.0 and abs(right_z - z) < step
        if right_z > 0.0 and right_z < z and not joined:
            # The near thing on the right ends half a pixel beyond the middle of its last pixel.
            _cover(covered, v, max(right_d - 0.5, 0.0), right_d)
        # A quarter of a pixel of slack keeps tiny bumps from shading themselves.
        slackened = max(d - 0.25, 0.0)
        if covered[v, int(slackened)] <= slackened:
            shadowed[v, u] = 0.0
            right_z = 0.0
            continue
        shadowed[v, u] = z
        if joined:
            _cover(covered, v, min(d, right_d), max(d, right_d))
        else:
            _cover(covered, v, d, d + 0.5)
        right_z = z
        right_d = d


@scalar
def _gradient(before: float, z: float, after: float) -> float:
    # The smaller of the two one-sided differences, so that a jump beside the pixel does not count as tilt. A side
    # without data counts as too steep. Written as selections, which the compiler turns into vector code.
    back = z - before if before > 0.0 else TOO_STEEP
    front = after - z if after > 0.0 else TOO_STEEP
    smaller = back if abs(back) < abs(front) else front
    return smaller if smaller < TOO_STEEP else 0.0


@scalar
def tilt_value(
    z: float, left: float, right: float, above: float, below: float, x: float, y: float, focal: float, curvature: float
) -> float:
    """Return 1 / cos of the angle between the viewing ray and the surface's normal.

    Args:
        z, left, right, above, below: depth of the pixel and its neighbours [mm], 0 = no data.
        x, y: pixel's offset from the middle of the image.
        focal, curvature: focal length [px] and 1 / focal^2.
    """
    gu = _gradient(left, z, right)
    gv = _gradient(above, z, below)
    nx = focal * gu
    ny = focal * gv
    nz = z + x * gu + y * gv
    ray = 1.0 + (x * x + y * y) * curvature
    return math.sqrt((nx * nx + ny * ny + nz * nz) * ray) / z if z > 0.0 else 1.0


@scalar
def tilt_pixel(v: int, u: int, clean: np.ndarray, inverse_cosine: np.ndarray, focal: float, curvature: float) -> None:
    """Write `tilt_value` of any pixel, at the image's border as well."""
    height, width = clean.shape
    z = np.float64(clean[v, u])
    left = np.float64(clean[v, u - 1]) if u > 0 else 0.0
    right = np.float64(clean[v, u + 1]) if u < width - 1 else 0.0
    above = np.float64(clean[v - 1, u]) if v > 0 else 0.0
    below = np.float64(clean[v + 1, u]) if v < height - 1 else 0.0
    x = u - 0.5 * (width - 1)
    y = v - 0.5 * (height - 1)
    inverse_cosine[v, u] = tilt_value(z, left, right, above, below, x, y, focal, curvature)


@scalar
def spread(z: float, l1: float, r1: float, a1: float, b1: float, l2: float, r2: float, a2: float, b2: float) -> float:
    """Return the largest difference from z to its neighbours one and two pixels away; huge if one has no data."""
    lowest = min(min(min(l1, r1), min(a1, b1)), min(min(l2, r2), min(a2, b2)))
    highest = max(max(max(l1, r1), max(a1, b1)), max(max(l2, r2), max(a2, b2)))
    return max(highest - z, z - lowest) if lowest > 0.0 else TOO_STEEP


@scalar
def _is_border(z: float, other: float, gradient: float, reach: float, border: float) -> bool:
    return other <= 0.0 or abs(other - z) > border + 1.5 * reach * gradient


@scalar
def _border_bits(z: float, other: float, gradient: float, jump: float, border: float) -> int:
    bits = 0
    if _is_border(z, other, gradient, 1.0, border):
        bits = BORDER | FAR_SIDE if 0.0 < other < z else BORDER
    if other > 0.0 and abs(other - z) > jump + 1.5 * gradient:
        bits |= JUMP
    return bits


@scalar
def _second_bits(z: float, other: float, gradient: float, border: float) -> int:
    if not _is_border(z, other, gradient, 2.0, border):
        return 0
    return SECOND_BORDER | FAR_SIDE if 0.0 < other < z else SECOND_BORDER


@scalar
def edge_bits_pixel(
    v: int, u: int, clean: np.ndarray, shadowed: np.ndarray, edges: np.ndarray, jump: float, border: float
) -> None:
    """Write which kinds of edge are near; a difference that the surface's gradient explains is none."""
    height, width = clean.shape
    edges[v, u] = 0
    z = np.float64(shadowed[v, u])
    if z <= 0.0:
        return
    left = max(u - 1, 0)
    right = min(u + 1, width - 1)
    above = max(v - 1, 0)
    below = min(v + 1, height - 1)
    gu = abs(_gradient(np.float64(clean[v, left]), z, np.float64(clean[v, right]))) if 0 < u < width - 1 else 0.0
    gv = abs(_gradient(np.float64(clean[above, u]), z, np.float64(clean[below, u]))) if 0 < v < height - 1 else 0.0
    # Shadowed neighbours read as no data: the shadow's rim is an edge as well.
    bits = _border_bits(z, np.float64(shadowed[v, left]), gu, jump, border)
    bits |= _border_bits(z, np.float64(shadowed[v, right]), gu, jump, border)
    bits |= _border_bits(z, np.float64(shadowed[above, u]), gv, jump, border)
    bits |= _border_bits(z, np.float64(shadowed[below, u]), gv, jump, border)
    bits |= _second_bits(z, np.float64(shadowed[v, max(u - 2, 0)]), gu, border)
    bits |= _second_bits(z, np.float64(shadowed[v, min(u + 2, width - 1)]), gu, border)
    bits |= _second_bits(z, np.float64(shadowed[max(v - 2, 0), u]), gv, border)
    bits |= _second_bits(z, np.float64(shadowed[min(v + 2, height - 1), u]), gv, border)
    edges[v, u] = bits


@scalar
def flying_pixel(
    v: int,
    u: int,
    shadowed: np.ndarray,
    edges: np.ndarray,
    out: np.ndarray,
    source: np.ndarray,
    probability: float,
    key: int,
) -> None:
    """At a jump, sometimes write a depth between the two surfaces; its source is the nearer one."""
    height, width = shadowed.shape
    z = np.float64(shadowed[v, u])
    index = v * width + u
    out[v, u] = z
    source[v, u] = index
    if (edges[v, u] & JUMP) == 0 or uniform(key, 2 * index) >= probability:
        return
    near = z
    far = z
    nearest = index
    for direction in range(4):
        dv = (direction & 1) * (direction - 2)  # 0, -1, 0, 1
        du = (1 - (direction & 1)) * (direction - 1)  # -1, 0, 1, 0
        nv = min(max(v + dv, 0), height - 1)
        nu = min(max(u + du, 0), width - 1)
        other = np.float64(shadowed[nv, nu])
        if other > 0.0 and other < near:
            near = other
            nearest = nv * width + nu
        far = max(far, other)
    share = 0.05 + 0.65 * uniform(key, 2 * index + 1)
    out[v, u] = near + share * (far - near)
    source[v, u] = nearest


@scalar
def pattern_pixel(
    v: int,
    u: int,
    depth: np.ndarray,
    source: np.ndarray,
    stripes: np.ndarray,
    fields: np.ndarray,
    inverse_cell: float,
    bias: float,
    amplitude: float,
    everywhere: float,
    cycles_u: float,
    cycles_v: float,
    phase: float,
    shift: float,
) -> None:
    """Add the slow bias and the saw-tooth stripes of the projector's code to `depth` in place.

    Args:
        fields: (H, columns, 2) float64, a `lattice_row` for each row: bias, and drift of the stripes' phase.
        stripes: (H * W,) float32, susceptibility of the clean pixels.
        inverse_cell: lattice cells per pixel.
        bias: largest bias [mm].
        amplitude: height of the saw-tooth [mm] on a surface with stripes = 1.
        everywhere: share of the amplitude that any surface gets.
        cycles_u, cycles_v: stripes per pixel along the projector's column and the row.
        shift: signed focal length times baseline [px mm]: the stripes are fixed to the projector.
    """
    z = np.float64(depth[v, u])
    if z <= 0.0:
        return
    strength = amplitude * max(np.float64(stripes[source[v, u]]), everywhere)
    x = u * inverse_cell
    value = z + bias * lattice_value(fields[v], 0, x)
    if strength > 0.0:
        drift = lattice_value(fields[v], 1, x)
        t = (u - shift / z) * cycles_u + v * cycles_v + phase + 0.6 * drift
        value += strength * (0.75 + 0.5 * drift) * (t - math.floor(t) - 0.5)
    depth[v, u] = value


@scalar
def edge_pixel(
    v: int,
    u: int,
    depth: np.ndarray,
    source: np.ndarray,
    edges: np.ndarray,
    inverse_cosine: np.ndarray,
    out: np.ndarray,
    out_source: np.ndarray,
    jitter: float,
    loss: float,
    second_loss: float,
    near_share: float,
    grazing_from: float,
    grazing_slope: float,
    key: int,
) -> None:
    """Look edges up at a shifted place, then lose pixels at steps and on grazing surfaces.

    On one surface a sub-pixel shift only adds depth noise, which the axial noise already contains; so the shift acts
    where the pixel it lands on is near an edge. Neighbouring pixels (2x2) share their shift and their luck: real
    outlines are ragged, not dotted.

    Args:
        jitter: standard deviation of the shift [px].
        loss, second_loss: probability to lose a pixel one and two pixels from a step, on the step's far side.
        near_share: that of the near side is this share of it.
        grazing_from: cosine of the tilt from which pixels get lost.
        grazing_slope: probability per unit of cosine below that.
    """
    height, width = depth.shape
    z: float = np.float64(depth[v, u])
    bits = edges[v, u]
    index = v * width + u
    from_index = source[v, u]
    if z > 0.0 and bits != 0:
        block = 4 * ((v // 2) * width + u // 2)
        if jitter > 0.0:
            # Clamped before it is cut to a whole number: cutting rounds towards zero.
            nv = min(int(max(v + jitter * normal(key, block) + 0.5, 0.0)), height - 1)
            nu = min(int(max(u + jitter * normal(key, block + 1) + 0.5, 0.0)), width - 1)
            z = np.float64(depth[nv, nu])
            from_index = source[nv, nu]
        chance = loss if (bits & BORDER) != 0 else (second_loss if (bits & SECOND_BORDER) != 0 else 0.0)
        if (bits & FAR_SIDE) == 0:
            chance *= near_share
        if chance > 0.0 and uniform(key, block + 2) < chance:
            z = 0.0
    if z > 0.0:
        chance = (grazing_from - 1.0 / np.float64(inverse_cosine[v, u])) * grazing_slope
        if chance > 0.0 and uniform(key, 4 * index + 3) < chance:
            z = 0.0
    out[v, u] = z
    out_source[v, u] = from_index
