"""What a verb that runs over many frames says of one: what it leaves, how it is made; see `folder_run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graspcut.frames.frame import Frame
from graspcut.frames.notes import Note
from graspcut.runtime.pipeline import LimitedCalls


@dataclass(frozen=True)
class FrameResult:
    """What came of one frame.

    Attributes:
        files: Contents by path below the folder, in the order of writing.
        row: Its line of the summary, JSON values; "name" is added.
        notes: What was assumed; the frame's own notes are added.
    """

    files: Mapping[str, bytes]
    row: Mapping[str, Any]
    notes: tuple[Note, ...] = ()


class FrameJob(Protocol):
    """What a verb does with each frame; see `folder_run`.

    Attributes:
        settings: recorded in summary.json; a folder takes the results of one set of values only.
        identity: what else the results depend on, such as a digest of the weights; results of another are made again.
        parallel_calls: how many threads may be in a limited call at the same time, with gain; None for one.
    """

    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def identity(self) -> str: ...
    @property
    def parallel_calls(self) -> int | None: ...

    def outputs(self, name: str, /) -> Sequence[str]:
        """Paths below the folder of what a frame leaves; the last is written last."""
        ...

    def process(self, frame: Frame, name: str, limited: LimitedCalls, /) -> FrameResult:
        """The outputs of a frame and its row, in any thread; not called where the job is a `SequenceJob` too.

        `limited(function)` runs the network when it is its turn. Python's own exceptions make the frame a failure, and
        the others go on; any other exception ends the run.
        """
        ...

    def reread(self, name: str, folder: Path, /) -> dict[str, Any]:
        """The row of a frame whose outputs are there; a `ValueError` has them made again."""
        ...
