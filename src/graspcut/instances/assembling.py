"""The instance assembling module: masks of windows out of instance-sensitive score maps.

Source: Dai et al. 2016, section 3.1. A window of m x m cells is cut into k x k parts; each part copies the values of
its own score map at its own place. There is nothing to learn here, and a cell of the map means the same in every window
that asks it for the same part (section 3.2).

The parts are b(u) = floor((u + 0.5) k / m): the only even division that commutes with mirroring when m is no
multiple of k (k = 5, m = 21: 4, 4, 5, 4, 4 cells).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Indices = NDArray[np.intp]


@lru_cache(maxsize=32)
def bins(cells: int, grid: int) -> NDArray[np.int64]:
    """Which of `grid` parts each of `cells` cells of a window's side belongs to, (cells,) int64.

    Raises:
        ValueError: there are more parts than cells.
    """
    if not 1 <= grid <= cells:
        raise ValueError(f"a window of {cells} cells cannot be cut into {grid} parts a side, expected 1 to {cells}")
    parts = ((2 * np.arange(cells) + 1) * grid) // (2 * cells)
    parts.setflags(write=False)
    return parts


@lru_cache(maxsize=64)
def _pattern(cells: int, grid: int, rows: int, columns: int) -> Indices:
    """Flat index of every cell of the window at the first position, in padded maps of rows x columns, (cells^2,)."""
    part = bins(cells, grid)
    channel = part[:, None] * grid + part[None, :]
    row, column = np.arange(cells)[:, None], np.arange(cells)[None, :]
    pattern: Indices = ((channel * rows + row) * columns + column).astype(np.intp).reshape(-1)
    pattern.setflags(write=False)
    return pattern


def window_indices(centres: NDArray[np.integer], cells: int, grid: int, rows: int, columns: int) -> Indices:
    """Where the values of windows lie in score maps that have a border of `cells // 2` on every side.

    Args:
        centres: (N, 2) row and column of the windows' middle cells.
        cells: side of a window, odd.
        grid: k.
        rows, columns: size of the maps without the border.

    Returns:
        (N, cells^2) flat indices into maps of (k^2, rows + cells - 1, columns + cells - 1).
    """
    padded_rows, padded_columns = rows + cells - 1, columns + cells - 1
    first = np.asarray(centres[:, 0], np.intp) * padded_columns + np.asarray(centres[:, 1], np.intp)
    return first[:, None] + _pattern(cells, grid, padded_rows, padded_columns)[None, :]


def _checked(centres: NDArray[np.integer], shape: tuple[int, ...], cells: int) -> tuple[int, int, int]:
    channels, rows, columns = shape
    grid = round(channels**0.5)
    if grid * grid != channels:
        raise ValueError(f"there are {channels} score maps, expected a square number k^2")
    if cells % 2 == 0:
        raise ValueError(f"a window has {cells} cells a side, expected an odd number: it needs a middle cell")
    if len(centres) and (centres.min() < 0 or (centres.max(axis=0) >= (rows, columns)).any()):
        raise ValueError(f"a window's middle lies outside the maps of {rows} x {columns} cells")
    return grid, rows, columns


class PaddedMaps:
    """Score maps with a border all round, ready for windows at any position.

    Args:
        score_maps: (k^2, rows, columns) float32; map `i k + j` is that of part (row i, column j).
        cells: side of a window.
        outside: value of cells beyond the maps.

    Raises:
        ValueError: the number of maps is no square, or the windows have no middle cell.
    """

    def __init__(self, score_maps: NDArray[np.float32], cells: int = 21, outside: float = -np.inf) -> None:
        self.shape, self.cells = score_maps.shape, cells
        grid, rows, columns = _checked(np.zeros((0, 2), np.int64), self.shape, cells)
        self.grid, border = grid, cells // 2
        padded = np.empty((grid * grid, rows + 2 * border, columns + 2 * border), np.float32)
        padded[:, :border], padded[:, border + rows :] = outside, outside
        padded[:, :, :border], padded[:, :, border + columns :] = outside, outside
        padded[:, border : border + rows, border : border + columns] = score_maps
        self._values = padded.reshape(-1)

    def windows(self, centres: NDArray[np.integer]) -> NDArray[np.float32]:
        """Masks of windows, (N, cells, cells) float32 logits; see `assemble`."""
        _checked(centres, self.shape, self.cells)
        indices = window_indices(centres, self.cells, self.grid, *self.shape[1:])
        # "clip" spares a second pass over the indices; they are inside by construction.
        return self._values.take(indices, mode="clip").reshape(len(centres), self.cells, self.cells)


def assemble(
    score_maps: NDArray[np.float32], centres: NDArray[np.integer], *, cells: int = 21, outside: float = -np.inf
) -> NDArray[np.float32]:
    """Masks of windows, as logits.

    Args:
        score_maps: (k^2, rows, columns) float32; map `i k + j` is that of part (row i, column j).
        centres: (N, 2) row and column of the windows' middle cells, inside the maps.
        cells: side of a window.
        outside: value of cells beyond the maps.

    Returns:
        (N, cells, cells) float32.

    Raises:
        ValueError: the number of maps is no square, the windows have no middle cell or lie outside.
    """
    return PaddedMaps(score_maps, cells, outside).windows(centres)


def assemble_tensor(score_maps: Tensor, images: Tensor, centres: Tensor, *, cells: int = 21) -> Tensor:
    """`assemble` for training: windows of several images, with gradients; cells beyond the maps are 0.

    Args:
        score_maps: (B, k^2, rows, columns) float.
        images: (N,) int64, which image each window lies in.
        centres: (N, 2) int64 row and column of the windows' middle cells.
        cells: side of a window.

    Returns:
        (N, cells, cells).
    """
    import torch
    from torch.nn import functional

    grid, rows, columns = _checked(np.zeros((0, 2), np.int64), tuple(score_maps.shape[1:]), cells)
    border = cells // 2
    padded = functional.pad(score_maps, (border, border, border, border))
    padded_rows, padded_columns = rows + 2 * border, columns + 2 * border
    pattern = torch.from_numpy(_pattern(cells, grid, padded_rows, padded_columns).copy()).to(score_maps.device)
    first = (images * grid * grid * padded_rows + centres[:, 0]) * padded_columns + centres[:, 1]
    return padded.reshape(-1)[first[:, None] + pattern[None]].reshape(len(centres), cells, cells)


def inside_map(centres: NDArray[np.integer], rows: int, columns: int, *, cells: int = 21) -> NDArray[np.bool_]:
    """Which cells of windows lie on the map, (N, cells, cells) bool: the others take no part in the loss."""
    offsets = np.arange(cells) - cells // 2
    row, column = centres[:, :1] + offsets, centres[:, 1:] + offsets
    in_rows, in_columns = (row >= 0) & (row < rows), (column >= 0) & (column < columns)
    return np.asarray(in_rows[:, :, None] & in_columns[:, None, :])
