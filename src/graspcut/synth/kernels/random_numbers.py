"""Random numbers by counting: each is a hash of (seed, stage, pixel), whatever the order and the processor.

All arithmetic stays below 2^63 in signed 64-bit integers, so compiled functions and plain Python agree to the bit. The
mixing steps are those of Chris Wellons' 32-bit "hash prospector" function (16, 21f0aaad, 15, 735a2d97, 15), with a
second half of the key entering midway so that the streams of two keys are not shifted copies of each other.
"""

from __future__ import annotations

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar

_MASK_64 = 0xFFFFFFFFFFFFFFFF
_NORMAL_SCALE = 1.0 / 147.8005412710351  # standard deviation of the sum of four uniform bytes: 2 sqrt((256^2 - 1) / 12)


def stage_key(seed: int, stage: int) -> int:
    """Return the 62-bit key of one stage of one frame (SplitMix64 over both numbers).

    Args:
        seed: any integer; its lowest 64 bits count.
        stage: small non-negative integer, one for each independent use of random numbers in a frame.
    """
    state = seed & _MASK_64
    for word in (0x5851F42D4C957F2D, stage):
        state = (state + (word + 1) * 0x9E3779B97F4A7C15) & _MASK_64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK_64
        state ^= state >> 31
    return state >> 2


@scalar
def hash32(key: int, index: int) -> int:
    """Return 32 random bits for `index` (0 <= index < 2^31) under the key of `stage_key`."""
    x = (index + (key & 0xFFFFFFFF)) & 0xFFFFFFFF
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & 0xFFFFFFFF
    x = x ^ (x >> 15) ^ (key >> 32)
    x = (x * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


@scalar
def uniform(key: int, index: int) -> float:
    """Return a number in [0, 1) with 24 random bits."""
    return (hash32(key, index) >> 8) * (1.0 / 16777216.0)


@scalar
def normal(key: int, index: int) -> float:
    """Return an approximately normal number: mean 0, standard deviation 1.

    It is the scaled sum of the four bytes of one hash (Irwin-Hall): exact in its first two moments, excess kurtosis
    -0.3, never beyond 3.46 standard deviations, 1021 distinct values. A hash and three additions is all it costs.
    """
    bits = hash32(key, index)
    total = (bits & 255) + ((bits >> 8) & 255) + ((bits >> 16) & 255) + (bits >> 24)
    return (total - 510) * _NORMAL_SCALE


def lattice(key: int, rows: int, columns: int, channels: int) -> np.ndarray:
    """Return a (rows, columns, channels) float32 table of numbers in [-1, 1): the nodes of slowly changing fields."""
    table = np.empty((rows, columns, channels), np.float32)
    _fill_lattice(key, table)
    return table


@loop
def _fill_lattice(key: int, table: np.ndarray) -> None:
    rows, columns, channels = table.shape
    for i in range(rows):
        for j in range(columns):
            for k in range(channels):
                table[i, j, k] = 2.0 * uniform(key, (i * columns + j) * channels + k) - 1.0


@scalar
def _smooth_step(t: float) -> float:
    return t * t * (3.0 - 2.0 * t)


@loop
def lattice_row(table: np.ndarray, y: float, row: np.ndarray) -> None:
    """Write to `row`, float64 (columns, channels), the table interpolated at y (in cells), for `lattice_value`.

    Needs 0 <= y < rows - 1. Smooth-step weights.
    """
    i = int(y)
    weight = _smooth_step(y - i)
    for j in range(table.shape[1]):
        for channel in range(table.shape[2]):
            a = np.float64(table[i, j, channel])
            row[j, channel] = a + (np.float64(table[i + 1, j, channel]) - a) * weight


@scalar
def lattice_value(row: np.ndarray, channel: int, x: float) -> float:
    """Return one channel of a row of `lattice_row` interpolated at x (in cells); needs 0 <= x < columns - 1."""
    j = int(x)
    a: float = row[j, channel]
    b: float = row[j + 1, channel]
    return a + (b - a) * _smooth_step(x - j)
