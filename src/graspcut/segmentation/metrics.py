"""Scores of label maps against ground truth, on numpy arrays, usable without any model.

Confusion n_ij counts the pixels of true class i that were predicted as class j, t_i = sum_j n_ij (Long et al., FCN,
section 5):

- pixel accuracy = sum_i n_ii / sum_i t_i
- mean accuracy = mean over present classes of n_ii / t_i
- IU_i = n_ii / (t_i + sum_j n_ji - n_ii); mean IU = mean over the classes with a non-empty union
- f.w. IU = sum_i (t_i / sum t) IU_i
- mean IOU (DenseAttentionSeg, Table 2) = mean of the hand's and the object's IU

All are given once from the matrix summed over the whole set ("global") and once per image: a class's per-image value
is the mean over the images that contain the class. Published mean IOU values can't all come from one global matrix
(reference 1.8), so both are needed for a comparison.

Pixels with label 255 count nowhere. A class that occurs nowhere gives NaN and is left out of means.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.labels import HAND, LABEL_NAMES, OBJECT, UNKNOWN

CLASSES = len(LABEL_NAMES)
SIZE_BINS_PX: tuple[tuple[float, float], ...] = ((0, 150), (150, 600), (600, 2000), (2000, float("inf")))
"""Bins of the visible object size, lower bound included, in pixels of a 320x240 picture."""

_REFERENCE_PIXELS = 320 * 240

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def confusion_matrix(labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> IntArray:
    """Confusion matrix of one image.

    Args:
        labels: (H, W) uint8 ground truth, 255 = ignored.
        predicted: (H, W) uint8, 0 .. 2.

    Returns:
        (3, 3) int64, rows = true class, columns = predicted class.

    Raises:
        ValueError: on different shapes, or values outside the label table.
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"labels {labels.shape} and prediction {predicted.shape} differ in shape")
    if labels.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"label maps must be uint8, got {labels.dtype} and {predicted.dtype}")
    known = labels != UNKNOWN
    true, given = labels[known], predicted[known]
    if true.size and (int(true.max()) >= CLASSES or int(given.max()) >= CLASSES):
        raise ValueError(
            f"label values must be below {CLASSES} (255 = unknown, in the ground truth only), "
            f"got a largest label of {int(true.max())} and a largest prediction of {int(given.max())}"
        )
    return np.bincount(true * np.uint8(CLASSES) + given, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


@dataclass(frozen=True)
class TableScores:
    """The columns of Table 2 and what they are made of; all fractions of 1, NaN where undefined.

    Attributes:
        mean_iou: mean of hand and object IoU.
        pixel_accuracy: correct pixels over all pixels.
        mean_accuracy: mean recall of the classes.
        mean_iu: mean IoU of the three classes.
        frequency_weighted_iu: IoU weighted by class frequency.
        iou: IoU of background, hand, object.
    """

    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float
    iou: tuple[float, float, float]

    @property
    def hand_iou(self) -> float:
        """IoU of the hand."""
        return self.iou[HAND]

    @property
    def object_iou(self) -> float:
        """IoU of the object."""
        return self.iou[OBJECT]


@dataclass(frozen=True)
class SizeScore:
    """Object IoU over the images whose visible object falls into one size bin.

    Attributes:
        low_px, high_px: the bin, in pixels of a 320x240 picture, low included.
        images: number of images in it.
        iou: object IoU from the summed counts of these images; NaN without images.
    """

    low_px: float
    high_px: float
    images: int
    iou: float


class ConfusionCounts:
    """Confusions of a set of images, one matrix per image."""

    def __init__(self) -> None:
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
            self._matrices.append(confusion_matrix(true, given))
            self._pixels.append(true.size)

    def clear(self) -> None:
        """Forgets all images."""
        self._matrices.clear()
        self._pixels.clear()

    def matrices(self) -> IntArray:
        """(N, 3, 3) int64, one confusion matrix per image."""
        return np.array(self._matrices, dtype=np.int64).reshape(-1, CLASSES, CLASSES)

    def total(self) -> IntArray:
        """(3, 3) int64: the matrix of the whole set."""
        return np.asarray(self.matrices().sum(axis=0), dtype=np.int64)

    def scores(self) -> TableScores:
        """Table 2 from the matrix of the whole set."""
        return scores_of_matrix(self.total())

    def per_image_scores(self) -> TableScores:
        """Table 2 as means over images."""
        return per_image_scores(self.matrices())

    def object_iou_by_size(self) -> tuple[SizeScore, ...]:
        """Object IoU by visible (true) object size, see `SIZE_BINS_PX`; images without object count nowhere."""
        matrices = self.matrices()
        true_pixels = matrices[:, OBJECT].sum(axis=1)
        visible = true_pixels * (_REFERENCE_PIXELS / np.maximum(np.array(self._pixels, dtype=np.float64), 1))
        result = []
        for low, high in SIZE_BINS_PX:
            chosen = (true_pixels > 0) & (visible >= low) & (visible < high)
            iou = class_iou(matrices[chosen].sum(axis=0))[OBJECT] if chosen.any() else float("nan")
            result.append(SizeScore(low, high, int(chosen.sum()), float(iou)))
        return tuple(result)


def class_iou(matrix: IntArray) -> FloatArray:
    """IoU per class: (..., 3) from (..., 3, 3); NaN where a class is neither present nor predicted."""
    correct = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    union = matrix.sum(axis=-1) + matrix.sum(axis=-2) - correct
    iou: FloatArray = np.divide(correct, union, out=np.full_like(correct, np.nan), where=union > 0)
    return iou


def class_accuracy(matrix: IntArray) -> FloatArray:
    """Recall per class: (..., 3) from (..., 3, 3); NaN where a class is not present."""
    correct = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    true = matrix.sum(axis=-1)
    accuracy: FloatArray = np.divide(correct, true, out=np.full_like(correct, np.nan), where=true > 0)
    return accuracy


def scores_of_matrix(matrix: IntArray) -> TableScores:
    """Table 2 of one confusion matrix.

    Args:
        matrix: (3, 3) int64, rows = true class.
    """
    iou = class_iou(matrix)
    true = matrix.sum(axis=1).astype(np.float64)
    total = float(true.sum())
    weighted = float(np.sum(np.where(true > 0, true * np.nan_to_num(iou), 0.0)) / total) if total else float("nan")
    return TableScores(
        mean_iou=_mean_of_present(iou[[HAND, OBJECT]]),
        pixel_accuracy=float(np.trace(matrix) / total) if total else float("nan"),
        mean_accuracy=_mean_of_present(class_accuracy(matrix)),
        mean_iu=_mean_of_present(iou),
        frequency_weighted_iu=weighted,
        iou=(float(iou[0]), float(iou[1]), float(iou[2])),
    )


def per_image_scores(matrices: IntArray) -> TableScores:
    """Table 2 as means over images: a class's IoU and recall are averaged over the images that contain the class.

    Args:
        matrices: (N, 3, 3) int64.
    """
    true = matrices.sum(axis=2)
    iou = np.where(true > 0, class_iou(matrices), np.nan)
    accuracy = class_accuracy(matrices)
    mean_iou_of_class = np.array([_mean_of_present(iou[:, label]) for label in range(CLASSES)])
    mean_accuracy_of_class = np.array([_mean_of_present(accuracy[:, label]) for label in range(CLASSES)])
    single = [scores_of_matrix(matrix) for matrix in matrices]
    return TableScores(
        mean_iou=_mean_of_present(mean_iou_of_class[[HAND, OBJECT]]),
        pixel_accuracy=_mean_of_present(np.array([score.pixel_accuracy for score in single])),
        mean_accuracy=_mean_of_present(mean_accuracy_of_class),
        mean_iu=_mean_of_present(mean_iou_of_class),
        frequency_weighted_iu=_mean_of_present(np.array([score.frequency_weighted_iu for score in single])),
        iou=(float(mean_iou_of_class[0]), float(mean_iou_of_class[1]), float(mean_iou_of_class[2])),
    )


@dataclass(frozen=True)
class BoundaryScores:
    """F1 of the boundaries of hand and object, and their mean; NaN where a class has no boundary at all.

    Attributes:
        hand, object: 2 P R / (P + R) of that class.
        mean: mean of the two.
        tolerance_px: distance at which a boundary pixel still counts as found.
    """

    hand: float
    object: float
    mean: float
    tolerance_px: float


class BoundaryCounts:
    """Boundary pixels of a set of images, and how many of them have a counterpart within a tolerance.

    A class's boundary is made of its pixels with a 4-neighbour of another known class; the picture border and the
    border to unknown pixels are no boundaries. Precision is the part of the predicted boundary pixels within the
    tolerance (Euclidean) of a true one, recall the reverse; both from counts summed over the set. Boundary pixels
    within the tolerance of unknown pixels are not counted, because their counterpart may be hidden there.

    Args:
        tolerance_px: largest distance of a match.
    """

    def __init__(self, tolerance_px: float = 2.0) -> None:
        self.tolerance_px = tolerance_px
        reach = int(np.floor(tolerance_px))
        offset = np.arange(-reach, reach + 1)
        self._disc = (offset[:, None] ** 2 + offset[None, :] ** 2 <= tolerance_px**2).astype(np.uint8)
        # columns: predicted, predicted and matched, true, true and matched
        self._counts = np.zeros((CLASSES, 4), dtype=np.int64)

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
        for label in (HAND, OBJECT):
            true = _boundary(labels, label, known)
            given = _boundary(predicted, label, known)
            self._counts[label, :2] += self._matches(given, true, counted)
            self._counts[label, 2:] += self._matches(true, given, counted)

    def _matches(
        self, boundary: NDArray[np.uint8], other: NDArray[np.uint8], counted: NDArray[np.uint8]
    ) -> tuple[int, int]:
        """Counted pixels of a boundary, and those of them within the tolerance of the other boundary."""
        boundary = boundary & counted
        near = np.asarray(cv2.dilate(other, self._disc, borderValue=0), dtype=np.uint8)
        return cv2.countNonZero(boundary), cv2.countNonZero(boundary & near)

    def scores(self) -> BoundaryScores:
        """F1 of the whole set."""
        values = [_f1(self._counts[label]) for label in (HAND, OBJECT)]
        return BoundaryScores(values[0], values[1], _mean_of_present(np.array(values)), self.tolerance_px)


def _boundary(labels: NDArray[np.uint8], label: int, known: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Known pixels of a class with a known 4-neighbour of another class, as (H, W) uint8 of 0 and 1."""
    inside = (labels == label).view(np.uint8)
    outside = known & (1 - inside)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)
    return np.asarray(cv2.dilate(outside, cross, borderValue=0) & inside & known, dtype=np.uint8)


def _f1(counts: IntArray) -> float:
    predicted, predicted_matched, true, true_matched = (int(count) for count in counts)
    if predicted + true == 0:
        return float("nan")
    precision = predicted_matched / predicted if predicted else 0.0
    recall = true_matched / true if true else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _mean_of_present(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
