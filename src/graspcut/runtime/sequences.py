"""Runs over recordings whose frames depend on each other, for `folder_run`: looked at in threads, settled in order.

A job of this kind has, instead of `process`,

    def look(self, frame, name, limited):             # what a frame says on its own, in any thread
        return limited(lambda: segmenter(frame))

    def sequence(self, wanted):                        # for each recording; `wanted[i]`: frame i has no results yet
        return MySequence(wanted)

A `FrameSequence` is told of the frames of one recording in order and gives back those that are settled. It says which
frames it needs, so that a stopped run goes on without doing everything again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from graspcut.frames.frame import Frame
from graspcut.frames.sources import FoundFrame
from graspcut.runtime.pipeline import LimitedCalls

Settled = tuple[int, Callable[[], Any]]
"""Position of a frame in its recording, and what makes its `FrameResult`, in any thread."""


class FrameSequence(Protocol):
    """The frames of one recording on their way to results."""

    def needs(self, position: int, /) -> bool:
        """Whether the frame has to be looked at."""
        ...

    def push(self, position: int, look: Any | None, /) -> Iterable[Settled]:
        """Takes what `look` gave for the next frame; None for one that is bad or not needed."""
        ...

    def finish(self) -> Iterable[Settled]:
        """The frames that are left."""
        ...


@runtime_checkable
class SequenceJob(Protocol):
    """What a job has whose frames depend on each other; see the module."""

    def look(self, frame: Frame, name: str, limited: LimitedCalls, /) -> Any:
        """What a frame says on its own, in any thread; a `ValueError` says that it is bad."""
        ...

    def sequence(self, wanted: Sequence[bool], /) -> FrameSequence:
        """For each recording; `wanted` says of each of its frames whether its results are wanted."""
        ...


@dataclass(frozen=True)
class Look:
    """What came of looking at a frame: a result of the job, or why there is none."""

    position: int
    value: Any | None
    fault: str | None = None


class InOrder:
    """Puts looks in order of their positions and takes settled frames to their results, a few at a time.

    Args:
        found: all frames of all recordings.
        wanted: whether each has no results yet.
        job: makes a sequence of each recording.
        results: called in threads as `results(position, make)` for each settled frame.
        collect: called with what `results` returned, in the calling thread.
        threads: that make results.
    """

    def __init__(
        self,
        found: Sequence[FoundFrame],
        wanted: Sequence[bool],
        job: SequenceJob,
        results: Callable[[int, Callable[[], Any]], Any],
        collect: Callable[[Any], None],
        threads: int,
    ) -> None:
        self._found, self._wanted = found, wanted
        self._results, self._collect = results, collect
        self._ends = _ends_of_recordings(found)
        starts = [0, *self._ends[:-1]]
        self._sequences = [job.sequence(wanted[start:end]) for start, end in zip(starts, self._ends, strict=True)]
        self._recording, self._start = 0, 0
        self._early: dict[int, Look] = {}
        self._next = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="settle")
        self._pending: list[Future[Any]] = []
        self._most_pending = 4 * threads

    def needs(self, position: int) -> bool:
        """Whether a frame has to be looked at."""
        recording = next(number for number, end in enumerate(self._ends) if position < end)
        start = 0 if recording == 0 else self._ends[recording - 1]
        return self._sequences[recording].needs(position - start)

    def take(self, look: Look) -> None:
        """Takes the next look, in any order."""
        self._early[look.position] = look
        while self._next in self._early:
            ready = self._early.pop(self._next)
            sequence = self._sequences[self._recording]
            self._settle(sequence.push(ready.position - self._start, ready.value))
            self._next += 1
            if self._next == self._ends[self._recording]:
                self._settle(sequence.finish())
                self._start = self._next
                self._recording += 1

    def _settle(self, settled: Iterable[Settled]) -> None:
        for position, make in settled:
            if self._wanted[self._start + position]:
                self._pending.append(self._pool.submit(self._results, self._start + position, make))
            while len(self._pending) > self._most_pending:
                self._collect(self._pending.pop(0).result())

    def close(self, *, whole: bool) -> None:
        """Waits for the results that are being made, and with `whole` collects them."""
        try:
            while whole and self._pending:
                self._collect(self._pending.pop(0).result())
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _ends_of_recordings(found: Sequence[FoundFrame]) -> list[int]:
    """Where each recording ends: frames of one source in a row belong together, and single files of one folder."""

    def together(first: FoundFrame, second: FoundFrame) -> bool:
        if first.source is second.source:
            return True
        single = all(len(frame.source) == 1 and frame.origin.is_file() for frame in (first, second))
        return single and first.origin.parent == second.origin.parent

    ends = [position for position in range(1, len(found)) if not together(found[position - 1], found[position])]
    return [*ends, len(found)]
