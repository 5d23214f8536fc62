"""Scores of hand and object labels against ground truth: Table 2 of the paper, object sizes, boundaries.

What is counted is in `graspcut.metrics`; here are the numbers made of it:

- mean accuracy = mean over present classes of their accuracy; mean IU = mean IoU over classes with a non-empty union
- mean IOU (DenseAttentionSeg, Table 2) = mean of the hand's and the object's IoU

All are given once from the matrix summed over the whole set ("global") and once per image: a class's per-image value
is the mean over the images that contain the class. Published mean IOU values can't all come from one global matrix,
so both are needed for a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.labels import HAND, LABEL_NAMES, OBJECT
from graspcut.metrics import boundaries, confusion
from graspcut.metrics.confusion import (
    IntArray,
    class_accuracy,
    class_iou,
    frequency_weighted_iou,
    mean_of_present,
    pixel_accuracy,
)

CLASSES = len(LABEL_NAMES)
SIZE_BINS_PX: tuple[tuple[float, float], ...] = ((0, 150), (150, 600), (600, 2000), (2000, float("inf")))
"""Bins of the visible object size, lower bound included, in pixels of a 320x240 picture."""

MEANS_NOTE = "mean IOU: of hand and object; mean IU: of background, hand and object."
"""Both are in the paper's tables and differ by the background, which is easy; it stands below every table with both."""

_REFERENCE_PIXELS = 320 * 240


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


class ConfusionCounts(confusion.ConfusionCounts):
    """Confusions of background, hand and object over a set of images."""

    def __init__(self) -> None:
        super().__init__(CLASSES)

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
        visible = true_pixels * (_REFERENCE_PIXELS / np.maximum(self.pixels().astype(np.float64), 1))
        result = []
        for low, high in SIZE_BINS_PX:
            chosen = (true_pixels > 0) & (visible >= low) & (visible < high)
            iou = class_iou(matrices[chosen].sum(axis=0))[OBJECT] if chosen.any() else float("nan")
            result.append(SizeScore(low, high, int(chosen.sum()), float(iou)))
        return tuple(result)


class BoundaryCounts(boundaries.BoundaryCounts):
    """Boundaries of hand and object over a set of images.

    Args:
        tolerance_px: largest distance of a match.
    """

    def __init__(self, tolerance_px: float = 2.0) -> None:
        super().__init__((HAND, OBJECT), tolerance_px)

    def scores(self) -> BoundaryScores:
        """F1 of the whole set."""
        hand, found_object = self.f1()
        return BoundaryScores(hand, found_object, mean_of_present(np.array([hand, found_object])), self.tolerance_px)


def scores_of_matrix(matrix: IntArray) -> TableScores:
    """Table 2 of one confusion matrix.

    Args:
        matrix: (3, 3) int64, rows = true class.
    """
    iou = class_iou(matrix)
    return TableScores(
        mean_iou=mean_of_present(iou[[HAND, OBJECT]]),
        pixel_accuracy=pixel_accuracy(matrix),
        mean_accuracy=mean_of_present(class_accuracy(matrix)),
        mean_iu=mean_of_present(iou),
        frequency_weighted_iu=frequency_weighted_iou(matrix),
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
    iou_of_class = np.array([mean_of_present(iou[:, label]) for label in range(CLASSES)])
    accuracy_of_class = np.array([mean_of_present(accuracy[:, label]) for label in range(CLASSES)])
    return TableScores(
        mean_iou=mean_of_present(iou_of_class[[HAND, OBJECT]]),
        pixel_accuracy=mean_of_present(np.array([pixel_accuracy(matrix) for matrix in matrices])),
        mean_accuracy=mean_of_present(accuracy_of_class),
        mean_iu=mean_of_present(iou_of_class),
        frequency_weighted_iu=mean_of_present(np.array([frequency_weighted_iou(matrix) for matrix in matrices])),
        iou=(float(iou_of_class[0]), float(iou_of_class[1]), float(iou_of_class[2])),
    )
