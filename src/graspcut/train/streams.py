"""From samples to training batches: views, workers, ranks, exact resume, fixed validation batches.

Training reads one endless stream of batches. Batch number b depends only on the views, the seed and b: not on the
number of worker processes and not on when training was interrupted. Resuming is therefore just starting the stream at
the next number. All items of one batch come from one view, so views may have different picture sizes.

    class PoseBatch(NamedTuple):            # one item without the leading B; a batch with it
        depth_mm: Any
        joints_mm: Any

    def target(sample: Sample, rng: np.random.Generator) -> PoseBatch: ...        # after augmentation

    view = View(RenderedSamples(generator, ("depth_mm", "joints_mm")), target, batch_size=16,
                augmentation=AugmentationConfig(flip=0.5))
    data = TrainingData([view], [ValidationPart(FolderSamples(reader, None), target, count=200)], seed=0, workers=1)

For small pictures in large batches, such as crops of 48x48 by the hundred, sampling them one by one costs more than
training on them: `ArrayView` takes whole batches out of stored arrays instead.

Items leave the workers as numpy arrays through a pipe, not through shared memory: containers often have next to none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from graspcut.train.description import described
from graspcut.train.faults import Failure
from graspcut.train.views import (
    ArrayView,
    BatchSource,
    FixedItems,
    Target,
    ValidationPart,
    View,
    as_tensors,
    stacked,
)
from graspcut.train.workers import prepare_worker

_VIEW_STREAM = 1  # keeps this random stream of a seed apart from those of `views` and `sources`

__all__ = [
    "ArrayView",
    "BatchSource",
    "BatchStream",
    "FixedItems",
    "Target",
    "TrainingData",
    "ValidationBatches",
    "ValidationPart",
    "View",
    "as_tensors",
    "batch_loader",
    "stacked",
]


class BatchStream(IterableDataset[Any]):
    """The endless stream of training batches, as numpy arrays.

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
        views: Sequence[BatchSource],
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

    def batch(self, batch_number: int) -> Any:
        """Makes batch `batch_number`, the same one each time."""
        view = self.views[self.view_number(batch_number)]
        return view.batch(batch_number * self._largest_batch, self.seed)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        number = self.start + first * self.world_size + self.rank
        while self.stop is None or number < self.stop:
            try:
                batch = self.batch(number)
            except Exception as error:
                if worker is None:
                    raise
                batch = Failure(error)
            yield batch
            number += step * self.world_size


class ValidationBatches(Dataset[Any]):
    """Makes the batches of the validation parts.

    Args:
        parts: the parts, one after the other.
    """

    def __init__(self, parts: Sequence[FixedItems]) -> None:
        self.slices = [
            (part, first, min(first + part.batch_size, part.count))
            for part in parts
            for first in range(0, part.count, part.batch_size)
        ]

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> Any:
        part, first, last = self.slices[index]
        try:
            items = part.items(first, last)
            return stacked(items) if items else None
        except Exception as error:  # on its way to the process that trains
            return Failure(error)


class TrainingData(L.LightningDataModule):
    """Training stream and fixed validation set for the Lightning trainer, with exact resume.

    Args:
        views: the kinds of training batches.
        validation: fixed validation samples; may be empty.
        seed: seed of the stream.
        workers: loader processes (0: make batches in the training process).
        prefetch: batches that each worker prepares ahead.
        statistics: fixed samples like those in use, over which batch-norm statistics are taken anew when a run has
            reached its last step; none leaves them as training averaged them.
    """

    def __init__(
        self,
        views: Sequence[BatchSource],
        validation: Sequence[FixedItems] = (),
        *,
        statistics: Sequence[FixedItems] = (),
        seed: int = 0,
        workers: int = 1,
        prefetch: int = 4,
    ) -> None:
        super().__init__()
        self.views, self.validation = tuple(views), tuple(validation)
        self.statistics = tuple(statistics)
        self.seed, self.workers, self.prefetch = seed, workers, prefetch
        self._start = 0
        self._trained_before = 0
        self._validation_batches: list[Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Everything that a run folder records about the data; the number of workers changes nothing."""
        return {
            "seed": self.seed,
            "views": [view.describe() for view in self.views],
            "validation": [described(part) for part in self.validation],
            "statistics": [described(part) for part in self.statistics],
        }

    @property
    def left_out(self) -> int:
        """How many samples could not be read so far."""
        sources = (*self.views, *self.validation, *self.statistics)
        return sum(source.faults.count for source in sources if isinstance(source, View | ValidationPart))

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
        """Takes the position from a checkpoint."""
        self._start = int(state_dict["next_batch"])

    def train_dataloader(self) -> DataLoader[Any]:
        """The stream from the current position on."""
        self._trained_before = self._batches_trained()
        trainer = self.trainer
        stream = BatchStream(
            self.views,
            seed=self.seed,
            start=self._start,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=1 if trainer is None else trainer.world_size,
        )
        return batch_loader(stream, self.workers, self.prefetch, self.seed)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation batches of this process (every world_size-th one), made once and kept."""
        if not self.validation:
            return []
        if self._validation_batches is None:
            # In a worker, so that the training process itself never starts the renderer's threads before it forks.
            batches = ValidationBatches(self.validation)
            self._validation_batches = list(batch_loader(batches, min(self.workers, 1), self.prefetch, self.seed))
        trainer = self.trainer
        rank, world_size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        return batch_loader(_Kept(self._validation_batches[rank::world_size]), 0, self.prefetch, self.seed)

    def statistics_batches(self) -> Iterator[Any]:
        """The batches of `statistics`, the same on every process."""
        return iter(batch_loader(ValidationBatches(self.statistics), min(self.workers, 1), self.prefetch, self.seed))


class _Kept(Dataset[Any]):
    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = list(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


class _Loader(DataLoader[Any]):
    """Makes tensors of what arrives, in the receiving process."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, Failure):
                batch.raise_()
            if batch is not None:  # every item of it was left out
                yield as_tensors(batch)


def _unchanged(batch: Any) -> Any:
    return batch


def batch_loader(dataset: Dataset[Any], workers: int, prefetch: int, seed: int) -> DataLoader[Any]:
    """A loader of ready batches.

    Args:
        dataset: gives batches of numpy arrays (or tensors).
        workers: processes; 0 makes them in this one.
        prefetch: batches that each worker prepares ahead.
        seed: of the loader's own generator.
    """
    # An own generator: making an iterator must not draw from the global one, whose state is part of a checkpoint.
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "collate_fn": _unchanged}
    if workers:
        options |= {
            "num_workers": workers,
            "prefetch_factor": prefetch,
            "persistent_workers": True,
            "multiprocessing_context": "fork",
            "worker_init_fn": prepare_worker,
        }
    return _Loader(dataset, batch_size=None, **options)
