"""Where training samples come from: a renderer, a dataset folder, or anything with `sample(index)`.

A source gives sample number `index`, the same one each time, for any index from 0 on; folders count on epoch after
epoch. That, and nothing else, is what makes training resumable to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.shards import ShardReader
from graspcut.train.description import described_fields
from graspcut.train.geometry import resized
from graspcut.train.samples import DEPTH, LABELS, Map, Sample, sample_of

_SHUFFLE_STREAM = 3  # keeps this random stream of a seed apart from those of `graspcut.train.streams`

DEPTH_AND_LABELS = ("depth_mm", "labels")


class SampleSource(Protocol):
    """Anything that gives training samples by number, without end."""

    def sample(self, index: int, /) -> Sample:
        """Sample number `index`, the same one each time."""


class FrameSequence(Protocol):
    """Anything that gives labelled frames by number, such as a frame generator or a dataset reader."""

    def __getitem__(self, index: int, /) -> LabelledFrame:
        """Frame number `index`, the same one each time."""


def epoch_position(index: int, count: int, seed: int | None, orders: dict[int, NDArray[np.int64]]) -> int:
    """Which of `count` stored items comes at `index`: every item once an epoch, each epoch in another order.

    Args:
        index: from 0 on, over all epochs.
        count: items stored.
        seed: of the orders; None keeps the stored one.
        orders: keeps the order of the last epoch that was asked for.
    """
    epoch, position = divmod(index, count)
    if seed is None:
        return position
    if epoch not in orders:
        orders.clear()
        orders[epoch] = np.random.default_rng([_SHUFFLE_STREAM, seed, epoch]).permutation(count)
    return int(orders[epoch][position])


@dataclass(frozen=True)
class RenderedSamples:
    """Samples from a sequence of labelled frames without end (a frame generator).

    Attributes:
        frames: gives frame i for any i >= 0.
        what: of each frame; see `sample_of`.
        size: (width, height) to resample to; None leaves them.
    """

    frames: FrameSequence
    what: tuple[str, ...] = DEPTH_AND_LABELS
    size: tuple[int, int] | None = None

    def sample(self, index: int) -> Sample:
        """Renders frame `index`."""
        sample = sample_of(self.frames[index], self.what)
        return sample if self.size is None else resized(sample, *self.size)


class StoredFrames(Protocol):
    """Depth and labels by number: a dataset folder, or shards of one."""

    def __len__(self) -> int: ...

    def read_depth_and_labels(self, index: int, /) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Depth in mm and label map of frame `index`."""

    def camera(self, index: int, /) -> Camera | None:
        """Its depth camera, or None if unknown."""


def depth_and_labels(frames: StoredFrames, number: int) -> Sample:
    """A sample with the maps `depth_mm` and `labels` of a stored frame."""
    depth, labels = frames.read_depth_and_labels(number)
    camera = frames.camera(number)
    return Sample(
        {"depth_mm": Map(depth, DEPTH), "labels": Map(labels, LABELS)},
        focal_length_px(camera, depth.shape[1]),
        principal_point_px=None if camera is None else (camera.cx, camera.cy),
    )


@dataclass(frozen=True)
class ShardSamples:
    """Samples from shards (`graspcut pack`): each epoch takes the shards in another order and one after the other.

    Frames of one shard follow each other, in an order of their own each epoch, so that a shard on slow storage is read
    once an epoch and stays in the machine's memory meanwhile.

    Attributes:
        reader: the shards.
        seed: of the orders; None reads as packed.
        size: (width, height) to resample to; None keeps each frame's own size.
    """

    reader: ShardReader
    seed: int | None = 0
    size: tuple[int, int] | None = None
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.reader)

    def sample(self, index: int) -> Sample:
        """Sample `index % len(self)` of epoch `index // len(self)`.

        Raises:
            FrameError: a shard is damaged.
        """
        epoch, position = divmod(index, len(self))
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = self._order(epoch)
        sample = depth_and_labels(self.reader, int(self._orders[epoch][position]))
        return sample if self.size is None else resized(sample, *self.size)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        shards = self.reader.shard_of()
        if self.seed is None:
            return np.arange(len(shards))
        rng = np.random.default_rng([_SHUFFLE_STREAM, self.seed, epoch])
        rank = rng.permutation(int(shards.max()) + 1)
        return np.lexsort((rng.permutation(len(shards)), rank[shards]))


@dataclass(frozen=True)
class FolderSamples:
    """Samples from a dataset folder, epoch after epoch, each epoch in another order.

    Attributes:
        reader: the dataset folder.
        seed: seed of the orders; None reads in order.
        size: (width, height) to resample to; None keeps each frame's own size.
        frames: numbers of the frames to use, such as one part of a split; None uses all.
        what: of each frame; see `sample_of`. Depth and labels alone are read without the other files.
    """

    reader: DatasetReader
    seed: int | None = 0
    size: tuple[int, int] | None = None
    frames: tuple[int, ...] | None = None
    what: tuple[str, ...] = DEPTH_AND_LABELS
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.reader) if self.frames is None else len(self.frames)

    def sample(self, index: int) -> Sample:
        """Sample `index % len(self)` of epoch `index // len(self)`.

        Raises:
            FrameError: a file is damaged.
        """
        position = epoch_position(index, len(self), self.seed, self._orders)
        sample = self._read(position if self.frames is None else self.frames[position])
        return sample if self.size is None else resized(sample, *self.size)

    def _read(self, number: int) -> Sample:
        if self.what != DEPTH_AND_LABELS:
            return sample_of(self.reader[number], self.what)
        return depth_and_labels(self.reader, number)


@dataclass(frozen=True)
class StoredSamples:
    """Samples out of a list in memory, epoch after epoch.

    Attributes:
        samples: the list.
        seed: seed of the orders; None keeps the stored one.
    """

    samples: Sequence[Sample] = field(repr=False)
    seed: int | None = 0
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, index: int) -> Sample:
        """Sample `index % len(self)` of epoch `index // len(self)`."""
        return self.samples[epoch_position(index, len(self), self.seed, self._orders)]

    def describe(self) -> dict[str, Any]:
        """What a run folder records."""
        return {**described_fields(self), "count": len(self.samples)}
