"""RF, re-estimation of foreground colours: smooth where the foreground is transparent, unchanged where it is opaque.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 4.1. With foreground F, opacity alpha
and four neighbours N(i), the result X minimises

    C = 1/2 sum_i { alpha_i^2 (X_i - F_i)^2 + kappa (1 - alpha_i)^2 sum_{j in N(i)} (X_i - X_j)^2 }

for every colour channel, so that X_i (alpha_i^2 + kappa sum_j q_ij) = alpha_i^2 F_i + kappa sum_j q_ij X_j, with
q_ij = (1 - alpha_i)^2 + (1 - alpha_j)^2. `simple_refine` is the paper's algorithm 1 and `multi_scale_refine` its
algorithm 2. `estimate_foreground` solves the same equations by multigrid until what is left of the error is known to be
small: Jacobi sweeps move a colour by one pixel each and hardly damp a checkerboard where alpha is 0.

Deviations, with the reason:
    - At the border only neighbours that exist count ("exact"): the minimiser of C. "reflect" counts the inner neighbour
      twice, as the published results were made with; it is the minimiser of no energy.
    - Values stay float; the published program cut them to 8 bits after every scale.

C takes the foreground's colours as they are. In a photograph a half-transparent pixel also holds background, which
stays in X: `graspcut.matting.classical.separate_foreground` takes it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.cores import usable_cores
from graspcut.matting.foreground_multigrid import Rows, coupled_grids, solve

Borders = Literal["exact", "reflect"]

SCALES = 6
SWEEPS = 20
DEFAULT_TOLERANCE = 0.4 / 255.0


@dataclass(frozen=True)
class ForegroundSolution:
    """A solution and how good it is.

    Attributes:
        colours: (H, W, 3) float32.
        error: about how far from the minimiser the colours are where alpha > 0: the largest change that coarser grids
            asked for in the last multigrid cycle, times how much smaller it was than in the one before.
        cycles: multigrid cycles done.
    """

    colours: NDArray[np.float32]
    error: float
    cycles: int


def estimate_foreground(
    image: NDArray[Any],
    alpha: NDArray[Any],
    *,
    kappa: float = 1.0,
    borders: Borders = "exact",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Colours of the foreground, smooth where it is transparent: the minimiser of the paper's cost C.

    Args:
        image: (H, W, 3) float in 0..1, the colours F; whole numbers are taken as 0..255.
        alpha: (H, W) float in 0..1, the opacity; whole numbers are taken as 0..255.
        kappa: weight of smoothness.
        borders: "exact" or "reflect", see above.
        tolerance: stop when the error left where alpha > 0 is expected to be at most this.
        threads: processor threads, for images of 800 rows and more; at most two, and what this process may use, if
            None.

    Returns:
        (H, W, 3) float32, between the smallest and the largest value of each channel. Where alpha is 0 everywhere
        nothing is known, and the image comes back unchanged.

    Raises:
        ValueError: shapes, types or values that are none of these.
    """
    return solve_foreground(image, alpha, kappa=kappa, borders=borders, tolerance=tolerance, threads=threads).colours


def solve_foreground(
    image: NDArray[Any],
    alpha: NDArray[Any],
    *,
    kappa: float = 1.0,
    borders: Borders = "exact",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> ForegroundSolution:
    """`estimate_foreground` with the error to be expected and the number of cycles."""
    from graspcut.matting import foreground_kernels as kernels

    colours, opacity = check_image_and_alpha(image, alpha)
    _check_options(kappa, borders)
    if not opacity.any():
        return ForegroundSolution(colours.copy(), 0.0, 0)
    rows = Rows(threads if threads is not None else min(2, usable_cores()))
    mirror = int(borders == "reflect")
    try:
        grids = coupled_grids(opacity, kappa, mirror, rows)
        rows(kernels.weigh, grids[0].weight, colours, grids[0].rhs, rows=opacity.shape[0])
        error, cycles = solve(grids, tolerance, mirror, rows)
        rows(kernels.copy_uncoupled, colours, grids[0].across, grids[0].down, grids[0].colours, rows=opacity.shape[0])
    finally:
        rows.close()
    return ForegroundSolution(grids[0].colours, float(error), cycles)


def simple_refine(
    premultiplied: NDArray[Any],
    alpha: NDArray[Any],
    initial: NDArray[Any],
    *,
    kappa: float = 1.0,
    sweeps: int = SWEEPS,
    borders: Borders = "exact",
) -> NDArray[np.float32]:
    """Algorithm 1: Jacobi sweeps of the equation for X.

    Args:
        premultiplied: (H, W, 3) float, alpha F.
        alpha: (H, W) float in 0..1.
        initial: (H, W, 3) float, the values before the first sweep.
        kappa: weight of smoothness.
        sweeps: how many.
        borders: "exact" or "reflect", see above.

    Returns:
        (H, W, 3) float32.

    Raises:
        ValueError: shapes that do not fit together.
    """
    from graspcut.matting import foreground_kernels as kernels

    source, opacity = check_image_and_alpha(premultiplied, alpha)
    current, _ = check_image_and_alpha(initial, alpha)
    _check_options(kappa, borders)
    current = current.copy()
    following = np.empty_like(current)
    for _ in range(sweeps):
        kernels.jacobi(
            current, source, opacity, float(kappa), int(borders == "reflect"), following, 0, opacity.shape[0]
        )
        current, following = following, current
    return current


def multi_scale_refine(
    image: NDArray[Any],
    alpha: NDArray[Any],
    *,
    kappa: float = 1.0,
    scales: int = SCALES,
    sweeps: int = SWEEPS,
    borders: Borders = "reflect",
) -> NDArray[np.float32]:
    """Algorithm 2 as published: algorithm 1 from coarse to fine, with 2^s times as many sweeps at scale s.

    alpha F and alpha are resized from the original at every scale (bilinear, without antialiasing), never alpha alone:
    a coarse pixel then holds the mean colour of what is visible in it.

    Args:
        image: (H, W, 3) float in 0..1, the colours F; whole numbers are taken as 0..255.
        alpha: (H, W) float in 0..1 or whole numbers in 0..255.
        kappa: weight of smoothness.
        scales: S of the paper.
        sweeps: T of the paper.
        borders: "exact" or "reflect", see above.

    Returns:
        (H, W, 3) float32.

    Raises:
        ValueError: shapes, types or values that are none of these.
    """
    colours, opacity = check_image_and_alpha(image, alpha)
    _check_options(kappa, borders)
    premultiplied = colours * opacity[..., None]
    height, width = opacity.shape
    current = colours
    for scale in range(scales - 1, -1, -1):
        size = (max(1, width >> scale), max(1, height >> scale))
        current = simple_refine(
            cv2.resize(premultiplied, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(opacity, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(current, size, interpolation=cv2.INTER_LINEAR),
            kappa=kappa,
            sweeps=sweeps << scale,
            borders=borders,
        )
    return current


def closed_form_foreground(image: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float32]:
    """The CF row of the paper's table 1: Levin's foreground of the image alpha F, mixed with F by alpha.

    Args:
        image: (H, W, 3) float in 0..1, the colours F.
        alpha: (H, W) float in 0..1.

    Returns:
        (H, W, 3) float32, alpha F + (1 - alpha) F_cf.

    Raises:
        ModuleNotFoundError: pymatting, of the extra `matting`, is not installed.
        ValueError: shapes, types or values that are none of these.
    """
    from pymatting import estimate_foreground_cf

    colours, opacity = check_image_and_alpha(image, alpha)
    weight = opacity[..., None].astype(np.float64)
    found = estimate_foreground_cf(weight * colours, opacity.astype(np.float64))
    return np.asarray(weight * colours + (1.0 - weight) * found, dtype=np.float32)


def check_image_and_alpha(image: NDArray[Any], alpha: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as contiguous float32 in 0..1; whole numbers are divided by the largest of their type.

    Raises:
        ValueError: the message says what came and what was expected.
    """
    colours, opacity = np.asarray(image), np.asarray(alpha)
    if colours.ndim != 3 or colours.shape[2] != 3 or opacity.shape != colours.shape[:2] or opacity.size == 0:
        raise ValueError(
            f"the image has shape {colours.shape} and alpha {opacity.shape}; expected (H, W, 3) and (H, W), as large"
        )
    return _unit_range(colours, "image"), _unit_range(opacity, "alpha", bounded=True)


def _unit_range(values: NDArray[Any], name: str, *, bounded: bool = False) -> NDArray[np.float32]:
    if values.dtype == np.bool_:
        values = values.astype(np.float32)
    elif values.dtype in (np.uint8, np.uint16):
        values = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    elif not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"the {name} holds {values.dtype}; expected float in 0..1, or uint8 or uint16")
    found = np.ascontiguousarray(values, dtype=np.float32)
    low, high = float(found.min()), float(found.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"the {name} holds values that are no finite numbers; expected 0..1")
    if bounded and (low < -1e-4 or high > 1.0 + 1e-4):
        raise ValueError(f"the {name} holds values from {low:g} to {high:g}; expected 0..1. Divide 8-bit values by 255")
    return np.clip(found, 0.0, 1.0) if bounded and (low < 0.0 or high > 1.0) else found


def _check_options(kappa: float, borders: str) -> None:
    if not kappa > 0.0:
        raise ValueError(f"kappa is {kappa}; expected a positive number (the paper takes 1)")
    if borders not in ("exact", "reflect"):
        raise ValueError(f"unknown borders {borders!r}, expected 'exact' or 'reflect'")
