"""A first guess at alpha without parameters: nearby known colours of both sides, and where the pixel lies between them.

The colours of known foreground spread over the rest of the image by a pyramid (averages of known pixels, coarser where
there are none near), and so do those of known background. By the compositing equation (1) of the LSA paper with these F
and B, alpha is the position of the pixel's colour on the line from B to F. A network that gets all of it as input only
has to learn where the guess is wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 7
_SMALLEST_DISTANCE = 1.0e-3


def spread_colours(image: Tensor, known: Tensor, levels: int = LEVELS) -> Tensor:
    """Colours of the known pixels, continued smoothly everywhere (pull and push of Gortler's Lumigraph).

    Args:
        image: (B, C, H, W); H and W are multiples of 2^levels, or the pyramid is shorter.
        known: (B, 1, H, W), 1 where the image counts, else 0.
        levels: how often the image is halved.

    Returns:
        (B, C, H, W); the image itself where it is known, 0 if nothing is known.
    """
    values, weights = [image * known], [known]
    for _ in range(levels):
        if values[-1].shape[-2] % 2 or values[-1].shape[-1] % 2:
            break
        values.append(functional.avg_pool2d(values[-1], 2))
        weights.append(functional.avg_pool2d(weights[-1], 2))
    filled = values[-1].sum(dim=(2, 3), keepdim=True) / weights[-1].sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    filled = filled.expand_as(values[-1])
    for level in range(len(values) - 1, -1, -1):
        if level < len(values) - 1:
            filled = functional.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        # A pixel with only few known ones below it still has their colour, not a mixture with what is far away.
        trust = (weights[level] * 8.0).clamp(max=1.0)
        own = values[level] / weights[level].clamp(min=1e-6)
        filled = trust * own + (1.0 - trust) * filled
    return filled


def colour_prior(image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A guess at alpha, the colours it comes from, and how much they vary.

    Args:
        image: (B, 3, H, W).
        trimap: (B, 1, H, W): 0 background, 1 foreground, between them unknown.

    Returns:
        alpha (B, 1, H, W) in 0..1, exactly 0 and 1 where the trimap is known; foreground and background colours
        (B, 3, H, W); standard deviation of the known foreground's and background's colours near by, (B, 2, H, W).
    """
    opaque, clear = (trimap > 0.99).to(image.dtype), (trimap < 0.01).to(image.dtype)
    squared = image.square().mean(dim=1, keepdim=True)
    known = torch.cat((opaque, clear), dim=0)
    spread = spread_colours(torch.cat((image, squared), dim=1).repeat(2, 1, 1, 1), known)
    variance = spread[:, 3:] - spread[:, :3].square().mean(dim=1, keepdim=True)
    deviation = torch.cat(variance.clamp(min=1e-6).sqrt().chunk(2, dim=0), dim=1)
    foreground, background = spread[:, :3].chunk(2, dim=0)
    line = foreground - background
    position = ((image - background) * line).sum(dim=1, keepdim=True)
    alpha = (position / (line.square().sum(dim=1, keepdim=True) + _SMALLEST_DISTANCE)).clamp(0.0, 1.0)
    alpha = opaque + (1.0 - opaque - clear) * alpha
    return alpha, foreground, background, deviation
