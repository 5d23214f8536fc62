"""Samples that cannot be read: another one is taken, the fault is told once and counted, and training goes on."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from graspcut.frames.errors import FrameError
from graspcut.train.run_config import TrainingError
from graspcut.train.samples import Sample

_IN_A_ROW = 50


class Faults:
    """Counts samples that were left out, over all loader processes that are forked after it was made."""

    def __init__(self) -> None:
        self._count = multiprocessing.get_context("fork").Value("q", 0)
        self._told: set[str] = set()

    @property
    def count(self) -> int:
        """How often a sample could not be read."""
        return int(self._count.value)

    def add(self, error: Exception) -> None:
        """Counts a fault, and tells it unless this process has told the same before."""
        with self._count.get_lock():
            self._count.value += 1
        text = " ".join(str(error).split())
        if text not in self._told:
            self._told.add(text)
            print(f"left out: {text}", file=sys.stderr, flush=True)

    def read(self, source: Any, index: int) -> Sample:
        """Sample `index`, or the next one that can be read: the same one each time.

        Args:
            source: a `SampleSource`.
            index: of the sample.

        Raises:
            TrainingError: 50 samples in a row cannot be read.
        """
        for number in range(index, index + _IN_A_ROW):
            try:
                sample: Sample = source.sample(number)
            except (FrameError, OSError) as error:
                self.add(error)
                last = error
            else:
                return sample
        raise TrainingError(f"{_IN_A_ROW} samples in a row cannot be read; the last: {last}")


class Failure:
    """An error on its way from a loader process to the one that trains, as one line instead of two tracebacks."""

    def __init__(self, error: Exception) -> None:
        self.expected = isinstance(error, ValueError | OSError)
        self.text = " ".join(str(error).split()) if self.expected else f"{type(error).__name__}: {error}"

    def raise_(self) -> None:
        """Raises it here."""
        raise TrainingError(self.text) if self.expected else RuntimeError(f"making a batch failed: {self.text}")
