"""From labelled frames to training batches: rendered on the fly, or read from a dataset folder.

Training reads one endless stream of batches. Batch number b depends only on the views, the seed and b: not on the
number of worker processes and not on when training was interrupted. Resuming is therefore just starting the stream at
the next number. All frames of one batch come from one view, so views may have different picture sizes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple, Protocol

import cv2
import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import UNKNOWN
from graspcut.segmentation.augmentation import AugmentationConfig, Sample, augment, without_missing_depth

"""Focal length over picture width where no camera is known: that of the SR300 (475.96 / 640), rounded."""

_VIEW_STREAM, _AUGMENTATION_STREAM, _SHUFFLE_STREAM = 1, 2, 3  # keep the random streams of one seed apart


class SegmentationBatch(NamedTuple):
    """One batch of equally large frames.

    Attributes:
        depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
        focal_px: (B,) float32 pixels.
        labels: (B, H, W) uint8, 255 = ignored.
    """

    depth_mm: Tensor
    focal_px: Tensor
    labels: Tensor


class FrameSequence(Protocol):
    """Anything that gives labelled frames by number, such as a frame generator or a dataset reader."""

    def __getitem__(self, index: int, /) -> LabelledFrame:
        """Frame number `index`, the same one each time."""


class SampleSource(Protocol):
    """Anything that gives training samples by number, without end."""

    def sample(self, index: int, /) -> Sample:
        """Sample number `index`, the same one each time."""


@dataclass(frozen=True)
class RenderedSamples:
    """Samples from a sequence of labelled frames without end (a frame generator).

    Attributes:
        frames: gives frame i for any i >= 0.
    """

    frames: FrameSequence

    def sample(self, index: int) -> Sample:
        """Renders frame `index`."""
        return sample_of(self.frames[index])


@dataclass(frozen=True)
class FolderSamples:
    """Samples from a dataset folder, epoch after epoch, each epoch in another order.

    Attributes:
        reader: the dataset folder.
        seed: seed of the orders; None reads in order.
        size: (width, height) to resample to, nearest neighbour; None keeps each frame's own size.
        frames: numbers of the frames to use, such as one part of a split; None uses all.
    """

    reader: DatasetReader
    seed: int | None = 0
    size: tuple[int, int] | None = None
    frames: tuple[int, ...] | None = None
    _orders: dict[int, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict, repr=False, compare=False)

    def sample(self, index: int) -> Sample:
        """Sample `index % count` of epoch `index // count`, where count is the number of frames used."""
        count = len(self.reader) if self.frames is None else len(self.frames)
        epoch, position = divmod(index, count)
        if self.seed is not None:
            if epoch not in self._orders:
                self._orders.clear()
                rng = np.random.default_rng([_SHUFFLE_STREAM, self.seed, epoch])
                self._orders[epoch] = rng.permutation(count)
            position = int(self._orders[epoch][position])
        if self.frames is not None:
            position = self.frames[position]
        depth, labels = self.reader.read_depth_and_labels(position)
        sample = Sample(depth, labels, focal_length_px(self.reader.camera(position), depth.shape[1]))
        return sample if self.size is None else resized(sample, *self.size)


def sample_of(labelled: LabelledFrame) -> Sample:
    """Depth, labels and focal length of a labelled frame."""
    depth = labelled.frame.depth_mm
    return Sample(depth, labelled.labels, focal_length_px(labelled.frame.camera, depth.shape[1]))


def resized(sample: Sample, width: int, height: int) -> Sample:
    """A sample at another size by nearest neighbour; the focal length follows the width.

    Args:
        sample: (H, W) sample.
        width: new width in pixels.
        height: new height in pixels; the aspect ratio must stay within 2 %.

    Raises:
        ValueError: if the aspect ratio would change.
    """
    old_height, old_width = sample.depth_mm.shape
    if (old_height, old_width) == (height, width):
        return sample
    if abs(width / old_width / (height / old_height) - 1) > 0.02:
        raise ValueError(f"a {old_width}x{old_height} frame can't become {width}x{height}: keep the aspect ratio")
    depth = cv2.resize(sample.depth_mm, (width, height), interpolation=cv2.INTER_NEAREST)
    labels = cv2.resize(sample.labels, (width, height), interpolation=cv2.INTER_NEAREST)
    return Sample(
        depth.astype(np.float32, copy=False), labels.astype(np.uint8, copy=False), sample.focal_px * width / old_width
    )


@dataclass(frozen=True)
class View:
    """One kind of batch in the stream.

    Attributes:
        samples: where the frames come from; all of one size.
        probability: weight of this view among all views (they need not sum to 1).
        batch_size: frames per batch.
        augmentation: changes drawn per frame.
        missing_depth_label: label of pixels without depth: 255 leaves them out of the loss (the predictor calls them
            background whatever the network says), 0 trains them as background.
    """

    samples: SampleSource
    probability: float = 1.0
    batch_size: int = 4
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    missing_depth_label: int = UNKNOWN

    def __post_init__(self) -> None:
        if self.probability <= 0 or self.batch_size < 1:
            raise ValueError(
                f"a view needs a positive probability and batch size, got {self.probability} and {self.batch_size}"
            )


def collate(samples: Sequence[Sample]) -> SegmentationBatch:
    """Stacks samples of one size.

    Args:
        samples: at least one sample.

    Raises:
        ValueError: if sizes differ.
    """
    shapes = {sample.depth_mm.shape for sample in samples}
    if len(shapes) != 1:
        raise ValueError(f"all frames of one batch need one size, got (H, W) {sorted(shapes)}: give each its own view")
    return SegmentationBatch(
        torch.from_numpy(np.stack([sample.depth_mm for sample in samples])).unsqueeze(1),
        torch.tensor([sample.focal_px for sample in samples], dtype=torch.float32),
        torch.from_numpy(np.stack([sample.labels for sample in samples])),
    )


class StreamingFrames(IterableDataset[SegmentationBatch]):
    """The endless stream of training batches.

    In a DataLoader (``batch_size=None``) with W workers, worker w makes the batches start + w, start + w + W, ...; as
    the loader takes one batch from each worker in turn, they arrive in order of their numbers.

    Args:
        views: the kinds of batches and how often each comes.
        seed: seed of the choice of views and of the augmentation.
        start: number of the first batch.
        stop: number of the batch after the last; None for no end.
        rank: this process among `world_size` training processes; it takes the batches with number % world_size == rank.
        world_size: number of training processes.

    Raises:
        ValueError: without any view.
    """

    def __init__(
        self,
        views: Sequence[View],
        *,
        seed: int,
        start: int = 0,
        stop: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not views:
            raise ValueError("a stream needs at least one view")
        self.views = tuple(views)
        self.seed, self.start, self.stop = seed, start, stop
        self.rank, self.world_size = rank, world_size
        weights = np.array([view.probability for view in self.views])
        self._thresholds = np.cumsum(weights / weights.sum())
        self._largest_batch = max(view.batch_size for view in self.views)

    def view_number(self, batch_number: int) -> int:
        """Which view batch `batch_number` comes from."""
        draw = np.random.default_rng([_VIEW_STREAM, self.seed, batch_number]).random()
        return min(int(np.searchsorted(self._thresholds, draw, side="right")), len(self.views) - 1)

    def batch(self, batch_number: int) -> SegmentationBatch:
        """Makes batch `batch_number`, the same one each time."""
        view = self.views[self.view_number(batch_number)]
        samples = []
        for position in range(view.batch_size):
            index = batch_number * self._largest_batch + position
            rng = np.random.default_rng([_AUGMENTATION_STREAM, self.seed, index])
            sample = augment(view.samples.sample(index), view.augmentation, rng)
            samples.append(without_missing_depth(sample, view.missing_depth_label))
        return collate(samples)

    def __iter__(self) -> Iterator[SegmentationBatch]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        number = self.start + first * self.world_size + self.rank
        while self.stop is None or number < self.stop:
            yield self.batch(number)
            number += step * self.world_size


class FixedBatches(Dataset[SegmentationBatch]):
    """A finite list of batches, for validation: made once, kept in memory.

    Args:
        batches: the batches.
    """

    def __init__(self, batches: Sequence[SegmentationBatch]) -> None:
        self.batches = list(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> SegmentationBatch:
        return self.batches[index]


@dataclass(frozen=True)
class ValidationPart:
    """A fixed part of the validation set.

    Attributes:
        samples: where the frames come from.
        count: the frames 0 .. count - 1 are used, without augmentation.
        batch_size: frames per batch.
    """

    samples: SampleSource
    count: int
    batch_size: int = 8


class _ValidationRendering(Dataset[SegmentationBatch]):
    """Makes the batches of the validation parts; only used to render them in a worker process."""

    def __init__(self, parts: Sequence[ValidationPart]) -> None:
        self.slices = [
            (part, first, min(first + part.batch_size, part.count))
            for part in parts
            for first in range(0, part.count, part.batch_size)
        ]

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> SegmentationBatch:
        part, first, last = self.slices[index]
        return collate([without_missing_depth(part.samples.sample(i), UNKNOWN) for i in range(first, last)])


class _LeaveAtTheSecondTime:
    """SIGTERM handler of a loader process.

    The first SIGTERM may be meant for the whole process group: the parent then saves, and needs its workers till then.
    The next one comes from the parent, which waits for ever for a worker that does not end.
    """

    def __init__(self) -> None:
        self.warned = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.warned:
            os._exit(0)
        self.warned = True


def prepare_worker(_worker: int = 0) -> None:
    """Makes a loader process a single-threaded one that leaves the signals of a stop to its parent."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    signal.signal(signal.SIGTERM, _LeaveAtTheSecondTime())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import numba
    except ImportError:  # a machine that trains from folders needs no renderer
        return
    numba.set_num_threads(1)


class SegmentationData(L.LightningDataModule):
    """Training stream and fixed validation set for the Lightning trainer, with exact resume.

    Args:
        views: the kinds of training batches.
        validation: fixed validation frames; may be empty.
        seed: seed of the stream.
        workers: loader processes (0: make batches in the training process).
        prefetch: batches that each worker prepares ahead.
    """

    def __init__(
        self,
        views: Sequence[View],
        validation: Sequence[ValidationPart] = (),
        *,
        seed: int = 0,
        workers: int = 1,
        prefetch: int = 4,
    ) -> None:
        super().__init__()
        self.views, self.validation = tuple(views), tuple(validation)
        self.seed, self.workers, self.prefetch = seed, workers, prefetch
        self._start = 0
        self._trained_before = 0
        self._validation_batches: list[SegmentationBatch] | None = None

    def _batches_trained(self) -> int:
        """Batches per process since the run began, as Lightning's loop counts them (also across restarts)."""
        return 0 if self.trainer is None else int(self.trainer.fit_loop.epoch_loop.batch_progress.total.ready)

    def next_batch_number(self) -> int:
        """Number of the first batch that has not been trained on."""
        world_size = 1 if self.trainer is None else self.trainer.world_size
        return self._start + (self._batches_trained() - self._trained_before) * world_size

    def state_dict(self) -> dict[str, Any]:
        """Position in the stream, for the checkpoint."""
        return {"next_batch": self.next_batch_number(), "seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the position from a checkpoint.

        Raises:
            ValueError: if the checkpoint comes from a run with another seed.
        """
        if state_dict["seed"] != self.seed:
            raise ValueError(f"the checkpoint was made with data seed {state_dict['seed']}, this run uses {self.seed}")
        self._start = int(state_dict["next_batch"])

    def train_dataloader(self) -> DataLoader[SegmentationBatch]:
        """The stream from the current position on."""
        self._trained_before = self._batches_trained()
        trainer = self.trainer
        stream = StreamingFrames(
            self.views,
            seed=self.seed,
            start=self._start,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=1 if trainer is None else trainer.world_size,
        )
        return _loader(stream, self.workers, self.prefetch, self.seed)

    def val_dataloader(self) -> DataLoader[SegmentationBatch] | list[Any]:
        """The validation batches of this process (every world_size-th one)."""
        if not self.validation:
            return []
        if self._validation_batches is None:
            rendering = _ValidationRendering(self.validation)
            # In a worker, so that the training process itself never starts the renderer's threads before it forks.
            loader = _loader(rendering, min(self.workers, 1), self.prefetch, self.seed)
            # cloned: otherwise every batch keeps a shared-memory file of the worker open
            self._validation_batches = [SegmentationBatch(*(t.clone() for t in batch)) for batch in loader]
        trainer = self.trainer
        rank, world_size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        return _loader(FixedBatches(self._validation_batches[rank::world_size]), 0, self.prefetch, self.seed)


def _loader(
    dataset: Dataset[SegmentationBatch], workers: int, prefetch: int, seed: int
) -> DataLoader[SegmentationBatch]:
    # An own generator: making an iterator must not draw from the global one, whose state is part of a checkpoint.
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed)}
    if workers:
        options |= {
            "num_workers": workers,
            "prefetch_factor": prefetch,
            "persistent_workers": True,
            "multiprocessing_context": "fork",
            "worker_init_fn": prepare_worker,
        }
    return DataLoader(dataset, batch_size=None, **options)
