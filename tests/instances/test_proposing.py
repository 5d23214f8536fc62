"""Lazy proposals against assembling everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.instances.models import DeepMask, InstanceFCNSmall, InstanceFCNSmallConfig
from graspcut.instances.pasting import box_iou, suppress, window_boxes
from graspcut.instances.proposing import ProposalConfig, assembled_windows, probability, propose
from graspcut.instances.scoring import score_windows
from graspcut.instances.windows import WindowGeometry, scales_of
from tests.instances.test_models import TINY, TINY_DEEPMASK

GEOMETRY = WindowGeometry(4, 21, 1.5, (40, 60))


def smooth(rng: np.random.Generator, count: int, rows: int, columns: int) -> NDArray[np.float32]:
    """Blobs, so that windows have masks of different sizes."""
    coarse = rng.normal(size=(count, rows // 4 + 2, columns // 4 + 2))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :rows, :columns]
    return np.asarray(fine, np.float32)


def test_equals_assembling_every_window() -> None:
    rng = np.random.default_rng(0)
    pyramid, boxes, scores, masks = [], [], [], []
    for scale in scales_of(80, 100, GEOMETRY.short_sides):
        rows, columns = GEOMETRY.map_size(scale.resized_height, scale.resized_width)
        objectness = rng.normal(size=(rows, columns)).astype(np.float32)
        level = assembled_windows(scale, smooth(rng, 9, rows + 2, columns + 3), objectness, GEOMETRY)
        pyramid.append(level)
        everywhere = np.argwhere(np.ones((rows, columns), bool))
        windows = probability(level.masks_at(everywhere))
        boxes.append(window_boxes(windows > 0.5, everywhere, scale, GEOMETRY))
        scores.append(objectness.ravel())
        masks.append(windows)
    every, all_scores = np.concatenate(boxes), np.concatenate(scores)
    filled = np.flatnonzero((every[:, 2:] > every[:, :2]).all(axis=1))
    kept = filled[suppress(every[filled], all_scores[filled], 0.8)]
    for most in (5, 60, 10_000):
        found = propose(pyramid, GEOMETRY, ProposalConfig(most=most))
        expected = kept[:most]
        assert len(found) == len(expected)
        np.testing.assert_allclose(found.boxes, every[expected])
        np.testing.assert_allclose(found.scores, probability(all_scores[expected]))
        np.testing.assert_array_equal(found.windows, np.concatenate(masks)[expected])
    assert found.mask(0).shape == (80, 100) and found.masks().shape[0] == len(found)
    confident = propose(pyramid, GEOMETRY, ProposalConfig(most=10_000, least_score=0.6))
    assert 0 < len(confident) < len(found) and confident.scores.min() >= 0.6


def test_rescoring_brings_other_things_forward() -> None:
    rng = np.random.default_rng(1)
    scale = scales_of(240, 320, (240,))[0]
    rows, columns = GEOMETRY.map_size(scale.resized_height, scale.resized_width)
    level = assembled_windows(
        scale, smooth(rng, 9, rows, columns), rng.normal(size=(rows, columns)).astype(np.float32), GEOMETRY
    )
    plain, soft = (propose([level], GEOMETRY, ProposalConfig(most=30, rescoring_width=width)) for width in (0.0, 0.1))
    # The same proposals, in the order of Soft-NMS (Bodla et al. 2017, figure 2).
    overlaps, left = box_iou(plain.boxes, plain.boxes), plain.scores.astype(np.float64)
    expected, scores = [], []
    remaining = list(range(len(plain)))
    while remaining:
        best = max(remaining, key=lambda number: left[number])
        remaining.remove(best)
        expected.append(best)
        scores.append(left[best])
        left[remaining] *= np.exp(-(overlaps[best, remaining] ** 2) / 0.1)
    assert expected != sorted(expected)
    np.testing.assert_allclose(soft.boxes, plain.boxes[expected])
    np.testing.assert_allclose(soft.scores, scores, rtol=1e-5)
    np.testing.assert_array_equal(soft.windows, plain.windows[expected])
    np.testing.assert_array_equal(soft.centres, plain.centres[expected])
    assert soft.scales == tuple(plain.scales[number] for number in expected)
    with pytest.raises(ValueError, match="rescoring"):
        ProposalConfig(rescoring_width=-1.0)


def test_nothing_gives_no_proposals() -> None:
    scale = scales_of(80, 100, (40,))[0]
    level = assembled_windows(scale, np.full((9, 10, 13), -5, np.float32), np.zeros((10, 13), np.float32), GEOMETRY)
    found = propose([level], GEOMETRY)
    assert len(found) == 0 and found.masks().shape == (0, 0, 0)
    with pytest.raises(ValueError, match="most 0"):
        ProposalConfig(most=0)


@pytest.mark.parametrize("kind", ["fcn", "deepmask"])
def test_networks_of_both_kinds_propose(kind: str) -> None:
    torch.manual_seed(0)
    network = (
        InstanceFCNSmall(InstanceFCNSmallConfig(short_sides=(48, 72), **TINY))
        if kind == "fcn"
        else DeepMask(TINY_DEEPMASK)
    ).eval()
    image = np.random.default_rng(0).uniform(400, 500, size=(60, 80, 1)).astype(np.float32)
    pyramid = score_windows(network, image, 60.0, short_sides=(48, 72))
    geometry = network.config.geometry
    for level in pyramid:
        assert level.objectness.shape == geometry.map_size(level.scale.resized_height, level.scale.resized_width)
    found = propose(pyramid, geometry, ProposalConfig(most=7))
    assert len(found) <= 7 and found.windows.shape[1:] == (geometry.cells, geometry.cells)
    with pytest.raises(ValueError, match="training mode"):
        score_windows(network.train(), image, 60.0)
