"""Regions that MNC's third stage judges: boxes with a mask inside, from proposals or from sliding boxes.

Source: Dai et al. 2016 (MNC), section 3.3, and its public training code: an image gives some tens of regions, a part of
them examples of objects (overlap of at least 0.5), the others of background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.mask_voting import box_offsets, classification_labels
from graspcut.instances.targets import boxes_of

CELLS = 14


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one image.

    Attributes:
        boxes: (N, 4) float64 x0, y0, x1, y1 in pixels, the far side exclusive.
        masks: (N, 14, 14) float32 0..1: the part of each cell of the box that belongs to the region.
    """

    boxes: NDArray[np.float64]
    masks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, chosen: NDArray[Any]) -> Regions:
        """Some of them."""
        return Regions(self.boxes[chosen], self.masks[chosen])

    def mirrored(self, width: int) -> Regions:
        """The same on the mirrored image of that width."""
        left, top, right, bottom = self.boxes.T
        boxes = np.stack([width - right, top, width - left, bottom], axis=1)
        return Regions(boxes, np.ascontiguousarray(self.masks[:, :, ::-1]))


class RegionBatch(NamedTuple):
    """Images with regions to judge; regions of all images stand in one row.

    Attributes:
        image: (B, 1, H, W) float32 millimetres.
        focal_px: (B,) float32.
        images: (N,) int64, which image each region lies in.
        boxes: (N, 4) float32.
        masks: (N, 14, 14) float32.
        categories: (N,) int64, 0 = background.
        offsets: (N, 4) float32 that bring the box to its object's; 0 for background.
    """

    image: Any
    focal_px: Any
    images: Any
    boxes: Any
    masks: Any
    categories: Any
    offsets: Any


@dataclass(frozen=True, eq=False)
class LabelledRegions:
    """Regions with what they are examples of.

    Attributes:
        regions: the regions.
        categories: (N,) int64, 0 = background.
        offsets: (N, 4) float64, see `RegionBatch`.
    """

    regions: Regions
    categories: NDArray[np.int64]
    offsets: NDArray[np.float64]


def masks_in_boxes(masks: NDArray[np.bool_], boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """The part of each of 14 x 14 cells of a box that a mask covers.

    Args:
        masks: (N, H, W) bool, one for each box, or (H, W), one for all.
        boxes: (N, 4); beyond the image there is no mask.

    Returns:
        (N, 14, 14) float32.
    """
    height, width = masks.shape[-2:]
    shared = masks.ndim == 2
    # Sums over rectangles at whole pixels from a table of sums; a cell has at least one pixel.
    sums = np.zeros((1 if shared else len(masks), height + 1, width + 1), np.int32)
    np.cumsum(masks if not shared else masks[None], axis=1, dtype=np.int32, out=sums[:, 1:, 1:])
    np.cumsum(sums, axis=2, out=sums)
    parts = np.arange(CELLS + 1) / CELLS
    x = boxes[:, :1] + parts * (boxes[:, 2:3] - boxes[:, :1])
    y = boxes[:, 1:2] + parts * (boxes[:, 3:4] - boxes[:, 1:2])

    def edges(values: NDArray[np.float64], limit: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        first = np.floor(values[:, :-1] + 1e-6)
        last = np.maximum(np.floor(values[:, 1:] + 1e-6), first + 1)
        first, last = (np.clip(edge, 0, limit).astype(np.intp) for edge in (first, last))
        return first, last

    (left, right), (top, bottom) = edges(x, width), edges(y, height)
    which = np.zeros(len(boxes), np.intp) if shared else np.arange(len(boxes))

    def corner(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.int32]:
        return np.asarray(sums[which[:, None, None], rows[:, :, None], columns[:, None, :]])

    inside = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    pixels = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    parts_inside = np.divide(inside, pixels, out=np.zeros(inside.shape), where=pixels > 0)
    return np.asarray(parts_inside, np.float32)


def regions_of_masks(masks: NDArray[np.bool_]) -> Regions:
    """The regions of proposals (N, H, W)."""
    boxes = boxes_of(masks)
    return Regions(boxes, masks_in_boxes(masks, boxes))


def sliding_boxes(
    height: int,
    width: int,
    *,
    stride_px: int = 16,
    sides_px: tuple[float, ...] = (32.0, 48.0, 72.0, 108.0, 162.0),
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
) -> NDArray[np.float64]:
    """Boxes of some sizes and shapes all over an image, cut to it, (N, 4).

    Args:
        height, width: of the image.
        stride_px: from one middle to the next.
        sides_px: square roots of the areas.
        ratios: widths over heights.
    """
    y, x = np.meshgrid(
        np.arange(stride_px / 2, height, stride_px), np.arange(stride_px / 2, width, stride_px), indexing="ij"
    )
    boxes = []
    for side in sides_px:
        for ratio in ratios:
            half_width, half_height = side * ratio**0.5 / 2, side / ratio**0.5 / 2
            boxes.append(np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1))
    found = np.stack(boxes, axis=2).reshape(-1, 4)
    return np.asarray(np.clip(found, 0, [width, height, width, height]))


def labelled_regions(
    regions: Regions,
    overlaps: NDArray[np.float64],
    object_boxes: NDArray[np.float64],
    categories: NDArray[np.int64],
) -> LabelledRegions:
    """What regions are examples of.

    Args:
        regions: N of them.
        overlaps: (N, G) with the objects, of masks or of boxes.
        object_boxes: (G, 4).
        categories: (G,) of the objects, from 1 on; 0 for objects without a category: their regions are background.
    """
    found, owners = classification_labels(overlaps, categories)
    owned = np.flatnonzero(found > 0)
    offsets = np.zeros((len(regions), 4))
    offsets[owned] = box_offsets(regions.boxes[owned], object_boxes[owners[owned]])
    return LabelledRegions(regions, found, offsets)


def drawn_regions(
    labelled: LabelledRegions, count: int, rng: np.random.Generator, *, positive: float = 0.5
) -> LabelledRegions:
    """Some regions of an image, at most a part of them examples of objects.

    Args:
        labelled: all.
        count: how many; fewer where there are fewer.
        rng: draws them.
        positive: the part.
    """
    inside, outside = np.flatnonzero(labelled.categories > 0), np.flatnonzero(labelled.categories == 0)
    inside = rng.permutation(inside)[: round(positive * count)]
    outside = rng.permutation(outside)[: count - len(inside)]
    chosen = np.concatenate([inside, outside])
    return LabelledRegions(labelled.regions.only(chosen), labelled.categories[chosen], labelled.offsets[chosen])


def region_batch(
    depths_mm: list[NDArray[np.float32]], focal_px: list[float], drawn: list[LabelledRegions]
) -> RegionBatch:
    """Images of one size (H, W) with their regions as one batch."""
    return RegionBatch(
        np.stack(depths_mm)[:, None],
        np.array(focal_px, np.float32),
        np.repeat(np.arange(len(drawn)), [len(one.categories) for one in drawn]).astype(np.int64),
        np.concatenate([one.regions.boxes for one in drawn]).astype(np.float32),
        np.concatenate([one.regions.masks for one in drawn]),
        np.concatenate([one.categories for one in drawn]),
        np.concatenate([one.offsets for one in drawn]).astype(np.float32),
    )
