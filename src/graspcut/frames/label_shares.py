"""How the labels of a set are shared out, and whether there is anything in them to learn or to score.

A mask of 0 and 255 is a valid label map whose foreground is "unknown": a set of masks would train on background alone
without a sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.labels import HAND, OBJECT, UNKNOWN

_SAMPLED_FRAMES = 50


@dataclass(frozen=True)
class LabelShares:
    """Shares of the pixels, 0..1.

    Attributes:
        frames: How many frames were counted.
        hand, object, unknown: Shares of these labels; the rest is background.
    """

    frames: int
    hand: float
    object: float
    unknown: float

    def __str__(self) -> str:
        background = 1 - self.hand - self.object - self.unknown
        return (
            f"{background:.1%} background, {self.hand:.1%} hand, {self.object:.1%} object, {self.unknown:.1%} unknown"
        )

    @property
    def are_masks(self) -> bool:
        """Whether something is labelled and nothing of it as hand or object."""
        return self.frames > 0 and self.hand == self.object == 0 < self.unknown


def count_labels(labels: Iterable[NDArray[np.uint8]]) -> LabelShares:
    """Shares over label maps."""
    frames = 0
    counts = np.zeros(256, dtype=np.int64)
    for image in labels:
        counts += np.bincount(image.reshape(-1), minlength=256)
        frames += 1
    total = max(int(counts.sum()), 1)
    return LabelShares(frames, *(float(counts[label] / total) for label in (HAND, OBJECT, UNKNOWN)))


def read_label_shares(reader: DatasetReader, *, most: int = _SAMPLED_FRAMES) -> LabelShares:
    """Shares over frames spread evenly over a set; damaged ones are left out.

    Raises:
        FrameError: If the labels are masks (see `mask_fault`).
    """
    shares = count_labels(_readable(reader, range(0, len(reader), max(1, len(reader) // most))))
    if shares.are_masks and len(reader) > most:
        shares = count_labels(_readable(reader, range(len(reader))))
    if shares.are_masks:
        raise FrameError(mask_fault(str(reader.directory), shares))
    return shares


def mask_fault(place: str, shares: LabelShares) -> str:
    """What is wrong with a set of masks, and how to mend it."""
    return (
        f"{place} has labels without hand and object: {shares}. Masks of 0 and 255, or of 1 bit, do not say which of "
        "the two their foreground is; expected 1 for hand and 2 for object. Rewrite them, such as label[mask > 0] = 1"
    )


def _readable(reader: DatasetReader, indices: Iterable[int]) -> Iterable[NDArray[np.uint8]]:
    for index in indices:
        try:
            yield reader.read_labels(index)
        except FrameError:
            continue
