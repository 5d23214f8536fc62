"""Compiled functions (numba) and where they are kept between runs.

Numba's own cache looks at a function's own file only: a function that it calls from another file stays in its old form
inside it, and where no folder can be written, importing the function fails. Here compiled functions lie in a folder
named after the content of their file and of every file of this package that it imports, wherever that folder is; so
what is found there was made of just these sources. Where nothing can be written, functions are compiled at every start.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE = "graspcut"
_ROOT = Path(__file__).parent
_IMPORT = re.compile(rf"^from {_PACKAGE}(\.[\w.]+)? import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_OWN_NAME = re.compile(r"[\w.-]+-[0-9a-f]{16}")
_UNUSED_AFTER_S = 7 * 86_400.0


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Decorator: `numba.njit` with these options, cached where that is possible.

    Args:
        options: of `numba.njit`, without `cache`.
    """

    def decorate(function: Function) -> Function:
        compile_it: Any = numba.njit
        folder = _folder_of(function.__code__.co_filename)
        if folder is None:
            return cast(Function, compile_it(**options)(function))
        config: Any = numba.config
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder)
        try:
            return cast(Function, compile_it(cache=True, **options)(function))
        except RuntimeError:  # numba found the folder unfit after all
            return cast(Function, compile_it(**options)(function))
        finally:
            config.CACHE_DIR = before

    return decorate


def sources_digest(path: str | Path) -> str:
    """A digest of a file of this package, of all files of the package that it imports, directly or through others, and
    of what compiles them.

    Args:
        path: a module's `__file__`.
    """
    content = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for source in sorted(_reached(Path(path))):
        content.update(source.name.encode() + b"\0" + _read(source))
    return content.hexdigest()[:16]


@functools.cache
def _folder_of(path: str) -> Path | None:
    base = _base_folder()
    if base is None:
        return None
    folder = base / f"{Path(path).stem}-{sources_digest(path)}"
    with contextlib.suppress(OSError):
        # In use: not to be removed.
        os.utime(folder)
    return folder


@functools.cache
def _base_folder() -> Path | None:
    """The first folder that can be written: the one named by NUMBA_CACHE_DIR, beside the package, the user's, the
    system's for temporary files."""
    candidates = [_ROOT / "__pycache__" / "kernels"]
    config: Any = numba.config
    if config.CACHE_DIR:
        candidates = [Path(config.CACHE_DIR) / f"{_PACKAGE}_kernels"]
    with contextlib.suppress(RuntimeError):
        candidates.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _PACKAGE / "kernels")
    if hasattr(os, "getuid"):
        candidates.append(Path(tempfile.gettempdir()) / f"{_PACKAGE}-kernels-{os.getuid()}")
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours_alone(folder):
                continue
            tempfile.TemporaryFile(dir=folder).close()
            _remove_unused(folder)
            return folder
    if multiprocessing.parent_process() is None:
        print(
            f"note: none of {', '.join(str(folder) for folder in candidates)} can be written, so the renderer is "
            "compiled again at every start; set NUMBA_CACHE_DIR to a folder of yours to keep it",
            file=sys.stderr,
        )
    return None


def _is_ours_alone(folder: Path) -> bool:
    """Whether nobody else could have put code there: what lies in it will be run."""
    status = folder.lstat()
    is_theirs = hasattr(os, "getuid") and status.st_uid != os.getuid() and os.getuid() != 0
    return not (is_theirs or folder.is_symlink() or status.st_mode & 0o002)


def _remove_unused(folder: Path) -> None:
    """Kernels of sources that changed days ago."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if _OWN_NAME.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _UNUSED_AFTER_S:
                shutil.rmtree(entry.path, ignore_errors=True)


def _reached(start: Path) -> set[Path]:
    found = {Path(__file__)}
    waiting = [start]
    while waiting:
        source = waiting.pop()
        if source in found:
            continue
        found.add(source)
        waiting += _imported(source)
    return found


@functools.cache
def _imported(source: Path) -> tuple[Path, ...]:
    files = []
    for module, names in _IMPORT.findall(_read(source).decode(errors="replace")):
        place = _ROOT.joinpath(*module.split(".")[1:])
        files.append(place.with_suffix(".py"))
        files += [place / f"{name.split(' as ')[0].strip()}.py" for name in names.strip("()").split(",")]
    return tuple(path for path in files if path.is_file())


@functools.cache
def _read(source: Path) -> bytes:
    with contextlib.suppress(OSError):
        return source.read_bytes()
    return b""
