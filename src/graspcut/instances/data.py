"""Training items: one resized image with sampled windows, or one crop of a single window.

Source: Dai et al. 2016, section 3.3: image-centric training, a training image resized to one random scale of the
pyramid (one view a scale, so that a batch has one size); Pinheiro et al. 2015, section 3.2, for training on crops.

Deviations, with the reason:
    - `FocusedItems` is ours, for short trainings: at a random scale of the whole pyramid most images hold no object of
      the right size, and the largest scale costs 58 times the smallest. It cuts a part out of the image at the scale at
      which one of its objects has about the canonical size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.instances.targets import (
    NEGATIVE,
    POSITIVE,
    SampledWindows,
    boxes_of,
    label_windows,
    window_targets,
)
from graspcut.instances.windows import Scale, WindowGeometry, mask_in_window, scales_of
from graspcut.train.samples import Sample

PADDING = -1.0


class WindowBatch(NamedTuple):
    """Images of one size with their sampled windows; one item has no leading B.

    Attributes:
        image: (B, channels, H, W) float32, see `graspcut.instances.models.features`.
        focal_px: (B,) float32.
        centres: (B, N, 2) int64 row and column of the windows' middle cells, positive ones first.
        objectness: (B, N) float32: 1 positive, 0 negative, -1 no window.
        masks: (B, N / 2, m, m) uint8 of 0 and 1: those of the first windows, where they are positive.
    """

    image: Any
    focal_px: Any
    centres: Any
    objectness: Any
    masks: Any


class CropBatch(NamedTuple):
    """Crops of one window; one item has no leading B.

    Attributes:
        image: (B, channels, side, side) float32.
        focal_px: (B,) float32.
        objectness: (B,) float32, 1 positive, 0 negative.
        masks: (B, m, m) uint8 of 0 and 1, empty for negative crops.
    """

    image: Any
    focal_px: Any
    objectness: Any
    masks: Any


def masks_of(sample: Sample, smallest_px: int) -> NDArray[np.bool_]:
    """Masks (N, H, W) of the instances of a sample that have at least `smallest_px` pixels."""
    instances: NDArray[np.uint8] = sample["instances"]
    counts = np.bincount(instances.ravel(), minlength=256)
    counts[0] = 0
    ids = np.flatnonzero(counts >= smallest_px).astype(np.uint8)
    return np.asarray(instances[None] == ids[:, None, None])


def image_of(sample: Sample, inputs: str) -> NDArray[np.float32]:
    """The network's channels of a sample, (H, W, channels) float32.

    Args:
        sample: with "depth_mm" and, where colour is asked for, "colour" of the same pixels.
        inputs: "depth", "colour" or "both".
    """
    parts = [] if inputs == "depth" else [sample["colour"].astype(np.float32)]
    if inputs != "colour":
        parts.append(sample["depth_mm"][..., None].astype(np.float32))
    return np.concatenate(parts, axis=2)


def resize_image(image: NDArray[np.float32], width: int, height: int, inputs: str) -> NDArray[np.float32]:
    """Resizes colour bilinearly (areas when it shrinks) and depth by nearest neighbour; (H, W, C) to (C, H, W)."""
    channels = []
    if inputs != "depth":
        shrinks = width < image.shape[1]
        colour = cv2.resize(image[..., :3], (width, height), interpolation=cv2.INTER_AREA if shrinks else 1)
        channels.append(colour.transpose(2, 0, 1))
    if inputs != "colour":
        depth = np.ascontiguousarray(image[..., -1])
        channels.append(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)[None])
    return np.ascontiguousarray(np.concatenate(channels))


@dataclass(frozen=True)
class WindowItems:
    """Makes the item of a sample at one scale; a `target` of `graspcut.train.streams.View`.

    Attributes:
        geometry: of the network.
        short_side: of the whole resized image.
        inputs: channels of the network.
        windows: sampled windows an image.
        smallest_px: instances with fewer pixels are no objects.
    """

    geometry: WindowGeometry
    short_side: int
    inputs: str = "depth"
    windows: int = 256
    smallest_px: int = 40

    def __call__(self, sample: Sample, rng: np.random.Generator) -> WindowBatch:
        """See the class."""
        scale = Scale.to_short_side(*sample.size, self.short_side)
        image = resize_image(image_of(sample, self.inputs), scale.resized_width, scale.resized_height, self.inputs)
        drawn = window_targets(masks_of(sample, self.smallest_px), scale, self.geometry, rng, count=self.windows)
        return window_item(image, sample.focal_px * scale.horizontal, drawn, self.windows)


def window_item(image: NDArray[np.float32], focal_px: float, drawn: SampledWindows, windows: int) -> WindowBatch:
    """One image with its windows, filled up to a fixed number of them."""
    cells = drawn.masks.shape[-1]
    centres = np.zeros((windows, 2), np.int64)
    objectness = np.full(windows, PADDING, np.float32)
    targets = np.zeros((windows // 2, cells, cells), np.uint8)
    centres[: len(drawn.centres)] = drawn.centres
    objectness[: len(drawn.centres)] = drawn.objectness
    targets[: len(drawn.masks)] = drawn.masks
    return WindowBatch(image, np.float32(focal_px), centres, objectness, targets)


@dataclass(frozen=True)
class FocusedItems:
    """Makes an item of a part of a sample, at the scale of one of its objects; a `target` of `View`.

    Attributes:
        geometry: of the network.
        width, height: of the part in resized pixels; beyond the image there is nothing (zeros).
        inputs: channels of the network.
        windows: sampled windows an item.
        focus: chance that an object decides the scale and lies in the part; otherwise both are random.
        octaves: how far the object may be from the canonical size, to either side.
        smallest_px: instances with fewer pixels are no objects.
    """

    geometry: WindowGeometry
    width: int = 160
    height: int = 120
    inputs: str = "depth"
    windows: int = 128
    focus: float = 0.8
    octaves: float = 0.35
    smallest_px: int = 40

    def __call__(self, sample: Sample, rng: np.random.Generator) -> WindowBatch:
        """See the class."""
        height, width = sample.size
        masks = masks_of(sample, self.smallest_px)
        short = min(height, width)
        low, high = (side / short for side in (min(self.geometry.short_sides), max(self.geometry.short_sides)))
        middle = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if len(masks) and rng.random() < self.focus:
            box = boxes_of(masks)[rng.integers(len(masks))]
            side = (box[2:] - box[:2]).max()
            factor = self.geometry.canonical_px / side * 2.0 ** rng.uniform(-self.octaves, self.octaves)
            factor = float(np.clip(factor, low, high))
            # The object lies anywhere in the part, its middle not at the very border.
            reach = 0.35 * np.array([self.width, self.height]) / factor
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-reach, reach)
        corner = middle - np.array([self.width, self.height]) / (2 * factor)
        # The part stays in the image where it is smaller, and holds all of it where it is larger.
        room = np.array([width - self.width / factor, height - self.height / factor])
        corner = np.clip(corner, np.minimum(room, 0), np.maximum(room, 0))
        image = warped(image_of(sample, self.inputs), corner, factor, (self.width, self.height), self.inputs)
        size, identity = (self.width, self.height), Scale(self.height, self.width, self.height, self.width)
        parts = warped_masks(masks, corner, factor, size)
        drawn = window_targets(parts, identity, self.geometry, rng, count=self.windows)
        return window_item(image, sample.focal_px * factor, drawn, self.windows)


def _matrix(corner: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """From resized pixels to original ones: pixel j has its centre at (j + 0.5) / factor - 0.5 behind the corner."""
    shift = corner + 0.5 / factor - 0.5
    return np.array([[1 / factor, 0, shift[0]], [0, 1 / factor, shift[1]]])


def warped(
    image: NDArray[np.float32], corner: NDArray[np.float64], factor: float, size: tuple[int, int], inputs: str
) -> NDArray[np.float32]:
    """A part of an image at another scale, zeros beyond it.

    Args:
        image: (H, W, channels).
        corner: (2,) x and y of the part's corner in original pixels.
        factor: resized pixels a pixel.
        size: (width, height) of the part in resized pixels.
        inputs: what the channels are.

    Returns:
        (channels, height, width) float32.
    """
    matrix, channels = _matrix(corner, factor), []
    if inputs != "depth":
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        channels.append(cv2.warpAffine(image[..., :3], matrix, size, flags=flags).transpose(2, 0, 1))
    if inputs != "colour":
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        channels.append(cv2.warpAffine(np.ascontiguousarray(image[..., -1]), matrix, size, flags=flags)[None])
    return np.ascontiguousarray(np.concatenate(channels), dtype=np.float32)


def warped_masks(
    masks: NDArray[np.bool_], corner: NDArray[np.float64], factor: float, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Masks (N, H, W) as `warped` moves depth, (N, height, width) bool."""
    matrix, flags = _matrix(corner, factor), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    moved = [cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=flags) > 0 for mask in masks]
    return np.array(moved, bool).reshape(len(masks), size[1], size[0])


@dataclass(frozen=True)
class CropItems:
    """Makes a crop of one window, positive with one chance in two; a `target` of `graspcut.train.streams.View`.

    Windows are those of the pyramid, so training and inference see the same.

    Attributes:
        geometry: of the windows; the crop is centred on one of them.
        side_px: of the crop in resized pixels.
        centre_px: where in the crop the window's centre lies, as a pixel index along both axes.
        inputs: channels of the network.
        smallest_px: instances with fewer pixels are no objects.
    """

    geometry: WindowGeometry
    side_px: int
    centre_px: float
    inputs: str = "depth"
    smallest_px: int = 40

    def __call__(self, sample: Sample, rng: np.random.Generator) -> CropBatch:
        """See the class."""
        masks = masks_of(sample, self.smallest_px)
        boxes = boxes_of(masks)
        scales = scales_of(*sample.size, self.geometry.short_sides)
        wanted = POSITIVE if rng.random() < 0.5 and len(masks) else NEGATIVE
        for number in rng.permutation(len(scales)):
            labels = label_windows(boxes, scales[number], self.geometry)
            found = np.argwhere(labels.kind == wanted)
            if len(found):
                row, column = found[rng.integers(len(found))]
                return self._item(sample, masks, scales[number], (row, column), int(labels.owner[row, column]))
        labels = label_windows(boxes, scales[-1], self.geometry)
        row, column = np.unravel_index(int((labels.kind == NEGATIVE).argmax()), labels.kind.shape)
        return self._item(sample, masks, scales[-1], (int(row), int(column)), -1)

    def _item(
        self, sample: Sample, masks: NDArray[np.bool_], scale: Scale, centre: tuple[int, int], owner: int
    ) -> CropBatch:
        geometry = self.geometry
        middle_y, middle_x = (geometry.first_centre_px + geometry.stride_px * place for place in centre)
        top, left = middle_y - self.centre_px, middle_x - self.centre_px
        corner = np.array([left / scale.horizontal, top / scale.vertical])
        size = (self.side_px, self.side_px)
        # Both axes have nearly the same factor, as sizes are rounded to whole pixels.
        image = warped(image_of(sample, self.inputs), corner, scale.horizontal, size, self.inputs)
        cells = geometry.cells
        target = np.zeros((cells, cells), np.uint8)
        if owner >= 0:
            half = geometry.window_px / 2 - 0.5
            covered = mask_in_window(masks[owner], middle_x - half, middle_y - half, geometry.window_px, cells, scale)
            target = (covered > 0.5).astype(np.uint8)
        focal = np.float32(sample.focal_px * scale.horizontal)
        return CropBatch(image, focal, np.float32(owner >= 0), target)
