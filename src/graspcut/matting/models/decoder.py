"""The decoder of LSA matting: squeeze-excited blocks from coarse to fine, a head at full size, room for refinement.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", figure 1 and section 3; VoVNet's
squeeze-excitation with one convolution and hard sigmoid. Between levels features grow by repeating pixels, at last
bilinearly.

The output of a decoder block can be modulated, exp(a) * features + b: that is where the backpropagating refinement of
section 4.3 works (`graspcut.matting.refinement`). Without modulation nothing is computed for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Modulation = Mapping[int, tuple[Tensor, Tensor]]


class SqueezedBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, then every channel is scaled by hsigmoid(W mean + b)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.excitation = nn.Conv2d(outputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        features = functional.relu(self.norm(self.convolution(features)))
        weights = functional.hardsigmoid(self.excitation(features.mean(dim=(2, 3), keepdim=True)))
        return features * weights


class MattingDecoder(nn.Module):
    """Blocks 5 to 1 and the head.

    Args:
        skips: channels of the encoder's levels, finest (stride 2) first.
        widths: channels of the blocks' outputs, finest first.
        inputs: channels of what stands beside the features at full size.
        head: channels of the head's convolutions.

    Attributes:
        widths: as given.
    """

    def __init__(self, skips: Sequence[int], widths: Sequence[int], inputs: int, head: int = 32) -> None:
        super().__init__()
        self.widths = tuple(widths)
        below = [*widths[1:], 0]
        self.blocks = nn.ModuleList(
            SqueezedBlock(skip + lower, width) for skip, lower, width in zip(skips, below, widths, strict=True)
        )
        self.head = nn.Sequential(
            nn.Conv2d(inputs + widths[0], head, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head, head, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head, 1, 3, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, levels: Sequence[Tensor], beside: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Decode.

        Args:
            levels: of the encoder, finest first, each half as large as the one before, rounded up.
            beside: (B, inputs, H, W), goes into the head at full size.
            modulation: block number, 1 (finest) to 5, -> (a, b) of the shape of that block's output.

        Returns:
            (B, 1, H, W), not bounded.
        """
        features = self._modulated(len(levels), self.blocks[-1](levels[-1]), modulation)
        for number in range(len(levels) - 1, 0, -1):
            skip = levels[number - 1]
            grown = functional.interpolate(features, size=skip.shape[-2:], mode="nearest")
            features = self.blocks[number - 1](torch.cat((skip, grown), dim=1))
            features = self._modulated(number, features, modulation)
        full = functional.interpolate(features, size=beside.shape[-2:], mode="bilinear", align_corners=False)
        found: Tensor = self.head(torch.cat((beside, full), dim=1))
        return found

    @staticmethod
    def _modulated(number: int, features: Tensor, modulation: Modulation | None) -> Tensor:
        if modulation is None or number not in modulation:
            return features
        scale, shift = modulation[number]
        return scale.exp() * features + shift
