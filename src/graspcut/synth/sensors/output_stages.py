"""The sensor's later stages: smoothing, noise, and what the camera writes; `measuring_stages.py` comes before."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from graspcut.synth.kernels.compiling import scalar
from graspcut.synth.kernels.random_numbers import normal, uniform


# The numbers of each stage, in the order of its loop's last parameters.
class NoiseNumbers(NamedTuple):
    """`noise_pixel`, see there, and the key of the white field."""

    base: float
    quadratic: float
    offset: float
    blur: float
    tilt_limit: float
    key: int


class OutputNumbers(NamedTuple):
    """`output_pixel`, see there."""

    dark_loss: float
    speck_loss: float
    speck_probability: float
    speck: float
    near: float
    far: float
    disparity: float
    quantum: float
    key: int


@scalar
def _close(difference: float, step: float) -> float:
    return difference if abs(difference) < step else 0.0


@scalar
def _is_close(difference: float, step: float) -> float:
    return 1.0 if abs(difference) < step else 0.0


@scalar
def smooth_value(
    z: float, a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float, step: float
) -> float:
    """Return the mean of z and those of its eight neighbours that are within `step` mm of it; 0 stays 0."""
    total = (
        (_close(a - z, step) + _close(b - z, step))
        + (_close(c - z, step) + _close(d - z, step))
        + (_close(e - z, step) + _close(f - z, step))
        + (_close(g - z, step) + _close(h - z, step))
    )
    count = (
        (_is_close(a - z, step) + _is_close(b - z, step))
        + (_is_close(c - z, step) + _is_close(d - z, step))
        + (_is_close(e - z, step) + _is_close(f - z, step))
        + (_is_close(g - z, step) + _is_close(h - z, step))
    )
    mean = z + total / (1.0 + count)
    return mean if z > 0.0 else 0.0


@scalar
def smooth_pixel(v: int, u: int, depth: np.ndarray, out: np.ndarray, step: float) -> None:
    """Write `smooth_value` of any pixel; outside the image is 0, which is never within a step of data."""
    height, width = depth.shape
    out[v, u] = smooth_value(
        np.float64(depth[v, u]),
        np.float64(depth[v - 1, u - 1]) if v > 0 and u > 0 else 0.0,
        np.float64(depth[v - 1, u]) if v > 0 else 0.0,
        np.float64(depth[v - 1, u + 1]) if v > 0 and u < width - 1 else 0.0,
        np.float64(depth[v, u - 1]) if u > 0 else 0.0,
        np.float64(depth[v, u + 1]) if u < width - 1 else 0.0,
        np.float64(depth[v + 1, u - 1]) if v < height - 1 and u > 0 else 0.0,
        np.float64(depth[v + 1, u]) if v < height - 1 else 0.0,
        np.float64(depth[v + 1, u + 1]) if v < height - 1 and u < width - 1 else 0.0,
        step,
    )


@scalar
def white_pixel(v: int, u: int, white: np.ndarray, key: int) -> None:
    """Write one approximately normal number; `white` is (H + 2, W + 2) so that the blur finds all its neighbours."""
    white[v, u] = normal(key, v * white.shape[1] + u)


@scalar
def noise_pixel(
    v: int,
    u: int,
    depth: np.ndarray,
    inverse_cosine: np.ndarray,
    white: np.ndarray,
    base: float,
    quadratic: float,
    offset: float,
    blur: float,
    tilt_limit: float,
) -> None:
    """Add axial noise in place: sigma [mm] = (base + quadratic (z - offset)^2) / cos(tilt), z and offset in metres.

    `blur` 0 leaves the noise white, 1 makes it the mean over 3x3; the sum of squared weights is one, so sigma does not
    change.
    """
    z = np.float64(depth[v, u])
    if z <= 0.0:
        return
    side = (
        np.float64(white[v, u + 1])
        + np.float64(white[v + 2, u + 1])
        + np.float64(white[v + 1, u])
        + np.float64(white[v + 1, u + 2])
    )
    corner = (
        np.float64(white[v, u])
        + np.float64(white[v, u + 2])
        + np.float64(white[v + 2, u])
        + np.float64(white[v + 2, u + 2])
    )
    value = np.float64(white[v + 1, u + 1]) + blur * (side + blur * corner)
    metres = 0.001 * z - offset
    sigma = (base + quadratic * metres * metres) * min(np.float64(inverse_cosine[v, u]), tilt_limit)
    depth[v, u] = max(z + sigma * value / (1.0 + 2.0 * blur * blur), 0.0)


@scalar
def blob_depth(v: int, u: int, blobs: np.ndarray, inverse_cell: float, shift_v: float, shift_u: float) -> float:
    """Return how deep the pixel lies in a blob: 0 outside, up to 1 in the middle. See `loops.blob_table`."""
    y = (v + shift_v) * inverse_cell
    x = (u + shift_u) * inverse_cell
    i = int(y)
    j = int(x)
    if blobs[i, j, 0] <= 0.0:
        return 0.0
    dy = (y - i - np.float64(blobs[i, j, 1])) * np.float64(blobs[i, j, 3])
    dx = (x - j - np.float64(blobs[i, j, 2])) * np.float64(blobs[i, j, 4])
    return max(1.0 - dx * dx - dy * dy, 0.0)


@scalar
def digitise(z: float, disparity: float, quantum: float) -> float:
    """Return z as `disparity` / whole number (unless 0), then as a multiple of `quantum` mm (unless 0)."""
    if disparity > 0.0:
        z = disparity / max(math.floor(disparity / z + 0.5), 1.0)
    if quantum > 0.0:
        z = math.floor(z / quantum + 0.5) * quantum
    return z


@scalar
def output_pixel(
    v: int,
    u: int,
    depth: np.ndarray,
    source: np.ndarray,
    holes: np.ndarray,
    dark: np.ndarray,
    has_holes: bool,
    has_dark: bool,
    out: np.ndarray,
    out_source: np.ndarray,
    blob_numbers: np.ndarray,
    dark_loss: float,
    speck_loss: float,
    speck_probability: float,
    speck: float,
    near: float,
    far: float,
    disparity: float,
    quantum: float,
    key: int,
) -> None:
    """Cut holes, dark patches and specks, drop what is out of range and digitise the rest.

    Args:
        holes, dark: tables of `loops.blob_table`.
        has_holes, has_dark: False if row v is known to have none.
        blob_numbers: (2, 3) float64: inverse cell size, shift along v, shift along u, of holes and of dark patches.
        dark_loss: share of pixels lost in the middle of a dark patch.
        speck_loss: probability of a single missing pixel.
        speck_probability, speck: probability of a single wrong pixel, and its largest error [mm].
    """
    index = v * depth.shape[1] + u
    z: float = np.float64(depth[v, u])
    if z > 0.0:
        needed = has_holes or has_dark or speck_loss + speck_probability > 0.0
        luck = uniform(key, 2 * index) if needed else 1.0
        if luck < speck_loss:
            z = 0.0
        elif luck < speck_loss + speck_probability:
            z += speck * (2.0 * uniform(key, 2 * index + 1) - 1.0)
        # The rim of a hole is ragged.
        if has_holes:
            depth_in_hole = blob_depth(v, u, holes, blob_numbers[0, 0], blob_numbers[0, 1], blob_numbers[0, 2])
            if depth_in_hole > 0.3 * (1.0 - luck):
                z = 0.0
        if has_dark:
            depth_in_patch = blob_depth(v, u, dark, blob_numbers[1, 0], blob_numbers[1, 1], blob_numbers[1, 2])
            if luck > 1.0 - dark_loss * min(2.0 * depth_in_patch, 1.0):
                z = 0.0
        if z < near or z > far:
            z = 0.0
    if z > 0.0:
        z = digitise(z, disparity, quantum)
    if z > 0.0:
        out[v, u] = z
        out_source[v, u] = source[v, u]
    else:
        out[v, u] = 0.0
        out_source[v, u] = -1
