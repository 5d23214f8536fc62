"""Equation 1 of InstanceFCN: objectness of sampled windows, and the masks of the positive ones.

Deviations, with the reason:
    - The mask term covers positive windows only: a negative window has no mask (Pinheiro et al. 2015 do the same).
    - Each term is a mean, not a sum. The literal sum over 441 cells makes the masks outweigh the scores 441 times;
      `sum_over_cells` gives it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class WindowLoss:
    """The two terms, unweighted scalars.

    Attributes:
        objectness: mean logistic loss over windows.
        mask: mean logistic loss over positive windows and their cells on the map; 0 without a positive window.
    """

    objectness: Tensor
    mask: Tensor


def window_loss(
    objectness_logits: Tensor,
    objectness: Tensor,
    mask_logits: Tensor,
    masks: Tensor,
    inside: Tensor,
    *,
    sum_over_cells: bool = False,
) -> WindowLoss:
    """Equation 1 over the windows of a batch.

    Args:
        objectness_logits: (N,) logits p_i of sampled windows.
        objectness: (N,) 1 for positive windows, 0 for negative ones.
        mask_logits: (P, m, m) logits S_i of the positive windows.
        masks: (P, m, m) of 0 and 1.
        inside: (P, m, m) bool, cells that lie on the map; others do not count.
        sum_over_cells: add up the cells of a window as the equation does instead of taking their mean.
    """
    scores = functional.binary_cross_entropy_with_logits(objectness_logits, objectness)
    if mask_logits.shape[0] == 0:
        return WindowLoss(scores, mask_logits.sum() * 0.0)
    each = functional.binary_cross_entropy_with_logits(mask_logits, masks, reduction="none") * inside
    if sum_over_cells:
        return WindowLoss(scores, each.sum() / mask_logits.shape[0])
    return WindowLoss(scores, each.sum() / inside.sum().clamp(min=1))


def mask_iou(mask_logits: Tensor, masks: Tensor, inside: Tensor) -> Tensor:
    """Mean intersection over union of binarised windows with their targets, a scalar; NaN without a window.

    Args:
        mask_logits, masks, inside: as in `window_loss`.
    """
    predicted, truth = (mask_logits > 0) & inside, (masks > 0.5) & inside
    union = (predicted | truth).flatten(1).sum(dim=1)
    return torch.mean((predicted & truth).flatten(1).sum(dim=1) / union.clamp(min=1))
