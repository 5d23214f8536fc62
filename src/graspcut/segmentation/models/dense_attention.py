"""DenseAttentionSeg, the network of the paper.

Source: Bo et al., "DenseAttentionSeg: Segment Hands from Interacted Objects Using Depth Input", section 4.

Encoder of DeepLabv3+ (ResNet-50 at output stride 16, ASPP), six levels: the stem, layer1 to layer4, ASPP. A
SqueezeNet on each level (k = 64), fine and coarse attention on every skip connection, six deconvolutions, a 1x1
convolution.

What the paper leaves open, and the choice:
    - the five intermediate levels: the stem before max-pooling and the four stages;
    - decoder widths 256, 256, 256, 128, 64, 32 and strides 1, 1, 2, 2, 2, 2;
    - attention: see `graspcut.segmentation.models.attention`; one SqueezeNet per level serves skip and attention;
    - level 6 is attended like the others;
    - input: the 16 cm slab of the paper's annotation as one channel ("slab"); "raw" and "geometry" are options.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graspcut.nn.aspp import ASPP
from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.resnet import ResNetTrunk
from graspcut.segmentation.models.attention import ATTENTION_FORMS, LEVELS, DenseAttention, SqueezeNet
from graspcut.segmentation.models.decoder import AttentionDecoder


@dataclass(frozen=True)
class DenseAttentionSegConfig:
    """Sizes and options of `DenseAttentionSeg`; the defaults are the paper's network.

    Attributes:
        classes: number of output classes.
        encoding: name of the input encoding ("slab", "raw", "geometry").
        input_mean, input_std: the encoded input becomes (input - mean) / std; ImageNet weights expect a std of about 1.
        depth: 50, 101 or 152, the ResNet.
        trunk_width: channels of the ResNet's stem; 64 in the paper, fewer for comparisons on small machines.
        squeeze_width: k, the output channels of every SqueezeNet.
        decoder_widths: output channels of the six deconvolutions.
        attention: "gate", "mul", "concat" or "none".
        levels: n, the levels that have a SqueezeNet, attention and a skip: the n coarsest of six; 6 in the paper.
        recursive_attention: False: resize every level on its own, as the text says; True: resize the running product.
        antialias: low-pass before attention maps are reduced.
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
    squeeze_width: int = 64
    decoder_widths: tuple[int, ...] = (256, 256, 256, 128, 64, 32)
    attention: str = "gate"
    levels: int = LEVELS
    recursive_attention: bool = False
    antialias: bool = False
    aspp_dilations: tuple[int, ...] = (6, 12, 18)
    aspp_dropout: float = 0.1
    working_focal_px: float | None = 480.0

    def __post_init__(self) -> None:
        if self.attention not in ATTENTION_FORMS:
            raise ValueError(f"unknown attention {self.attention!r}, expected one of {', '.join(ATTENTION_FORMS)}")
        if self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}, expected a positive number")
        if not 2 <= self.levels <= LEVELS:
            raise ValueError(f"levels is {self.levels}, expected 2 to {LEVELS}")


class DenseAttentionSeg(nn.Module):
    """Depth -> class logits (see the module)."""

    def __init__(self, config: DenseAttentionSegConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else DenseAttentionSegConfig()
        self.encoding = build_encoding(self.config.encoding)
        self.trunk = ResNetTrunk(
            self.config.depth, self.encoding.channels, output_stride=16, width=self.config.trunk_width
        )
        self.aspp = ASPP(
            self.trunk.channels[-1], dilations=self.config.aspp_dilations, dropout=self.config.aspp_dropout
        )
        k = self.config.squeeze_width
        chosen = (*self.trunk.channels, 256)[-self.config.levels :]
        self.squeeze = nn.ModuleList(SqueezeNet(channels, k) for channels in chosen)
        self.attention = DenseAttention(
            self.config.attention,
            recursive=self.config.recursive_attention,
            antialias=self.config.antialias,
            levels=self.config.levels,
        )
        self.decoder = AttentionDecoder(self.attention.skip_widths(k), self.config.decoder_widths, self.config.classes)

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
        levels.append(self.aspp(levels[-1]))
        chosen = levels[-self.config.levels :]
        squeezed = [squeeze(level) for squeeze, level in zip(self.squeeze, chosen, strict=True)]
        logits: Tensor = self.decoder(self.attention(squeezed), depth_mm.shape[-2:])
        return logits
