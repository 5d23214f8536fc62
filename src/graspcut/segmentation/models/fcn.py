"""FCN-32s, FCN-16s and FCN-8s, baselines of DenseAttentionSeg.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section 4, in the form
of the authors' released nets: VGG-16 with a border of 100 pixels and pools that round up, fc6 and fc7 as convolutions,
zero-initialised scores, and bilinear deconvolutions whose results are cropped at fixed offsets.

Choices:
    - The border of 100 makes any size possible and costs two thirds more; `border` 1 with a padded fc6 is the fast one,
      with the offsets that keep the scores in place.
    - Deconvolutions are dense over classes and start as bilinear interpolation of each class alone; they are trained,
      as in the paper's text (the released nets keep them fixed: `fixed_upsampling`).
    - Input: see `DenseAttentionSeg`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.vgg import VGG16Trunk

FAITHFUL_BORDER_PX = 100

# Where the frame begins in the deconvolved scores: (fusion with pool4, fusion with pool3, frame), by border and stride.
_OFFSETS = {
    (FAITHFUL_BORDER_PX, 32): (0, 0, 19),
    (FAITHFUL_BORDER_PX, 16): (5, 0, 27),
    (FAITHFUL_BORDER_PX, 8): (5, 9, 31),
    (1, 32): (0, 0, 16),
    (1, 16): (1, 0, 8),
    (1, 8): (1, 1, 4),
}


@dataclass(frozen=True)
class FCNConfig:
    """Sizes and options of `FCN`.

    Attributes:
        classes: number of output classes.
        stride: 32, 16 or 8: FCN-32s, FCN-16s or FCN-8s.
        encoding: name of the input encoding ("slab", "raw", "geometry").
        input_mean, input_std: the encoded input becomes (input - mean) / std.
        border: border of the first convolution in pixels: 100 as published, or 1, the fast form.
        trunk_width: channels of VGG's first stage; 64 in the paper.
        hidden_width: channels of fc6 and fc7; 4096 in the paper.
        dropout: after fc6 and fc7.
        fixed_upsampling: whether the deconvolutions stay bilinear.
        at_once: FCN-8s trained in one go: pool4 is multiplied by 0.01 and pool3 by 0.0001 before their scores. The
            paper's staged nets, each started from the coarser one, have no such factor.
        working_focal_px: focal length in pixels the network is trained and run at (640x480 frames of an SR300 have
            476); None takes every frame as it is.
    """

    classes: int = 3
    stride: int = 8
    encoding: str = "slab"
    input_mean: float = 0.0
    input_std: float = 1.0
    border: int = FAITHFUL_BORDER_PX
    trunk_width: int = 64
    hidden_width: int = 4096
    dropout: float = 0.5
    fixed_upsampling: bool = False
    at_once: bool = False
    working_focal_px: float | None = 480.0

    def __post_init__(self) -> None:
        if (self.border, self.stride) not in _OFFSETS:
            raise ValueError(f"stride is {self.stride} and border {self.border}, expected 32, 16 or 8, and 100 or 1")
        if self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}, expected a positive number")


def bilinear_kernel(size: int) -> Tensor:
    """(size, size) weights with which a deconvolution of stride size / 2 interpolates bilinearly."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    taps = 1.0 - (torch.arange(size, dtype=torch.float32) - centre).abs() / factor
    return taps[:, None] * taps[None, :]


def bilinear_deconvolution(classes: int, factor: int, *, fixed: bool) -> nn.ConvTranspose2d:
    """Deconvolution without bias that enlarges by `factor`; at first bilinear, each class from itself alone."""
    layer = nn.ConvTranspose2d(classes, classes, 2 * factor, factor, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for index in range(classes):
            layer.weight[index, index] = bilinear_kernel(2 * factor)
    layer.weight.requires_grad_(not fixed)
    return layer


def _score(inputs: int, classes: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, classes, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _window(scores: Tensor, offset: int, like: Tensor) -> Tensor:
    """The part of `scores` that begins at (offset, offset) and has the height and width of `like`."""
    height, width = like.shape[-2:]
    return scores[..., offset : offset + height, offset : offset + width]


class FCN(nn.Module):
    """Depth -> class logits (see the module)."""

    def __init__(self, config: FCNConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else FCNConfig()
        own = self.config
        faithful = own.border == FAITHFUL_BORDER_PX
        self.encoding = build_encoding(own.encoding)
        self.trunk = VGG16Trunk(self.encoding.channels, first_padding=own.border, ceil_mode=True, width=own.trunk_width)
        self.fc6 = nn.Conv2d(self.trunk.channels[-1], own.hidden_width, 7, padding=0 if faithful else 3)
        self.fc7 = nn.Conv2d(own.hidden_width, own.hidden_width, 1)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.dropout = nn.Dropout2d(own.dropout)
        self.score = _score(own.hidden_width, own.classes)
        self.score_pool4 = _score(self.trunk.channels[3], own.classes) if own.stride <= 16 else None
        self.score_pool3 = _score(self.trunk.channels[2], own.classes) if own.stride == 8 else None
        fusions = {32: 0, 16: 1, 8: 2}[own.stride]
        fixed = own.fixed_upsampling
        self.doublings = nn.ModuleList(bilinear_deconvolution(own.classes, 2, fixed=fixed) for _ in range(fusions))
        self.enlarge = bilinear_deconvolution(own.classes, own.stride, fixed=fixed)

    def scores(self, encoded: Tensor) -> list[Tensor]:
        """Scores of the encoded input (B, C, H, W): of fc7, and of pool4 and pool3 where the network uses them."""
        _, pooled = self.trunk(encoded)
        features = self.dropout(functional.relu(self.fc6(pooled[4])))
        features = self.dropout(functional.relu(self.fc7(features)))
        found = [self.score(features)]
        if self.score_pool4 is not None:
            found.append(self.score_pool4(pooled[3] * 0.01 if self.config.at_once else pooled[3]))
        if self.score_pool3 is not None:
            found.append(self.score_pool3(pooled[2] * 0.0001 if self.config.at_once else pooled[2]))
        return found

    def fuse(self, scores: list[Tensor], like: Tensor) -> Tensor:
        """Scores, coarsest first, -> logits of the height and width of `like`."""
        *fusion_offsets, frame_offset = _OFFSETS[self.config.border, self.config.stride]
        coarse = scores[0]
        for finer, double, offset in zip(scores[1:], self.doublings, fusion_offsets, strict=False):
            coarse = self._added(double(coarse), finer, offset)
        return _window(self.enlarge(coarse), frame_offset, like)

    def _added(self, doubled: Tensor, finer: Tensor, offset: int) -> Tensor:
        if self.config.border == FAITHFUL_BORDER_PX:  # the coarse map is the smaller one
            return doubled + _window(finer, offset, doubled)
        return _window(doubled, offset, finer) + finer

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
            focal_px: (B,) float32, focal length in pixels; only the "geometry" encoding uses it.

        Returns:
            (B, classes, H, W) logits.
        """
        encoded = (self.encoding(depth_mm, focal_px) - self.config.input_mean) / self.config.input_std
        return self.fuse(self.scores(encoded), depth_mm)
