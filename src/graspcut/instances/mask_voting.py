"""From classified masks to instances with categories: labels for training, suppression and mask voting.

Source: Dai et al. 2016 (MNC), section 3.3 and the public test code: a mask is an example of the category of the object
that it overlaps by at least 0.5, an example of background below; at test time non-maximum suppression at 0.3 for each
category, and each mask that is left becomes the mean of the masks whose boxes overlap its own by at least 0.5, weighted
by their scores and binarised at 0.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.pasting import box_iou, suppress


@dataclass(frozen=True)
class VotingConfig:
    """Thresholds of MNC.

    Attributes:
        suppression_iou: of boxes of one category.
        voting_iou: of the boxes that vote.
        mask_probability: of the mean mask.
        least_score: detections below are dropped.
        most: detections an image.
    """

    suppression_iou: float = 0.3
    voting_iou: float = 0.5
    mask_probability: float = 0.4
    least_score: float = 1e-3
    most: int = 100


def classification_labels(
    overlaps: NDArray[np.float64], categories: NDArray[np.int64], *, positive_iou: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Categories that proposals are examples of.

    Args:
        overlaps: (N, G) intersection over union of proposals and objects (masks, or boxes).
        categories: (G,) of the objects, from 1 on.
        positive_iou: least overlap with the object.

    Returns:
        (N,) categories, 0 = background, and (N,) the object each overlaps most, -1 for background.
    """
    if not overlaps.shape[1]:
        return np.zeros(len(overlaps), np.int64), np.full(len(overlaps), -1, np.int64)
    best = overlaps.argmax(axis=1)
    positive = overlaps[np.arange(len(best)), best] >= positive_iou
    return np.where(positive, categories[best], 0), np.where(positive, best, -1)


def box_offsets(boxes: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """What brings boxes to their objects' boxes (R-CNN's parametrisation), (N, 4)."""
    size, wanted = boxes[:, 2:] - boxes[:, :2], targets[:, 2:] - targets[:, :2]
    middle, target = (boxes[:, 2:] + boxes[:, :2]) / 2, (targets[:, 2:] + targets[:, :2]) / 2
    return np.concatenate([(target - middle) / size, np.log(wanted / size)], axis=1)


def moved_boxes(boxes: NDArray[np.float64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `box_offsets`."""
    size = boxes[:, 2:] - boxes[:, :2]
    middle = (boxes[:, 2:] + boxes[:, :2]) / 2 + offsets[:, :2] * size
    half = size * np.exp(np.clip(offsets[:, 2:], -4, 4)) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def vote_masks(
    masks: NDArray[np.floating] | NDArray[np.bool_],
    boxes: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    config: VotingConfig | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
    """Instances with categories from scored masks.

    Args:
        masks: (N, H, W) bool, or probabilities.
        boxes: (N, 4) x0, y0, x1, y1 of the masks.
        probabilities: (N, categories + 1), background first.
        config: thresholds.

    Returns:
        masks (M, H, W) bool, scores (M,) and categories (M,), best first.
    """
    config = config if config is not None else VotingConfig()
    found: list[tuple[float, int, NDArray[np.bool_]]] = []
    overlaps = box_iou(boxes, boxes)
    for category in range(1, probabilities.shape[1]):
        scores = probabilities[:, category]
        candidates = np.flatnonzero(scores >= config.least_score)
        kept = candidates[suppress(boxes[candidates], scores[candidates], config.suppression_iou)]
        for number in kept:
            voters = candidates[overlaps[number, candidates] >= config.voting_iou]
            weights = scores[voters] / scores[voters].sum()
            mean = np.tensordot(weights, masks[voters].astype(np.float64), axes=1)
            found.append((float(scores[number]), category, np.asarray(mean >= config.mask_probability)))
    found.sort(key=lambda entry: -entry[0])
    found = found[: config.most]
    shape = masks.shape[1:]
    return (
        np.array([mask for _, _, mask in found], bool).reshape(len(found), *shape),
        np.array([score for score, _, _ in found], np.float64),
        np.array([category for _, category, _ in found], np.int64),
    )
