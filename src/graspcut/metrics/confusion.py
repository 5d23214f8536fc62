"""Confusions of label maps of any number of classes.

Confusion n_ij counts the pixels of true class i that were predicted as class j, t_i = sum_j n_ij (Long et al., FCN,
section 5):

- pixel accuracy = sum_i n_ii / sum_i t_i
- accuracy of class i (its recall) = n_ii / t_i
- IoU_i = n_ii / (t_i + sum_j n_ji - n_ii)
- frequency weighted IoU = sum_i (t_i / sum t) IoU_i

Pixels with label 255 count nowhere. A class that occurs nowhere gives NaN and is left out of means.

    counts = ConfusionCounts(classes=7)
    for truth, found in pairs:
        counts.add(truth, found)
    iou = class_iou(counts.total())
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.labels import UNKNOWN

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# true * classes + predicted still fits uint8.
_MOST_CLASSES_IN_UINT8 = 16


def confusion_matrix(labels: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> IntArray:
    """Confusion matrix of one image.

    Args:
        labels: (H, W) uint8 ground truth, 255 = ignored.
        predicted: (H, W) uint8, 0 .. classes - 1.
        classes: number of classes, at most 255.

    Returns:
        (classes, classes) int64, rows = true class, columns = predicted class.

    Raises:
        ValueError: on different shapes, or values outside the label table.
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"labels {labels.shape} and prediction {predicted.shape} differ in shape")
    if labels.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"label maps must be uint8, got {labels.dtype} and {predicted.dtype}")
    known = labels != UNKNOWN
    true, given = labels[known], predicted[known]
    if true.size and (int(true.max()) >= classes or int(given.max()) >= classes):
        raise ValueError(
            f"label values must be below {classes} (255 = unknown, in the ground truth only), "
            f"got a largest label of {int(true.max())} and a largest prediction of {int(given.max())}"
        )
    if classes <= _MOST_CLASSES_IN_UINT8:
        cell = true * np.uint8(classes) + given
        return np.bincount(cell, minlength=classes**2).reshape(classes, classes)
    return np.bincount(true.astype(np.int64) * classes + given, minlength=classes**2).reshape(classes, classes)


class ConfusionCounts:
    """Confusions of a set of images, one matrix per image.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._matrices: list[IntArray] = []
        self._pixels: list[int] = []

    def __len__(self) -> int:
        return len(self._matrices)

    def add(self, labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Adds one image (H, W) or a batch (B, H, W); see `confusion_matrix`."""
        if labels.shape != predicted.shape or labels.ndim not in (2, 3):
            raise ValueError(f"need two (H, W) or (B, H, W) arrays of one shape, got {labels.shape}, {predicted.shape}")
        size = labels.shape[-2:]
        for true, given in zip(labels.reshape(-1, *size), predicted.reshape(-1, *size), strict=True):
            self._matrices.append(confusion_matrix(true, given, self.classes))
            self._pixels.append(true.size)

    def clear(self) -> None:
        """Forgets all images."""
        self._matrices.clear()
        self._pixels.clear()

    def matrices(self) -> IntArray:
        """(N, classes, classes) int64, one confusion matrix per image."""
        return np.array(self._matrices, dtype=np.int64).reshape(-1, self.classes, self.classes)

    def pixels(self) -> IntArray:
        """(N,) int64: pixels of each image, ignored ones too."""
        return np.array(self._pixels, dtype=np.int64)

    def total(self) -> IntArray:
        """(classes, classes) int64: the matrix of the whole set."""
        return np.asarray(self.matrices().sum(axis=0), dtype=np.int64)


def class_iou(matrix: IntArray) -> FloatArray:
    """IoU per class: (..., C) from (..., C, C); NaN where a class is neither present nor predicted."""
    correct = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    union = matrix.sum(axis=-1) + matrix.sum(axis=-2) - correct
    iou: FloatArray = np.divide(correct, union, out=np.full_like(correct, np.nan), where=union > 0)
    return iou


def class_accuracy(matrix: IntArray) -> FloatArray:
    """Recall per class: (..., C) from (..., C, C); NaN where a class is not present."""
    correct = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    true = matrix.sum(axis=-1)
    accuracy: FloatArray = np.divide(correct, true, out=np.full_like(correct, np.nan), where=true > 0)
    return accuracy


def pixel_accuracy(matrix: IntArray) -> float:
    """Correct pixels over all pixels of one (C, C) matrix; NaN without pixels."""
    total = float(matrix.sum())
    return float(np.trace(matrix) / total) if total else float("nan")


def frequency_weighted_iou(matrix: IntArray) -> float:
    """IoU weighted by how often each class is true, of one (C, C) matrix; NaN without pixels."""
    true = matrix.sum(axis=1).astype(np.float64)
    total = float(true.sum())
    if not total:
        return float("nan")
    return float(np.sum(np.where(true > 0, true * np.nan_to_num(class_iou(matrix)), 0.0)) / total)


def mean_of_present(values: FloatArray) -> float:
    """Mean of what is not NaN; NaN if nothing is left."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
