"""A network that takes sides of multiples of 128, on images of any size: padding, tiles, and test-time augmentation.

TTA is the mean over the eight symmetries of the square, then over the scales 0.8, 1 and 1.25
("Improving Deep Image Matting via Local Smoothness Assumption", section 5.1).

Deviations, with the reason:
    - The published program also puts 16 mirrored and 16 black pixels round every image, and squeezes sides above 2176
      to that size, each axis by its own factor. Here images are mirrored to the right and below only, and large ones
      are done in tiles, so that nothing changes its shape.
    - Only the part of the image with unknown pixels, with some surroundings, goes through the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.matting.trimap import BACKGROUND, FOREGROUND

AlphaFunction = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
"""Image (H, W, 3) uint8 and trimap (H, W) uint8 -> alpha (H, W) float32, for the sizes it takes."""

PADDING_MULTIPLE = 128
TTA_SCALES = (0.8, 1.0, 1.25)
MARGIN_PX = 48
OVERLAP_PX = 128


def padded(estimate: AlphaFunction, multiple: int = PADDING_MULTIPLE) -> AlphaFunction:
    """An estimate for sides of multiples of `multiple` -> one for any size: mirrored right and below, then cut."""

    def on_any_size(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = trimap.shape
        below, right = -height % multiple, -width % multiple
        if not below and not right:
            return estimate(image, trimap)
        edges = ((0, below), (0, right))
        found = estimate(np.pad(image, (*edges, (0, 0)), mode="reflect"), np.pad(trimap, edges, mode="reflect"))
        return np.ascontiguousarray(found[:height, :width])

    return on_any_size


def windowed(estimate: AlphaFunction, most_pixels: int, *, margin_px: int = MARGIN_PX) -> AlphaFunction:
    """An estimate of limited size -> one of any size that does only what has unknown pixels.

    Args:
        estimate: for any size.
        most_pixels: what it may be given at once. Larger areas are done in tiles that overlap by `OVERLAP_PX` and
            fade into each other there.
        margin_px: surroundings of the unknown pixels.
    """

    def on_windows(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        alpha: NDArray[np.float32] = (trimap == FOREGROUND).astype(np.float32)
        # Unknown pixels may hold an estimate in place of 128, see `graspcut.matting.trimap.with_estimate`.
        unknown = (trimap > BACKGROUND) & (trimap < FOREGROUND)
        if not unknown.any():
            return alpha
        window = _around(unknown, margin_px)
        part = np.zeros(trimap[window].shape, np.float32)
        weights = np.zeros_like(part)
        for tile, weight in _tiles(part.shape, most_pixels):
            if unknown[window][tile].any():
                part[tile] += weight * estimate(
                    np.ascontiguousarray(image[window][tile]), np.ascontiguousarray(trimap[window][tile])
                )
                weights[tile] += weight
        inside = unknown[window]
        alpha[window][inside] = np.clip(part[inside] / np.maximum(weights[inside], 1e-6), 0.0, 1.0)
        return alpha

    return on_windows


def augmented(estimate: AlphaFunction, scales: Sequence[float] = TTA_SCALES) -> AlphaFunction:
    """The mean over eight symmetries and over scales; known pixels of the trimap are exact."""

    def mean(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = trimap.shape
        total = np.zeros((height, width), np.float64)
        for scale in scales:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            same = size == (width, height)
            scaled = image if same else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
            marks = trimap if same else np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
            found = np.zeros(marks.shape, np.float64)
            for turns in range(4):
                for mirrored in (False, True):
                    picture, marked = (_turned(part, turns, mirrored) for part in (scaled, marks))
                    found += _turned_back(estimate(picture, marked), turns, mirrored) / 8
            total += found if same else cv2.resize(found, (width, height), interpolation=cv2.INTER_CUBIC)
        alpha: NDArray[np.float32] = np.clip(total / len(scales), 0.0, 1.0).astype(np.float32)
        alpha[trimap == 0], alpha[trimap == 255] = 0.0, 1.0
        return alpha

    return mean


def _turned(picture: NDArray[np.uint8], turns: int, mirrored: bool) -> NDArray[np.uint8]:
    turned = np.rot90(picture, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def _turned_back(values: NDArray[np.float32], turns: int, mirrored: bool) -> NDArray[np.float32]:
    return np.rot90(values[:, ::-1] if mirrored else values, -turns)


def _around(mask: NDArray[np.bool_], margin_px: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin_px, 0), int(rows[-1]) + margin_px + 1),
        slice(max(int(columns[0]) - margin_px, 0), int(columns[-1]) + margin_px + 1),
    )


def _tiles(shape: tuple[int, ...], most_pixels: int) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32]]]:
    """Tiles that cover (H, W), and how much each pixel of them counts."""
    height, width = shape
    if height * width <= most_pixels:
        yield (slice(0, height), slice(0, width)), np.ones((height, width), np.float32)
        return
    side = max(int(most_pixels**0.5) // PADDING_MULTIPLE * PADDING_MULTIPLE, 2 * OVERLAP_PX)
    rows, columns = _cuts(height, side), _cuts(width, side)
    for y0, y1 in rows:
        for x0, x1 in columns:
            weight = np.outer(_fade(y0, y1, height), _fade(x0, x1, width)).astype(np.float32)
            yield (slice(y0, y1), slice(x0, x1)), weight


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = -(-(length - OVERLAP_PX) // (side - OVERLAP_PX))
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    return [(start, start + side) for start in starts]


def _fade(start: int, stop: int, length: int) -> NDArray[np.float64]:
    """1 inside, falling to nearly 0 over the overlap where another tile begins."""
    place = np.arange(stop - start, dtype=np.float64)
    weight = np.ones(stop - start)
    if start > 0:
        weight = np.minimum(weight, (place + 1) / (OVERLAP_PX + 1))
    if stop < length:
        weight = np.minimum(weight, (stop - start - place) / (OVERLAP_PX + 1))
    return weight
