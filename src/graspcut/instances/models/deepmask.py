"""~DeepMask: the paper's own version of DeepMask, masks by fully connected layers. The baseline of table 2.

Source: Dai et al. 2016, section 4.1 (VGG-16, a 1x1 convolution to 512 channels, a 512-d and a 56^2-d fully connected
layer on the 14 x 14 features of a 224 px crop) and Pinheiro et al. 2015 for the score branch (2x2 max pooling, fully
connected layers of 512 and 1024, dropout 0.5).

Trained on crops, run over images: every fully connected layer is also a convolution (pooling of stride 1 and a dilation
of 2 stand for the pooling of stride 2), so `slide` gives for every window exactly what the crop would give, borders of
the features aside. There is no activation between the two layers of the mask, as in the released code of DeepMask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.instances.models.features import LightFeatures, VGGFeatures, check_inputs, initialise_head
from graspcut.instances.windows import PAPER_SHORT_SIDES, WindowGeometry
from graspcut.nn.encoders import LIGHT_BLOCKS, LIGHT_WIDTHS

FEATURE_CELLS = 14
MASK_CELLS = 56


@dataclass(frozen=True)
class DeepMaskConfig:
    """Sizes and options of `DeepMask`.

    Attributes:
        encoder: "vgg16" (stride 16, crops of 224 px) or "light" (stride 8, crops of 112 px, depth only).
        inputs: "colour", "depth" or "both".
        width: channels of the 1x1 convolution.
        mask_width: outputs of the first fully connected layer of the masks.
        score_widths: outputs of the fully connected layers of the scores.
        dropout: in the score branch.
        short_sides: short sides of the resized images.
        widths, blocks, context_width, context_dilations, feature_width, encoding: of the light encoder.
    """

    encoder: str = "vgg16"
    inputs: str = "colour"
    width: int = 512
    mask_width: int = 512
    score_widths: tuple[int, int] = (512, 1024)
    dropout: float = 0.5
    short_sides: tuple[int, ...] = PAPER_SHORT_SIDES
    widths: tuple[int, ...] = LIGHT_WIDTHS
    blocks: tuple[int, ...] = LIGHT_BLOCKS
    context_width: int = 96
    context_dilations: tuple[int, ...] = (2, 4)
    feature_width: int = 48
    encoding: str = "geometry"

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        if self.encoder not in ("vgg16", "light"):
            raise ValueError(f"unknown encoder {self.encoder!r}, expected 'vgg16' or 'light'")
        if self.encoder == "light" and self.inputs != "depth":
            raise ValueError(f"the light encoder takes depth, got inputs {self.inputs!r}")

    @property
    def stride(self) -> int:
        """Of the features, in pixels."""
        return 16 if self.encoder == "vgg16" else 8

    @property
    def geometry(self) -> WindowGeometry:
        """Windows of 14 x 14 feature cells, so their middles lie between two."""
        return WindowGeometry(self.stride, MASK_CELLS, -0.5, self.short_sides, window_px=FEATURE_CELLS * self.stride)


class DeepMask(nn.Module):
    """Crops -> masks and scores; images -> scores of all windows and masks of chosen ones (see the module)."""

    def __init__(self, config: DeepMaskConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else DeepMaskConfig()
        c = self.config
        self.features: nn.Module
        if c.encoder == "vgg16":
            self.features = VGGFeatures(c.inputs, output_stride=16)
            channels = VGGFeatures.channels
        else:
            self.features = LightFeatures(
                c.encoding, c.widths, c.blocks, c.context_width, c.context_dilations, c.feature_width, c.stride
            )
            channels = c.feature_width
        self.reduce = nn.Sequential(nn.Conv2d(channels, c.width, 1), nn.ReLU(inplace=True))
        self.masks = nn.Sequential(
            nn.Linear(c.width * FEATURE_CELLS**2, c.mask_width), nn.Linear(c.mask_width, MASK_CELLS**2)
        )
        first, second = c.score_widths
        self.scores = nn.Sequential(
            nn.Linear(c.width * (FEATURE_CELLS // 2) ** 2, first),
            nn.ReLU(inplace=True),
            nn.Dropout(c.dropout),
            nn.Linear(first, second),
            nn.ReLU(inplace=True),
            nn.Dropout(c.dropout),
            nn.Linear(second, 1),
        )
        for head in (self.reduce, self.masks, self.scores):
            initialise_head(head)

    def forward(self, crops: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        """Masks and scores of crops of one window.

        Args:
            crops: (B, channels, window_px, window_px).
            focal_px: (B,) focal length in pixels at this resolution.

        Returns:
            mask logits (B, 56, 56) and score logits (B,).
        """
        reduced = self.reduce(self.features(crops, focal_px))
        scores = self.scores(functional.max_pool2d(reduced, 2).flatten(1))
        return self.masks(reduced.flatten(1)).reshape(-1, MASK_CELLS, MASK_CELLS), scores[:, 0]

    def slide(self, image: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        """All windows of resized images; they may hang over the border by half.

        Args:
            image: (B, channels, H, W).
            focal_px: (B,).

        Returns:
            features for `masks_at`, (B, width, rows + 13, columns + 13), and score logits (B, rows, columns), a window
            every stride, the first centred on the image's corner.
        """
        half = FEATURE_CELLS // 2 * self.config.stride
        height, width = image.shape[-2:]
        right, below = (-size % self.config.stride for size in (width, height))
        padded = functional.pad(image, (half, half + right, half, half + below))
        reduced = self.reduce(self.features(padded, focal_px))[..., :-1, :-1]
        pooled = functional.max_pool2d(reduced, 2, 1)
        first, second, last = (layer for layer in self.scores if isinstance(layer, nn.Linear))
        kernel = FEATURE_CELLS // 2
        weight = first.weight.reshape(first.out_features, -1, kernel, kernel)
        hidden = functional.relu(functional.conv2d(pooled, weight, first.bias, dilation=2))
        hidden = functional.relu(functional.conv2d(hidden, second.weight[:, :, None, None], second.bias))
        return reduced, functional.conv2d(hidden, last.weight[:, :, None, None], last.bias)[:, 0]

    def masks_at(self, reduced: Tensor, centres: Tensor) -> Tensor:
        """Masks of chosen windows of one image.

        Args:
            reduced: (width, rows + 13, columns + 13) features of `slide`.
            centres: (N, 2) int64 row and column of the windows.

        Returns:
            (N, 56, 56) logits.
        """
        offsets = torch.arange(FEATURE_CELLS, device=reduced.device)
        rows, columns = centres[:, :1] + offsets, centres[:, 1:] + offsets
        patches = reduced[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
        masks: Tensor = self.masks(patches.flatten(1)).reshape(-1, MASK_CELLS, MASK_CELLS)
        return masks
