"""Everything between 8-bit pictures and alpha as one graph, for exporting and for PyTorch sessions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graspcut.matting.images import BACKGROUND_BELOW, FOREGROUND_ABOVE


class MattingGraph(nn.Module):
    """Colours and trimap in bytes -> alpha.

    Args:
        network: one of `graspcut.matting.models`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, colour: Tensor, trimap: Tensor) -> tuple[Tensor]:
        """Estimate alpha.

        Args:
            colour: (B, H, W, 3) uint8 RGB; H and W multiples of 128.
            trimap: (B, H, W) uint8: 0, 128 and 255.

        Returns:
            (B, H, W) float32 in 0..1, exactly 0 and 1 where the trimap is known.
        """
        image = colour.to(torch.float32).permute(0, 3, 1, 2) / 255.0
        marked = trimap.to(torch.float32).unsqueeze(1) / 255.0
        found = self.network(image, marked).to(torch.float32).clamp(0.0, 1.0)
        opaque = marked > FOREGROUND_ABOVE / 255.0
        clear = marked < BACKGROUND_BELOW / 255.0
        pasted = torch.where(opaque, torch.ones_like(found), torch.where(clear, torch.zeros_like(found), found))
        return (pasted[:, 0],)
