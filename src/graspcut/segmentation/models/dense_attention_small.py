"""DenseAttentionSmall: the design of DenseAttentionSeg over a light encoder, for CPUs and quick training.

Source: Bo et al., "DenseAttentionSeg: Segment Hands from Interacted Objects Using Depth Input", section 4: an encoder
with six levels, SqueezeNets, fine and coarse attention on every skip connection, six deconvolutions, a 1x1 convolution.

Deviations, with the reason:
    - The encoder is a small residual network with a light context module instead of ResNet-50 with ASPP: two CPU cores
      have to train it from scratch. Most parameters sit at stride 16, where a pixel is cheap. Plain 3x3 convolutions
      throughout: they have more capacity per millisecond than depthwise ones once channels are many.
    - The input is `GeometryEncoding`, six channels, and the network is meant for one scale (`working_focal_px`);
      `WorkingScale` brings frames of any size and focal length to it and labels back.
    - Attention gates are sigmoids that only raise a skip: skip * (1 + fine) * (1 + coarse). The literal
      product is the option "mul".
    - The sixth deconvolution gives the classes itself: without an activation between, the 1x1 convolution is part of
      it.
    - Attention is gathered level by level (the recursive reading of "step by step") since it costs O(n).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.encoders import LightEncoder
from graspcut.nn.working_scale import adjacent_pixels
from graspcut.segmentation.models.attention import ATTENTION_FORMS, DenseAttention, SqueezeNet
from graspcut.segmentation.models.decoder import AttentionDecoder

NEIGHBOUR_CHANNELS = 6
NEIGHBOUR_MM = 20.0


@dataclass(frozen=True)
class DenseAttentionSmallConfig:
    """Sizes and options of `DenseAttentionSmall`; the defaults are the shipped network.

    Attributes:
        classes: number of output classes.
        encoding: name of the input encoding ("geometry", "slab", "raw").
        widths: channels of levels 1 to 5 (strides 2, 4, 8, 16, 16).
        blocks: residual blocks of levels 1 to 5.
        context_width: channels of level 6, the context module.
        context_dilations: dilations of its 3x3 branches at stride 16.
        squeeze_width: k, the output channels of every SqueezeNet.
        decoder_widths: output channels of the first five deconvolutions (strides 1, 1, 2, 2, 2); the sixth gives the
            classes. Six entries: the paper's form with a 1x1 convolution at full resolution, much slower to train.
        attention: "gate", "mul", "concat" or "none".
        recursive_attention: True: resize the running product; False: resize every level on its own.
        working_focal_px: focal length in pixels the network is trained at; used by `WorkingScale`.
        neighbours: also look at three neighbours of each pixel in the frame itself, which is 640x480 where the network
            works at 320x240: then it sees all pixels instead of every fourth.
    """

    classes: int = 3
    encoding: str = "geometry"
    widths: tuple[int, int, int, int, int] = (16, 24, 48, 96, 128)
    blocks: tuple[int, int, int, int, int] = (0, 1, 2, 3, 3)
    context_width: int = 96
    context_dilations: tuple[int, ...] = (2, 4)
    squeeze_width: int = 16
    decoder_widths: tuple[int, ...] = (64, 48, 32, 16, 16)
    attention: str = "gate"
    recursive_attention: bool = True
    working_focal_px: float = 240.0
    neighbours: bool = False

    def __post_init__(self) -> None:
        if self.attention not in ATTENTION_FORMS:
            raise ValueError(f"unknown attention {self.attention!r}, expected one of {', '.join(ATTENTION_FORMS)}")
        if len(self.widths) != 5 or len(self.blocks) != 5 or len(self.decoder_widths) not in (5, 6):
            raise ValueError(
                f"widths, blocks and decoder_widths have {len(self.widths)}, {len(self.blocks)} and "
                f"{len(self.decoder_widths)} entries, expected 5, 5 and 5 or 6"
            )


class DenseAttentionSmall(nn.Module):
    """Depth -> class logits at the working scale (see the module and `DenseAttentionSmallConfig`)."""

    def __init__(self, config: DenseAttentionSmallConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else DenseAttentionSmallConfig()
        self.encoding = build_encoding(self.config.encoding)
        self.takes_neighbours = self.config.neighbours
        self.encoder = LightEncoder(
            self.encoding.channels + (NEIGHBOUR_CHANNELS if self.config.neighbours else 0),
            self.config.widths,
            self.config.blocks,
            self.config.context_width,
            self.config.context_dilations,
        )
        k = self.config.squeeze_width
        self.squeeze = nn.ModuleList(SqueezeNet(channels, k) for channels in self.encoder.channels)
        self.attention = DenseAttention(self.config.attention, recursive=self.config.recursive_attention)
        self.decoder = AttentionDecoder(self.attention.skip_widths(k), self.config.decoder_widths, self.config.classes)

    def forward(self, depth_mm: Tensor, focal_px: Tensor, neighbours_mm: Tensor | None = None) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data; any H, W from 16 pixels on.
            focal_px: (B,) float32, focal length in pixels at this resolution; about `working_focal_px` for good labels.
            neighbours_mm: (B, 3, H, W) float32 millimetres, from `sample_depth`; only with `neighbours`. Without
                them the adjacent pixels of `depth_mm` are taken, as for a frame that was not resampled.

        Returns:
            (B, classes, H, W) logits.

        Raises:
            ValueError: neighbours come without the option.
        """
        encoded = self.encoding(depth_mm, focal_px)
        if not self.config.neighbours:
            if neighbours_mm is not None:
                raise ValueError("neighbours come to a network that was built without the option neighbours")
        else:
            if neighbours_mm is None:
                neighbours_mm = adjacent_pixels(depth_mm)
            encoded = torch.cat((encoded, encoded_neighbours(depth_mm, neighbours_mm)), dim=1)
        squeezed = [squeeze(level) for squeeze, level in zip(self.squeeze, self.encoder(encoded), strict=True)]
        logits: Tensor = self.decoder(self.attention(squeezed), depth_mm.shape[-2:])
        return logits


def encoded_neighbours(depth_mm: Tensor, neighbours_mm: Tensor) -> Tensor:
    """Three neighbours of each pixel as six channels: how far behind it they are, 20 mm -> 1, clipped; validity.

    Args:
        depth_mm: (B, 1, H, W) millimetres, 0 = no data.
        neighbours_mm: (B, 3, H, W) likewise.

    Returns:
        (B, 6, H, W); the first three are 0 where the pixel or the neighbour has no data.
    """
    valid = (neighbours_mm > 0).to(depth_mm.dtype)
    both = valid * (depth_mm > 0).to(depth_mm.dtype)
    behind = ((neighbours_mm - depth_mm) / NEIGHBOUR_MM).clamp(-1.0, 1.0) * both
    return torch.cat((behind, valid), dim=1)
