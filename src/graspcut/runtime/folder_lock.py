"""One command at a time writes into a folder of results."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_AGAIN_S = 0.2
_SAY_SO_AFTER_S = 1.0


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds a folder until the end of the `with`; waits, and says so, while another process holds it.

    The lock is the system's, on the folder itself: it leaves no file, and a killed process lets go of it. Systems that
    have none (Windows) go on without.

    Args:
        folder: it must exist.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        waited_since = time.monotonic()
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said and time.monotonic() - waited_since > _SAY_SO_AFTER_S:
                    print(f"another command writes into {folder}: waiting for its end", file=sys.stderr)
                    said = True
                time.sleep(_LOOK_AGAIN_S)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)
