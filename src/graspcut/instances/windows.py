"""Windows, cells and scales: where on the image the network's cells and sliding windows are.

Source: Dai et al., "Instance-sensitive Fully Convolutional Networks", 2016, section 3.3: windows of 21 x 21 cells on
features of stride 8, images at short sides of 600 x 1.5^{-4..1}; sizes of positive objects follow DeepMask (Pinheiro
et al., 2015), carried over from its 224 px crops by proportion.

One mapping serves targets and pasting alike. Pixel j covers [j, j + 1); cell i is centred `first_centre_px + stride i`
(as a pixel index) of the *resized* image and covers one stride.

Deviations, with the reason:
    - A size is positive within a factor of 1.5^(1/2) of the canonical one instead of DeepMask's 2^(1/4): the scales are
      1.5 apart, and with 2^(1/4) some objects would be positive at none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAPER_SHORT_SIDES = tuple(round(600 * 1.5**power) for power in range(-4, 2))
SCALE_STEP = 1.5
_CANONICAL_PART = 128.0 / 224.0  # of the window's side: DeepMask's object in its crop
_CENTRE_PART = 16.0 / 224.0
_NEGATIVE_PART = 32.0 / 224.0


@dataclass(frozen=True)
class WindowGeometry:
    """Where cells and windows are.

    Attributes:
        stride_px: pixels of the resized image from one cell to the next.
        cells: side of a window in cells (m of the paper).
        first_centre_px: pixel index at which cell 0 is centred, (stride - 1) / 2 when a cell is the block of pixels
            that it covers.
        short_sides: short sides of the resized images, smallest first.
        window_px: side of a window where that is not `cells` strides, as for a network that is given crops.
    """

    stride_px: int = 8
    cells: int = 21
    first_centre_px: float = 3.5
    short_sides: tuple[int, ...] = PAPER_SHORT_SIDES
    window_px: int = 0

    def __post_init__(self) -> None:
        if self.stride_px < 1 or self.cells < 1 or not self.short_sides or min(self.short_sides) < 8:
            raise ValueError(
                f"stride {self.stride_px}, {self.cells} cells, short sides {self.short_sides}: expected a positive "
                "stride and number of cells, and short sides of at least 8 pixels"
            )
        if not self.window_px:
            object.__setattr__(self, "window_px", self.stride_px * self.cells)

    @property
    def canonical_px(self) -> float:
        """Longest side of the object that a window is made for, in the resized image: 96 for windows of 168 px."""
        return _CANONICAL_PART * self.window_px

    @property
    def centre_tolerance_px(self) -> float:
        """How far, along either axis, a positive window may lie from its object: 12 for windows of 168 px."""
        return _CENTRE_PART * self.window_px

    @property
    def negative_distance_px(self) -> float:
        """How far a window must lie from every object of its size to be negative: 24 for windows of 168 px."""
        return _NEGATIVE_PART * self.window_px

    @property
    def cell_px(self) -> float:
        """Side of a mask cell in the resized image."""
        return self.window_px / self.cells

    def map_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the network's output for a resized image."""
        return -(-height // self.stride_px), -(-width // self.stride_px)

    def centres_px(self, count: int) -> NDArray[np.float64]:
        """Pixel index of the first `count` cells, (count,) float64."""
        return self.first_centre_px + self.stride_px * np.arange(count, dtype=np.float64)

    def reach_px(self, height: int, width: int) -> tuple[float, float]:
        """Longest sides of the smallest and the largest canonical object, in pixels of an image of this size."""
        short = min(height, width)
        return (
            self.canonical_px * short / max(self.short_sides),
            self.canonical_px * short / min(self.short_sides),
        )


SCALE_TOLERANCE_OCTAVES = math.log2(SCALE_STEP) / 2
NEGATIVE_OCTAVES = 1.0


@dataclass(frozen=True)
class Scale:
    """One resized image.

    Attributes:
        height, width: of the original image in pixels.
        resized_height, resized_width: of the resized one.
    """

    height: int
    width: int
    resized_height: int
    resized_width: int

    @classmethod
    def to_short_side(cls, height: int, width: int, short_side: int) -> Scale:
        """The scale at which the short side of an image has the given length."""
        short = min(height, width)
        # Halves are rounded up, in whole numbers, as in the exported graph.
        resized = [max(1, (2 * short_side * size + short) // (2 * short)) for size in (height, width)]
        return cls(height, width, resized[0], resized[1])

    @property
    def vertical(self) -> float:
        """Resized pixels a pixel, down."""
        return self.resized_height / self.height

    @property
    def horizontal(self) -> float:
        """Resized pixels a pixel, to the right."""
        return self.resized_width / self.width


def scales_of(height: int, width: int, short_sides: Sequence[int]) -> tuple[Scale, ...]:
    """The pyramid of an image, smallest first."""
    return tuple(Scale.to_short_side(height, width, side) for side in short_sides)


def axis_coverage(pixels: int, first_left: float, cell: float, cells: int) -> NDArray[np.float32]:
    """Which part of each cell each pixel of an image covers, along one axis.

    Args:
        pixels: length of the image.
        first_left: where the first cell begins, in pixels of the image; pixel j covers [j, j + 1).
        cell: length of a cell in pixels of the image.
        cells: number of cells.

    Returns:
        (cells, pixels) float32. `rows @ mask @ columns.T` averages a mask over the area of each cell; a cell beyond the
        image is covered in part only.
    """
    left = (first_left + cell * np.arange(cells, dtype=np.float64))[:, None]
    start = np.arange(pixels, dtype=np.float64)[None]
    overlap = np.minimum(left + cell, start + 1) - np.maximum(left, start)
    covered: NDArray[np.float32] = (np.clip(overlap, 0.0, None) / cell).astype(np.float32)
    return covered


def mask_on_cells(
    masks: NDArray[np.bool_] | NDArray[np.uint8], scale: Scale, geometry: WindowGeometry
) -> NDArray[np.float32]:
    """Area average of masks on the cells of one resized image.

    Args:
        masks: (N, H, W) of 0 and 1, original pixels.
        scale: of the resized image.
        geometry: where cells are.

    Returns:
        (N, rows, columns) float32 in 0..1.
    """
    rows, columns = geometry.map_size(scale.resized_height, scale.resized_width)
    stride, first = geometry.stride_px, geometry.first_centre_px + 0.5 - geometry.stride_px / 2
    down = axis_coverage(masks.shape[1], first / scale.vertical, stride / scale.vertical, rows)
    across = axis_coverage(masks.shape[2], first / scale.horizontal, stride / scale.horizontal, columns)
    return np.asarray(down @ masks.astype(np.float32) @ across.T)


def mask_in_window(
    mask: NDArray[np.bool_], left_px: float, top_px: float, side_px: float, cells: int, scale: Scale
) -> NDArray[np.float32]:
    """Area average of one mask on the cells of a window at any place.

    Args:
        mask: (H, W) bool, original pixels.
        left_px, top_px: where the window begins in resized pixels.
        side_px: its side in resized pixels.
        cells: cells of a side.
        scale: of the resized image.

    Returns:
        (cells, cells) float32 in 0..1.
    """
    cell = side_px / cells
    down = axis_coverage(mask.shape[0], top_px / scale.vertical, cell / scale.vertical, cells)
    across = axis_coverage(mask.shape[1], left_px / scale.horizontal, cell / scale.horizontal, cells)
    return np.asarray(down @ mask.astype(np.float32) @ across.T)
