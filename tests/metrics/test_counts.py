"""Counts of any number of classes, against slow, obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspcut.metrics.boundaries import BoundaryCounts
from graspcut.metrics.confusion import (
    ConfusionCounts,
    class_accuracy,
    class_iou,
    confusion_matrix,
    frequency_weighted_iou,
    mean_of_present,
    pixel_accuracy,
)


@given(st.integers(0, 10_000), st.sampled_from([2, 7, 16, 17, 100, 255]))
@settings(max_examples=30, deadline=None)
def test_confusions_of_many_classes(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (6, 9)).astype(np.uint8)
    predicted = rng.integers(0, classes, (6, 9)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    expected = np.zeros((classes, classes), dtype=np.int64)
    for true, found in zip(labels.ravel(), predicted.ravel(), strict=True):
        if true != 255:
            expected[int(true), int(found)] += 1
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, classes), expected)


def test_scores_of_two_classes_by_hand() -> None:
    matrix = np.array([[6, 2], [1, 3]], dtype=np.int64)
    np.testing.assert_allclose(class_iou(matrix), [6 / 9, 3 / 6])
    np.testing.assert_allclose(class_accuracy(matrix), [6 / 8, 3 / 4])
    assert pixel_accuracy(matrix) == pytest.approx(9 / 12)
    assert frequency_weighted_iou(matrix) == pytest.approx((8 * 6 / 9 + 4 * 3 / 6) / 12)
    empty = np.zeros((2, 2), dtype=np.int64)
    assert math.isnan(pixel_accuracy(empty)) and math.isnan(frequency_weighted_iou(empty))
    assert math.isnan(mean_of_present(class_iou(empty)))


def test_counts_keep_images_apart() -> None:
    counts = ConfusionCounts(4)
    first = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    counts.add(first, first)
    counts.add(first[:, :1], np.zeros((2, 1), dtype=np.uint8))
    assert counts.matrices().shape == (2, 4, 4)
    assert counts.pixels().tolist() == [4, 2]
    np.testing.assert_array_equal(counts.total(), counts.matrices()[0] + counts.matrices()[1])
    counts.clear()
    assert len(counts) == 0 and counts.total().sum() == 0


def test_boundaries_of_the_chosen_classes_in_their_order() -> None:
    labels = np.zeros((20, 30), dtype=np.uint8)
    labels[:, 10:20], labels[:, 20:] = 5, 9
    shifted = np.zeros_like(labels)
    shifted[:, 10:20], shifted[:, 20:] = 5, 9
    shifted[:, 20:24] = 5  # the border between 5 and 9 is four pixels off
    counts = BoundaryCounts((9, 5, 7), tolerance_px=2.0)
    counts.add(labels, shifted)
    of_nine, of_five, of_seven = counts.f1()
    assert of_nine == 0.0
    assert of_five == pytest.approx(0.5)  # its other border agrees
    assert math.isnan(of_seven)
