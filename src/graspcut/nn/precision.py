"""Where half precision must not reach."""

from __future__ import annotations

import torch
from torch import Tensor


def without_autocast(like: Tensor) -> torch.autocast:
    """A block in which autocast makes nothing half precision.

    Millimetres, and small differences of large numbers, do not survive the eight bits of bfloat16.

    Args:
        like: a tensor of the device that computes.
    """
    return torch.autocast("cuda" if like.is_cuda else "cpu", enabled=False)
