"""The four numbers of matting: SAD, MSE, gradient error and connectivity error.

Source: the evaluation program of "Deep Image Matting" (Xu et al., 2017), which the papers of table 2 use, after
Rhemann et al., "A perceptually motivated online benchmark for image matting", 2009. All sums go over the unknown
pixels of the trimap alone (its value 128). SAD, Grad and Conn are divided by 1000, MSE by the number of unknown pixels.

Deviations, with the reason:
    - Where prediction and truth share no pixel above a threshold, the official program stops with an indexing error;
      here the largest common component is empty ("limit"). "skip" passes over such thresholds, as a port of the program
      does.
    - `gradient_error(mode="lsa")` is the paper's own program: a filter cut to 7x7 and values that are not stretched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

GradientMode = Literal["official", "lsa"]
ConnectivityRule = Literal["limit", "skip"]

GRADIENT_SIGMA_PX = 1.4
_CUT_OFF = 0.01
_LEVELS = 11
_CONNECTIVITY_THRESHOLD = 0.15
UNKNOWN_TRIMAP = 128


@dataclass(frozen=True)
class MattingScores:
    """The four numbers of one image, or their means over images.

    Attributes:
        sad: sum of absolute differences, in thousands.
        mse: mean squared difference over the unknown pixels.
        grad: gradient error, in thousands.
        conn: connectivity error, in thousands.
    """

    sad: float
    mse: float
    grad: float
    conn: float


def matting_scores(
    predicted: NDArray[Any],
    alpha: NDArray[Any],
    trimap: NDArray[np.uint8],
    *,
    gradient: GradientMode = "official",
    connectivity: ConnectivityRule = "limit",
) -> MattingScores:
    """All four numbers of one image.

    Args:
        predicted: (H, W) float in 0..1, or uint8 in 0..255.
        alpha: (H, W), the truth, likewise.
        trimap: (H, W) uint8; only pixels of value 128 count.
        gradient: see `gradient_error`.
        connectivity: see `connectivity_error`.

    Raises:
        ValueError: shapes or types do not fit.
    """
    return MattingScores(
        sad=sum_of_absolute_differences(predicted, alpha, trimap),
        mse=mean_squared_error(predicted, alpha, trimap),
        grad=gradient_error(predicted, alpha, trimap, mode=gradient),
        conn=connectivity_error(predicted, alpha, trimap, rule=connectivity),
    )


def sum_of_absolute_differences(predicted: NDArray[Any], alpha: NDArray[Any], trimap: NDArray[np.uint8]) -> float:
    """SAD: sum |p - g| over the unknown pixels, divided by 1000; arguments of `matting_scores`."""
    first, second, unknown = _checked(predicted, alpha, trimap)
    return float(np.abs(first - second)[unknown].sum()) / 1000.0


def mean_squared_error(predicted: NDArray[Any], alpha: NDArray[Any], trimap: NDArray[np.uint8]) -> float:
    """MSE: mean (p - g)^2 over the unknown pixels; NaN if there are none; arguments of `matting_scores`."""
    first, second, unknown = _checked(predicted, alpha, trimap)
    if not unknown.any():
        return math.nan
    return float(np.square(first - second)[unknown].mean())


def gradient_error(
    predicted: NDArray[Any], alpha: NDArray[Any], trimap: NDArray[np.uint8], *, mode: GradientMode = "official"
) -> float:
    """Grad: sum (|grad p| - |grad g|)^2 over the unknown pixels, divided by 1000.

    Args:
        predicted, alpha, trimap: of `matting_scores`.
        mode: "official": both maps are first stretched so that their smallest value is 0 and their largest 1 (a
            constant map becomes 0 or 1), and filtered with 9x9 derivatives of a Gaussian of sigma 1.4. "lsa": not
            stretched, 7x7.

    Raises:
        ValueError: another mode, or shapes or types that do not fit.
    """
    first, second, unknown = _checked(predicted, alpha, trimap)
    if mode == "official":
        first, second = _stretched(first), _stretched(second)
    elif mode != "lsa":
        raise ValueError(f"unknown mode {mode!r}, expected 'official' or 'lsa'")
    radius = gradient_radius_px() if mode == "official" else gradient_radius_px() - 1
    difference = gradient_magnitude(first, radius) - gradient_magnitude(second, radius)
    return float(np.square(difference)[unknown].sum()) / 1000.0


def gradient_radius_px(sigma_px: float = GRADIENT_SIGMA_PX) -> int:
    """Half size of the filter: where the Gaussian falls below 0.01, rounded up; 4 for sigma 1.4."""
    return math.ceil(sigma_px * math.sqrt(-2.0 * math.log(math.sqrt(2.0 * math.pi) * sigma_px * _CUT_OFF)))


def gradient_magnitude(
    values: NDArray[np.float64], radius_px: int | None = None, sigma_px: float = GRADIENT_SIGMA_PX
) -> NDArray[np.float64]:
    """Length of the gradient by Gaussian derivatives g(y) g'(x) and g(x) g'(y) of unit energy; borders are replicated.

    Args:
        values: (H, W) float64.
        radius_px: half size of the filter; `gradient_radius_px` if None.
        sigma_px: of the Gaussian.

    Returns:
        (H, W) float64.
    """
    radius = gradient_radius_px(sigma_px) if radius_px is None else radius_px
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    gaussian = np.exp(-(offsets**2) / (2.0 * sigma_px**2)) / (sigma_px * math.sqrt(2.0 * math.pi))
    slope = -offsets * gaussian / sigma_px**2
    scale = 1.0 / math.sqrt(float(np.square(np.outer(gaussian, slope)).sum()))
    # cv2 correlates; the slope is antisymmetric, so convolving only changes the sign.
    across = cv2.sepFilter2D(values, cv2.CV_64F, slope * scale, gaussian, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(values, cv2.CV_64F, gaussian, slope * scale, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.sqrt(across**2 + down**2), dtype=np.float64)


def connectivity_error(
    predicted: NDArray[Any], alpha: NDArray[Any], trimap: NDArray[np.uint8], *, rule: ConnectivityRule = "limit"
) -> float:
    """Conn: how differently pixels hang on to the largest region that both maps share, divided by 1000.

    For the thresholds t = 0.1, 0.2 .. 1, omega is the largest 4-connected component of (p >= t and g >= t). A pixel
    that leaves omega at t has the level t - 0.1, one that never leaves 1. With d = value - level, phi = 1 - d where d
    >= 0.15 and 1 elsewhere; the error is sum |phi_p - phi_g|. Of equally large components the first in reading order
    counts.

    Args:
        predicted, alpha, trimap: of `matting_scores`.
        rule: what happens where no pixel is above t in both: "limit", omega is empty; "skip", t is passed over.

    Raises:
        ValueError: another rule, or shapes or types that do not fit.
    """
    first, second, unknown = _checked(predicted, alpha, trimap)
    if rule not in ("limit", "skip"):
        raise ValueError(f"unknown rule {rule!r}, expected 'limit' or 'skip'")
    thresholds = np.arange(_LEVELS) / 10.0
    level = np.full(first.shape, -1.0)
    for index in range(1, _LEVELS):
        both = (first >= thresholds[index]) & (second >= thresholds[index])
        if both.any():
            omega = _largest_component(both)
        elif rule == "skip":
            continue
        else:
            omega = both
        level[(level < 0.0) & ~omega] = thresholds[index - 1]
    level[level < 0.0] = 1.0
    return float(np.abs(_connectedness(first, level) - _connectedness(second, level))[unknown].sum()) / 1000.0


def _connectedness(values: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    distance = values - level
    return np.asarray(1.0 - distance * (distance >= _CONNECTIVITY_THRESHOLD))


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.flatnonzero(areas == areas.max())
    if len(largest) > 1:
        # The program that is followed labels column by column; the first label wins.
        rank = [int(np.flatnonzero((labels == label).T.ravel())[0]) for label in largest]
        largest = largest[[int(np.argmin(rank))]]
    return np.asarray(labels == largest[0])


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.clip(values, 0.0, 1.0)
    return np.asarray((values - low) / (high - low))


def _checked(
    predicted: NDArray[Any], alpha: NDArray[Any], trimap: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    maps = []
    for name, values in (("prediction", np.asarray(predicted)), ("alpha", np.asarray(alpha))):
        if values.dtype == np.uint8:
            maps.append(values.astype(np.float64) / 255.0)
        elif np.issubdtype(values.dtype, np.floating):
            maps.append(values.astype(np.float64))
        else:
            raise ValueError(f"the {name} holds {values.dtype}; expected float in 0..1 or uint8")
    if maps[0].ndim != 2 or maps[0].shape != maps[1].shape or maps[0].shape != np.shape(trimap):
        raise ValueError(
            f"prediction {maps[0].shape}, alpha {maps[1].shape} and trimap {np.shape(trimap)} do not belong together; "
            "expected three maps (H, W) of one size"
        )
    return maps[0], maps[1], np.asarray(trimap) == UNKNOWN_TRIMAP
