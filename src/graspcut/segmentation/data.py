"""Training samples of the segmentation networks: depth, focal length and labels.

Streams, folders and rendered frames are those of all methods: `graspcut.train.streams` and `graspcut.train.sources`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graspcut.labels import UNKNOWN
from graspcut.nn.working_scale import working_size
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.samples import Sample

PAPER_AUGMENTATION = AugmentationConfig(flip=0.5, warp=1.0, rotation_deg=30.0, noise=1.0, noise_mm=2.0)
"""Flip, rotation and Gaussian noise on depth, as the paper lists them (its ranges are not published)."""


_Axis = tuple[NDArray[np.int64], NDArray[np.int64]]  # pixels that are taken, and those before them


class SegmentationBatch(NamedTuple):
    """One batch of equally large frames; one item of it has no leading B.

    Attributes:
        depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
        focal_px: (B,) float32 pixels.
        labels: (B, H, W) uint8, 255 = ignored.
        neighbours_mm: (B, 3, H, W) float32 millimetres, see `graspcut.nn.working_scale.sample_depth`; not an array
            for networks that do not take them.
    """

    depth_mm: Any
    focal_px: Any
    labels: Any
    neighbours_mm: Any = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with."""
        first: tuple[Tensor, ...] = (self.depth_mm, self.focal_px)
        return (*first, self.neighbours_mm) if isinstance(self.neighbours_mm, Tensor) else first


class HeldBatch(SegmentationBatch):
    """A batch on which a network is held to what it said before a training; see `adaptation_task.py`."""


def segmentation_target(sample: Sample, _rng: np.random.Generator) -> SegmentationBatch:
    """The item of a sample with the maps "depth_mm" and "labels"."""
    depth: NDArray[np.float32] = sample["depth_mm"]
    return SegmentationBatch(depth[np.newaxis], np.float32(sample.focal_px), sample["labels"])


@dataclass(frozen=True)
class SampledTarget:
    """The item of a sample at one size, with the pixels that sampling passes over as neighbours.

    Unlike `WorkingTarget` it keeps what an augmentation has made of the scale.

    Attributes:
        size: (width, height) of the items.
    """

    size: tuple[int, int]

    def __call__(self, sample: Sample, _rng: np.random.Generator) -> SegmentationBatch:
        """See the class."""
        depth, labels = sample["depth_mm"], sample["labels"]
        rows, columns = (_taken(full, side) for full, side in zip(sample.size, self.size[::-1], strict=True))
        taken = np.ix_(rows[0], columns[0])
        focal_px = sample.focal_px * math.sqrt(math.prod(self.size) / math.prod(sample.size))
        return SegmentationBatch(
            depth[taken][np.newaxis], np.float32(focal_px), labels[taken], _neighbours_mm(depth, rows, columns)
        )


@dataclass(frozen=True)
class WorkingTarget:
    """The item of a sample as the network meets it in use: sampled at its working scale, in a picture of one size.

    Cameras of many focal lengths so give batches of one size. Where the sampled picture is larger than the item, a
    random part of it is taken; where it is smaller, it lies somewhere in a picture without data.

    Attributes:
        working_focal_px: of the network.
        size: (width, height) of the items, whole multiples of 16.
        neighbours: add those that `sample_depth` would find.
    """

    working_focal_px: float
    size: tuple[int, int]
    neighbours: bool = False

    def __call__(self, sample: Sample, rng: np.random.Generator) -> SegmentationBatch:
        """See the class."""
        height, width = sample.size
        working = working_size(height, width, sample.focal_px, self.working_focal_px)
        (rows, above, row_place), (columns, left, column_place) = (
            _placed(full, sampled, side, rng)
            for full, sampled, side in zip((height, width), working, self.size[::-1], strict=True)
        )
        scale = math.sqrt(working[0] * working[1] / (height * width))
        depth, labels = sample["depth_mm"], sample["labels"]
        item_depth = np.zeros((1, self.size[1], self.size[0]), np.float32)
        item_labels = np.full(item_depth.shape[1:], UNKNOWN, np.uint8)
        item_depth[0, row_place, column_place] = depth[np.ix_(rows, columns)]
        item_labels[row_place, column_place] = labels[np.ix_(rows, columns)]
        neighbours = None
        if self.neighbours:
            neighbours = np.zeros((3, *item_labels.shape), np.float32)
            neighbours[:, row_place, column_place] = _neighbours_mm(depth, (rows, above), (columns, left))
        return SegmentationBatch(item_depth, np.float32(sample.focal_px * scale), item_labels, neighbours)


@dataclass(frozen=True)
class HeldTarget:
    """Makes the items of another target those of a `HeldBatch`."""

    target: Callable[[Sample, np.random.Generator], SegmentationBatch]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> HeldBatch:
        """See the class."""
        return HeldBatch(*self.target(sample, rng))


def _taken(full: int, sampled: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of `full` pixels are taken when an axis is sampled at `sampled` ones, and those before them."""
    centres = 2 * np.arange(sampled) + 1
    source = np.minimum(centres * full // (2 * sampled), full - 1)
    if sampled > full:  # the first of the two around it
        return source, np.maximum(centres * full - sampled, 0) // (2 * sampled)
    return source, np.maximum(source - 1, 0)


def _placed(
    full: int, sampled: int, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], slice]:
    """`_taken` of an axis of an item with `side` pixels, and where in it they lie."""
    source, before = _taken(full, sampled)
    if sampled > side:
        first = int(rng.integers(sampled - side + 1))
        return source[first : first + side], before[first : first + side], slice(0, side)
    first = int(rng.integers(side - sampled + 1))
    return source, before, slice(first, first + sampled)


def _neighbours_mm(depth: NDArray[np.float32], rows: _Axis, columns: _Axis) -> NDArray[np.float32]:
    """(3, h, w): the pixels above, left, and above left of those that are taken."""
    (row, above), (column, left) = rows, columns
    return np.stack([depth[np.ix_(*taken)] for taken in ((above, column), (row, left), (above, left))])
