"""MNC's third stage: regions, both paths, labels, voting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graspcut.instances.mask_voting import (
    VotingConfig,
    box_offsets,
    classification_labels,
    moved_boxes,
    vote_masks,
)
from graspcut.instances.models.mask_classifier import MaskClassifier, MaskClassifierConfig, region_features
from graspcut.nn.counting import count_parameters
from tests.instances.test_models import TINY


def small_classifier() -> MaskClassifier:
    torch.manual_seed(0)
    config = MaskClassifierConfig(categories=3, features="light", inputs="depth", hidden=12, dropout=0.0, **TINY)
    return MaskClassifier(config)


def test_regions_are_sampled_where_the_box_is() -> None:
    rows, columns = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    # Feature i is centred on pixel 8 i + 3.5, so these are the places of the features in pixels.
    features = torch.stack([8 * columns + 4, 8 * rows + 4])[None].repeat(2, 1, 1, 1)
    features[1] += 1000
    boxes = torch.tensor([[16.0, 24.0, 58.0, 66.0], [16.0, 24.0, 58.0, 66.0]])
    found = region_features(features, torch.tensor([0, 1]), boxes, 7, 8)
    middle = (torch.arange(7.0) + 0.5) / 7 * 42
    torch.testing.assert_close(found[0, 0, 3], 16 + middle, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[0, 1, :, 2], 24 + middle, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[1], found[0] + 1000, rtol=0, atol=1e-2)


def test_the_network_of_the_paper() -> None:
    with torch.device("meta"):
        network = MaskClassifier()
    # VGG-16, two paths of 25088 -> 4096 -> 4096, and 8192 -> 21 categories and 84 offsets.
    path = 512 * 49 * 4096 + 4096 + 4096 * 4096 + 4096
    assert count_parameters(network) == 14_714_688 + 2 * path + (8192 + 1) * (21 + 84)


def test_the_mask_decides_within_a_box() -> None:
    network = small_classifier().eval()
    depth = torch.rand(2, 1, 64, 80) * 100 + 400
    focal, images = torch.tensor([60.0, 60.0]), torch.tensor([1, 0, 1])
    boxes = torch.tensor([[8.0, 8, 40, 40], [0, 0, 30, 60], [8, 8, 40, 40]])
    masks = torch.zeros(3, 14, 14)
    masks[0, :, :7], masks[2, :, 7:] = 1, 1
    logits, offsets = network(depth, focal, images, boxes, masks)
    assert logits.shape == (3, 4) and offsets.shape == (3, 4, 4)
    assert not torch.allclose(logits[0], logits[2])
    alone, _ = network(depth[1:], focal[1:], torch.tensor([0]), boxes[:1], masks[:1])
    torch.testing.assert_close(alone[0], logits[0], rtol=1e-4, atol=1e-5)
    torch.autograd.backward(logits.sum() + offsets.sum())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    with pytest.raises(ValueError, match="depth"):
        MaskClassifierConfig(features="light", inputs="both")


def test_labels_of_proposals() -> None:
    overlaps = np.array([[0.6, 0.2], [0.1, 0.5], [0.4, 0.45]])
    categories, owners = classification_labels(overlaps, np.array([3, 1]))
    assert categories.tolist() == [3, 1, 0] and owners.tolist() == [0, 1, -1]
    none, _ = classification_labels(np.zeros((2, 0)), np.zeros(0, np.int64))
    assert none.tolist() == [0, 0]


def test_offsets_there_and_back() -> None:
    boxes = np.array([[10.0, 20, 40, 90], [5, 5, 25, 15]])
    targets = np.array([[12.0, 10, 50, 80], [0, 2, 30, 20]])
    np.testing.assert_allclose(moved_boxes(boxes, box_offsets(boxes, targets)), targets)
    assert box_offsets(boxes, boxes).any() == np.False_


def test_masks_vote() -> None:
    masks = np.zeros((4, 20, 30), bool)
    masks[0, 5:15, 5:15] = True
    masks[1, 5:15, 6:16] = True
    masks[2, 5:15, 5:14] = True
    masks[3, 2:8, 20:28] = True
    boxes = np.array([[5.0, 5, 15, 15], [6, 5, 16, 15], [5, 5, 14, 15], [20, 2, 28, 8]])
    probabilities = np.array([[0.1, 0.9, 0.0], [0.4, 0.6, 0.0], [0.7, 0.3, 0.0], [0.2, 0.0, 0.8]])
    found, scores, categories = vote_masks(masks, boxes, probabilities)
    assert categories.tolist() == [1, 2] and scores.tolist() == [0.9, 0.8]
    mean = (0.9 * masks[0] + 0.6 * masks[1] + 0.3 * masks[2]) / 1.8
    np.testing.assert_array_equal(found[0], mean >= 0.4)
    np.testing.assert_array_equal(found[1], masks[3])
    few, _, _ = vote_masks(masks, boxes, probabilities, VotingConfig(most=1))
    assert len(few) == 1
    none, _, _ = vote_masks(masks[:0], boxes[:0], probabilities[:0])
    assert none.shape == (0, 20, 30)
