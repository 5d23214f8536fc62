"""The loops over pixels of `alignment.align_colour_to_depth`, compiled. What they do is said there."""

from __future__ import annotations

import math

import numpy as np

from graspcut.kernel_cache import compiled

_loop = compiled(error_model="numpy", nogil=True)


@_loop
def project_kernel(
    own: np.ndarray, depth_mm: np.ndarray, rays: np.ndarray, rotation: np.ndarray, translation_mm: np.ndarray,
    lens: np.ndarray, pixels: np.ndarray, z_mm: np.ndarray,
) -> None:  # fmt: skip
    """De-projects depth pixels, moves them into the colour camera and projects them there, without distortion.

    Args:
        own: (n,) intp, flat numbers of the depth pixels.
        depth_mm: flat float32.
        rays: (H * W, 3) float64 of the depth camera.
        rotation: (3, 3) float64 of the colour camera.
        translation_mm: (3,) float64.
        lens: (4,) float64, fx, fy, cx, cy of the colour camera.
        pixels: (n, 2) float64, filled: column and row; NaN behind the camera.
        z_mm: (n,) float64, filled: distance along the colour camera's axis.
    """
    for number in range(own.size):
        place = own[number]
        depth = float(depth_mm[place])
        x, y, z = rays[place, 0] * depth, rays[place, 1] * depth, rays[place, 2] * depth
        moved_x = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + translation_mm[0]
        moved_y = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + translation_mm[1]
        moved_z = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation_mm[2]
        z_mm[number] = moved_z
        if moved_z > 0:
            pixels[number, 0] = moved_x / moved_z * lens[0] + lens[2]
            pixels[number, 1] = moved_y / moved_z * lens[1] + lens[3]
        else:
            pixels[number, 0] = math.nan
            pixels[number, 1] = math.nan


@_loop
def splat_kernel(
    x: np.ndarray, y: np.ndarray, depths: np.ndarray, reach_x: float, reach_y: float, buffer: np.ndarray
) -> None:
    """Smallest depth in each cell; a sample at (x, y) covers the cells whose centres lie within its reach.

    Args:
        x, y: (n,) float64 in cells.
        depths: (n,) float32.
        reach_x, reach_y: in cells.
        buffer: (H, W) float32, infinite at first, changed.
    """
    height, width = buffer.shape
    for number in range(x.size):
        first_row, last_row = math.ceil(y[number] - reach_y), math.floor(y[number] + reach_y)
        first_column, last_column = math.ceil(x[number] - reach_x), math.floor(x[number] + reach_x)
        for row in range(max(first_row, 0), min(last_row, height - 1) + 1):
            for column in range(max(first_column, 0), min(last_column, width - 1) + 1):
                if depths[number] < buffer[row, column]:
                    buffer[row, column] = depths[number]


@_loop
def own_step_kernel(depth_mm: np.ndarray, own: np.ndarray, steps: np.ndarray) -> None:
    """Change of the surface itself from pixel to pixel: the smaller step of each axis, so that edges do not count.

    Args:
        depth_mm: (H, W) float32.
        own: (n,) intp, flat numbers of the pixels.
        steps: (n,) float32, filled.
    """
    height, width = depth_mm.shape
    for number in range(own.size):
        row, column = own[number] // width, own[number] % width
        here = depth_mm[row, column]
        total = np.float32(0)
        if height > 1:
            before = abs(here - depth_mm[row - 1, column]) if row > 0 else np.float32(np.inf)
            after = abs(depth_mm[row + 1, column] - here) if row + 1 < height else np.float32(np.inf)
            total += min(before, after)
        if width > 1:
            before = abs(here - depth_mm[row, column - 1]) if column > 0 else np.float32(np.inf)
            after = abs(depth_mm[row, column + 1] - here) if column + 1 < width else np.float32(np.inf)
            total += min(before, after)
        steps[number] = total
