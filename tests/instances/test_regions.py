"""Regions for MNC's third stage, and its training."""

from __future__ import annotations

import numpy as np
import torch

from graspcut.instances.classifier_task import ClassifierConfig, ClassifierTask, classify
from graspcut.instances.mask_voting import moved_boxes
from graspcut.instances.regions import (
    Regions,
    drawn_regions,
    labelled_regions,
    masks_in_boxes,
    region_batch,
    regions_of_masks,
    sliding_boxes,
)
from graspcut.instances.targets import boxes_of
from graspcut.train.optimisation import Optimisation
from graspcut.train.streams import as_tensors
from tests.instances.test_mask_classifier import small_classifier


def two_masks() -> np.ndarray:
    masks = np.zeros((2, 64, 80), bool)
    masks[0, 10:38, 12:40] = True
    masks[0, 10:24, 12:26] = False
    masks[1, 30:58, 44:72] = True
    return masks


def test_masks_in_boxes_are_means_over_cells() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 50, 70)) < 0.4
    boxes = np.array([[0.0, 0, 70, 50], [14, 7, 42, 35], [-14, 22, 28, 64]])
    found = masks_in_boxes(masks, boxes)
    assert found.shape == (3, 14, 14)
    # Cells of 2 x 2 pixels.
    expected = masks[1, 7:35, 14:42].reshape(14, 2, 14, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found[1], expected, atol=1e-6)
    np.testing.assert_allclose(found[0, 0, 0], masks[0, :3, :5].mean(), atol=1e-6)
    assert not found[2, :, :4].any() and not found[2, 10:].any() and found[2, :9, 5:].any()
    np.testing.assert_array_equal(masks_in_boxes(masks[1], boxes)[1], found[1])


def test_regions_and_their_mirror_image() -> None:
    masks = two_masks()
    regions = regions_of_masks(masks)
    assert regions.boxes.tolist() == [[12, 10, 40, 38], [44, 30, 72, 58]]
    assert regions.masks[1].all() and not regions.masks[0, :7, :7].any() and regions.masks[0, 7:].all()
    turned = regions_of_masks(np.ascontiguousarray(masks[:, :, ::-1]))
    np.testing.assert_array_equal(regions.mirrored(80).boxes, turned.boxes)
    np.testing.assert_array_equal(regions.mirrored(80).masks, turned.masks)
    assert boxes_of(np.zeros((1, 5, 6), bool)).tolist() == [[0, 0, 0, 0]]
    boxes = sliding_boxes(64, 80)
    assert boxes.min() >= 0 and (boxes.max(axis=0) <= [80, 64, 80, 64]).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    assert len(boxes) == 5 * 4 * 15


def test_regions_are_examples_of_what_they_overlap() -> None:
    boxes = np.array([[12.0, 10, 40, 38], [44, 30, 70, 58], [0, 0, 10, 10], [44, 30, 72, 58]])
    regions = Regions(boxes, np.ones((4, 14, 14), np.float32))
    truth = boxes[[0, 3, 2]]
    overlaps = np.array([[1.0, 0, 0], [0, 0.9, 0], [0, 0, 1.0], [0, 1.0, 0]])
    labelled = labelled_regions(regions, overlaps, truth, np.array([3, 1, 0]))
    assert labelled.categories.tolist() == [3, 1, 0, 1]
    np.testing.assert_allclose(moved_boxes(boxes[1:2], labelled.offsets[1:2]), truth[1:2])
    assert not labelled.offsets[2].any()
    drawn = drawn_regions(labelled, 2, np.random.default_rng(0))
    assert sorted(drawn.categories > 0) == [False, True]
    assert len(drawn_regions(labelled, 9, np.random.default_rng(0)).categories) == 4


def test_the_classifier_learns_what_masks_show() -> None:
    rng = np.random.default_rng(0)
    masks = two_masks()
    depth = np.where(masks.any(axis=0), 500, 800).astype(np.float32) + rng.normal(0, 1, (64, 80)).astype(np.float32)
    regions = regions_of_masks(masks)
    labelled = labelled_regions(regions, np.eye(2), regions.boxes, np.array([1, 3]))
    batch = as_tensors(region_batch([depth, depth], [60.0, 60.0], [labelled, labelled]))
    assert batch.images.tolist() == [0, 0, 1, 1] and batch.image.shape == (2, 1, 64, 80)
    steps = 30
    learning = Optimisation(steps, learning_rate=3e-3, average_decay=0.5)
    network = small_classifier()
    task = ClassifierTask(network, ClassifierConfig(learning), ("one", "two", "three"))
    optimiser = torch.optim.AdamW(task.model.parameters(), 3e-3)
    losses = []
    for step in range(steps):
        loss = torch.stack(list(task.loss_terms(batch, step).values())).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    assert task.average is not None
    task.average.module.load_state_dict(task.model.state_dict())
    counts = {name: np.asarray(value) for name, value in task.counts(batch).items()}
    assert task.scores(counts)["object_accuracy"] > 0.4
    assert task.interface()["labels"] == ["one", "two", "three"]
    probabilities, boxes = classify(network.eval(), depth, 60.0, regions)
    assert probabilities.shape == (2, 4) and np.allclose(probabilities.sum(axis=1), 1) and boxes.shape == (2, 4)
    empty = labelled_regions(regions.only(np.zeros(0, np.intp)), np.zeros((0, 2)), regions.boxes, np.array([1, 3]))
    nothing = as_tensors(region_batch([depth], [60.0], [empty]))
    assert float(torch.stack(list(task.loss_terms(nothing, 0).values())).sum()) == 0
    none, _ = classify(network, depth, 60.0, regions.only(np.zeros(0, np.intp)))
    assert none.shape == (0, 4)
