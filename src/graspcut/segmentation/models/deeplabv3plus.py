"""DeepLabv3+, the baseline of DenseAttentionSeg.

Source: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", 2018,
section 3: ResNet at output stride 16, ASPP (6, 12, 18), up by 4, joined with layer1 reduced to 48 channels, 3x3
convolutions, classes, up by 4. Plain convolutions instead of separable ones, as with every ResNet trunk. Input: see
`DenseAttentionSeg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.aspp import ASPP
from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.resnet import ResNetTrunk


@dataclass(frozen=True)
class DeepLabV3PlusConfig:
    """Sizes and options of `DeepLabV3Plus`.

    Attributes:
        classes: number of output classes.
        encoding: name of the input encoding ("slab", "raw", "geometry").
        input_mean, input_std: the encoded input becomes (input - mean) / std.
        depth: 50, 101 or 152, the ResNet.
        trunk_width: channels of the ResNet's stem; 64 in the paper, fewer for comparisons on small machines.
        low_level_width: channels layer1 is reduced to.
        decoder_width: channels of the decoder's convolutions.
        decoder_convolutions: number of 3x3 convolutions; two in the paper, one in some public code.
        aspp_dilations: of the ASPP's 3x3 branches. They are for 640x480: of small pictures they reach out.
        aspp_dropout: dropout after the ASPP projection.
        working_focal_px: focal length in pixels the network is trained and run at (640x480 frames of an SR300 have
            476); None takes every frame as it is.
    """

    classes: int = 3
    encoding: str = "slab"
    input_mean: float = 0.0
    input_std: float = 1.0
    depth: int = 50
    trunk_width: int = 64
    low_level_width: int = 48
    decoder_width: int = 256
    decoder_convolutions: int = 2
    aspp_dilations: tuple[int, ...] = (6, 12, 18)
    aspp_dropout: float = 0.1
    working_focal_px: float | None = 480.0

    def __post_init__(self) -> None:
        if self.decoder_convolutions < 1:
            raise ValueError(f"decoder_convolutions is {self.decoder_convolutions}, expected at least 1")
        if self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}, expected a positive number")


def _convolution_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class DeepLabV3PlusHead(nn.Module):
    """ASPP and decoder: layer1 and layer4 features -> logits at the stride of layer1."""

    def __init__(self, config: DeepLabV3PlusConfig, level_channels: Sequence[int]) -> None:
        super().__init__()
        self.aspp = ASPP(level_channels[-1], dilations=config.aspp_dilations, dropout=config.aspp_dropout)
        self.low_level = _convolution_bn_relu(level_channels[1], config.low_level_width, 1)
        layers: list[nn.Module] = []
        channels = 256 + config.low_level_width
        for _ in range(config.decoder_convolutions):
            layers.append(_convolution_bn_relu(channels, config.decoder_width, 3))
            channels = config.decoder_width
        layers.append(nn.Conv2d(channels, config.classes, 1))
        self.decoder = nn.Sequential(*layers)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map layer1 (B, 256, H/4, W/4) and layer4 (B, 2048, H/16, W/16) to logits (B, classes, H/4, W/4)."""
        context = functional.interpolate(self.aspp(high), size=low.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.decoder(torch.cat((context, self.low_level(low)), dim=1))
        return logits


class DeepLabV3Plus(nn.Module):
    """Depth -> class logits (see the module)."""

    def __init__(self, config: DeepLabV3PlusConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else DeepLabV3PlusConfig()
        self.encoding = build_encoding(self.config.encoding)
        self.trunk = ResNetTrunk(
            self.config.depth, self.encoding.channels, output_stride=16, width=self.config.trunk_width
        )
        self.head = DeepLabV3PlusHead(self.config, self.trunk.channels)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data; any H, W from 32 pixels on.
            focal_px: (B,) float32, focal length in pixels; only the "geometry" encoding uses it.

        Returns:
            (B, classes, H, W) logits.
        """
        encoded = (self.encoding(depth_mm, focal_px) - self.config.input_mean) / self.config.input_std
        levels = self.trunk(encoded)
        logits = self.head(levels[1], levels[4])
        return functional.interpolate(logits, size=depth_mm.shape[-2:], mode="bilinear", align_corners=False)
