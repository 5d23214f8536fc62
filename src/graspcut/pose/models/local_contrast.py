"""Local contrast normalisation as a module, so that it is part of every exported graph (see `pose.preprocessing`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.precision import without_autocast
from graspcut.pose.preprocessing import LCN_FLOOR, LCN_KERNEL, lcn_kernel


class LocalContrast(nn.Module):
    """`local_contrast_normalisation` of a batch.

    Args:
        kernel: Edge of the window, odd.
    """

    def __init__(self, kernel: int = LCN_KERNEL) -> None:
        super().__init__()
        self.kernel = kernel
        weights = torch.from_numpy(lcn_kernel(kernel))
        self.register_buffer("weights", torch.outer(weights, weights)[None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, H, W) to the same shape."""
        coverage = self._windowed(torch.ones_like(image[:1]))
        v = image - self._windowed(image) / coverage
        s = torch.sqrt(self._windowed(v * v) / coverage)
        floor = s.mean(dim=(1, 2, 3), keepdim=True).clamp(min=LCN_FLOOR)
        return v / torch.maximum(s, floor)

    def _windowed(self, image: Tensor) -> Tensor:
        weights = self.weights
        assert isinstance(weights, Tensor)
        with without_autocast(image):
            return functional.conv2d(image, weights, padding=self.kernel // 2)
