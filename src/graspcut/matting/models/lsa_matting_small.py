"""LSAMattingSmall: the design of LSA matting for CPUs and quick training, on top of a guess from nearby colours.

Deviations from `LSAMatting`, with the reason:
    - The encoder is a small residual network: without ImageNet weights, a large one learns nothing in an hour.
    - A guess at alpha (`colour_prior`), the two colours it comes from, how much these vary and where they disagree with
      the image go in beside image and trimap, and the network's output is added to the guess: it begins as good as the
      guess, and what colours alone can tell need not be learnt.
    - With `begins_with="closed-form"` it is added to the matte of closed-form matting instead, which comes in the grey
      values of the trimap's unknown pixels (`graspcut.matting.trimap.with_estimate`).
    - With `reach_px` nothing is added to pixels that are farther than that from all known ones: training squares hold
      hardly any, and where nothing near by is known, closed-form continues what it sees and a network invents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.matting.models.colour_prior import colour_prior
from graspcut.matting.models.decoder import MattingDecoder, Modulation
from graspcut.matting.trimap import HIGHEST_UNKNOWN, LOWEST_UNKNOWN
from graspcut.nn.blocks import ResidualBlock, convolution_bn_relu

REACH_STEP_PX = 8

_INPUTS = 3 + 1 + 1 + 3 + 3 + 1 + 2


@dataclass(frozen=True)
class LSAMattingSmallConfig:
    """Sizes of the network.

    Attributes:
        encoder_widths: channels of the levels at strides 2, 4, 8, 16 and 32.
        encoder_blocks: residual blocks of the levels.
        decoder_widths: channels of decoder blocks 1 (finest) to 5.
        head_width: channels of the head.
        begins_with: what the network's output is added to: the guess from nearby colours, or closed-form's matte.
        reach_px: how far from known pixels it is added, in whole `REACH_STEP_PX`; 0 for everywhere.
        largest_change: bound of what is added, which nears it as a hyperbolic tangent does; 0 for none. May be set
            after training, for pictures unlike those of the training.
    """

    encoder_widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    encoder_blocks: tuple[int, ...] = (0, 1, 1, 1, 1)
    decoder_widths: tuple[int, ...] = (16, 24, 32, 32, 48)
    head_width: int = 16
    begins_with: Literal["colours", "closed-form"] = "colours"
    reach_px: int = 0
    largest_change: float = 0.0


class LSAMattingSmall(nn.Module):
    """The compact network.

    Args:
        config: sizes.

    Attributes:
        config: as given.
        size_multiple: images' sides must be multiples of this.
    """

    size_multiple = 32

    def __init__(self, config: LSAMattingSmallConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else LSAMattingSmallConfig()
        widths, counts = self.config.encoder_widths, self.config.encoder_blocks
        levels: list[nn.Module] = []
        own_inputs = _INPUTS + (self.config.begins_with != "colours")
        inputs = own_inputs
        for width, count in zip(widths, counts, strict=True):
            blocks = [ResidualBlock(width) for _ in range(count)]
            levels.append(nn.Sequential(convolution_bn_relu(inputs, width, stride=2), *blocks))
            inputs = width
        self.levels = nn.ModuleList(levels)
        self.decoder = MattingDecoder(
            widths, self.config.decoder_widths, inputs=own_inputs, head=self.config.head_width
        )
        # Begin as the guess alone.
        last = self.decoder.head[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Estimate alpha; see `LSAMatting.forward`."""
        return self.decode(self.encode(image, trimap))

    def encode(self, image: Tensor, trimap: Tensor) -> list[Tensor]:
        """What no refinement changes: the input at full size and the encoder's levels."""
        guess, foreground, background, deviation = colour_prior(image, trimap)
        beginning: Tensor = guess
        others: tuple[Tensor, ...] = ()
        if self.config.begins_with == "closed-form":
            beginning, others = estimate_in(trimap), (guess,)
        misfit = (beginning * foreground + (1.0 - beginning) * background - image).square().sum(dim=1, keepdim=True)
        differences = (foreground - image, background - image, misfit.sqrt(), deviation)
        known = (trimap > 0.99).to(image.dtype) - (trimap < 0.01).to(image.dtype)
        beside = torch.cat((image - 0.5, known, beginning, *differences, *others), dim=1)
        encoded = [beside]
        features = beside
        for level in self.levels:
            features = level(features)
            encoded.append(features)
        if self.config.reach_px:
            encoded.append(within_reach(known.abs(), self.config.reach_px))
        return encoded

    def decode(self, encoded: list[Tensor], modulation: Modulation | None = None) -> Tensor:
        """Alpha (B, 1, H, W) from what `encode` gave; see `MattingDecoder.forward`."""
        count = 1 + len(self.levels)
        change: Tensor = self.decoder(encoded[1:count], encoded[0], modulation)
        if self.config.largest_change:
            change = self.config.largest_change * torch.tanh(change / self.config.largest_change)
        if self.config.reach_px:
            change = change * encoded[count]
        return encoded[0][:, 4:5] + change


def estimate_in(trimap: Tensor) -> Tensor:
    """Alpha in the grey values of a trimap (`with_estimate`), (B, 1, H, W) in 0..1; known pixels are 0 and 1."""
    lowest, highest = LOWEST_UNKNOWN / 255.0, HIGHEST_UNKNOWN / 255.0
    return ((trimap - lowest) / (highest - lowest)).clamp(0.0, 1.0)


def within_reach(known: Tensor, reach_px: int) -> Tensor:
    """1 near known pixels, fading to 0 about `reach_px` away from them (in a square).

    Args:
        known: (B, 1, H, W), 1 where something is known, else 0; sides are multiples of `REACH_STEP_PX`.
        reach_px: how far; whole steps of `REACH_STEP_PX` count.

    Returns:
        (B, 1, H, W) in 0..1.
    """
    steps = reach_px // REACH_STEP_PX
    blocks = functional.max_pool2d(known, REACH_STEP_PX)
    # One after another along both sides: a window of 17x17 blocks costs as much as 17 + 17.
    for window, margin in (((2 * steps + 1, 1), (steps, 0)), ((1, 2 * steps + 1), (0, steps))):
        blocks = functional.max_pool2d(blocks, window, stride=1, padding=margin)
    blocks = functional.avg_pool2d(blocks, 3, stride=1, padding=1, count_include_pad=False)
    return functional.interpolate(blocks, scale_factor=float(REACH_STEP_PX), mode="bilinear", align_corners=False)
