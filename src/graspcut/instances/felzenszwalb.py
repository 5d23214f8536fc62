"""Graph-based segmentation into small regions, from which selective search begins.

Source: Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", 2004: edges of the 8-neighbourhood by
rising weight; two components are joined when the edge is no heavier than the least internal difference of both, which
is the heaviest edge inside plus k over the size. Components below a size are joined with a neighbour at the end.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.kernel_cache import compiled


@compiled()
def _find(parent: np.ndarray, pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled()
def _join(
    first: np.ndarray, second: np.ndarray, weight: np.ndarray, pixels: int, scale: float, smallest: int
) -> np.ndarray:
    parent = np.arange(pixels)
    size = np.ones(pixels, np.int64)
    threshold = np.full(pixels, scale)
    for edge in range(len(weight)):
        a, b = _find(parent, first[edge]), _find(parent, second[edge])
        if a != b and weight[edge] <= threshold[a] and weight[edge] <= threshold[b]:
            parent[b] = a
            size[a] += size[b]
            threshold[a] = weight[edge] + scale / size[a]
    for edge in range(len(weight)):
        a, b = _find(parent, first[edge]), _find(parent, second[edge])
        if a != b and (size[a] < smallest or size[b] < smallest):
            parent[b] = a
            size[a] += size[b]
    for pixel in range(pixels):
        parent[pixel] = _find(parent, pixel)
    return parent


def felzenszwalb_segments(
    image: NDArray[np.floating], *, scale: float = 100.0, sigma: float = 0.8, smallest_px: int = 20
) -> NDArray[np.int64]:
    """Regions of about equal values.

    Args:
        image: (H, W, C) float in 0..255.
        scale: k: larger values prefer larger regions.
        sigma: of the Gaussian blur before; 0 for none.
        smallest_px: least size of a region.

    Returns:
        (H, W) int64 region numbers 0..N-1, in the order of their first pixel.
    """
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma) if sigma > 0 else image.astype(np.float32)
    blurred = blurred.reshape(image.shape)
    height, width = image.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    pairs = (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    )
    first = np.concatenate([number[here].ravel() for here, _ in pairs])
    second = np.concatenate([number[there].ravel() for _, there in pairs])
    apart = [np.sqrt(np.square(blurred[here] - blurred[there]).sum(axis=2)).ravel() for here, there in pairs]
    weight = np.concatenate(apart).astype(np.float64)
    order = np.argsort(weight, kind="stable")
    parent = _join(first[order], second[order], weight[order], height * width, float(scale), smallest_px)
    _, places, labels = np.unique(parent, return_index=True, return_inverse=True)
    rank = np.empty(len(places), np.int64)
    rank[np.argsort(places)] = np.arange(len(places))
    return np.asarray(rank[labels.reshape(height, width)], np.int64)
