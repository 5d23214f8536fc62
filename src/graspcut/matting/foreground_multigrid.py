"""Multigrid for the equations of `graspcut.matting.foreground`: grids of blocks of 2x2 pixels, red-black relaxation.

Full multigrid gives the first solution; W-cycles follow until the error is expected to be small. The loops are compiled
(`foreground_kernels.py`) and share rows among threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_LARGEST_CYCLES = 60
_COARSEST_SIDE_PX = 16
# Grids that are visited twice from the grid above: corrections as wide as the image need more work than one visit.
_DOUBLED_GRIDS = 1
# Sweeps before a grid's correction and as many after it. A sweep of the grid below costs a quarter of the finest's.
_SWEEPS = (2, 3, 2)
# Blocks with a step in alpha are coupled more stiffly than their pixels are, so that corrections come out too small.
# Made larger by this on the finest grids, the last for all others, they leave a fifth of the error instead of a third.
_OVERCORRECTION = (1.3, 1.15, 1.1)
# Part of a correction that is error still: what one full multigrid pass leaves, and the least that later cycles do. A
# correction is compared with the one before it; if it is not this much smaller, corrections are taken as they are.
_LEFT_AT_FIRST, _LEFT_AT_LEAST, _SHRINKS = 0.3, 0.2, 0.8
# On a busy machine waiting for another thread costs more than it saves on less than this.
_ROWS_WORTH_A_THREAD = 400
# Far from everything visible colours are so smooth that the coarser grids alone give them.
_BAND_PX = 7
_BANDED_GRIDS = 2


@dataclass
class Grid:
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
    def empty(cls, height: int, width: int) -> Grid:
        weight, across, down = (np.empty((height, width), np.float32) for _ in range(3))
        rhs, colours = np.empty((height, width, 3), np.float32), np.zeros((height, width, 3), np.float32)
        runs = np.empty((0, 2), np.int32)
        return cls(weight, across, down, rhs, colours, np.zeros(height + 1, np.int32), runs)

    def find_active(self, rows: Rows, *, everywhere: bool) -> None:
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


class Rows:
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


def coupled_grids(alpha: NDArray[np.float32], kappa: float, mirror: int, rows: Rows) -> list[Grid]:
    """The equations of an image's opacity, finest grid first, without right sides."""
    from graspcut.matting import foreground_kernels as kernels

    grids = [Grid.empty(*alpha.shape)]
    fine = grids[0]
    rows(kernels.couple, alpha, float(kappa), fine.weight, fine.across, fine.down, rows=alpha.shape[0])
    while max(fine.weight.shape) > _COARSEST_SIDE_PX:
        height, width = fine.weight.shape
        coarse = Grid.empty((height + 1) // 2, (width + 1) // 2)
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


def _relax(grid: Grid, sweeps: int, mirror: int, rows: Rows, *, first: int = 0) -> None:
    """Red-black Gauss-Seidel sweeps, starting with the pixels of colour `first`."""
    from graspcut.matting.foreground_kernels import relax

    arguments = (grid.colours, grid.rhs, grid.weight, grid.across, grid.down, grid.offsets, grid.runs)
    for _ in range(sweeps):
        rows(relax, *arguments, first, mirror, rows=grid.weight.shape[0])
        rows(relax, *arguments, 1 - first, mirror, rows=grid.weight.shape[0])


def solve(grids: list[Grid], tolerance: float, mirror: int, rows: Rows) -> tuple[float, int]:
    """Full multigrid: every grid's solution starts the next finer one; then cycles until the error is small.

    Args:
        grids: of `coupled_grids`, the finest with its right side; its colours are overwritten.
        tolerance: stop when the error where something is visible is expected to be at most this.
        mirror: 1 for mirrored borders, else 0.
        rows: threads.

    Returns:
        the error to be expected, and the number of cycles.
    """
    from graspcut.matting import foreground_kernels as kernels

    for fine, coarse in itertools.pairwise(grids):
        rows(kernels.sum_blocks, fine.rhs, coarse.rhs, rows=coarse.weight.shape[0])
    grids[-1].solve()
    if len(grids) == 1:
        return 0.0, 0
    correction = 0.0
    factors: tuple[float, ...] = _OVERCORRECTION
    for level in range(len(grids) - 2, -1, -1):
        fine, coarse = grids[level], grids[level + 1]
        rows(kernels.interpolate, coarse.colours, fine.colours, np.float32(0.0), rows=fine.weight.shape[0])
        # Cycles of this level overwrite the right sides of the coarser ones, which are not needed any more.
        correction = _cycle(grids, level, mirror, rows, factors)
    error, cycles = _LEFT_AT_FIRST * correction, 1
    while error > tolerance and cycles < _LARGEST_CYCLES:
        before, correction = correction, _cycle(grids, 0, mirror, rows, factors)
        cycles += 1
        error = correction * max(correction / before, _LEFT_AT_LEAST)
        if correction > _SHRINKS * before:
            factors = (1.0,)
    return error, cycles


def _cycle(grids: list[Grid], level: int, mirror: int, rows: Rows, factors: tuple[float, ...]) -> float:
    """One W-cycle for `level`'s equations, with `_OVERCORRECTION` or what is taken in its place.

    Returns:
        the largest correction where alpha > 0, before it is made larger; 0 for all but the finest grid.
    """
    from graspcut.matting import foreground_kernels as kernels

    grid = grids[level]
    if grid.inverse is not None:
        grid.solve()
        return 0.0
    below = grids[level + 1]
    sweeps = _SWEEPS[min(level, len(_SWEEPS) - 1)]
    _relax(grid, sweeps, mirror, rows)
    rows(
        kernels.residual_sums,
        *(grid.colours, grid.rhs, grid.weight, grid.across, grid.down, mirror, below.rhs),
        rows=below.weight.shape[0],
    )
    below.colours.fill(0.0)
    for _ in range(2 if 0 < level <= _DOUBLED_GRIDS else 1):
        _cycle(grids, level + 1, mirror, rows, factors)
    # What the grid below adds is as large as the error that it found; at the finest grid that is the test.
    correction = np.zeros(1, np.float32)
    if level == 0:
        kernels.largest_value(below.colours, below.weight, correction)
    factor = np.float32(factors[min(level, len(factors) - 1)])
    rows(kernels.interpolate, below.colours, grid.colours, factor, rows=grid.weight.shape[0])
    _relax(grid, sweeps, mirror, rows, first=1)
    return float(correction[0])
