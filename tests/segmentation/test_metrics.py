"""Scores against slow, obvious versions and worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.metrics.confusion import confusion_matrix
from graspcut.segmentation.metrics import (
    BoundaryCounts,
    ConfusionCounts,
    TableScores,
    scores_of_matrix,
)

Labels = NDArray[np.uint8]


def random_pair(seed: int, *, height: int = 12, width: int = 15, unknown: float = 0.1) -> tuple[Labels, Labels]:
    """Blocky ground truth with unknown pixels, and a prediction that agrees with much of it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (height // 3, width // 3), dtype=np.uint8)
    labels = np.kron(coarse, np.ones((3, 3), dtype=np.uint8))
    predicted = np.where(rng.random(labels.shape) < 0.2, rng.integers(0, 3, labels.shape), labels).astype(np.uint8)
    labels[rng.random(labels.shape) < unknown] = 255
    return labels, predicted


def slow_confusion(labels: Labels, predicted: Labels) -> NDArray[np.int64]:
    matrix = np.zeros((3, 3), dtype=np.int64)
    for true, given_label in zip(labels.ravel(), predicted.ravel(), strict=True):
        if true != 255:
            matrix[int(true), int(given_label)] += 1
    return matrix


def slow_boundary(labels: Labels, label: int, known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            if not known[y, x] or labels[y, x] != label:
                continue
            neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(v, u) for v, u in neighbours if 0 <= v < height and 0 <= u < width]
            if any(known[v, u] and labels[v, u] != label for v, u in inside):
                found.append((y, x))
    return found


def slow_boundary_f1(labels: Labels, predicted: Labels, label: int, tolerance: float) -> float:
    known = labels != 255
    unknown = [(int(y), int(x)) for y, x in np.argwhere(~known)]

    def near(point: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return any(math.dist(point, other) <= tolerance for other in others)

    true, given_points = slow_boundary(labels, label, known), slow_boundary(predicted, label, known)
    counted_true = [point for point in true if not near(point, unknown)]
    counted_given = [point for point in given_points if not near(point, unknown)]
    if not counted_true and not counted_given:
        return float("nan")
    precision = sum(near(p, true) for p in counted_given) / len(counted_given) if counted_given else 0.0
    recall = sum(near(p, given_points) for p in counted_true) / len(counted_true) if counted_true else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_confusion_equals_slow_version(seed: int) -> None:
    labels, predicted = random_pair(seed)
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, 3), slow_confusion(labels, predicted))


def test_table_scores_of_a_worked_matrix() -> None:
    # rows: true background 10, hand 6, object 4
    scores = scores_of_matrix(np.array([[8, 2, 0], [1, 5, 0], [0, 1, 3]]))
    assert scores.pixel_accuracy == pytest.approx(16 / 20)
    assert scores.mean_accuracy == pytest.approx((8 / 10 + 5 / 6 + 3 / 4) / 3)
    assert scores.iou == pytest.approx((8 / 11, 5 / 9, 3 / 4))
    assert scores.mean_iu == pytest.approx((8 / 11 + 5 / 9 + 3 / 4) / 3)
    assert scores.mean_iou == pytest.approx((5 / 9 + 3 / 4) / 2)
    assert scores.frequency_weighted_iu == pytest.approx((10 * 8 / 11 + 6 * 5 / 9 + 4 * 3 / 4) / 20)


def test_rows_are_truth_and_columns_prediction() -> None:
    labels = np.array([[1, 1, 1, 0]], dtype=np.uint8)
    predicted = np.array([[1, 0, 0, 0]], dtype=np.uint8)
    matrix = confusion_matrix(labels, predicted, 3)
    assert matrix[1, 0] == 2 and matrix[0, 1] == 0
    assert scores_of_matrix(matrix).mean_accuracy == pytest.approx((1 + 1 / 3) / 2)  # recall, not precision


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_size_does_not_matter(batch: int) -> None:
    pairs = [random_pair(seed) for seed in range(7)]
    single, batched = ConfusionCounts(), ConfusionCounts()
    for labels, predicted in pairs:
        single.add(labels, predicted)
    for first in range(0, 7, batch):
        chunk = pairs[first : first + batch]
        batched.add(np.stack([pair[0] for pair in chunk]), np.stack([pair[1] for pair in chunk]))
    assert single.scores() == batched.scores()
    assert single.per_image_scores() == batched.per_image_scores()
    assert len(batched) == 7


def test_absent_class_is_nan_and_left_out_of_means() -> None:
    labels = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    counts = ConfusionCounts()
    counts.add(labels, labels)
    scores = counts.scores()
    assert math.isnan(scores.object_iou)
    assert (scores.mean_iou, scores.mean_iu, scores.mean_accuracy) == (1.0, 1.0, 1.0)


def test_per_image_mean_is_over_images_that_contain_the_class() -> None:
    counts = ConfusionCounts()
    # image 1: object half found; image 2: no object, but one is predicted; image 3: object found
    counts.add(np.array([[2, 2, 0, 0]], dtype=np.uint8), np.array([[2, 0, 0, 0]], dtype=np.uint8))
    counts.add(np.array([[0, 0, 0, 1]], dtype=np.uint8), np.array([[2, 0, 0, 1]], dtype=np.uint8))
    counts.add(np.array([[2, 1, 1, 1]], dtype=np.uint8), np.array([[2, 1, 1, 1]], dtype=np.uint8))
    per_image = counts.per_image_scores()
    assert per_image.object_iou == pytest.approx((0.5 + 1.0) / 2)
    assert per_image.hand_iou == 1.0
    assert counts.scores().object_iou == pytest.approx(2 / 4)


def test_unknown_pixels_count_nowhere() -> None:
    labels, predicted = random_pair(3, unknown=0.3)
    other = predicted.copy()
    other[labels == 255] = (other[labels == 255] + 1) % 3
    first, second = ConfusionCounts(), ConfusionCounts()
    first.add(labels, predicted)
    second.add(labels, other)
    assert first.scores() == second.scores()
    boundaries = [BoundaryCounts(), BoundaryCounts()]
    boundaries[0].add(labels, predicted)
    boundaries[1].add(labels, other)
    assert str(boundaries[0].scores()) == str(boundaries[1].scores())  # as text: NaN equals NaN


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), "shape"),
        (np.zeros((2, 3), np.int64), np.zeros((2, 3), np.uint8), "uint8"),
        (np.full((2, 3), 3, np.uint8), np.zeros((2, 3), np.uint8), "largest label of 3"),
        (np.zeros((2, 3), np.uint8), np.full((2, 3), 255, np.uint8), "largest prediction of 255"),
    ],
)
def test_wrong_label_maps_are_refused(labels: Labels, predicted: Labels, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, predicted, 3)


def test_object_iou_by_size_scales_with_the_picture() -> None:
    counts = ConfusionCounts()
    small = np.zeros((480, 640), dtype=np.uint8)
    small[:20, :20] = 2  # 400 pixels of 640x480 = 100 of 320x240
    half = small.copy()
    half[:10] = 0
    counts.add(small, half)
    large = np.zeros((240, 320), dtype=np.uint8)
    large[:30, :20] = 2  # 600 pixels: exactly a bin's lower bound
    counts.add(large, large)
    counts.add(np.zeros((240, 320), dtype=np.uint8), large)  # no object: in no bin
    bins = counts.object_iou_by_size()
    assert [(entry.low_px, entry.images) for entry in bins] == [(0, 1), (150, 0), (600, 1), (2000, 0)]
    assert bins[0].iou == pytest.approx(0.5)
    assert bins[2].iou == 1.0
    assert math.isnan(bins[1].iou)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 1.5, 2.0]), st.sampled_from([0.0, 0.03]))
@settings(max_examples=25, deadline=None)
def test_boundary_f1_equals_slow_version(seed: int, tolerance: float, unknown: float) -> None:
    labels, predicted = random_pair(seed, unknown=unknown)
    counts = BoundaryCounts(tolerance)
    counts.add(labels, predicted)
    scores = counts.scores()
    for label, value in ((1, scores.hand), (2, scores.object)):
        expected = slow_boundary_f1(labels, predicted, label, tolerance)
        assert value == pytest.approx(expected, nan_ok=True)


def test_boundary_shift_within_and_beyond_the_tolerance() -> None:
    labels = np.zeros((20, 30), dtype=np.uint8)
    labels[:, 15:] = 1
    for shift, expected in ((0, 1.0), (2, 1.0), (3, 0.0)):
        predicted = np.zeros_like(labels)
        predicted[:, 15 + shift :] = 1
        counts = BoundaryCounts(2.0)
        counts.add(labels, predicted)
        assert counts.scores().hand == expected
        assert math.isnan(counts.scores().object)
        assert counts.scores().mean == expected


def test_table_scores_are_fractions() -> None:
    labels, predicted = random_pair(1)
    counts = ConfusionCounts()
    counts.add(labels, predicted)
    scores = counts.scores()
    assert isinstance(scores, TableScores)
    assert 0.5 < scores.pixel_accuracy < 1.0  # 20 % of the pixels were redrawn, a third of them to the same class
