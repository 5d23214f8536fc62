"""The inverse Brown-Conrady distortion of Intel's depth cameras, and the usual forward one brought to it.

The polynomial goes from image to ray, so the way back has to iterate. Source: librealsense `rsutil.h`, model
`RS2_DISTORTION_INVERSE_BROWN_CONRADY`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def image_to_ray(coefficients: Sequence[float], x: NDArray[Any], y: NDArray[Any]) -> Pair:
    """Undistorted normalised coordinates of image points.

    Args:
        coefficients: (k1, k2, p1, p2, k3); p1 and p2 are the tangential ones.
        x, y: Normalised image coordinates, (u - cx) / fx and (v - cy) / fy.
    """
    k1, k2, p1, p2, k3 = coefficients
    square = x * x + y * y
    factor = 1 + square * (k1 + square * (k2 + square * k3))
    return (
        x * factor + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * factor + 2 * p2 * x * y + p1 * (square + 2 * y * y),
    )


def ray_to_image(coefficients: Sequence[float], target_x: NDArray[np.float64], target_y: NDArray[np.float64]) -> Pair:
    """Inverse of `image_to_ray` by Newton's method, NaN where it does not arrive."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = target_x.copy(), target_y.copy()
    with np.errstate(all="ignore"):
        for _ in range(12):
            square = x * x + y * y
            factor = 1 + square * (k1 + square * (k2 + square * k3))
            slope = 2 * (k1 + square * (2 * k2 + square * 3 * k3))
            value_x, value_y = image_to_ray(coefficients, x, y)
            error_x, error_y = value_x - target_x, value_y - target_y
            xx = factor + slope * x * x + 2 * p1 * y + 6 * p2 * x
            xy = slope * x * y + 2 * p1 * x + 2 * p2 * y
            yy = factor + slope * y * y + 2 * p2 * x + 6 * p1 * y
            determinant = xx * yy - xy * xy
            x -= (yy * error_x - xy * error_y) / determinant
            y -= (xx * error_y - xy * error_x) / determinant
            if not np.nanmax(np.abs(error_x) + np.abs(error_y), initial=0.0) > 1e-12:
                break
        value_x, value_y = image_to_ray(coefficients, x, y)
        arrived = np.abs(value_x - target_x) + np.abs(value_y - target_y) < 1e-7
        # A lens that folds over has a second answer on the other side of the image, which no light takes.
        arrived &= (x * target_x + y * target_y > -1e-6) & (determinant > 0)
    return np.where(arrived, x, np.nan), np.where(arrived, y, np.nan)


def inverse_distortion(
    coefficients: Sequence[float], fx: float, fy: float, cx: float, cy: float, width: int, height: int
) -> tuple[tuple[float, ...], float]:
    """The inverse Brown-Conrady coefficients that undo a distortion of OpenCV's and ROS's forward model best.

    The forward model goes from ray to image, the inverse one from image to ray; both are linear in their coefficients,
    so the fit is one of least squares over a grid of pixels.

    Args:
        coefficients: (k1, k2, p1, p2, k3) and, of the rational model, (k4, k5, k6).
        fx, fy, cx, cy, width, height: The camera.

    Returns:
        (k1, k2, p1, p2, k3) of the inverse model, and the largest error that is left in pixels.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = ([float(value) for value in coefficients] + [0.0] * 8)[:8]
    u, v = np.meshgrid(np.linspace(0, width - 1, 25), np.linspace(0, height - 1, 19))
    x, y = ((u - cx) / fx).ravel(), ((v - cy) / fy).ravel()
    square = x * x + y * y
    factor = (1 + square * (k1 + square * (k2 + square * k3))) / (1 + square * (k4 + square * (k5 + square * k6)))
    seen_x = x * factor + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    seen_y = y * factor + 2 * p2 * x * y + p1 * (square + 2 * y * y)
    r = seen_x * seen_x + seen_y * seen_y
    across = np.stack([seen_x * r, seen_x * r**2, 2 * seen_x * seen_y, r + 2 * seen_x**2, seen_x * r**3], axis=1)
    down = np.stack([seen_y * r, seen_y * r**2, r + 2 * seen_y**2, 2 * seen_x * seen_y, seen_y * r**3], axis=1)
    system = np.concatenate([across * fx, down * fy])
    wanted = np.concatenate([(x - seen_x) * fx, (y - seen_y) * fy])
    found = np.linalg.lstsq(system, wanted, rcond=None)[0]
    return tuple(float(value) for value in found), float(np.abs(system @ found - wanted).max())
