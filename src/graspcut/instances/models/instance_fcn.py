"""InstanceFCN: instance-sensitive score maps and objectness on VGG-16.

Source: Dai et al., "Instance-sensitive Fully Convolutional Networks", 2016, section 3.3, figure 4. Conv1_1 to conv5_3
of VGG-16 with pool4 at stride 1 and conv5 dilated; a 1x1 convolution to 512 channels with ReLU and a 3x3 convolution to
k^2 score maps; a 3x3 convolution to 512 channels with ReLU and a 1x1 convolution to the objectness.

Deviations, with the reason:
    - pool4 with stride 1 has a kernel of 2 and a border of minus infinity: the output at even positions is exactly that
      of the network with stride, so pretrained weights mean the same (see `graspcut.nn.vgg`).
    - 1-channel depth and 4-channel colour with depth beside colour.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graspcut.instances.models.features import VGGFeatures, check_inputs, initialise_head
from graspcut.instances.windows import PAPER_SHORT_SIDES, WindowGeometry


@dataclass(frozen=True)
class InstanceFCNConfig:
    """Sizes and options of `InstanceFCN`.

    Attributes:
        grid: k, parts of a window's side.
        inputs: "colour", "depth" or "both".
        head_width: channels of the first layer of both branches.
        short_sides: short sides of the resized images.
    """

    grid: int = 5
    inputs: str = "colour"
    head_width: int = 512
    short_sides: tuple[int, ...] = PAPER_SHORT_SIDES

    def __post_init__(self) -> None:
        check_inputs(self.inputs)

    @property
    def geometry(self) -> WindowGeometry:
        """Cells of stride 8; the pool4 of kernel 2 moves their centres by half a step of it."""
        return WindowGeometry(8, 21, 7.5, self.short_sides)


class WindowHeads(nn.Module):
    """The two branches of figure 4.

    Args:
        inputs: channels of the features.
        width: channels of the first layer of both branches.
        grid: k.
    """

    def __init__(self, inputs: int, width: int, grid: int) -> None:
        super().__init__()
        self.masks = nn.Sequential(
            nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, grid * grid, 3, padding=1)
        )
        self.scores = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, 1, 1)
        )
        initialise_head(self)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, inputs, h, w) to score maps (B, k^2, h, w) and objectness (B, h, w), both logits."""
        return self.masks(features), self.scores(features)[:, 0]


class InstanceFCN(nn.Module):
    """Image -> instance-sensitive score maps and objectness (see the module)."""

    def __init__(self, config: InstanceFCNConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else InstanceFCNConfig()
        self.features = VGGFeatures(self.config.inputs)
        self.heads = WindowHeads(self.features.channels, self.config.head_width, self.config.grid)

    def forward(self, image: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        """Score the windows of resized images.

        Args:
            image: (B, channels, H, W) float32, see `graspcut.instances.models.features`.
            focal_px: (B,) float32 focal length in pixels at this resolution.

        Returns:
            score maps (B, k^2, h, w) and objectness (B, h, w), logits, one a cell.
        """
        found: tuple[Tensor, Tensor] = self.heads(self.features(image, focal_px))
        return found
