"""Progress bars: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import ProgressColumn as Column
from rich.text import Text


class _FramesPerSecond(Column):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} frames/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def frame_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, shown only on a terminal.

    Args:
        title: Stands before the bar.

    Yields:
        A function to call with (frames done, frames in all).
    """
    with _progress(title, MofNCompleteColumn(), _FramesPerSecond()) as update:
        yield update


@contextmanager
def byte_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of a download on standard error, shown only on a terminal.

    Args:
        title: Stands before the bar.

    Yields:
        A function to call with (bytes done, bytes in all).
    """
    with _progress(title, DownloadColumn(), TransferSpeedColumn()) as update:
        yield update


@contextmanager
def _progress(title: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*shown, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=None)

        def update(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        yield update
