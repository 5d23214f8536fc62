"""The loop over pixels of `graspcut.instances.pasting.paste_along_depth`, compiled."""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import loop

SURE = 0.98  # where all cells around a pixel agree to this, it is what they are
FLOOR = 0.02  # lets a cell on the right surface win against a nearer one on the wrong surface


@loop
def paste_kernel(
    cells: np.ndarray, cell_depth: np.ndarray, left: float, top: float, cell_x: float, cell_y: float,
    depth: np.ndarray, edge_mm: float, threshold: float, mask: np.ndarray,
) -> None:  # fmt: skip
    """Fills a mask from a window.

    Args:
        cells: (m + 2, m + 2) float32 probabilities with a border of 0.
        cell_depth: (m + 2, m + 2) float32 depth at the cells' middles, 0 where there is none.
        left, top: edge of the window in pixels.
        cell_x, cell_y: size of a cell in pixels.
        depth: (H, W) float32 millimetres, 0 = no data.
        edge_mm: difference of depth that halves a cell's weight.
        threshold: what counts as inside lies above.
        mask: (H, W) bool, changed.
    """
    height, width = depth.shape
    side = cells.shape[0] - 2
    first_row, last_row = max(0, math.ceil(top - 0.5)), min(height, math.floor(top + side * cell_y - 0.5) + 1)
    first_column, last_column = max(0, math.ceil(left - 0.5)), min(width, math.floor(left + side * cell_x - 0.5) + 1)
    per_cell_x, per_mm = 1.0 / cell_x, np.float32(1.0 / edge_mm)
    for row in range(first_row, last_row):
        y = (row + 0.5 - top) / cell_y - 0.5
        j = math.floor(y)
        share_y = np.float32(y - j)
        for column in range(first_column, last_column):
            own = depth[row, column]
            if own <= 0:
                continue
            x = (column + 0.5 - left) * per_cell_x - 0.5
            i = math.floor(x)
            share_x = np.float32(x - i)
            a, b = cells[j + 1, i + 1], cells[j + 1, i + 2]
            c, d = cells[j + 2, i + 1], cells[j + 2, i + 2]
            plain = (1 - share_y) * ((1 - share_x) * a + share_x * b) + share_y * ((1 - share_x) * c + share_x * d)
            if plain <= 1 - SURE or plain >= SURE:
                mask[row, column] = plain > threshold
                continue
            mixed, total = np.float32(0.0), np.float32(1e-6)
            for below in range(2):
                part_y = share_y if below else 1 - share_y
                for right in range(2):
                    apart = (own - cell_depth[j + 1 + below, i + 1 + right]) * per_mm
                    part = part_y * (share_x if right else 1 - share_x)
                    weight = (part + FLOOR) / (1 + apart * apart)
                    mixed += weight * cells[j + 1 + below, i + 1 + right]
                    total += weight
            mask[row, column] = mixed > threshold * total
