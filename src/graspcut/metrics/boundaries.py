"""How well outlines of label maps agree: boundary pixels that have a counterpart within a tolerance.

A class's boundary is made of its pixels with a 4-neighbour of another known class; the picture border and the border to
unknown pixels are no boundaries. Precision is the part of the predicted boundary pixels within the tolerance
(Euclidean) of a true one, recall the reverse; both from counts summed over the set. Boundary pixels within the
tolerance of unknown pixels are not counted, because their counterpart may be hidden there.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.labels import UNKNOWN

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)


class BoundaryCounts:
    """Boundary pixels of a set of images, and how many of them have a counterpart (see the module).

    Args:
        classes: the labels whose boundaries are scored.
        tolerance_px: largest distance of a match.
    """

    def __init__(self, classes: Sequence[int], tolerance_px: float = 2.0) -> None:
        self.classes = tuple(classes)
        self.tolerance_px = tolerance_px
        reach = int(np.floor(tolerance_px))
        offset = np.arange(-reach, reach + 1)
        self._disc = (offset[:, None] ** 2 + offset[None, :] ** 2 <= tolerance_px**2).astype(np.uint8)
        # columns: predicted, predicted and matched, true, true and matched
        self._counts = np.zeros((len(self.classes), 4), dtype=np.int64)

    def add(self, labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Adds one image.

        Args:
            labels: (H, W) uint8 ground truth, 255 = ignored.
            predicted: (H, W) uint8.
        """
        if labels.shape != predicted.shape or labels.ndim != 2:
            raise ValueError(f"need two (H, W) arrays of one shape, got {labels.shape}, {predicted.shape}")
        known = (labels != UNKNOWN).view(np.uint8)
        counted = np.asarray(1 - cv2.dilate(1 - known, self._disc, borderValue=0), dtype=np.uint8)
        for row, label in zip(self._counts, self.classes, strict=True):
            true = _boundary(labels, label, known)
            given = _boundary(predicted, label, known)
            row[:2] += self._matches(given, true, counted)
            row[2:] += self._matches(true, given, counted)

    def _matches(
        self, boundary: NDArray[np.uint8], other: NDArray[np.uint8], counted: NDArray[np.uint8]
    ) -> tuple[int, int]:
        """Counted pixels of a boundary, and those of them within the tolerance of the other boundary."""
        boundary = boundary & counted
        near = np.asarray(cv2.dilate(other, self._disc, borderValue=0), dtype=np.uint8)
        return cv2.countNonZero(boundary), cv2.countNonZero(boundary & near)

    def f1(self) -> tuple[float, ...]:
        """2 P R / (P + R) of each class over the whole set, in the order of `classes`; NaN without any boundary."""
        return tuple(_f1(row) for row in self._counts)


def _boundary(labels: NDArray[np.uint8], label: int, known: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Known pixels of a class with a known 4-neighbour of another class, as (H, W) uint8 of 0 and 1."""
    inside = (labels == label).view(np.uint8)
    outside = known & (1 - inside)
    return np.asarray(cv2.dilate(outside, _CROSS, borderValue=0) & inside & known, dtype=np.uint8)


def _f1(counts: NDArray[np.int64]) -> float:
    predicted, predicted_matched, true, true_matched = (int(count) for count in counts)
    if predicted + true == 0:
        return float("nan")
    precision = predicted_matched / predicted if predicted else 0.0
    recall = true_matched / true if true else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
