"""How the renderer's and the sensor's functions are compiled.

None of them counts references to arrays (`_nrt=False`): a function that takes an array otherwise counts atomically up
and down at every call, which costs several times the work on a pixel. The price: none may create an array, not even by
copying a slice; all arrays come from the caller.

Nothing is computed with "fast math": a processor with fused multiplication makes the same bytes as one without.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


# Numba's type hints know nothing of `_nrt`.
_compile: Any = functools.partial(numba.njit, cache=True, error_model="numpy", _nrt=False)


def scalar(function: Function) -> Function:
    """Compile a small function of one element and force it into its callers."""
    return cast(Function, _compile(forceinline=True)(function))


def subroutine(function: Function) -> Function:
    """Compile a function of one element that is too large to be copied into each of its callers."""
    return cast(Function, _compile()(function))


def loop(function: Function) -> Function:
    """Compile a loop over all elements; it releases the interpreter's lock."""
    return cast(Function, _compile(nogil=True)(function))


def discard_stale_cache(module: str, *imported: str) -> None:
    """Forget compiled functions of a module that are older than a module whose functions they contain.

    Numba's cache compares a function with its own file only; a function that it calls from another file stays in its
    old form. This file always counts, as one that says how to compile. To be called before the first compiled function
    of the module.

    Args:
        module: `__file__` of the module that holds the compiled functions.
        imported: `__file__` of the modules whose compiled functions it calls, directly or through others.
    """
    path = Path(module)
    newest = max(Path(name).stat().st_mtime for name in (*imported, __file__))
    for index in (path.parent / "__pycache__").glob(f"{path.stem}.*.nbi"):
        # Another process may be doing the same; a folder that may not be written is not numba's cache either.
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
