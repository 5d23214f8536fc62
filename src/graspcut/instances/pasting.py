"""From windows to masks of the image: boxes, pasting, and suppression of repeated proposals.

Source: Dai et al. 2016, section 3.3: values are truncated to binary masks; non-maximum suppression looks at the tight
boxes of the masks and the objectness scores, with a threshold of 0.8.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.windows import Scale, WindowGeometry


def window_corner_px(centres: NDArray[np.integer], scale: Scale, geometry: WindowGeometry) -> NDArray[np.float64]:
    """Left and upper edge of windows in original pixels, (N, 2) float64 x, y; pixel j covers [j, j + 1)."""
    middle = geometry.first_centre_px + 0.5 + geometry.stride_px * np.asarray(centres, np.float64)
    corner = middle - geometry.window_px / 2
    return np.stack([corner[:, 1] / scale.horizontal, corner[:, 0] / scale.vertical], axis=1)


def window_boxes(
    masks: NDArray[np.bool_], centres: NDArray[np.integer], scale: Scale, geometry: WindowGeometry
) -> NDArray[np.float64]:
    """Tight boxes of binary window masks, cut to the image.

    Args:
        masks: (N, m, m) bool.
        centres: (N, 2) row and column of the middle cells.
        scale: of the resized image the windows were made on.
        geometry: where windows are.

    Returns:
        (N, 4) float64 x0, y0, x1, y1 in original pixels; x1 <= x0 for a mask that is empty or outside.
    """
    if not len(masks):
        return np.zeros((0, 4))
    side = masks.shape[1]
    columns, rows = np.asarray(masks.any(axis=1)), np.asarray(masks.any(axis=2))
    corner = window_corner_px(centres, scale, geometry)
    boxes = np.empty((len(masks), 4))
    for axis, filled, factor, limit in (
        (0, columns, scale.horizontal, scale.width),
        (1, rows, scale.vertical, scale.height),
    ):
        cell = geometry.window_px / side / factor
        first = filled.argmax(axis=1)
        last = side - filled[:, ::-1].argmax(axis=1)
        boxes[:, axis] = np.clip(corner[:, axis] + first * cell, 0, limit)
        boxes[:, axis + 2] = np.clip(corner[:, axis] + last * cell, 0, limit)
    empty = np.flatnonzero(~columns.any(axis=1))
    boxes[empty, 2:] = boxes[empty, :2]
    return boxes


def _axis_weights(start: float, cell: float, side: int, limit: int) -> tuple[int, NDArray[np.float32]]:
    """First covered pixel, and bilinear weights (pixels, side) of the cells for every covered pixel of one axis."""
    # Pixels whose middle lies in the window.
    first, last = max(0, int(np.ceil(start - 0.5))), min(limit, int(np.floor(start + side * cell - 0.5)) + 1)
    place = (np.arange(first, last) + 0.5 - start) / cell - 0.5
    weights = np.clip(1.0 - np.abs(place[:, None] - np.arange(side)[None]), 0.0, 1.0)
    return first, weights.astype(np.float32)


def paste_mask(
    probabilities: NDArray[np.float32],
    corner: NDArray[np.float64],
    cell_px: tuple[float, float],
    shape: tuple[int, int],
    threshold: float = 0.5,
) -> NDArray[np.bool_]:
    """One window's mask on the image: resized bilinearly, then binarised, cut to the image.

    Args:
        probabilities: (m, m) float32; beyond the window it is 0.
        corner: (2,) left and upper edge of the window in pixels.
        cell_px: width and height of a cell in pixels of the image.
        shape: (H, W) of the image.
        threshold: what counts as inside lies above.

    Returns:
        (H, W) bool.
    """
    mask = np.zeros(shape, np.bool_)
    side = probabilities.shape[0]
    left, across = _axis_weights(float(corner[0]), cell_px[0], side, shape[1])
    top, down = _axis_weights(float(corner[1]), cell_px[1], side, shape[0])
    if len(across) and len(down):
        mask[top : top + len(down), left : left + len(across)] = down @ probabilities @ across.T > threshold
    return mask


def paste_window(
    probabilities: NDArray[np.float32],
    centre: NDArray[np.integer],
    scale: Scale,
    geometry: WindowGeometry,
    threshold: float = 0.5,
) -> NDArray[np.bool_]:
    """`paste_mask` for a window of the network's map: (H, W) bool of the original image."""
    side = probabilities.shape[0]
    cell = geometry.window_px / side
    corner = window_corner_px(centre[None], scale, geometry)[0]
    cell_px = (cell / scale.horizontal, cell / scale.vertical)
    return paste_mask(probabilities, corner, cell_px, (scale.height, scale.width), threshold)


def paste_along_depth(
    probabilities: NDArray[np.float32],
    corners: NDArray[np.float64],
    cells_px: NDArray[np.float64],
    depth_mm: NDArray[np.float32],
    threshold: float = 0.5,
    *,
    edge_mm: float = 15.0,
    threads: int = 1,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """`paste_mask` of many windows of a depth frame: masks end where surfaces end, not in the middle between two cells.

    Each pixel mixes the four cells around it, weighted bilinearly and by how well the depth at the cell's middle agrees
    with its own (joint bilateral upsampling, Kopf et al. 2007). Only pixels on which the cells around disagree change.

    Args:
        probabilities: (N, m, m) float32; beyond a window it is 0.
        corners: (N, 2) float64 left and upper edge of the windows in pixels.
        cells_px: (N, 2) float64 width and height of their cells in pixels of the image.
        depth_mm: (H, W) millimetres, 0 = no data; such pixels belong to no mask.
        threshold: what counts as inside lies above.
        edge_mm: difference of depth that halves a cell's weight.
        threads: that share the windows.

    Returns:
        masks (N, H, W) bool, and (N,) int64 how many pixels each has.
    """
    from graspcut.instances.pasting_kernel import paste_kernel  # compiled by what the renderer is compiled by

    count = len(probabilities)
    # Pages of zeros that nothing is written to are never touched.
    masks, filled = np.zeros((count, *depth_mm.shape), np.bool_), np.zeros(count, np.int64)
    windows, depth = np.ascontiguousarray(probabilities, np.float32), np.ascontiguousarray(depth_mm, np.float32)
    places = np.ascontiguousarray(corners, np.float64), np.ascontiguousarray(cells_px, np.float64)

    def paste(first: int, last: int) -> None:
        paste_kernel(windows, *places, depth, float(edge_mm), float(threshold), masks, filled, first, last)

    if threads <= 1 or count < 2 * threads:
        paste(0, count)
    else:
        # Small pieces: large windows are slow, and the best ones are often alike.
        borders = np.linspace(0, count, min(count, 8 * threads) + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(paste, borders[:-1], borders[1:]))
    return masks, filled


def box_iou(first: NDArray[np.float64], second: NDArray[np.float64], *, inclusive: bool = False) -> NDArray[np.float64]:
    """Intersection over union of boxes.

    Args:
        first: (N, 4) x0, y0, x1, y1.
        second: (M, 4).
        inclusive: corners are pixels and belong to the box, so sides count one more (as MNC and FCIS do).

    Returns:
        (N, M) float64; 0 where both are empty.
    """
    more = 1.0 if inclusive else 0.0
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.clip(high - low + more, 0.0, None).prod(axis=2)
    area = [np.clip(boxes[:, 2:] - boxes[:, :2] + more, 0.0, None).prod(axis=1) for boxes in (first, second)]
    union = area[0][:, None] + area[1][None] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def suppress(
    boxes: NDArray[np.float64],
    scores: NDArray[np.floating],
    threshold: float = 0.8,
    *,
    most: int | None = None,
    inclusive: bool = False,
) -> NDArray[np.int64]:
    """Non-maximum suppression: keeps, best first, what overlaps nothing better by more than the threshold.

    Args:
        boxes: (N, 4) x0, y0, x1, y1.
        scores: (N,).
        threshold: on the intersection over union of boxes.
        most: stop after so many.
        inclusive: see `box_iou`.

    Returns:
        indices into `boxes`, best first; equal scores in their given order.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    kept: list[int] = []
    alive = order
    while len(alive) and (most is None or len(kept) < most):
        best, alive = alive[0], alive[1:]
        kept.append(int(best))
        alive = alive[box_iou(boxes[best][None], boxes[alive], inclusive=inclusive)[0] <= threshold]
    return np.array(kept, np.int64)
