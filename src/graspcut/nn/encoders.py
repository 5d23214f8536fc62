"""Encoders by name: image or encoded depth -> maps of several sizes, finest first.

    encoder = build_encoder("resnet50", input_channels=4, output_stride=16, weights="resnet50.pth")
    levels = encoder(image)                 # one tensor for each of encoder.channels

ImageNet weights come from a local file, never from the net (see `graspcut.nn.pretrained`). To add an encoder, write the
module with `channels` and `strides` and give it a line in `ENCODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from graspcut.nn.blocks import LightContext, ResidualBlock, convolution_bn_relu
from graspcut.nn.pretrained import load_pretrained
from graspcut.nn.resnet import ResNetTrunk
from graspcut.nn.vgg import VGG16Trunk

LIGHT_WIDTHS = (16, 24, 48, 96, 128)
LIGHT_BLOCKS = (0, 1, 2, 3, 3)


class LightEncoder(nn.Module):
    """A small residual encoder for CPUs: six levels with strides 2, 4, 8, 16, 16 (dilated), 16 (context).

    Sizes are rounded up.

    Args:
        inputs: channels in.
        widths: channels of levels 1 to 5.
        blocks: residual blocks of levels 1 to 5.
        context_width: channels of level 6, the context module.
        context_dilations: dilations of its 3x3 branches at stride 16.

    Attributes:
        channels: of the six levels.
        strides: of the six levels.
    """

    strides = (2, 4, 8, 16, 16, 16)

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int] = LIGHT_WIDTHS,
        blocks: Sequence[int] = LIGHT_BLOCKS,
        context_width: int = 96,
        context_dilations: Sequence[int] = (2, 4),
    ) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        channels = inputs
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
            dilation = 2 if number == 5 else 1
            layers: list[nn.Module] = [convolution_bn_relu(channels, width, stride=1 if number == 5 else 2)]
            layers += [ResidualBlock(width, dilation) for _ in range(count)]
            levels.append(nn.Sequential(*layers))
            channels = width
        levels.append(LightContext(channels, context_width, context_dilations))
        self.levels = nn.ModuleList(levels)
        self.channels = (*widths, context_width)

    def forward(self, encoded: Tensor) -> list[Tensor]:
        """Map (B, inputs, H, W) to the six levels, finest first."""
        outputs: list[Tensor] = []
        for level in self.levels:
            encoded = level(encoded)
            outputs.append(encoded)
        return outputs


class VGG16Encoder(VGG16Trunk):
    """VGG-16 as an encoder: the last convolution of each of its five stages.

    Args:
        input_channels: channels in.
        output_stride: 16, or 8 with a dilated fifth stage.
    """

    def __init__(self, input_channels: int = 3, output_stride: int = 16) -> None:
        super().__init__(input_channels, output_stride=output_stride)
        self.strides = (1, 2, 4, 8, output_stride)

    def forward(self, image: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Map (B, input_channels, H, W) to five levels, finest first."""
        return super().forward(image)[0]


def _resnet(depth: int) -> Callable[[int, int], nn.Module]:
    return lambda input_channels, output_stride: ResNetTrunk(depth, input_channels, output_stride)


def _light(input_channels: int, output_stride: int) -> nn.Module:
    if output_stride != 16:
        raise ValueError(f"the light encoder has output stride 16, got {output_stride}")
    return LightEncoder(input_channels)


# name -> (makes it from input channels and output stride, first convolution of its public ImageNet weights or None)
ENCODERS: dict[str, tuple[Callable[[int, int], nn.Module], str | None]] = {
    "light": (_light, None),
    "resnet50": (_resnet(50), "conv1.weight"),
    "resnet101": (_resnet(101), "conv1.weight"),
    "vgg16": (VGG16Encoder, "features.0.weight"),
}


def build_encoder(
    name: str, *, input_channels: int = 3, output_stride: int = 16, weights: str | Path | None = None
) -> Any:
    """An encoder with `channels` and `strides`, one entry for each map that it returns.

    Args:
        name: "light", "resnet50", "resnet101" or "vgg16".
        input_channels: channels in; the stem of ImageNet weights is converted (see `convert_stem`).
        output_stride: of the coarsest map: 8, 16 or 32; the light encoder has 16, VGG-16 8 or 16.
        weights: local file of ImageNet weights under torchvision's names; None initialises randomly.

    Raises:
        ValueError: unknown name, a stride the encoder does not have, or weights that do not fit.
        FileNotFoundError: there is no such file.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}, expected one of {', '.join(ENCODERS)}")
    make, stem = ENCODERS[name]
    encoder = make(input_channels, output_stride)
    if weights is not None:
        if stem is None:
            raise ValueError(f"there are no ImageNet weights for the encoder {name!r}: leave weights out")
        report = load_pretrained(encoder, weights, stem=stem, head_prefixes=("fc.", "classifier."))
        if report.missing:
            raise ValueError(f"{weights} lacks weights of {name}: {', '.join(report.missing[:5])}; take another file")
    return encoder
