"""Image or depth -> the features that windows are judged on: VGG-16 as in the paper, or the light encoder for depth.

Both take `image` (B, channels, H, W) float32 and `focal_px` (B,) float32, the focal length at this resolution:

    "depth"    1 channel: millimetres, 0 = no data
    "colour"   3 channels: RGB, 0..255
    "both"     4 channels: RGB, then millimetres
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.blocks import convolution_bn_relu, crop_to
from graspcut.nn.depth_encoding import SlabEncoding, build_encoding
from graspcut.nn.encoders import LightEncoder
from graspcut.nn.vgg import VGG16Trunk

INPUT_CHANNELS = {"depth": 1, "colour": 3, "both": 4}
# Of ImageNet in RGB, 0..255; depth is brought to the same spread.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_DEPTH_MEAN, _DEPTH_STD = 0.449, 0.226


def check_inputs(inputs: str) -> str:
    """`inputs`, if it is known.

    Raises:
        ValueError: lists the known ones.
    """
    if inputs not in INPUT_CHANNELS:
        raise ValueError(f"unknown inputs {inputs!r}, expected one of {', '.join(INPUT_CHANNELS)}")
    return inputs


class VGGFeatures(nn.Module):
    """VGG-16 up to conv5_3, with input scaling (ImageNet's mean and deviation; depth as the 16 cm slab).

    Args:
        inputs: a key of `INPUT_CHANNELS`.
        output_stride: 8 (pool4 with stride 1, conv5 dilated) or 16.
    """

    channels = 512
    mean: Tensor
    std: Tensor

    def __init__(self, inputs: str = "colour", output_stride: int = 8) -> None:
        super().__init__()
        self.inputs = check_inputs(inputs)
        self.trunk = VGG16Trunk(INPUT_CHANNELS[inputs], ceil_mode=True, output_stride=output_stride)
        self.slab = SlabEncoding()
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, focal_px: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, 512, ceil(H / stride), ceil(W / stride))."""
        parts = []
        if self.inputs != "depth":
            parts.append((image[:, :3] - self.mean) / self.std)
        if self.inputs != "colour":
            parts.append((self.slab(image[:, -1:], focal_px) - _DEPTH_MEAN) / _DEPTH_STD)
        features: Tensor = self.trunk(torch.cat(parts, dim=1))[0][-1]
        return features


class LightFeatures(nn.Module):
    """The light encoder of DenseAttentionSmall, its levels added up from coarse to fine at one stride.

    Args:
        encoding: name of the depth encoding.
        widths, blocks, context_width, context_dilations: see `LightEncoder`; the defaults are those of
            `dense-attention-small`, whose encoder weights fit.
        outputs: channels of the result.
        stride: 4 or 8.
    """

    def __init__(
        self,
        encoding: str,
        widths: Sequence[int],
        blocks: Sequence[int],
        context_width: int,
        context_dilations: Sequence[int],
        outputs: int,
        stride: int,
    ) -> None:
        super().__init__()
        if stride not in (4, 8):
            raise ValueError(f"the stride of light features is {stride}, expected 4 or 8")
        self.encoding = build_encoding(encoding)
        self.encoder = LightEncoder(self.encoding.channels, widths, blocks, context_width, context_dilations)
        self.channels = outputs
        # Levels joined, coarse to fine: context (16), level 3 (8), level 2 (4).
        self.joined = (5, 2, 1) if stride == 4 else (5, 2)
        self.lateral = nn.ModuleList(
            nn.Conv2d(self.encoder.channels[level], outputs, 1, bias=number == 0)
            for number, level in enumerate(self.joined)
        )
        self.smooth = convolution_bn_relu(outputs, outputs)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Map (B, 1, H, W) millimetres to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        levels = self.encoder(self.encoding(depth_mm, focal_px))
        features = self.lateral[0](levels[self.joined[0]])
        for lateral, level in zip(self.lateral[1:], self.joined[1:], strict=True):
            finer = lateral(levels[level])
            doubled = functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = finer + crop_to(doubled, finer.shape[-2:])
        smoothed: Tensor = self.smooth(functional.relu(features))
        return smoothed


def initialise_head(head: nn.Module) -> None:
    """New layers as in the paper: Gaussian weights of deviation 0.01, no bias."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
