"""Selective search and connected components on pictures whose regions are known."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.instances.components import component_proposals
from graspcut.instances.felzenszwalb import felzenszwalb_segments
from graspcut.instances.selective_search import Strategy, depth_channels, hierarchy, selective_search
from graspcut.labels import HAND, OBJECT


def patches() -> np.ndarray:
    """Four rectangles of different colour on grey, two of them nearly alike and side by side."""
    image = np.full((60, 80, 3), 90.0, np.float32)
    image[10:30, 10:25] = (200, 40, 40)
    image[10:30, 25:40] = (205, 55, 45)
    image[35:55, 45:70] = (40, 60, 210)
    image[5:20, 55:75] = (40, 200, 60)
    return image


def test_regions_are_those_of_the_picture() -> None:
    labels = felzenszwalb_segments(patches(), scale=10, sigma=0, smallest_px=10)
    assert labels.max() + 1 == 5
    assert (labels[12:28, 12:24] == labels[12, 12]).all() and labels[12, 12] != labels[12, 30]
    one = felzenszwalb_segments(patches(), scale=1e6, sigma=0, smallest_px=10)
    assert one.max() == 0
    merged = felzenszwalb_segments(patches(), scale=10, sigma=0, smallest_px=290)
    assert merged.max() + 1 < 6 and np.bincount(merged.ravel()).min() >= 290


def test_alike_neighbours_are_joined_first() -> None:
    image = patches()
    labels = felzenszwalb_segments(image, scale=10, sigma=0, smallest_px=10)
    members = hierarchy(image, labels, Strategy(10, size=False, fill=False, texture=False))
    pair = {int(labels[12, 12]), int(labels[12, 30])}
    assert set(members[labels.max() + 1]) == pair
    assert len(members) == 2 * (labels.max() + 1) - 1 and set(members[-1]) == set(range(labels.max() + 1))


def test_every_rectangle_is_proposed() -> None:
    masks, scores = selective_search(patches(), strategies=(Strategy(30.0), Strategy(30.0, colour=False)))
    assert (np.diff(scores) <= 0).all() and len({mask.tobytes() for mask in masks}) == len(masks)
    for rows, columns in (
        (slice(35, 55), slice(45, 70)),
        (slice(5, 20), slice(55, 75)),
        (slice(10, 30), slice(10, 40)),
    ):
        truth = np.zeros((60, 80), bool)
        truth[rows, columns] = True
        overlap = ((masks & truth).sum(axis=(1, 2)) / (masks | truth).sum(axis=(1, 2))).max()
        assert overlap > 0.85
    again, _ = selective_search(patches(), strategies=(Strategy(30.0), Strategy(30.0, colour=False)))
    np.testing.assert_array_equal(masks, again)


def test_depth_as_channels() -> None:
    depth = np.full((30, 40), 800.0, np.float32)
    depth[10:20, 10:20] = 500
    depth[0] = 0
    channels = depth_channels(depth)
    assert channels.shape == (30, 40, 3) and channels.min() >= 0 and channels.max() <= 255
    assert channels[15, 15, 0] > channels[25, 30, 0] > 0 and not channels[0].any()


def test_parts_of_labels() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:20, 5:25], labels[5:20, 25:40], labels[30:34, 5:9] = HAND, HAND, OBJECT
    masks, scores = component_proposals(labels)
    assert len(masks) == 1 and scores.tolist() == [1.0] and masks[0].sum() == 15 * 35
    depth = np.full((40, 60), 500.0, np.float32)
    depth[:, 25:] = 560
    masks, scores = component_proposals(labels, depth)
    assert len(masks) == 2 and masks[0].sum() == pytest.approx(15 * 20, abs=40)
    none, no_scores = component_proposals(np.zeros_like(labels))
    assert none.shape == (0, 40, 60) and len(no_scores) == 0
