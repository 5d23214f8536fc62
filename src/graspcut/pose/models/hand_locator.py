"""Where the hand is in a mask of hand and forearm, and which way it points: the network that places the cube before the
others see it.

The paper takes the cube as given, and its hands point up. `graspcut segment` calls wrist and forearm hand too, an arm
may be seen up to the elbow, and it may come from anywhere. A few convolutions say at every place of a coarse grid how
likely the hand is there and where its centre and its wrist lie from there; the answer is the mean of what all places
say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class HandLocatorConfig:
    """What a locator is built from.

    Attributes:
        channels: Maps of the two convolutions that halve the picture, and of those on the coarse grid.
        dilations: Of the convolutions on the coarse grid.
        points: How many points are found: the middle finger's knuckle, then the wrist.
    """

    channels: tuple[int, int, int] = (16, 32, 48)
    dilations: tuple[int, ...] = (1, 2, 4)
    points: int = 2


class HandLocator(nn.Module):
    """The hand's centre and its wrist in a cube of 640 mm around the middle of the mask.

    Args:
        config: What it is built from.
    """

    def __init__(self, config: HandLocatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or HandLocatorConfig()
        first, second, coarse = self.config.channels
        self.halving = nn.Sequential(block(2, first, stride=2), block(first, second, stride=2))
        widths = [second] + [coarse] * len(self.config.dilations)
        self.coarse = nn.Sequential(
            *(
                block(before, after, dilation=dilation)
                for before, after, dilation in zip(widths, widths[1:], self.config.dilations, strict=False)
            )
        )
        # How likely, and where from here: u, v and d.
        self.votes = nn.Conv2d(coarse, 4 * self.config.points, 1)

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, None, None, None]:
        """The points (n, points, 3) as u, v, d of the cube.

        Args:
            image: (n, 1, 48, 48), the crop after local contrast normalisation.
            crop: (n, 1, 48, 48), the crop, background 1.
            parts: Not looked at.
        """
        votes = self.votes(self.coarse(self.halving(torch.cat([image, crop], dim=1)))).float()
        size = votes.shape[-1]
        said = votes.reshape(-1, self.config.points, 4, size * size)
        weights = functional.softmax(said[:, :, 0], dim=2)
        steps = (torch.arange(size, device=votes.device, dtype=votes.dtype) + 0.5) * (2.0 / size) - 1.0
        down, right = torch.meshgrid(steps, steps, indexing="ij")
        places = torch.stack([right, down, torch.zeros_like(down)]).flatten(1)
        return ((said[:, :, 1:] + places) * weights[:, :, None]).sum(dim=3), None, None, None


def block(before: int, after: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution of 3x3, batch normalisation and what is positive of it."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
