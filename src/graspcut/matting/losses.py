"""The loss of LSA matting: differences of alpha at five scales, overshoot left alone.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 3, and its published program:
sum over l = 0..4 of 2^-l L(P^l p, P^l a) with L the mean over unknown pixels of sqrt(d^2 + eps^2), eps^2 = 1e-6, P^l
the mean over blocks of 2^l x 2^l pixels.

What the paper leaves open:
    - A coarse pixel is unknown in part. Its weight is the unknown part of it ("fractional"); "any" counts it whole.
    - Where alpha is 1 and more is predicted, or 0 and less, cutting off gives the right value, so there is no error.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

SCALES = 5
EPSILON_SQUARED = 1.0e-6
_OPAQUE, _CLEAR = 0.999, 0.001


def alpha_difference(predicted: Tensor, alpha: Tensor) -> Tensor:
    """predicted - alpha, 0 (and without gradient) where cutting off to 0..1 gives the right value.

    Args:
        predicted: (B, 1, H, W), not bounded.
        alpha: (B, 1, H, W) in 0..1.

    Returns:
        (B, 1, H, W).
    """
    overshoot = ((alpha > _OPAQUE) & (predicted > 1.0)) | ((alpha < _CLEAR) & (predicted < 0.0))
    return torch.where(overshoot, torch.zeros_like(predicted), predicted - alpha)


def multi_scale_loss(
    predicted: Tensor,
    alpha: Tensor,
    unknown: Tensor,
    *,
    scales: int = SCALES,
    coarse: Literal["fractional", "any"] = "fractional",
) -> Tensor:
    """The loss of section 3.

    Pooling is linear, so the pooled difference is the difference of the pooled maps. Known pixels take part in a coarse
    pixel's mean. A row or column that does not fill a block is left out.

    Args:
        predicted: (B, 1, H, W), not bounded.
        alpha: (B, 1, H, W) in 0..1.
        unknown: (B, 1, H, W), 1 where the trimap is unknown, else 0.
        scales: number of scales.
        coarse: what makes a coarse pixel count, see above.

    Returns:
        scalar; 0 if nothing is unknown.

    Raises:
        ValueError: shapes that differ, or an unknown option.
    """
    if not predicted.shape == alpha.shape == unknown.shape:
        raise ValueError(
            f"prediction {tuple(predicted.shape)}, alpha {tuple(alpha.shape)} and unknown {tuple(unknown.shape)}: "
            "expected three equal maps (B, 1, H, W)"
        )
    if coarse not in ("fractional", "any"):
        raise ValueError(f"unknown coarse {coarse!r}, expected 'fractional' or 'any'")
    difference = alpha_difference(predicted, alpha)
    weight = unknown.to(predicted.dtype)
    total = predicted.new_zeros(())
    for scale in range(scales):
        if scale:
            if min(difference.shape[-2:]) < 2:
                break
            difference = functional.avg_pool2d(difference, 2)
            weight = functional.avg_pool2d(weight, 2) if coarse == "fractional" else functional.max_pool2d(weight, 2)
        size = (difference.square() + EPSILON_SQUARED).sqrt()
        # One more pixel below keeps an image without unknown pixels from dividing by 0.
        total = total + (weight * size).sum() / (weight.sum() + 1.0) / 2.0**scale
    return total
