"""Files are written whole or not at all, and stay so when the power goes.

Content goes to a temporary file of the same folder, reaches the disk, and only then gets its name. Waiting for the disk
once for each of many small files would cost more than making them, so many files are waited for together
(`WriteBatch`): the first wait carries the others to the disk too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import os
import re
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# Containers that share a folder have the same process numbers for different processes, but other host names.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_TEMPORARY = re.compile(r"\.graspcut-([0-9a-f]{8})-(\d+)-\d+\.tmp")
# How long the temporary file of another machine or of a process that cannot be asked is left alone.
_ABANDONED_AFTER_S = 86_400.0
_counter = itertools.count()


def write_bytes_atomically(path: str | Path, data: bytes | memoryview, *, sync: bool = True) -> None:
    """Writes under a temporary name in the same folder, waits for the disk and renames: readers see the old file, the
    new file or none, after a power cut too.

    Args:
        path: The file; its folder must exist.
        data: Its content.
        sync: Wait for the disk; without, the file survives the end of this process but perhaps not a power cut.

    Raises:
        OSError: If it cannot be written; it names the file and, on a full disk, the size.
    """
    target = Path(path)
    temporary = _temporary(target)
    with _naming(target, len(data)):
        try:
            _write(temporary, data)
            if sync:
                _sync_file(temporary)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if sync:
        sync_folder(target.parent)


class WriteBatch:
    """Writes many files with few waits for the disk, which happen in a thread of their own; use it as a context
    manager. Any thread may add files.

    A file gets its name some seconds after it was added, once its content is on the disk, in the order of adding. When
    the process is killed before, the files since the last wait are missing as if they had never been written.

    Args:
        files: Wait for the disk after so many files...
        seconds: ...or when a file is added this long after the first one without a name.
    """

    def __init__(self, *, files: int = 1024, seconds: float = 2.0) -> None:
        self._files = files
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: list[tuple[Path, Path]] = []
        self._since = 0.0
        self._naming: threading.Thread | None = None
        self._error: BaseException | None = None

    def add(self, *contents: tuple[str | Path, bytes]) -> None:
        """Writes files that belong together: they get their names together, the last one last.

        Raises:
            OSError: As `write_bytes_atomically`, also for files added before.
        """
        written = []
        try:
            for path, data in contents:
                target = Path(path)
                temporary = _temporary(target)
                written.append((temporary, target))
                with _naming(target, len(data)):
                    _write(temporary, data)
        except BaseException:
            _remove(written)
            raise
        with self._lock:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting += written
            due = len(self._waiting) >= self._files or time.monotonic() - self._since > self._seconds
            if due and (self._naming is None or not self._naming.is_alive()):
                self._finish()
                waiting, self._waiting = self._waiting, []
                # No daemon: at the end of the interpreter the files still get their names.
                self._naming = threading.Thread(target=self._name, args=(waiting,))
                self._naming.start()

    def flush(self) -> None:
        """Gives all files their names; when it returns they survive a power cut."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            try:
                self._finish()
            finally:
                self._name(waiting)
            self._finish()

    def _finish(self) -> None:
        """Waits for the thread and raises what went wrong in it."""
        if self._naming is not None:
            self._naming.join()
            self._naming = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _name(self, waiting: list[tuple[Path, Path]]) -> None:
        try:
            _sync_files([temporary for temporary, _ in waiting])
            for temporary, target in waiting:
                with _naming(target, 0):
                    os.replace(temporary, target)
            for folder in {target.parent for _, target in waiting}:
                sync_folder(folder)
        except BaseException as error:
            _remove(waiting)
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whole files are kept when something else went wrong, too.
        self.flush()


def _remove(files: list[tuple[Path, Path]]) -> None:
    for temporary, _ in files:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_output_folder(path: str | Path, *, option: str = "--out") -> Path:
    """Makes a folder for results, with its parents, and tries to write to it.

    Args:
        path: The folder.
        option: How the user gave it, for errors.

    Raises:
        OSError: If it is a file, or cannot be made or written to, in words.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        at_fault = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), None)
        if at_fault is not None:
            raise NotADirectoryError(
                f"{option} {folder}: {at_fault} is a file; expected a folder to write to. Give another one."
            ) from error
        raise type(error)(
            f"{option} {folder} cannot be written to ({error.strerror}); expected a folder that you may write to. Give "
            "another one, or change its permissions."
        ) from error
    remove_abandoned_files(folder)
    return folder


def remove_abandoned_files(folder: Path) -> None:
    """Removes temporary files that a killed process left in a folder; those of living processes stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is not None and _is_abandoned(entry, match[1], int(match[2])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry[str], host: str, process: int) -> bool:
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_AFTER_S:
        return True
    if host != _HOST:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _temporary(target: Path) -> Path:
    # Not made from the target's name, which may be as long as names may be.
    return target.with_name(f".graspcut-{_HOST}-{os.getpid()}-{next(_counter)}.tmp")


def _write(temporary: Path, data: bytes | memoryview) -> None:
    # Unbuffered: one call hands everything over.
    with temporary.open("wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]


def _sync_files(paths: list[Path]) -> None:
    """Waits until the contents of files are on the disk."""
    folders = {path.parent for path in paths}
    # One wait for the whole file system is quicker than one for each of several files.
    if len(paths) > 2 * len(folders) and all(_sync_file_system(folder) for folder in folders):
        return
    for path in paths:
        _sync_file(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(folder: Path) -> bool:
    """Whether the system could be asked to bring everything of a folder's file system to the disk, and did."""
    call = _syncfs()
    if call is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bool(call(descriptor) == 0)
    finally:
        os.close(descriptor)


@functools.cache
def _syncfs() -> Any:
    """Linux's syncfs(2), which Python's os does not have; None elsewhere."""
    try:
        return ctypes.CDLL(None).syncfs
    except (OSError, AttributeError, TypeError):
        return None


def sync_folder(folder: Path) -> None:
    """Makes names as lasting as contents; where folders cannot be waited for (some network disks) they are not."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _naming(target: Path, size: int) -> Iterator[None]:
    """Errors of writing name the file that was meant, not the temporary one, and say what a full disk lacks."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = 0
            with contextlib.suppress(OSError):
                free = shutil.disk_usage(target.parent).free
            reason = f"the disk is full: {max(size, 1) / 1e6:.3f} MB are needed and {free / 1e6:.3f} MB are free"
        if error.errno is None:
            raise
        raise OSError(error.errno, f"cannot be written ({reason})", str(target)) from error
