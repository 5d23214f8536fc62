"""Mattes and foreground colours without a network, by pymatting: peers, and what is used where no network fits.

pymatting is the reference for classical matting (extra `matting`). Its first import compiles for half a minute, so it
is imported when a function here is called.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graspcut.matting.foreground import check_image_and_alpha
from graspcut.matting.trimap import FOREGROUND, UNKNOWN

ClassicalMethod = Literal["closed-form", "knn"]
CLASSICAL_METHODS: tuple[ClassicalMethod, ...] = ("closed-form", "knn")

# Closed-form looks at 3x3 windows and takes known pixels as they are: what is farther from the unknown ones changes
# nothing. KNN compares with the whole image.
_MARGIN_PX = 12
# Where the fast preconditioner breaks down (incomplete Cholesky on flat colours), this one does not.
_BREAKDOWN_SHIFT = 1.0e-3


def classical_alpha(
    image: NDArray[Any], trimap: NDArray[np.uint8], method: ClassicalMethod = "closed-form"
) -> NDArray[np.float32]:
    """The matte by closed-form (Levin et al., 2008) or KNN matting (Chen et al., 2013).

    Args:
        image: (H, W, 3) uint8, or float in 0..1.
        trimap: (H, W) uint8: 0 background, 128 unknown, 255 foreground.
        method: which.

    Returns:
        (H, W) float32 in 0..1; exactly 0 and 1 where the trimap is known. Unknown pixels of a trimap with only one
        known side get that side: there is nothing to compare with.

    Raises:
        ModuleNotFoundError: pymatting is not installed.
        ValueError: unknown method, or shapes that do not fit.
    """
    if method not in CLASSICAL_METHODS:
        raise ValueError(f"unknown method {method!r}, expected one of {', '.join(CLASSICAL_METHODS)}")
    colours, _ = check_image_and_alpha(image, trimap)
    unknown, opaque = trimap == UNKNOWN, trimap == FOREGROUND
    alpha: NDArray[np.float32] = opaque.astype(np.float32)
    if not unknown.any():
        return alpha
    if not opaque.any() or not (trimap == 0).any():
        alpha[unknown] = float(opaque.any())
        return alpha
    window = _window(unknown) if method == "closed-form" else (slice(None), slice(None))
    part = trimap[window]
    if not (part == FOREGROUND).any() or not (part == 0).any():
        window, part = (slice(None), slice(None)), trimap
    found = _estimate(colours[window].astype(np.float64), (part / 255.0).round(1), method)
    alpha[window][unknown[window]] = np.clip(found, 0.0, 1.0)[unknown[window]]
    return alpha


def separate_foreground(image: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float32]:
    """Colours of the foreground in a photograph, with the background taken out of half-transparent pixels.

    Germer et al., "Fast multi-level foreground estimation", 2020: foreground and background are smooth and add up to
    the image. `graspcut.matting.foreground` takes the image's colours for those of the foreground and does not do this.

    Args:
        image: (H, W, 3) uint8, or float in 0..1.
        alpha: (H, W) float in 0..1, or uint8.

    Returns:
        (H, W, 3) float32 in 0..1.

    Raises:
        ModuleNotFoundError: pymatting is not installed.
        ValueError: shapes that do not fit.
    """
    from pymatting import estimate_foreground_ml

    colours, opacity = check_image_and_alpha(image, alpha)
    found = estimate_foreground_ml(colours.astype(np.float64), opacity.astype(np.float64))
    return np.clip(np.asarray(found, dtype=np.float32), 0.0, 1.0)


def _estimate(image: NDArray[np.float64], trimap: NDArray[np.float64], method: ClassicalMethod) -> NDArray[Any]:
    """pymatting's estimate; trimap of 0, 0.5 and 1."""
    from pymatting import estimate_alpha_cf, estimate_alpha_knn, ichol

    def shifted(matrix: Any) -> Any:
        return ichol(matrix, shifts=(_BREAKDOWN_SHIFT, 1.0e-2, 1.0e-1, 1.0))

    # pymatting prints on standard output that a first factorisation failed, and goes on with the next.
    with contextlib.redirect_stdout(io.StringIO()):
        if method == "knn":
            return np.asarray(estimate_alpha_knn(image, trimap))
        try:
            return np.asarray(estimate_alpha_cf(image, trimap))
        except ValueError:
            return np.asarray(estimate_alpha_cf(image, trimap, preconditioner=shifted))


def _window(unknown: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    return (
        slice(max(int(rows[0]) - _MARGIN_PX, 0), int(rows[-1]) + _MARGIN_PX + 1),
        slice(max(int(columns[0]) - _MARGIN_PX, 0), int(columns[-1]) + _MARGIN_PX + 1),
    )
