"""What batches are made of: views of samples or of stored arrays, and the fixed items of validation.

See `graspcut.train.streams` for how they become an endless stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.labels import UNKNOWN
from graspcut.train.augmentation import AugmentationConfig, augment, without_missing_depth
from graspcut.train.description import described, described_fields
from graspcut.train.faults import Faults
from graspcut.train.samples import DEPTH, Sample
from graspcut.train.sources import SampleSource, epoch_position

_AUGMENTATION_STREAM = 2  # keeps this random stream of a seed apart from those of `streams` and `sources`

Target = Callable[[Sample, np.random.Generator], Any]


class BatchSource(Protocol):
    """One kind of batch in the stream: what `View` and `ArrayView` are."""

    @property
    def probability(self) -> float:
        """Weight of this kind among all."""

    @property
    def batch_size(self) -> int:
        """Items in a batch."""

    def batch(self, first: int, seed: int) -> Any:
        """The batch of the items first .. first + batch_size - 1, as numpy arrays, the same one each time."""

    def describe(self) -> dict[str, Any]:
        """JSON-able: everything that decides what the batches are."""


@dataclass(frozen=True)
class View:
    """Batches made sample by sample.

    Attributes:
        samples: where the samples come from; all of one size after `target`.
        target: makes an item of an augmented sample: a NamedTuple of arrays and numbers, which are stacked.
        probability: weight of this view among all views (they need not sum to 1).
        batch_size: items in a batch.
        augmentation: changes drawn for each sample.
        missing_depth_label: label of pixels without depth: 255 leaves them out of the loss (the predictor calls them
            background whatever the network says), 0 trains them as background; None leaves them as they are. Not used
            where there is no depth.
        faults: counts samples that could not be read; the next one was taken instead.
    """

    samples: SampleSource
    target: Target
    probability: float = 1.0
    batch_size: int = 4
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    missing_depth_label: int | None = UNKNOWN
    faults: Faults = field(default_factory=Faults, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.probability, self.batch_size)

    def batch(self, first: int, seed: int) -> Any:
        """See `BatchSource`."""
        return stacked([self._item(index, seed) for index in range(first, first + self.batch_size)])

    def _item(self, index: int, seed: int) -> Any:
        rng = np.random.default_rng([_AUGMENTATION_STREAM, seed, index])
        sample = augment(self.faults.read(self.samples, index), self.augmentation, rng)
        return finished(sample, self.target, self.missing_depth_label, rng)

    def describe(self) -> dict[str, Any]:
        """See `BatchSource`."""
        return described_fields(self)


@dataclass(frozen=True)
class ArrayView:
    """Batches out of stored arrays, all items at once, epoch after epoch in another order.

    Attributes:
        arrays: by name, all of one length.
        target: (the items of a batch by name, generator) -> batch: a NamedTuple of arrays with a leading B.
        probability: weight of this view among all views.
        batch_size: items in a batch.
        order_seed: seed of the orders; None keeps the stored one.
    """

    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    target: Callable[[dict[str, NDArray[Any]], np.random.Generator], Any]
    probability: float = 1.0
    batch_size: int = 64
    order_seed: int | None = 0
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.probability, self.batch_size)
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(f"the arrays of a view need one length above 0, got {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batch(self, first: int, seed: int) -> Any:
        """See `BatchSource`."""
        count = len(self)
        chosen = [
            epoch_position(index, count, self.order_seed, self._orders)
            for index in range(first, first + self.batch_size)
        ]
        rng = np.random.default_rng([_AUGMENTATION_STREAM, seed, first])
        return self.target({name: array[chosen] for name, array in self.arrays.items()}, rng)

    def describe(self) -> dict[str, Any]:
        """See `BatchSource`."""
        return {**described_fields(self), "arrays": described(self.arrays)}


def _check(probability: float, batch_size: int) -> None:
    if probability <= 0 or batch_size < 1:
        raise ValueError(f"a view needs a positive probability and batch size, got {probability} and {batch_size}")


def finished(sample: Sample, target: Target, missing_depth_label: int | None, rng: np.random.Generator) -> Any:
    """An item from an augmented sample: missing depth is labelled, then `target` decides."""
    if missing_depth_label is not None and sample.name_of(DEPTH) is not None:
        sample = without_missing_depth(sample, missing_depth_label)
    return target(sample, rng)


def stacked(items: Sequence[Any]) -> Any:
    """Items as one batch: arrays and numbers of each field get a leading axis, anything else becomes a tuple.

    Args:
        items: at least one NamedTuple, all of one type.

    Raises:
        ValueError: if sizes differ.
    """
    fields: list[Any] = []
    for name, values in zip(type(items[0])._fields, zip(*items, strict=True), strict=True):
        if not isinstance(values[0], np.ndarray | np.generic | int | float):
            fields.append(values)
            continue
        arrays = [np.asarray(value) for value in values]
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1:
            raise ValueError(
                f"all frames of one batch need one size, got {name} of {sorted(shapes)}: give each its own view"
            )
        fields.append(np.stack(arrays))
    return type(items[0])(*fields)


def as_tensors(batch: Any) -> Any:
    """A batch of numpy arrays as one of tensors, sharing memory."""
    return type(batch)(*(torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in batch))


@dataclass(frozen=True)
class ValidationPart:
    """A fixed part of the validation set.

    Attributes:
        samples: where the samples come from.
        target: see `View`; its generator depends on the number of the sample alone.
        count: the samples 0 .. count - 1 are used, without augmentation.
        batch_size: items in a batch.
        missing_depth_label: see `View`.
        faults: counts samples that could not be read and are left out.
    """

    samples: SampleSource
    target: Target
    count: int
    batch_size: int = 8
    missing_depth_label: int | None = UNKNOWN
    faults: Faults = field(default_factory=Faults, repr=False, compare=False)

    def items(self, first: int, last: int, /) -> list[Any]:
        """The items first .. last - 1 without those that cannot be read."""
        found = []
        for index in range(first, last):
            try:
                sample = self.samples.sample(index)
            except (FrameError, OSError) as error:
                self.faults.add(error)
                continue
            rng = np.random.default_rng([_AUGMENTATION_STREAM, index])
            found.append(finished(sample, self.target, self.missing_depth_label, rng))
        return found


class FixedItems(Protocol):
    """A fixed part of the validation set by number: `ValidationPart`, or items that a method makes itself."""

    @property
    def count(self) -> int:
        """The items 0 .. count - 1 are used."""

    @property
    def batch_size(self) -> int:
        """Items in a batch."""

    def items(self, first: int, last: int, /) -> list[Any]:
        """The items first .. last - 1, the same ones each time: NamedTuples of arrays and numbers."""
