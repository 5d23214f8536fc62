"""How the renderer's scalar functions are compiled for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a scalar function with numba; `device.retarget` compiles the same Python function for CUDA.

    Divisions by zero give infinity as in C, and products may be fused: both matter for speed, neither for pictures. Sums are not
    re-ordered, so a frame's bytes do not depend on how a loop was vectorised.
    """
    compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})(function)
    return cast(Function, compiled)
