"""How the renderer's and the sensor's functions are compiled.

None of them counts references to arrays (`_nrt=False`): a function that takes an array otherwise counts atomically up
and down at every call, which costs several times the work on a pixel. The price: none may create an array, not even by
copying a slice; all arrays come from the caller.

Nothing is computed with "fast math": a processor with fused multiplication makes the same bytes as one without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from graspcut.kernel_cache import compiled

Function = TypeVar("Function", bound=Callable[..., object])


def scalar(function: Function) -> Function:
    """Compile a small function of one element and force it into its callers."""
    return compiled(error_model="numpy", _nrt=False, forceinline=True)(function)


def subroutine(function: Function) -> Function:
    """Compile a function of one element that is too large to be copied into each of its callers."""
    return compiled(error_model="numpy", _nrt=False)(function)


def loop(function: Function) -> Function:
    """Compile a loop over all elements; it releases the interpreter's lock."""
    return compiled(error_model="numpy", _nrt=False, nogil=True)(function)
