"""A network of one's own: an encoder and a decoder with skip connections, 40,000 weights.

graspcut train segmentation --folder runs/mine --network-file my_network.py --data frames --steps 2000
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.segmentation.models import register_network


@dataclass(frozen=True)
class SmallUNetConfig:
    """Sizes of `SmallUNet`; all have defaults, and `--network-argument width=24` changes one.

    Attributes:
        width: channels at full size; twice and four times as many at half and quarter size.
        working_focal_px: focal length in pixels that the network is trained and run at. Frames of other cameras are
            brought to it, and the labels back to every pixel of theirs.
    """

    width: int = 16
    working_focal_px: float | None = 240.0


class SmallUNet(nn.Module):
    """Depth -> class logits."""

    def __init__(self, config: SmallUNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.fine = block(2, width)
        self.middle = block(width, 2 * width)
        self.coarse = block(2 * width, 4 * width)
        self.middle_again = block(4 * width + 2 * width, 2 * width)
        self.fine_again = block(2 * width + width, width)
        self.logits = nn.Conv2d(width, 3, 1)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segments depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data; any H and W.
            focal_px: (B,) float32 pixels; this network does not need it.

        Returns:
            (B, 3, H, W) logits of background, hand and object.
        """
        known = (depth_mm > 0).float()
        fine = self.fine(torch.cat((depth_mm / 1000.0 - known, known), dim=1))
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.coarse(functional.max_pool2d(middle, 2))
        middle = self.middle_again(torch.cat((as_large(coarse, middle), middle), dim=1))
        fine = self.fine_again(torch.cat((as_large(middle, fine), fine), dim=1))
        logits: Tensor = self.logits(fine)
        return logits


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, normalisation, rectifier."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def as_large(maps: Tensor, other: Tensor) -> Tensor:
    """The maps at the height and width of others, by repetition; halving an odd size and doubling it would lose one."""
    return functional.interpolate(maps, size=other.shape[-2:], mode="nearest")


register_network(SmallUNet, SmallUNetConfig)
