"""Small parts that several networks are made of: convolutions with batch norm, residual blocks, context, resizing.

Sizes are rounded up where a stride does not divide them; `crop_to` cuts what doubling such a size leaves over.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution_bn_relu(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Bias-free convolution that keeps the size (over `stride`, rounded up), batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """x -> ReLU(x + BN(conv3x3(ReLU(BN(conv3x3(x)))))), channels and size kept."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = convolution_bn_relu(channels, channels, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return functional.relu(features + self.norm(self.second(self.first(features))))


class LightContext(nn.Module):
    """A light ASPP: a 1x1 branch, dilated 3x3 branches and image pooling, joined by a 1x1 convolution.

    The pooled branch has a bias instead of batch norm, so that one image per batch can be trained on.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        branch = outputs // 2
        self.point = convolution_bn_relu(inputs, branch, kernel=1)
        self.dilated = nn.ModuleList(convolution_bn_relu(inputs, branch, dilation=dilation) for dilation in dilations)
        self.pooled = nn.Conv2d(inputs, branch, 1)
        self.project = convolution_bn_relu(branch * (2 + len(dilations)), outputs, kernel=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        pooled = functional.relu(self.pooled(features.mean(dim=(2, 3), keepdim=True)))
        branches = [self.point(features), *(branch(features) for branch in self.dilated)]
        joined = torch.cat([*branches, pooled.expand(-1, -1, *features.shape[-2:])], dim=1)
        projected: Tensor = self.project(joined)
        return projected


def deconvolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Bias-free transposed convolution that multiplies the size by `stride`, batch norm, ReLU."""
    kernel = 3 if stride == 1 else 4
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def crop_to(features: Tensor, size: Sequence[int]) -> Tensor:
    """Cut the surplus row or column below and to the right, left by doubling a size that was rounded up."""
    if features.shape[-2] == size[0] and features.shape[-1] == size[1]:
        return features
    return features[..., : int(size[0]), : int(size[1])]


def resize_to(features: Tensor, size: Sequence[int], antialias: bool = False) -> Tensor:
    """Bilinear resize (align_corners False) of (B, C, h, w) to (B, C, *size); the same tensor if it fits."""
    if features.shape[-2] == size[0] and features.shape[-1] == size[1]:
        return features
    # Halving an even size bilinearly is the mean of 2x2 pixels, and pooling is the faster operation.
    if features.shape[-2] == 2 * size[0] and features.shape[-1] == 2 * size[1] and not antialias:
        return functional.avg_pool2d(features, 2)
    # A whole factor is written as such, so that an exported graph holds for every size.
    factor = size[0] // features.shape[-2]
    if factor > 1 and factor * features.shape[-2] == size[0] and factor * features.shape[-1] == size[1]:
        return functional.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=False)
    factor = features.shape[-2] // size[0]
    if factor > 1 and features.shape[-2] == factor * size[0] and features.shape[-1] == factor * size[1]:
        return functional.interpolate(
            features, scale_factor=1.0 / float(factor), mode="bilinear", align_corners=False, antialias=antialias
        )
    return functional.interpolate(
        features, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False, antialias=antialias
    )
