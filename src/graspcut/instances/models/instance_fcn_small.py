"""InstanceFCNSmall: InstanceFCN for depth over the light encoder of dense-attention-small, for CPUs.

Source: Dai et al. 2016, section 3.3, for the branches and the windows.

Deviations, with the reason:
    - The features are those of the light encoder, its coarse levels added to the fine ones, at stride 4 instead of 8. A
      window is still 21 x 21 cells, so everything of the paper's pyramid is half as large in pixels: a quarter of the
      work at the same number of cells on an object.
    - The branches are 48 channels wide instead of 512.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graspcut.instances.models.features import LightFeatures
from graspcut.instances.models.instance_fcn import WindowHeads
from graspcut.instances.windows import WindowGeometry
from graspcut.nn.encoders import LIGHT_BLOCKS, LIGHT_WIDTHS

SMALL_SHORT_SIDES = tuple(round(300 * 1.5**power) for power in range(-4, 2))


@dataclass(frozen=True)
class InstanceFCNSmallConfig:
    """Sizes and options of `InstanceFCNSmall`.

    Attributes:
        grid: k, parts of a window's side.
        encoding: name of the depth encoding.
        widths, blocks, context_width, context_dilations: of the light encoder.
        feature_width: channels of the joined features.
        head_width: channels of the first layer of both branches.
        stride: of the cells in resized pixels.
        short_sides: short sides of the resized images.
        inputs: "depth", the only one.
    """

    grid: int = 5
    encoding: str = "geometry"
    widths: tuple[int, ...] = LIGHT_WIDTHS
    blocks: tuple[int, ...] = LIGHT_BLOCKS
    context_width: int = 96
    context_dilations: tuple[int, ...] = (2, 4)
    feature_width: int = 48
    head_width: int = 48
    stride: int = 4
    short_sides: tuple[int, ...] = SMALL_SHORT_SIDES
    inputs: str = "depth"

    def __post_init__(self) -> None:
        if self.inputs != "depth":
            raise ValueError(
                f"the inputs of InstanceFCNSmall are {self.inputs!r}, expected 'depth'; for colour take VGG"
            )

    @property
    def geometry(self) -> WindowGeometry:
        """A cell is the block of pixels that it covers."""
        return WindowGeometry(self.stride, 21, (self.stride - 1) / 2, self.short_sides)


class InstanceFCNSmall(nn.Module):
    """Depth -> instance-sensitive score maps and objectness (see the module)."""

    def __init__(self, config: InstanceFCNSmallConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else InstanceFCNSmallConfig()
        c = self.config
        self.features = LightFeatures(
            c.encoding, c.widths, c.blocks, c.context_width, c.context_dilations, c.feature_width, c.stride
        )
        self.heads = WindowHeads(c.feature_width, c.head_width, c.grid)

    def forward(self, image: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        """Score the windows of resized depth frames.

        Args:
            image: (B, 1, H, W) float32 millimetres, 0 = no data.
            focal_px: (B,) float32 focal length in pixels at this resolution.

        Returns:
            score maps (B, k^2, h, w) and objectness (B, h, w), logits, one a cell.
        """
        found: tuple[Tensor, Tensor] = self.heads(self.features(image, focal_px))
        return found
