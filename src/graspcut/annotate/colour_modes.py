"""Clusters of colours: hills of the density of colours, joined where no valley lies between them.

Skin in light and shade, a red bar with its glints and its dark side: each is one hill, however wide. k-means gives the
starting points, mean shift (Comaniciu and Meer 2002) climbs from each to its peak, and two peaks are one colour if the
density on the way between them stays above a share of the lower one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_STARTS = 14
_KERNEL_POINTS = 5000
_BANDWIDTH = 13.0
_SHIFTS = 40
# Of the lower peak; hills with a shallower valley between them are one.
_VALLEY = 0.62


def colour_places(hsv: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3) places in which distances mean differences of colour, from (n, 3) hue (half degrees), saturation, value.

    Saturation counts by its direction, as chroma does; that of dark pixels, which is noise, counts less. Value counts
    little, because light and shade change it.
    """
    angle = hsv[:, 0] * np.float32(np.pi / 90)
    weight = hsv[:, 1] * np.clip(hsv[:, 2] / 64, 0.1, 1.0)
    return np.column_stack([weight * np.cos(angle), weight * np.sin(angle), 0.25 * hsv[:, 2]]).astype(np.float32)


def colour_groups(places: NDArray[np.float32], seed: int = 0) -> NDArray[np.int64]:
    """A group number 0..n-1 for each of the places (m, 3)."""
    starts = min(_STARTS, len(np.unique(places, axis=0)))
    cv2.setRNGSeed(seed + 1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.2)
    labels = np.zeros((len(places), 1), dtype=np.int32)
    _, numbers, centres = cv2.kmeans(places, starts, labels, criteria, 2, cv2.KMEANS_PP_CENTERS)
    rng = np.random.default_rng(seed)
    kernel = places[rng.permutation(len(places))[:_KERNEL_POINTS]].astype(np.float64)
    peaks = centres.astype(np.float64)
    for _ in range(_SHIFTS):
        weights = np.exp(-0.5 * _squared_distances(peaks, kernel) / _BANDWIDTH**2)
        peaks = (weights @ kernel) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    heights = _density(peaks, kernel)
    group = np.arange(len(peaks))
    for first in range(len(peaks)):
        for second in range(first):
            way = np.linspace(peaks[first], peaks[second], 12)
            if _density(way, kernel).min() >= _VALLEY * min(heights[first], heights[second]):
                group[group == group[first]] = group[second]
    _, compact = np.unique(group, return_inverse=True)
    return np.asarray(compact.reshape(-1)[numbers.ravel()], dtype=np.int64)


def _density(places: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * _squared_distances(places, kernel) / _BANDWIDTH**2).mean(axis=1))


def _squared_distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return np.asarray(np.maximum(squares, 0.0))
