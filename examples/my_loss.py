"""A term of the loss of one's own: one minus the Dice overlap of hand and of object.

graspcut train segmentation --folder runs/mine --loss-file my_loss.py --loss-term dice=0.5 --data frames
"""

from __future__ import annotations

import torch
from torch import Tensor

from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.own_losses import register_loss_term


def dice(logits: Tensor, batch: SegmentationBatch) -> Tensor:
    """Mean of 1 - Dice over hand and object.

    Args:
        logits: (B, 3, H, W) float32.
        batch: `labels` (B, H, W) uint8, 255 unknown; also `depth_mm` and `focal_px`.

    Returns:
        scalar.
    """
    known = batch.labels != 255
    losses = []
    for label in (1, 2):
        found = logits.softmax(dim=1)[:, label] * known
        true = (batch.labels == label).float()
        losses.append(1 - (2 * (found * true).sum() + 1) / (found.sum() + true.sum() + 1))
    return torch.stack(losses).mean()


register_loss_term("dice", dice)
