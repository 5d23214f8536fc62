"""Windows, targets, pasting: definitions, the gap between scales, and the way there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.instances.losses import mask_iou, window_loss
from graspcut.instances.pasting import box_iou, paste_along_depth, paste_mask, paste_window, suppress, window_boxes
from graspcut.instances.targets import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    boxes_of,
    crop_masks,
    label_windows,
    sample_windows,
    window_targets,
)
from graspcut.instances.windows import PAPER_SHORT_SIDES, Scale, WindowGeometry, mask_on_cells, scales_of

PAPER = WindowGeometry()
SMALL = WindowGeometry(stride_px=4, first_centre_px=1.5, short_sides=(59, 89, 133, 200, 300, 450))


def disc(height: int, width: int, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(np.hypot(rows - y, columns - x) <= radius)


def test_the_numbers_of_the_paper() -> None:
    assert PAPER_SHORT_SIDES == (119, 178, 267, 400, 600, 900)
    assert PAPER.window_px == 168 and PAPER.canonical_px == 96
    assert PAPER.centre_tolerance_px == 12 and PAPER.negative_distance_px == 24
    smallest, largest = PAPER.reach_px(480, 640)
    assert smallest == pytest.approx(51.2) and largest == pytest.approx(387.2, abs=1)


@pytest.mark.parametrize("geometry", [PAPER, SMALL, WindowGeometry(first_centre_px=7.5)])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.3, 1.7), (-5.0, 6.2)])
def test_pasting_a_target_gives_the_mask_back(geometry: WindowGeometry, offset: tuple[float, float]) -> None:
    radius = geometry.canonical_px / 2
    y, x = 150 + offset[0], 170 + offset[1]
    mask = disc(300, 340, y, x, radius)[None]
    scale = Scale(300, 340, 300, 340)
    centre = np.rint((np.array([[y, x]]) - geometry.first_centre_px) / geometry.stride_px).astype(np.int64)
    target = crop_masks(mask, [0], centre, scale, geometry)[0]
    pasted = paste_window(target, centre[0], scale, geometry)
    assert (pasted & mask[0]).sum() / (pasted | mask[0]).sum() > 0.9


def test_pasting_follows_the_scale() -> None:
    mask = disc(120, 160, 60, 80, 20)[None]
    for scale in scales_of(120, 160, (89, 133, 200)):
        middle = np.array([[60.5 * scale.vertical, 80.5 * scale.horizontal]]) - 0.5
        centre = np.rint((middle - SMALL.first_centre_px) / SMALL.stride_px).astype(np.int64)
        pasted = paste_window(crop_masks(mask, [0], centre, scale, SMALL)[0], centre[0], scale, SMALL)
        assert (pasted & mask[0]).sum() / (pasted | mask[0]).sum() > 0.85


def test_area_average_against_counting_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((1, 37, 52)) < 0.5
    found = mask_on_cells(mask, Scale(37, 52, 37, 52), PAPER)[0]
    for row in range(5):
        for column in range(7):
            block = mask[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            assert found[row, column] == pytest.approx(block.sum() / 64)


def slow_kind(boxes: NDArray[np.float64], y: float, x: float, scale: Scale, geometry: WindowGeometry) -> int:
    """One window, by the definition."""
    kind, unit = NEGATIVE, geometry.window_px / 168
    for x0, y0, x1, y1 in boxes:
        x0, x1, y0, y1 = (x0 * scale.horizontal, x1 * scale.horizontal, y0 * scale.vertical, y1 * scale.vertical)
        away = max(abs((x0 + x1) / 2 - 0.5 - x), abs((y0 + y1) / 2 - 0.5 - y))
        octaves = abs(math.log2(max(x1 - x0, y1 - y0) / (96 * unit)))
        half = geometry.window_px / 2
        contained = min(x0 - 0.5 - x, y0 - 0.5 - y) >= -half and max(x1 - 0.5 - x, y1 - 0.5 - y) <= half
        if away <= 12 * unit and octaves <= math.log2(1.5) / 2 + 0.02 and contained:
            return POSITIVE
        if away < 24 * unit and octaves < 1:
            kind = IGNORED
    return kind


def test_labels_against_the_definition() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 120, size=(6, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 130, size=(6, 2))], axis=1)
    scale = Scale(200, 260, 200, 260)
    for geometry in (PAPER, SMALL):
        labels = label_windows(boxes, scale, geometry)
        for row, y in enumerate(geometry.centres_px(labels.kind.shape[0])):
            for column, x in enumerate(geometry.centres_px(labels.kind.shape[1])):
                assert labels.kind[row, column] == slow_kind(boxes, y, x, scale, geometry)
        assert ((labels.owner >= 0) == (labels.kind == POSITIVE)).all()
        assert {POSITIVE, NEGATIVE, IGNORED} <= set(labels.kind.ravel().tolist())


@pytest.mark.parametrize("geometry", [PAPER, SMALL])
def test_every_size_in_reach_is_positive_at_some_scale(geometry: WindowGeometry) -> None:
    smallest, largest = geometry.reach_px(480, 640)
    for side in np.geomspace(smallest, largest, 60):
        # Whole pixels of the image are few at the smallest scale, so the object lies well inside it.
        box = np.array([[320 - side / 2, 240 - side / 4, 320 + side / 2, 240 + side / 4]])
        positive = [
            (label_windows(box, scale, geometry).kind == POSITIVE).any()
            for scale in scales_of(480, 640, geometry.short_sides)
        ]
        assert any(positive), side


def test_a_window_belongs_to_the_nearest_centre() -> None:
    boxes = np.array([[60.0, 60, 156, 156], [76.0, 60, 172, 156]])
    labels = label_windows(boxes, Scale(240, 240, 240, 240), PAPER)
    owners = labels.owner[13]
    assert owners[12] == 0 and owners[15] == 1


def test_sampling_is_half_positive_and_filled_with_negatives() -> None:
    mask = disc(240, 320, 120, 160, 48)[None]
    labels = label_windows(boxes_of(mask), Scale(240, 320, 240, 320), PAPER)
    there = int((labels.kind == POSITIVE).sum())
    positive, negative = sample_windows(labels, np.random.default_rng(0))
    assert len(positive) == there < 128 and len(positive) + len(negative) == 256
    few, _ = sample_windows(labels, np.random.default_rng(0), count=4)
    assert len(few) == 2
    drawn = window_targets(mask, Scale(240, 320, 240, 320), PAPER, np.random.default_rng(0))
    assert drawn.masks.shape == (there, 21, 21) and drawn.objectness.sum() == there
    empty = window_targets(np.zeros((0, 240, 320), bool), Scale(240, 320, 240, 320), PAPER, np.random.default_rng(0))
    assert empty.masks.shape == (0, 21, 21) and len(empty.centres) == 256 and not empty.objectness.any()


def test_loss_counts_positive_masks_on_the_map_only() -> None:
    logits, masks = torch.randn(2, 3, 3), (torch.rand(2, 3, 3) > 0.5).float()
    inside = torch.ones(2, 3, 3, dtype=torch.bool)
    inside[0, 0] = False
    scores, truth = torch.randn(5), torch.tensor([1.0, 1, 0, 0, 0])
    found = window_loss(scores, truth, logits, masks, inside)
    expected = [math.log1p(math.exp(-float(s) if t else float(s))) for s, t in zip(scores, truth, strict=True)]
    assert float(found.objectness) == pytest.approx(sum(expected) / 5, rel=1e-5)
    cells = [
        math.log1p(math.exp(-float(s) if t else float(s)))
        for s, t, i in zip(logits.ravel(), masks.ravel(), inside.ravel(), strict=True)
        if i
    ]
    assert float(found.mask) == pytest.approx(sum(cells) / 15, rel=1e-5)
    summed = window_loss(scores, truth, logits, masks, inside, sum_over_cells=True)
    assert float(summed.mask) == pytest.approx(sum(cells) / 2, rel=1e-5)
    none = window_loss(scores, truth, logits[:0], masks[:0], inside[:0])
    assert float(none.mask) == 0 and none.mask.requires_grad == logits.requires_grad
    assert float(mask_iou(masks * 2 - 1, masks, torch.ones_like(inside))) == 1.0


def test_boxes_of_windows_and_of_masks_agree() -> None:
    mask = disc(240, 320, 100, 150, 40)[None]
    scale = Scale(240, 320, 240, 320)
    centre = np.array([[12, 18]])
    target = crop_masks(mask, [0], centre, scale, PAPER) > 0.5
    assert np.abs(window_boxes(target, centre, scale, PAPER) - boxes_of(mask)).max() <= 5
    empty = window_boxes(np.zeros((1, 21, 21), bool), centre, scale, PAPER)
    assert empty[0, 2] <= empty[0, 0]


def test_suppression_keeps_one_of_equal_masks() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 7], [20, 20, 30, 30]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.8, 0.1])).tolist() == [1, 2, 3]
    assert suppress(boxes, np.array([0.5, 0.9, 0.8, 0.1]), 0.6).tolist() == [1, 3]
    assert suppress(boxes, np.array([0.5, 0.9, 0.8, 0.1]), most=2).tolist() == [1, 2]
    assert box_iou(boxes[:1], boxes[2:3])[0, 0] == pytest.approx(0.7)
    # Corners as pixels: 11 x 8 of 11 x 11.
    assert box_iou(boxes[:1], boxes[2:3], inclusive=True)[0, 0] == pytest.approx(8 / 11)


def slow_along_depth(
    window: NDArray[np.float32], corner: tuple[float, float], cell: float, depth: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Joint bilateral upsampling, pixel by pixel."""
    height, width = depth.shape
    side = window.shape[0]
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            y, x = (row + 0.5 - corner[1]) / cell - 0.5, (column + 0.5 - corner[0]) / cell - 0.5
            if not (-0.5 <= y <= side - 0.5 and -0.5 <= x <= side - 0.5) or depth[row, column] == 0:
                continue
            plain = mixed = total = 0.0
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    inside = 0 <= j < side and 0 <= i < side
                    value = float(window[j, i]) if inside else 0.0
                    share = max(0.0, 1 - abs(y - j)) * max(0.0, 1 - abs(x - i))
                    v, u = math.floor(corner[1] + (j + 0.5) * cell), math.floor(corner[0] + (i + 0.5) * cell)
                    other = float(depth[v, u]) if inside and 0 <= v < height and 0 <= u < width else 0.0
                    weight = (share + 0.02) / (1 + ((float(depth[row, column]) - other) / 15) ** 2)
                    plain, mixed, total = plain + share * value, mixed + weight * value, total + weight
            mask[row, column] = (mixed / (total + 1e-6) if 0.02 < plain < 0.98 else plain) > 0.5
    return mask


def test_masks_end_where_surfaces_end() -> None:
    rng = np.random.default_rng(0)
    depth = np.full((48, 60), 900.0, np.float32)
    truth = disc(48, 60, 23.0, 31.0, 13.3)
    depth[truth] = 500
    depth[:, 40:42] = 0
    window = rng.random((9, 9)).astype(np.float32)
    corner, cell = np.array([10.3, 2.7]), 4.4
    corners, cells_px = np.stack([corner, np.array([100.0, 0.0])]), np.full((2, 2), cell)
    (found, none), pixels = paste_along_depth(np.stack([window, window]), corners, cells_px, depth)
    np.testing.assert_array_equal(found, slow_along_depth(window, (10.3, 2.7), cell, depth))
    assert not found[:, 40:42].any()
    # Coarse cells of the true mask become the true mask.
    cells = np.array(
        [[truth[int(2.7 + (j + 0.5) * cell), int(10.3 + (i + 0.5) * cell)] for i in range(9)] for j in range(9)]
    )
    many, corners = np.repeat(cells.astype(np.float32)[None], 9, axis=0), np.repeat(corner[None], 9, axis=0)
    shared, counts = paste_along_depth(many, corners, np.full((9, 2), cell), depth, threads=2)
    sharp = shared[0]
    assert (shared == sharp).all() and (counts == sharp.sum()).all()
    smooth = paste_mask(cells.astype(np.float32), corner, (cell, cell), depth.shape)
    seen = truth & (depth > 0)
    overlap = [(mask & seen).sum() / (mask | seen).sum() for mask in (sharp, smooth & (depth > 0))]
    assert overlap[0] > 0.97 and overlap[0] > overlap[1]
    assert not none.any() and pixels.tolist() == [found.sum(), 0]
