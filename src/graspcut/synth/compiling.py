"""How the scalar functions and their loops are compiled for the CPU.

`scalar` functions work on one pixel (or row) and are forced inline. Neither they nor the loops count references to
arrays (`_nrt=False`): a function that takes an array otherwise counts atomically up and down at every call, which costs
several times the work on a pixel. The price: no function compiled here may create an array, all arrays come from the
caller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}


def scalar(function: Function) -> Function:
    """Compile a function of one element, called by loops on the CPU or, through `device.py`, by kernels on CUDA."""
    return cast(Function, njit(forceinline=True, **_OPTIONS)(function))


def loop(function: Function) -> Function:
    """Compile a loop over all elements; it releases the interpreter's lock."""
    return cast(Function, njit(nogil=True, **_OPTIONS)(function))


def discard_stale_cache(module: str, *imported: str) -> None:
    """Forget compiled functions of a module that are older than a module whose functions they contain.

    Numba's cache compares a function with its own file only; a function that it calls from another file stays in its
    old form. To be called before the first compiled function of the module.

    Args:
        module: `__file__` of the module that holds the compiled functions.
        imported: `__file__` of the modules whose compiled functions it calls.
    """
    path = Path(module)
    newest = max(Path(name).stat().st_mtime for name in imported)
    for index in (path.parent / "__pycache__").glob(f"{path.stem}.*.nbi"):
        # Another process may be doing the same; a folder that may not be written is not numba's cache either.
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
