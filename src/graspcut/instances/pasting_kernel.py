"""The loops of pasting and suppression, compiled; see `graspcut.instances.pasting`."""

from __future__ import annotations

import math

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar

SURE = 0.98  # where all cells around a pixel agree to this, it is what they are
FLOOR = 0.02  # lets a cell on the right surface win against a nearer one on the wrong surface


@scalar
def _cell(window: np.ndarray, row: int, column: int) -> np.float32:
    """Probability of a cell; 0 around the window."""
    side = window.shape[0]
    if 0 <= row < side and 0 <= column < side:
        return np.float32(window[row, column])
    return np.float32(0.0)


@scalar
def _depth_at(
    depth: np.ndarray, left: float, top: float, cell_x: float, cell_y: float, row: int, column: int, side: int
) -> np.float32:
    """Depth at the middle of a cell; 0 around the window and where it lies outside the image."""
    if not (0 <= row < side and 0 <= column < side):
        return np.float32(0.0)
    y, x = math.floor(top + (row + 0.5) * cell_y), math.floor(left + (column + 0.5) * cell_x)
    if 0 <= y < depth.shape[0] and 0 <= x < depth.shape[1]:
        return np.float32(depth[y, x])
    return np.float32(0.0)


@loop
def paste_kernel(
    windows: np.ndarray, corners: np.ndarray, cells_px: np.ndarray, depth: np.ndarray, edge_mm: float,
    threshold: float, masks: np.ndarray, counts: np.ndarray, first: int, last: int,
) -> None:  # fmt: skip
    """Fills masks from windows: those of number `first` up to `last`, which is left out.

    A pixel is a mean of the four cells around it. Where these lie on one side of the threshold, so does every mean of
    them: only between cells that disagree has anything to be computed.

    Args:
        windows: (N, m, m) float32 probabilities; beyond a window they are 0.
        corners: (N, 2) float64 x and y of the windows' edges in pixels.
        cells_px: (N, 2) float64 width and height of a cell in pixels.
        depth: (H, W) float32 millimetres, 0 = no data.
        edge_mm: difference of depth that halves a cell's weight.
        threshold: what counts as inside lies above.
        masks: (N, H, W) bool of False, changed.
        counts: (N,) int64, changed: pixels of each mask.
        first, last: which windows.
    """
    height, width = depth.shape
    side = windows.shape[1]
    per_mm = np.float32(1.0 / edge_mm)
    for number in range(first, last):
        window, mask, filled = windows[number], masks[number], 0
        left, top, cell_x, cell_y = corners[number, 0], corners[number, 1], cells_px[number, 0], cells_px[number, 1]
        first_row, last_row = max(0, math.ceil(top - 0.5)), min(height, math.floor(top + side * cell_y - 0.5) + 1)
        first_column = max(0, math.ceil(left - 0.5))
        last_column = min(width, math.floor(left + side * cell_x - 0.5) + 1)
        for j in range(-1, side):
            # Rows between the middles of two cells.
            row_start = max(first_row, math.ceil(top + (j + 0.5) * cell_y - 0.5))
            row_stop = min(last_row, math.ceil(top + (j + 1.5) * cell_y - 0.5))
            if row_start >= row_stop:
                continue
            for i in range(-1, side):
                a, b = _cell(window, j, i), _cell(window, j, i + 1)
                c, d = _cell(window, j + 1, i), _cell(window, j + 1, i + 1)
                if max(max(a, b), max(c, d)) <= threshold:
                    continue
                start = max(first_column, math.ceil(left + (i + 0.5) * cell_x - 0.5))
                stop = min(last_column, math.ceil(left + (i + 1.5) * cell_x - 0.5))
                if min(min(a, b), min(c, d)) > threshold:
                    for row in range(row_start, row_stop):
                        for column in range(start, stop):
                            inside = depth[row, column] > 0
                            mask[row, column] = inside
                            filled += int(inside)
                    continue
                depth_a = _depth_at(depth, left, top, cell_x, cell_y, j, i, side)
                depth_b = _depth_at(depth, left, top, cell_x, cell_y, j, i + 1, side)
                depth_c = _depth_at(depth, left, top, cell_x, cell_y, j + 1, i, side)
                depth_d = _depth_at(depth, left, top, cell_x, cell_y, j + 1, i + 1, side)
                for row in range(row_start, row_stop):
                    down = np.float32((row + 0.5 - top) / cell_y - 0.5 - j)
                    up = 1 - down
                    for column in range(start, stop):
                        own = depth[row, column]
                        if own <= 0:
                            continue
                        right = np.float32((column + 0.5 - left) / cell_x - 0.5 - i)
                        plain = up * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d)
                        if plain <= 1 - SURE or plain >= SURE:
                            inside = plain > threshold
                        else:
                            weight_a = _weight(up * (1 - right), (own - depth_a) * per_mm)
                            weight_b = _weight(up * right, (own - depth_b) * per_mm)
                            weight_c = _weight(down * (1 - right), (own - depth_c) * per_mm)
                            weight_d = _weight(down * right, (own - depth_d) * per_mm)
                            mixed = weight_a * a + weight_b * b + weight_c * c + weight_d * d
                            inside = mixed > threshold * (weight_a + weight_b + weight_c + weight_d)
                        mask[row, column] = inside
                        filled += int(inside)
        counts[number] = filled


@scalar
def _weight(part: np.float32, apart: np.float32) -> np.float32:
    """Of a cell, from its bilinear part and how far its surface lies from the pixel's."""
    return np.float32((part + np.float32(FLOOR)) / (1 + apart * apart))


@scalar
def _overlap(first: np.ndarray, one: int, second: np.ndarray, other: int, more: float) -> float:
    """Intersection over union of two boxes; 0 where both are empty."""
    width = min(first[one, 2], second[other, 2]) - max(first[one, 0], second[other, 0]) + more
    height = min(first[one, 3], second[other, 3]) - max(first[one, 1], second[other, 1]) + more
    if width <= 0 or height <= 0:
        return 0.0
    area = max(first[one, 2] - first[one, 0] + more, 0.0) * max(first[one, 3] - first[one, 1] + more, 0.0)
    beside = max(second[other, 2] - second[other, 0] + more, 0.0) * max(second[other, 3] - second[other, 1] + more, 0.0)
    return float(width * height / (area + beside - width * height))


@loop
def suppress_kernel(
    boxes: np.ndarray, threshold: float, more: float, kept: np.ndarray, count: int, chosen: np.ndarray
) -> int:
    """Goes on with non-maximum suppression: which of some boxes overlap no better one too much.

    Args:
        boxes: (N, 4) float64, best first; empty ones are passed over.
        threshold: of the intersection over union.
        more: added to every side, 1 where corners are pixels.
        kept: (M, 4) float64, changed: those kept so far, then the new ones.
        count: how many are kept so far.
        chosen: (N,) int64, changed: the numbers of the new ones.

    Returns:
        how many are new; `kept` being full ends the search.
    """
    new = 0
    for number in range(boxes.shape[0]):
        if count + new >= kept.shape[0]:
            break
        if not (boxes[number, 2] > boxes[number, 0] and boxes[number, 3] > boxes[number, 1]):
            continue
        alive = True
        for better in range(count + new):
            if _overlap(kept, better, boxes, number, more) > threshold:
                alive = False
                break
        if alive:
            for side in range(4):
                kept[count + new, side] = boxes[number, side]
            chosen[new] = number
            new += 1
    return new


@loop
def rescore_kernel(boxes: np.ndarray, scores: np.ndarray, width: float, more: float, order: np.ndarray) -> None:
    """Soft suppression: each box, best first, lowers the scores of the others that overlap it.

    Args:
        boxes: (N, 4) float64.
        scores: (N,) float64, changed.
        width: a score is multiplied by exp(-IoU^2 / width).
        more: see `suppress_kernel`.
        order: (N,) int64, changed: the numbers of the boxes, best first; at first 0, 1, ...
    """
    for place in range(order.shape[0]):
        best = place
        for other in range(place + 1, order.shape[0]):
            if scores[order[other]] > scores[order[best]]:
                best = other
        chosen = order[best]
        # The others keep their order, so that of equal ones the first goes first.
        for other in range(best, place, -1):
            order[other] = order[other - 1]
        order[place] = chosen
        for other in range(place + 1, order.shape[0]):
            overlap = _overlap(boxes, chosen, boxes, order[other], more)
            scores[order[other]] *= math.exp(-overlap * overlap / width)
