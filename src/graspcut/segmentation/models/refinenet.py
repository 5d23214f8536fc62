"""RefineNet, a baseline of DenseAttentionSeg.

Source: Lin et al., "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation", 2017, section
3: from the coarsest ResNet stage to the finest, residual convolution units, fusion with the coarser path, chained
residual pooling, output convolution units.

Choices: the text describes chains of two poolings and one output unit (`RefineNetConfig.paper()`); the
released models have four and three, which is the default. Pools come before their convolutions. No batch norm outside
the trunk. Input: see `DenseAttentionSeg`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.resnet import ResNetTrunk

_RELATIVE_WIDTHS = (1, 1, 1, 2)  # of the paths, finest first, in units of the configured width
_INPUT_UNITS = 2


@dataclass(frozen=True)
class RefineNetConfig:
    """Sizes and options of `RefineNet`.

    Attributes:
        classes: number of output classes.
        encoding: name of the input encoding ("slab", "raw", "geometry").
        input_mean, input_std: the encoded input becomes (input - mean) / std.
        depth: 50, 101 or 152, the ResNet.
        trunk_width: channels of the ResNet's stem; 64 in the paper.
        width: channels of the three finer paths; the coarsest has twice as many.
        chained_poolings: poolings in each chain.
        output_units: residual units after each chain.
        dropout: on the two coarsest stages and before the classifier.
        working_focal_px: focal length in pixels the network is trained and run at (640x480 frames of an SR300 have
            476); None takes every frame as it is.
    """

    classes: int = 3
    encoding: str = "slab"
    input_mean: float = 0.0
    input_std: float = 1.0
    depth: int = 50
    trunk_width: int = 64
    width: int = 256
    chained_poolings: int = 4
    output_units: int = 3
    dropout: float = 0.5
    working_focal_px: float | None = 480.0

    def __post_init__(self) -> None:
        if self.chained_poolings < 1 or self.output_units < 0:
            raise ValueError(
                f"chained_poolings is {self.chained_poolings} and output_units {self.output_units}, expected at least "
                "1 and 0"
            )
        if self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}, expected a positive number")

    @classmethod
    def paper(cls) -> RefineNetConfig:
        """As the paper's text describes it."""
        return cls(chained_poolings=2, output_units=1)


def _convolution(inputs: int, outputs: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


class ResidualConvolutionUnit(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, and a shortcut that carries the input as it was."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, bias=True)
        self.second = _convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        branch = self.first(functional.relu(features))  # not in place: the shortcut needs the negative values
        found: Tensor = features + self.second(functional.relu(branch))
        return found


class ChainedResidualPooling(nn.Module):
    """A chain of 5x5 poolings and 3x3 convolutions; every link is added."""

    def __init__(self, width: int, poolings: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_convolution(width, width) for _ in range(poolings))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        total = link = functional.relu(features)
        for convolve in self.convolutions:
            link = convolve(functional.max_pool2d(link, 5, 1, padding=2))
            total = total + link
        return total


class RefinementPath(nn.Module):
    """One level: reduction, residual units, fusion with the coarser path, chained pooling, output units."""

    def __init__(self, inputs: int, width: int, coarser_width: int | None, config: RefineNetConfig) -> None:
        super().__init__()
        self.reduce = _convolution(inputs, width)
        self.adapt = nn.Sequential(*(ResidualConvolutionUnit(width) for _ in range(_INPUT_UNITS)))
        self.own = None if coarser_width is None else _convolution(width, width)
        self.coarser = None if coarser_width is None else _convolution(coarser_width, width)
        self.pool = ChainedResidualPooling(width, config.chained_poolings)
        self.output = nn.Sequential(*(ResidualConvolutionUnit(width) for _ in range(config.output_units)))

    def forward(self, stage: Tensor, coarser: Tensor | None) -> Tensor:
        """Refine one stage.

        Args:
            stage: (B, inputs, H, W).
            coarser: (B, coarser_width, h, w), the next coarser path, or None for the coarsest.

        Returns:
            (B, width, H, W).
        """
        features = self.adapt(self.reduce(stage))
        if self.own is not None and self.coarser is not None and coarser is not None:
            raised = functional.interpolate(
                self.coarser(coarser), size=features.shape[-2:], mode="bilinear", align_corners=True
            )
            features = self.own(features) + raised
        found: Tensor = self.output(self.pool(features))
        return found


class RefineNet(nn.Module):
    """Depth -> class logits (see the module)."""

    def __init__(self, config: RefineNetConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else RefineNetConfig()
        own = self.config
        self.encoding = build_encoding(own.encoding)
        self.trunk = ResNetTrunk(own.depth, self.encoding.channels, output_stride=32, width=own.trunk_width)
        widths = [own.width * factor for factor in _RELATIVE_WIDTHS]
        coarser = [*widths[1:], None]
        self.paths = nn.ModuleList(
            RefinementPath(inputs, width, below, own)
            for inputs, width, below in zip(self.trunk.channels[1:], widths, coarser, strict=True)
        )
        self.dropout = nn.Dropout(own.dropout)
        self.classify = nn.Conv2d(own.width, own.classes, 3, padding=1)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data; any H, W from 32 pixels on.
            focal_px: (B,) float32, focal length in pixels; only the "geometry" encoding uses it.

        Returns:
            (B, classes, H, W) logits.
        """
        encoded = (self.encoding(depth_mm, focal_px) - self.config.input_mean) / self.config.input_std
        stages = self.trunk(encoded)[1:]
        stages[2], stages[3] = self.dropout(stages[2]), self.dropout(stages[3])
        features = self.paths[3](stages[3], None)
        for level in (2, 1, 0):
            features = self.paths[level](stages[level], features)
        logits = self.classify(self.dropout(features))
        return functional.interpolate(logits, size=depth_mm.shape[-2:], mode="bilinear", align_corners=True)
