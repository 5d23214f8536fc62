"""MNC's third stage: what category a mask is, from the features of its box and of the mask itself.

Source: Dai et al., "Instance-aware Semantic Segmentation via Multi-task Network Cascades", 2016, section 3.3, in the
form of the public network `VGG16/cfm`; used by Dai et al. 2016 (InstanceFCN), section 4.1, table 4. Two paths meet:

    box    RoI pooling to 7 x 7 -> fully connected 4096 -> 4096
    mask   RoI pooling to 14 x 14, times the mask at 14 x 14, 2 x 2 max pooling -> fully connected 4096 -> 4096
    both   8192 -> categories and background, and a box regression for each

Deviations, with the reason:
    - Regions are sampled bilinearly at the middle of each cell (RoI align, He et al. 2017) instead of pooled over whole
      pixels: the same operation on every engine, and no jump where a border crosses a pixel.
    - Widths are options, for light features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.instances.models.features import LightFeatures, VGGFeatures, initialise_head
from graspcut.nn.encoders import LIGHT_BLOCKS, LIGHT_WIDTHS

BOX_CELLS = 7
MASK_CELLS = 14


@dataclass(frozen=True)
class MaskClassifierConfig:
    """Sizes and options of `MaskClassifier`.

    Attributes:
        categories: without background.
        features: "vgg16" (stride 16) or "light" (stride 8, depth only).
        inputs: "colour", "depth" or "both".
        hidden: outputs of the fully connected layers of both paths (4096 in MNC).
        dropout: behind each of them.
        widths, blocks, context_width, context_dilations, feature_width, encoding: of the light features.
    """

    categories: int = 20
    features: str = "vgg16"
    inputs: str = "colour"
    hidden: int = 4096
    dropout: float = 0.5
    widths: tuple[int, ...] = LIGHT_WIDTHS
    blocks: tuple[int, ...] = LIGHT_BLOCKS
    context_width: int = 96
    context_dilations: tuple[int, ...] = (2, 4)
    feature_width: int = 48
    encoding: str = "geometry"

    def __post_init__(self) -> None:
        if self.features not in ("vgg16", "light"):
            raise ValueError(f"unknown features {self.features!r}, expected 'vgg16' or 'light'")
        if self.features == "light" and self.inputs != "depth":
            raise ValueError(f"light features take depth, got inputs {self.inputs!r}")

    @property
    def stride(self) -> int:
        """Of the features, in pixels."""
        return 16 if self.features == "vgg16" else 8


def region_features(features: Tensor, images: Tensor, boxes: Tensor, cells: int, stride: int) -> Tensor:
    """Features of boxes on a grid, sampled bilinearly at the middle of each cell.

    Args:
        features: (B, C, h, w); feature i is centred on pixel `stride i + (stride - 1) / 2`.
        images: (N,) int64, which image each box lies in.
        boxes: (N, 4) float x0, y0, x1, y1 in pixels, the far side exclusive.
        cells: of a side.
        stride: of the features.

    Returns:
        (N, C, cells, cells); 0 beyond the image.
    """
    height, width = features.shape[-2:]
    middle = (torch.arange(cells, device=boxes.device, dtype=boxes.dtype) + 0.5) / cells
    x = boxes[:, :1] + middle * (boxes[:, 2:3] - boxes[:, :1])
    y = boxes[:, 1:2] + middle * (boxes[:, 3:4] - boxes[:, 1:2])
    # grid_sample without aligned corners: -1 is the left edge of the first feature's area, 1 the right of the last.
    grid_x, grid_y = 2 * x / (stride * width) - 1, 2 * y / (stride * height) - 1
    grid = torch.stack([grid_x[:, None, :].expand(-1, cells, -1), grid_y[:, :, None].expand(-1, -1, cells)], dim=-1)
    found = [
        functional.grid_sample(
            features[image : image + 1],
            grid[images == image].reshape(1, -1, cells, 2),
            align_corners=False,
        ).reshape(features.shape[1], -1, cells, cells)
        for image in range(features.shape[0])
    ]
    # Under automatic mixed precision what is sampled has another type than the features.
    result = found[0].new_zeros(len(boxes), features.shape[1], cells, cells)
    for image, values in enumerate(found):
        result[images == image] = values.transpose(0, 1)
    return result


class MaskClassifier(nn.Module):
    """Image and masks -> categories and refined boxes (see the module)."""

    def __init__(self, config: MaskClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else MaskClassifierConfig()
        c = self.config
        self.features: nn.Module
        if c.features == "vgg16":
            self.features = VGGFeatures(c.inputs, output_stride=16)
            channels = VGGFeatures.channels
        else:
            self.features = LightFeatures(
                c.encoding, c.widths, c.blocks, c.context_width, c.context_dilations, c.feature_width, c.stride
            )
            channels = c.feature_width
        self.box_path = self._path(channels)
        self.mask_path = self._path(channels)
        self.categories = nn.Linear(2 * c.hidden, c.categories + 1)
        self.boxes = nn.Linear(2 * c.hidden, 4 * (c.categories + 1))
        initialise_head(self.categories)
        initialise_head(self.boxes)

    def _path(self, channels: int) -> nn.Sequential:
        hidden = self.config.hidden
        return nn.Sequential(
            nn.Linear(channels * BOX_CELLS**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(self.config.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(self.config.dropout),
        )

    def forward(
        self, image: Tensor, focal_px: Tensor, images: Tensor, boxes: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Judge the masks of images.

        Args:
            image: (B, channels, H, W), see `graspcut.instances.models.features`.
            focal_px: (B,) focal length in pixels.
            images: (N,) int64, which image each mask lies in.
            boxes: (N, 4) float x0, y0, x1, y1 of the masks in pixels, the far side exclusive.
            masks: (N, 14, 14) float 0..1, each mask within its box.

        Returns:
            category logits (N, categories + 1), background first, and box offsets (N, categories + 1, 4): shifts of the
            middle in sides of the box, and logarithms of the growth of its sides.
        """
        features = self.features(image, focal_px)
        stride = self.config.stride
        whole = region_features(features, images, boxes, BOX_CELLS, stride)
        masked = region_features(features, images, boxes, MASK_CELLS, stride) * masks[:, None]
        joined = torch.cat(
            [self.box_path(whole.flatten(1)), self.mask_path(functional.max_pool2d(masked, 2).flatten(1))], dim=1
        )
        return self.categories(joined), self.boxes(joined).reshape(len(boxes), self.config.categories + 1, 4)
