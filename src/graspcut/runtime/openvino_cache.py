"""Graphs that OpenVINO has compiled, kept on disk: the next process reads one in a fifth of the time.

They lie in `~/.cache/graspcut/openvino` (`$XDG_CACHE_HOME` in place of `~/.cache`), named by everything that makes
them: graph, sizes, settings, version, processor. The environment variable GRASPCUT_CACHE=off leaves the disk alone.
What cannot be read or written there is compiled as if there were no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from graspcut.frames.atomic_writing import write_bytes_atomically

MOST_MB = 256
_DIGEST_BYTES = 32


def cache_folder() -> Path | None:
    """The folder of compiled graphs, or None where the cache is switched off or there is no home."""
    if os.environ.get("GRASPCUT_CACHE", "").lower() in ("off", "0", "no"):
        return None
    place = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(place) if place else Path.home() / ".cache") / "graspcut" / "openvino"
    except RuntimeError:  # no home
        return None


def cache_key(*parts: object) -> str:
    """A name for whatever these parts decide."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def read_compiled(key: str) -> bytes | None:
    """What was kept under a key, if it is there and whole."""
    folder = cache_folder()
    if folder is None:
        return None
    path = folder / key
    try:
        data = path.read_bytes()
        os.utime(path)  # so that what is used stays
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    # The engine does not survive every damaged file.
    return content if hashlib.sha256(content).digest() == digest else None


def keep_compiled(key: str, content: bytes) -> None:
    """Keeps a compiled graph; the longest unused ones go when there are too many."""
    folder = cache_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(folder / key, hashlib.sha256(content).digest() + content, sync=False)
        _remove_oldest(folder)


def _remove_oldest(folder: Path) -> None:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > MOST_MB * 10**6:
            with contextlib.suppress(OSError):
                os.unlink(path)
