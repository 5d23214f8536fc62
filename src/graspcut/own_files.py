"""Python files of the user's own: a network, a loss term or a kind of object that is not in this package.

A file runs only when the user names it. What was made with it (run folders, model folders, rendered frames) records its
name and the SHA-256 of its bytes, and is never a reason to run it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_SHOWN_DIGITS = 12
_lock = threading.Lock()


class OwnFileError(ValueError):
    """A file of the user's own is missing, broken, or another one than was used before; the text says what to do."""


@dataclass(frozen=True)
class OwnFile:
    """Which file something came from.

    Attributes:
        name: of the file, without its folders.
        sha256: of its bytes, 64 hexadecimal digits.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> OwnFile:
        """The file at a path; it is read, not run.

        Raises:
            OwnFileError: it cannot be read.
        """
        path = Path(path)
        try:
            return cls(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError as error:
            raise OwnFileError(f"{path} cannot be read ({error.strerror}); expected a Python file of yours") from error

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.sha256[:_SHOWN_DIGITS]}...)"


def run_own_file(path: str | Path) -> ModuleType:
    """Runs a Python file and returns it as a module; the same bytes run once in a process.

    While it runs, files beside it can be imported. They are not part of its digest.

    Args:
        path: of the file.

    Raises:
        OwnFileError: there is no such file, or running it failed; the message names the line.
    """
    path = Path(path)
    file = OwnFile.of(path)
    name = f"graspcut_own_{path.stem}_{file.sha256[:16]}"
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        if path.suffix != ".py" or spec is None or spec.loader is None:
            raise OwnFileError(f"{path} is no Python file; expected a name that ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up while it runs
        beside = str(path.resolve().parent)
        sys.path.insert(0, beside)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise OwnFileError(f"{path}{_line_in(error, path)}: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(beside)
    return module


def file_of(thing: Any) -> OwnFile:
    """The file in which a class or a function is defined.

    Raises:
        OwnFileError: it is defined in no file, but typed into a shell or a notebook.
    """
    module = sys.modules.get(getattr(thing, "__module__", ""))
    path = getattr(module, "__file__", None)
    name = getattr(thing, "__name__", repr(thing))
    if path is None:
        raise OwnFileError(f"{name} is defined in no file: put it into one, so that others can tell which it was")
    return OwnFile.of(path)


def file_of_config(config: Mapping[str, Any]) -> OwnFile | None:
    """The file that a network's configuration names, or None."""
    found = config.get("file")
    if not isinstance(found, Mapping):
        return None
    return OwnFile(str(found.get("name")), str(found.get("sha256")))


def check_own_file(wanted: OwnFile, given: OwnFile | None, network: str) -> None:
    """Refuses a network whose file is not given, or is another one.

    Raises:
        OwnFileError: says which file is wanted, and which was given.
    """
    if given is None:
        raise OwnFileError(
            f"{network} is a network of the file {wanted.name} (SHA-256 {wanted.sha256}), which runs only when you "
            f"name it: give --network-file {wanted.name} (from Python: network_file=...)"
        )
    if given.sha256 != wanted.sha256:
        raise OwnFileError(
            f"{network} was trained with another {wanted.name}: its SHA-256 was {wanted.sha256}, that of the given "
            f"{given.name} is {given.sha256}. Give the file as it was"
        )


def _line_in(error: Exception, path: Path) -> str:
    """ ", line 12" of the innermost line of the file that the error went through."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f", line {error.lineno}"
    found, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
