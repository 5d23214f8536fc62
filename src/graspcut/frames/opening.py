"""Files are opened only if they are regular files of a sane size, and inside the folder that names them.

Opening a FIFO waits for ever, reading /dev/zero never ends, and a recording from elsewhere may name any file of this
machine.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from graspcut.frames.errors import FrameError
from graspcut.frames.limits import MOST_FILE_BYTES


def open_regular(path: str | Path, *, what: str = "file") -> BinaryIO:
    """Opens a regular file for reading.

    Args:
        path: The file; links are followed.
        what: What it should be, for errors ("image file").

    Raises:
        FrameError: If it does not exist, is a folder, device, pipe or socket, or cannot be read.
    """
    try:
        # Looked at before it is opened, since opening alone does something to some devices, and after, since it may
        # have been replaced in between.
        _refuse_special(os.stat(path).st_mode, path, what)
        # Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise FrameError(
                f"{path} is a link to {os.readlink(path)}, which does not exist; expected a {what}. Restore the file "
                "or remove the link."
            ) from error
        raise FrameError(f"{path} does not exist; expected a {what}. Check the path.") from error
    except FrameError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FrameError(f"{path} cannot be read ({reason}); expected a readable {what}.") from error
    try:
        _refuse_special(os.fstat(descriptor).st_mode, path, what)
    except FrameError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _refuse_special(mode: int, path: str | Path, what: str) -> None:
    if not stat.S_ISREG(mode):
        came = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise FrameError(f"{path} cannot be read: it is {came}; expected a regular {what}.")


def read_bytes(path: str | Path, *, what: str = "image file", most: int = MOST_FILE_BYTES) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        what: What it should be, for errors.
        most: Its largest size in bytes.

    Raises:
        FrameError: If it does not exist, is no regular file, cannot be read, is empty or too large.
    """
    with open_regular(path, what=what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise FrameError(f"{path} has {size / 1e6:.0f} MB; expected a {what} of at most {most / 1e6:.0f} MB.")
        try:
            # As much as there is: asking for the limit would take that much memory.
            data = file.read(size + 1)
        except OSError as error:
            raise FrameError(f"{path} cannot be read ({error.strerror}); expected a readable {what}.") from error
    if not data:
        raise FrameError(
            f"{path} is empty (0 bytes); expected {'an' if what[0] in 'aeiou' else 'a'} {what}. Its writer was "
            "probably stopped: make it again."
        )
    return data


def inside(folder: Path, name: object, *, named_by: str) -> Path:
    """The path of a file that a file from elsewhere names.

    Args:
        folder: The folder that the name must stay in.
        name: A relative path, from an untrusted file.
        named_by: Where the name stands, for the error ("DIR/frames.jsonl, line 3").

    Returns:
        folder / name.

    Raises:
        FrameError: If the name is no text, is absolute, or leads out of the folder once links are resolved.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise FrameError(f"{named_by}: a file is named by {_short(name)}; expected the text of a relative path.")
    path = folder / name
    try:
        # Text: paths of thousands of frames are looked at, and Path costs several times as much.
        root, target = _resolved(str(folder)), os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise FrameError(f"{named_by}: the file {_short(name)} cannot be found ({error}).") from error
    if os.path.isabs(name) or not target.startswith(root.rstrip(os.sep) + os.sep):
        raise FrameError(
            f"{named_by} names the file {_short(name)}, which lies outside {folder}; expected a file inside it. "
            "Nothing was read from there."
        )
    return path


@lru_cache(maxsize=256)
def _resolved(folder: str) -> str:
    # Remembered: should the folder become a link to another one later, its files are refused.
    return os.path.realpath(folder)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
