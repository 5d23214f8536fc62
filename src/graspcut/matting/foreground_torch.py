"""RF by multigrid in PyTorch, for GPUs; `graspcut.matting.foreground` says what is solved, and does it on processors.

The same equations and cycles. Every pixel is relaxed on every grid: masks of a band save nothing on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graspcut.matting.foreground import check_image_and_alpha

_COARSEST_SIDE_PX = 8
_SWEEPS = 2
_LARGEST_CYCLES = 60
# Cycles here leave about a third of the correction.
_TOLERANCE = 0.7 / 255.0


@dataclass
class _Grid:
    """The equations on one grid: data weights, couplings to the right and below, both 0 in the last column or row.

    All are (1, 1, H, W).
    """

    weight: Tensor
    across: Tensor
    down: Tensor

    def __post_init__(self) -> None:
        self.left, self.above = _shifted(self.across, 0, 1), _shifted(self.down, 1, 0)
        both = self.across + self.left + self.down + self.above
        self.diagonal = self.weight + both
        self.solvable = self.diagonal > 0
        self.inverse = torch.where(self.solvable, 1.0 / self.diagonal.clamp(min=1e-30), torch.zeros_like(both))
        y = torch.arange(both.shape[-2], device=both.device)[:, None]
        x = torch.arange(both.shape[-1], device=both.device)[None]
        self.red = ((x + y) % 2 == 0)[None, None]

    def neighbours(self, colours: Tensor) -> Tensor:
        """Sum of the couplings times the neighbours' colours; (1, C, H, W)."""
        return (
            self.across * _shifted(colours, 0, -1)
            + self.left * _shifted(colours, 0, 1)
            + self.down * _shifted(colours, -1, 0)
            + self.above * _shifted(colours, 1, 0)
        )

    def relaxed(self, colours: Tensor, side: Tensor, sweeps: int, *, red_first: bool = True) -> Tensor:
        """Red-black Gauss-Seidel sweeps."""
        for _ in range(sweeps):
            for turn in range(2):
                chosen = self.solvable & (self.red if (turn == 0) == red_first else ~self.red)
                colours = torch.where(chosen, (side + self.neighbours(colours)) * self.inverse, colours)
        return colours

    def residual(self, colours: Tensor, side: Tensor) -> Tensor:
        """What is left of the equations."""
        return side + self.neighbours(colours) - self.diagonal * colours

    def solved(self, side: Tensor) -> Tensor:
        """The solution on a small grid, by its whole matrix."""
        height, width = self.weight.shape[-2:]
        one_by_one = torch.eye(height * width, dtype=torch.float64, device=side.device).reshape(-1, 1, height, width)
        matrix = (self.diagonal * one_by_one - self.neighbours(one_by_one)).reshape(height * width, -1)
        # Blocks beyond the picture have no equation.
        matrix = matrix + torch.diag((~self.solvable).flatten().to(torch.float64))
        found: Tensor = torch.linalg.solve(matrix.T, side.to(torch.float64).reshape(side.shape[1], -1).T)
        return found.T.reshape(side.shape).to(side.dtype)

    def coarser(self) -> _Grid:
        """Blocks of 2x2 pixels; see `graspcut.matting.foreground_kernels.coarsen`."""
        across, down = _even(self.across), _even(self.down)
        right = 0.5 * (across[..., 0::2, 1::2] + across[..., 1::2, 1::2])
        below = 0.5 * (down[..., 1::2, 0::2] + down[..., 1::2, 1::2])
        return _Grid(_block_sums(self.weight), right, below)


def estimate_foreground_torch(
    image: NDArray[Any],
    alpha: NDArray[Any],
    *,
    kappa: float = 1.0,
    tolerance: float = _TOLERANCE,
    device: str | torch.device = "cuda",
) -> NDArray[np.float32]:
    """`graspcut.matting.foreground.estimate_foreground` with exact borders, on a device of PyTorch.

    Args:
        image: (H, W, 3) float in 0..1, or whole numbers of the full range of their type.
        alpha: (H, W), likewise.
        kappa: weight of smoothness.
        tolerance: stop when a cycle's coarser grids change no colour where alpha > 0 by more than this.
        device: where it is computed.

    Returns:
        (H, W, 3) float32.

    Raises:
        ValueError: see `estimate_foreground`.
    """
    colours, opacity = check_image_and_alpha(image, alpha)
    if not kappa > 0.0:
        raise ValueError(f"kappa is {kappa}; expected a positive number (the paper takes 1)")
    if not opacity.any():
        return colours.copy()
    given = torch.from_numpy(colours).to(device).permute(2, 0, 1)[None]
    visible = torch.from_numpy(opacity).to(device)[None, None]
    loose = (1.0 - visible) ** 2
    across, down = torch.zeros_like(visible), torch.zeros_like(visible)
    across[..., :-1] = kappa * (loose[..., :-1] + loose[..., 1:])
    down[..., :-1, :] = kappa * (loose[..., :-1, :] + loose[..., 1:, :])
    with torch.no_grad():
        found = _solved(_Grid(visible**2, across, down), given, tolerance)
    return np.ascontiguousarray(found[0].permute(1, 2, 0).cpu().numpy())


def _solved(finest: _Grid, given: Tensor, tolerance: float) -> Tensor:
    grids = [finest]
    while max(grids[-1].weight.shape[-2:]) > _COARSEST_SIDE_PX:
        grids.append(grids[-1].coarser())
    sides = [finest.weight * given]
    for _ in grids[1:]:
        sides.append(_block_sums(sides[-1]))
    colours = grids[-1].solved(sides[-1])
    correction, cycles = float("inf"), 1
    for level in range(len(grids) - 2, -1, -1):
        colours = _interpolated(colours, grids[level])
        colours, correction = _cycle(grids, level, colours, sides[level])
    while correction > tolerance and cycles < _LARGEST_CYCLES and len(grids) > 1:
        colours, correction = _cycle(grids, 0, colours, sides[0])
        cycles += 1
    return colours


def _cycle(grids: list[_Grid], level: int, colours: Tensor, side: Tensor) -> tuple[Tensor, float]:
    """One cycle, and the largest correction where alpha > 0 (at the finest grid alone, since asking takes time)."""
    grid = grids[level]
    if level == len(grids) - 1:
        return grid.solved(side), 0.0
    colours = grid.relaxed(colours, side, _SWEEPS)
    below = _block_sums(grid.residual(colours, side))
    found = torch.zeros_like(below)
    for _ in range(2 if level == 1 else 1):
        found, _ = _cycle(grids, level + 1, found, below)
    correction = float((found.abs() * (grids[1].weight > 0)).max()) if level == 0 else 0.0
    colours = colours + _interpolated(found, grid)
    return grid.relaxed(colours, side, _SWEEPS, red_first=False), correction


def _interpolated(coarse: Tensor, fine: _Grid) -> Tensor:
    height, width = fine.weight.shape[-2:]
    grown = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    return grown[..., :height, :width]


def _even(values: Tensor) -> Tensor:
    height, width = values.shape[-2:]
    return functional.pad(values, (0, width % 2, 0, height % 2))


def _block_sums(values: Tensor) -> Tensor:
    return 4.0 * functional.avg_pool2d(_even(values), 2)


def _shifted(values: Tensor, down: int, right: int) -> Tensor:
    """The picture moved by one pixel; what comes in is 0."""
    moved = functional.pad(values, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    height, width = values.shape[-2:]
    y, x = max(-down, 0), max(-right, 0)
    return moved[..., y : y + height, x : x + width]
