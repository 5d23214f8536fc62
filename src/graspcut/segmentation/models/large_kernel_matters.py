"""Large Kernel Matters, or GCN, a baseline of DenseAttentionSeg.

Source: Peng et al., "Large Kernel Matters: Improve Semantic Segmentation by Global Convolutional Network", 2017,
section 3: a global convolutional network (separable k x k kernels in two orders) on each ResNet stage, boundary
refinement by residual blocks, scores that are doubled and added from coarse to fine.

Choices: ResNet-50 for comparability; k = 9 as the DenseAttentionSeg paper says; as many channels as
classes; doubling by learned deconvolutions, or bilinear. Input: see `DenseAttentionSeg`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.depth_encoding import build_encoding
from graspcut.nn.resnet import ResNetTrunk

_FUSIONS = 3
_LAST_DOUBLINGS = 2


@dataclass(frozen=True)
class LargeKernelMattersConfig:
    """Sizes and options of `LargeKernelMatters`.

    Attributes:
        classes: number of output classes.
        encoding: name of the input encoding ("slab", "raw", "geometry").
        input_mean, input_std: the encoded input becomes (input - mean) / std.
        depth: 50, 101 or 152, the ResNet.
        trunk_width: channels of the ResNet's stem; 64 in the paper.
        kernel: k, odd.
        score_width: channels between; None for as many as classes.
        learned_upsampling: deconvolutions (kernel 4, stride 2), or bilinear interpolation.
        working_focal_px: focal length in pixels the network is trained and run at (640x480 frames of an SR300 have
            476); None takes every frame as it is.
    """

    classes: int = 3
    encoding: str = "slab"
    input_mean: float = 0.0
    input_std: float = 1.0
    depth: int = 50
    trunk_width: int = 64
    kernel: int = 9
    score_width: int | None = None
    learned_upsampling: bool = True
    working_focal_px: float | None = 480.0

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}, expected an odd number, such as 9")
        if self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}, expected a positive number")


class GlobalConvolution(nn.Module):
    """(k x 1 then 1 x k) plus (1 x k then k x 1) convolutions: a dense k x k kernel of rank two."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        border = kernel // 2
        self.down_first = nn.Sequential(
            nn.Conv2d(inputs, outputs, (kernel, 1), padding=(border, 0)),
            nn.Conv2d(outputs, outputs, (1, kernel), padding=(0, border)),
        )
        self.across_first = nn.Sequential(
            nn.Conv2d(inputs, outputs, (1, kernel), padding=(0, border)),
            nn.Conv2d(outputs, outputs, (kernel, 1), padding=(border, 0)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        found: Tensor = self.down_first(features) + self.across_first(features)
        return found


class BoundaryRefinement(nn.Module):
    """Residual block of two 3x3 convolutions without batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, scores: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        found: Tensor = scores + self.second(functional.relu(self.first(scores)))
        return found


class _Double(nn.Module):
    """Twice the height and width, by a deconvolution or bilinear."""

    def __init__(self, width: int, learned: bool) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(width, width, 4, 2, padding=1, bias=False) if learned else None

    def forward(self, scores: Tensor) -> Tensor:
        if self.layer is not None:
            found: Tensor = self.layer(scores)
            return found
        return functional.interpolate(scores, scale_factor=2.0, mode="bilinear", align_corners=False)


def _cropped_like(scores: Tensor, like: Tensor) -> Tensor:
    """Without the row or column that doubling a rounded-up size leaves; a slice, so that it holds in traced graphs."""
    return scores[..., : like.shape[-2], : like.shape[-1]]


class LargeKernelMatters(nn.Module):
    """Depth -> class logits (see the module)."""

    def __init__(self, config: LargeKernelMattersConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else LargeKernelMattersConfig()
        own = self.config
        width = own.classes if own.score_width is None else own.score_width
        self.encoding = build_encoding(own.encoding)
        self.trunk = ResNetTrunk(own.depth, self.encoding.channels, output_stride=32, width=own.trunk_width)
        stages = self.trunk.channels[1:]
        self.global_convolutions = nn.ModuleList(GlobalConvolution(inputs, width, own.kernel) for inputs in stages)
        refinements = len(stages) + _FUSIONS + _LAST_DOUBLINGS
        self.refinements = nn.ModuleList(BoundaryRefinement(width) for _ in range(refinements))
        doublings = _FUSIONS + _LAST_DOUBLINGS
        self.doublings = nn.ModuleList(_Double(width, own.learned_upsampling) for _ in range(doublings))
        self.classify = nn.Identity() if width == own.classes else nn.Conv2d(width, own.classes, 1)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data; any H, W from 32 pixels on.
            focal_px: (B,) float32, focal length in pixels; only the "geometry" encoding uses it.

        Returns:
            (B, classes, H, W) logits.
        """
        encoded = (self.encoding(depth_mm, focal_px) - self.config.input_mean) / self.config.input_std
        refine, double = iter(self.refinements), iter(self.doublings)
        stages = self.trunk(encoded)[1:]
        maps = [next(refine)(convolve(stage)) for convolve, stage in zip(self.global_convolutions, stages, strict=True)]
        scores = maps[-1]
        for finer in reversed(maps[:-1]):
            scores = next(refine)(_cropped_like(next(double)(scores), finer) + finer)
        for _ in range(_LAST_DOUBLINGS):
            scores = next(refine)(next(double)(scores))
        logits: Tensor = self.classify(_cropped_like(scores, depth_mm))
        return logits
