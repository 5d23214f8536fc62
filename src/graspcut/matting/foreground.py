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
stays
in X: `graspcut.matting.classical.separate_foreground` takes it out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.cores import usable_cores

Borders = Literal["exact", "reflect"]

SCALES = 6
SWEEPS = 20
DEFAULT_TOLERANCE = 0.7 / 255.0
_LARGEST_CYCLES = 60
_COARSEST_SIDE_PX = 16
# Grids that are visited twice from the grid above: corrections as wide as the image need more work than one visit.
_DOUBLED_GRIDS = 1
_SWEEPS_BEFORE_AND_AFTER = 2
_ROWS_WORTH_A_THREAD = 96
# Far from everything visible colours are so smooth that the coarser grids alone give them.
_BAND_PX = 7
_BANDED_GRIDS = 2


@dataclass(frozen=True)
class ForegroundSolution:
    """A solution and how good it is.

    Attributes:
        colours: (H, W, 3) float32.
        correction: largest change that the last multigrid cycle's coarser grids made where alpha > 0: about the error
            before that cycle. The error left is about a third of it.
        cycles: multigrid cycles done.
    """

    colours: NDArray[np.float32]
    correction: float
    cycles: int


@dataclass
class _Grid:
    """The equations on one grid, and room for a solution."""

    weight: NDArray[np.float32]
    across: NDArray[np.float32]
    down: NDArray[np.float32]
    rhs: NDArray[np.float32]
    colours: NDArray[np.float32]
    offsets: NDArray[np.int32]
    runs: NDArray[np.int32]
    inverse: NDArray[np.float64] | None = None

    @classmethod
    def empty(cls, height: int, width: int) -> _Grid:
        weight, across, down = (np.empty((height, width), np.float32) for _ in range(3))
        rhs, colours = np.empty((height, width, 3), np.float32), np.zeros((height, width, 3), np.float32)
        runs = np.empty((0, 2), np.int32)
        return cls(weight, across, down, rhs, colours, np.zeros(height + 1, np.int32), runs)

    def find_active(self, rows: _Rows, *, everywhere: bool) -> None:
        """Finds the pixels to relax: those near what is visible, or all that depend on a neighbour."""
        from graspcut.matting import foreground_kernels as kernels

        near: NDArray[Any] = np.ones(self.weight.shape, np.uint8)
        if not everywhere:
            near = cv2.dilate((self.weight > 0.0).view(np.uint8), np.ones((_BAND_PX,) * 2, np.uint8))
        height = self.weight.shape[0]
        active = np.empty_like(near)
        rows(kernels.mark_coupled, self.weight, self.across, self.down, near, active, rows=height)
        counts = np.empty(height, np.int32)
        kernels.count_runs(active, counts)
        np.cumsum(counts, out=self.offsets[1:])
        self.runs = np.empty((int(self.offsets[-1]), 2), np.int32)
        kernels.find_runs(active, self.offsets, self.runs)

    def invert(self, mirror: int) -> None:
        """Inverts the matrix of a small grid."""
        height, width = self.weight.shape
        number = np.arange(height * width).reshape(height, width)
        couplings = np.zeros((height * width,) * 2)
        couplings[number[:, :-1], number[:, 1:]] = couplings[number[:, 1:], number[:, :-1]] = self.across[:, :-1]
        couplings[number[:-1], number[1:]] = couplings[number[1:], number[:-1]] = self.down[:-1]
        if mirror and width > 1:
            couplings[number[:, 0], number[:, 1]] *= 2.0
            couplings[number[:, -1], number[:, -2]] *= 2.0
        if mirror and height > 1:
            couplings[number[0], number[1]] *= 2.0
            couplings[number[-1], number[-2]] *= 2.0
        matrix = np.diag(self.weight.ravel().astype(np.float64) + couplings.sum(axis=1)) - couplings
        self.inverse = np.linalg.inv(matrix)

    def solve(self) -> None:
        """Solves the equations of a small grid."""
        assert self.inverse is not None
        self.colours[:] = (self.inverse @ self.rhs.reshape(-1, 3)).reshape(self.rhs.shape)


class _Rows:
    """Calls a loop for all rows, shared among threads where there are enough of them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def __call__(self, function: Callable[..., None], *arguments: Any, rows: int) -> None:
        parts = min(self.threads, rows // _ROWS_WORTH_A_THREAD)
        if self.pool is None or parts < 2:
            function(*arguments, 0, rows)
            return
        cuts = [rows * part // parts for part in range(parts + 1)]
        others = [self.pool.submit(function, *arguments, cuts[n], cuts[n + 1]) for n in range(1, parts)]
        function(*arguments, 0, cuts[1])
        for other in others:
            other.result()

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()


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
        tolerance: stop when the coarser grids of a multigrid cycle change no colour where alpha > 0 by more than this;
            the error left is about a third of it.
        threads: processor threads; at most two, and what this process may use, if None.

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
    """`estimate_foreground` with the size of the last correction and the number of cycles."""
    from graspcut.matting import foreground_kernels as kernels

    colours, opacity = check_image_and_alpha(image, alpha)
    _check_options(kappa, borders)
    if not opacity.any():
        return ForegroundSolution(colours.copy(), 0.0, 0)
    rows = _Rows(threads if threads is not None else min(2, usable_cores()))
    mirror = int(borders == "reflect")
    try:
        grids = _grids(opacity, kappa, mirror, rows)
        rows(kernels.weigh, grids[0].weight, colours, grids[0].rhs, rows=opacity.shape[0])
        for fine, coarse in itertools.pairwise(grids):
            rows(kernels.sum_blocks, fine.rhs, coarse.rhs, rows=coarse.weight.shape[0])
        correction, cycles = _solve(grids, tolerance, mirror, rows)
        rows(kernels.copy_uncoupled, colours, grids[0].across, grids[0].down, grids[0].colours, rows=opacity.shape[0])
    finally:
        rows.close()
    return ForegroundSolution(grids[0].colours, float(correction), cycles)


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


def _grids(alpha: NDArray[np.float32], kappa: float, mirror: int, rows: _Rows) -> list[_Grid]:
    from graspcut.matting import foreground_kernels as kernels

    grids = [_Grid.empty(*alpha.shape)]
    fine = grids[0]
    rows(kernels.couple, alpha, float(kappa), fine.weight, fine.across, fine.down, rows=alpha.shape[0])
    while max(fine.weight.shape) > _COARSEST_SIDE_PX:
        height, width = fine.weight.shape
        coarse = _Grid.empty((height + 1) // 2, (width + 1) // 2)
        rows(
            kernels.coarsen,
            *(fine.weight, fine.across, fine.down, coarse.weight, coarse.across, coarse.down),
            rows=coarse.weight.shape[0],
        )
        grids.append(coarse)
        fine = coarse
    for level, grid in enumerate(grids[:-1]):
        grid.find_active(rows, everywhere=level >= _BANDED_GRIDS)
    grids[-1].invert(mirror)
    return grids


def _relax(grid: _Grid, sweeps: int, mirror: int, rows: _Rows, *, first: int = 0) -> None:
    """Red-black Gauss-Seidel sweeps, starting with the pixels of colour `first`."""
    from graspcut.matting.foreground_kernels import relax

    arguments = (grid.colours, grid.rhs, grid.weight, grid.across, grid.down, grid.offsets, grid.runs)
    for _ in range(sweeps):
        rows(relax, *arguments, first, mirror, rows=grid.weight.shape[0])
        rows(relax, *arguments, 1 - first, mirror, rows=grid.weight.shape[0])


def _solve(grids: list[_Grid], tolerance: float, mirror: int, rows: _Rows) -> tuple[float, int]:
    """Full multigrid: every grid's solution starts the next finer one; then cycles until the correction is small."""
    from graspcut.matting import foreground_kernels as kernels

    grids[-1].solve()
    if len(grids) == 1:
        return 0.0, 0
    correction, cycles = np.inf, 0
    for level in range(len(grids) - 2, -1, -1):
        fine, coarse = grids[level], grids[level + 1]
        rows(kernels.interpolate, coarse.colours, fine.colours, 0, rows=fine.weight.shape[0])
        # Cycles of this level overwrite the right sides of the coarser ones, which are not needed any more.
        correction, cycles = _cycle(grids, level, mirror, rows), 1
    while correction > tolerance and cycles < _LARGEST_CYCLES:
        correction = _cycle(grids, 0, mirror, rows)
        cycles += 1
    return correction, cycles


def _cycle(grids: list[_Grid], level: int, mirror: int, rows: _Rows) -> float:
    """One W-cycle for `level`'s equations; the largest correction where alpha > 0."""
    from graspcut.matting import foreground_kernels as kernels

    grid = grids[level]
    if grid.inverse is not None:
        grid.solve()
        return 0.0
    below = grids[level + 1]
    _relax(grid, _SWEEPS_BEFORE_AND_AFTER, mirror, rows)
    rows(
        kernels.residual_sums,
        *(grid.colours, grid.rhs, grid.weight, grid.across, grid.down, mirror, below.rhs),
        rows=below.weight.shape[0],
    )
    below.colours.fill(0.0)
    for _ in range(2 if 0 < level <= _DOUBLED_GRIDS else 1):
        _cycle(grids, level + 1, mirror, rows)
    # What the grid below adds is as large as the error that it found; at the finest grid that is the test.
    correction = np.zeros(1, np.float32)
    if level == 0:
        kernels.largest_value(below.colours, below.weight, correction)
    rows(kernels.interpolate, below.colours, grid.colours, 1, rows=grid.weight.shape[0])
    _relax(grid, _SWEEPS_BEFORE_AND_AFTER, mirror, rows, first=1)
    return float(correction[0])
