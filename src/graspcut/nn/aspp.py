"""Atrous spatial pyramid pooling of DeepLabv3 (Chen et al., "Rethinking Atrous Convolution", 2017, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class _FarReachingConvolution(nn.Conv2d):
    """A dilated 3x3 convolution that, while it trains, leaves out weights that meet nothing but padding.

    On small pictures most of its work is by zeros: at 128x96 and stride 16 a dilation of 6 reaches out of all 6 rows.
    Results and gradients are the same. Trained networks keep one form for all sizes, which exports need.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        reach = self.dilation[0]
        inside = [size > reach for size in x.shape[-2:]]
        if not self.training or all(inside):
            return super().forward(x)
        rows, columns = (slice(None) if is_inside else slice(1, 2) for is_inside in inside)
        padding = [reach if is_inside else 0 for is_inside in inside]
        return functional.conv2d(x, self.weight[..., rows, columns], None, 1, padding, reach)


def _branch(inputs: int, outputs: int, dilation: int | None = None) -> nn.Sequential:
    """1x1 convolution, or dilated 3x3 convolution; without bias, with batch norm and ReLU."""
    if dilation is None:
        convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
    else:
        convolution = _FarReachingConvolution(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class ImagePooling(nn.Module):
    """Mean over the image, 1x1 convolution, batch norm, ReLU, spread over the image again.

    The norm sees one value per image and channel. A batch of one image has no variance, so in training it is normalised
    with the running statistics, which it does not change. Larger batches behave as usual.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), constant over each image."""
        pooled = self.convolution(features.mean(dim=(2, 3), keepdim=True))
        norm = self.norm
        if self.training and pooled.shape[0] == 1:
            pooled = functional.batch_norm(
                pooled, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
            )
        else:
            pooled = norm(pooled)
        return functional.relu(pooled).expand(-1, -1, *features.shape[-2:])


class ASPP(nn.Module):
    """1x1 branch, three dilated 3x3 branches, image pooling; joined by a 1x1 convolution.

    Args:
        inputs: channels in.
        outputs: channels of every branch and of the result.
        dilations: of the 3x3 branches; 6, 12, 18 at output stride 16, twice that at 8.
        dropout: after the projection.
    """

    def __init__(
        self, inputs: int = 2048, outputs: int = 256, dilations: Sequence[int] = (6, 12, 18), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_branch(inputs, outputs)])
        self.branches.extend(_branch(inputs, outputs, dilation) for dilation in dilations)
        self.branches.append(ImagePooling(inputs, outputs))
        self.project = _branch(outputs * len(self.branches), outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        joined = torch.cat([branch(features) for branch in self.branches], dim=1)
        projected: Tensor = self.dropout(self.project(joined))
        return projected
