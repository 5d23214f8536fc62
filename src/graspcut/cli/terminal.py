"""What a terminal may do to a command: go away, show other letters, press Ctrl-C twice."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

INTERRUPTED = 130


class ForgivingStream:
    """A text stream that goes on when its reader has gone, as `graspcut evaluate ... | head` makes it: the work is
    done and its files are written, whoever looks on.

    Args:
        stream: standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """See `TextIO.write`."""
        try:
            return self._stream.write(text)
        except (BrokenPipeError, ConnectionResetError):
            self._let_go()
            return len(text)

    def flush(self) -> None:
        """See `TextIO.flush`."""
        try:
            self._stream.flush()
        except (BrokenPipeError, ConnectionResetError):
            self._let_go()

    def writelines(self, lines: Any) -> None:
        """See `TextIO.writelines`."""
        for line in lines:
            self.write(line)

    def _let_go(self) -> None:
        """Whatever is still written goes nowhere; what is buffered would raise once more at the end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """Standard output and standard error that go on without a reader and write any letters."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            # A file's name need not fit the terminal's letters.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (ForgivingStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def second_interrupt_ends() -> Iterator[None]:
    """The first Ctrl-C stops the command once what has begun is at its end; the second ends it at once.

    Where the shell has made a program in the background deaf to the key, it stays so.
    """
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    pressed = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            # Files are renamed into place when they are whole: nothing half done stays under its name.
            os._exit(INTERRUPTED)
        pressed = True
        # Not through the buffered stream, which the program may just be writing to.
        os.write(2, b"stopping when what has begun is done; Ctrl-C again ends at once\n")
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
