"""Losses of the pose system: section 3 of Neverova et al. (2017). Pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def part_loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Negative log-likelihood of the parts (section 3), averaged over the hand pixels of each image, then over images.

    Args:
        logits: (n, classes, H, W).
        parts: (n, H, W) integers: 0 is background and does not count, value p is class p - 1; values above the number
            of classes do not count either.

    Returns:
        A scalar; 0 if no pixel counts.
    """
    classes = logits.shape[1]
    target = parts.long() - 1
    counted = (target >= 0) & (target < classes)
    losses = functional.cross_entropy(logits, target.clamp(0, classes - 1), reduction="none") * counted
    pixels = counted.sum(dim=(1, 2))
    per_image = losses.sum(dim=(1, 2)) / pixels.clamp(min=1)
    return per_image.sum() / (pixels > 0).sum().clamp(min=1)


def joint_loss(predicted: Tensor, joints: Tensor, known: Tensor | None = None) -> Tensor:
    """Squared error of joints (section 3, step 3): the squared distance in crop units, averaged over known joints.

    Args:
        predicted: (n, joints, 3).
        joints: (n, joints, 3); values of unknown joints are ignored, NaN too.
        known: (n, joints) bool; joints that are finite if not given.
    """
    finite = torch.isfinite(joints).all(dim=2)
    counted = finite if known is None else finite & known
    target = torch.where(counted[..., None], joints, torch.zeros_like(joints))
    squared = (predicted - target).square().sum(dim=2) * counted
    return squared.sum() / counted.sum().clamp(min=1)


def joint_distance_loss(predicted: Tensor, joints: Tensor) -> Tensor:
    """Mean Euclidean distance over known joints: what the mean error measures; outliers pull less "
    "than in `joint_loss`."""
    distance, known = joint_distances(predicted, joints)
    return (distance * known).sum() / known.sum().clamp(min=1)


def joint_distances(predicted: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (n, joints) and which joints are known (n, joints) bool; unknown ones have distance 0."""
    known = torch.isfinite(joints).all(dim=2)
    target = torch.where(known[..., None], joints, predicted.detach())
    return ((predicted - target).square().sum(dim=2) + 1e-12).sqrt() * known, known


def spread_loss(log_spread: Tensor, distance: Tensor, known: Tensor) -> Tensor:
    """Negative log-likelihood of exponentially distributed errors, d / s + log s: teaches how far off a joint will be.

    The distances themselves are not moved by it.

    Args:
        log_spread: (n, joints) log s.
        distance: (n, joints) errors.
        known: (n, joints) bool.
    """
    bounded = log_spread.clamp(-7.0, 3.0)
    value = distance.detach() * torch.exp(-bounded) + bounded
    return (value * known).sum() / known.sum().clamp(min=1)
