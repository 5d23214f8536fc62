"""The loops of `alignment_kernels.py` in numpy, for installations without numba; what they do is said there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def project_kernel(
    own: NDArray[np.intp], depth_mm: NDArray[np.float32], rays: Floats, rotation: Floats, translation_mm: Floats,
    lens: Floats, pixels: Floats, z_mm: Floats,
) -> None:  # fmt: skip
    """See `alignment_kernels.project_kernel`."""
    points = (rays[own] * depth_mm[own, np.newaxis].astype(np.float64)) @ rotation.T + translation_mm
    z_mm[:] = points[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels[:] = points[:, :2] / points[:, 2:] * lens[:2] + lens[2:]
    pixels[~(z_mm > 0)] = np.nan


def splat_kernel(
    x: Floats, y: Floats, depths: NDArray[np.float32], reach_x: float, reach_y: float, buffer: NDArray[np.float32]
) -> None:
    """See `alignment_kernels.splat_kernel`."""
    height, width = buffer.shape
    first_x, first_y = np.ceil(x - reach_x), np.ceil(y - reach_y)
    last_x, last_y = np.floor(x + reach_x), np.floor(y + reach_y)
    for step_y in range(int(np.ceil(2 * reach_y))):
        for step_x in range(int(np.ceil(2 * reach_x))):
            columns, rows = first_x + step_x, first_y + step_y
            covered = (columns <= last_x) & (rows <= last_y)
            covered &= (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
            cells = rows[covered].astype(np.intp) * width + columns[covered].astype(np.intp)
            np.minimum.at(buffer.reshape(-1), cells, depths[covered])


def own_step_kernel(depth_mm: NDArray[np.float32], own: NDArray[np.intp], steps: NDArray[np.float32]) -> None:
    """See `alignment_kernels.own_step_kernel`."""
    total: NDArray[np.float32] = np.zeros_like(depth_mm)
    for axis in (0, 1):
        if depth_mm.shape[axis] < 2:
            continue
        step = np.abs(np.diff(depth_mm, axis=axis))
        before = np.concatenate([step.take([0], axis), step], axis)
        after = np.concatenate([step, step.take([-1], axis)], axis)
        total += np.minimum(before, after)
    steps[:] = total.reshape(-1)[own]
