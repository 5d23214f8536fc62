"""The joint network that ships: one set of parameters for all joints, and places that vote instead of fully connected
layers.

It sees what f_r of Neverova et al. (2017) sees: the hand's crop whole, and where its opened part regions are. But where
f_r reads a joint off fully connected layers, every place of a 12x12 grid says here how likely it is to know the joint,
and where the joint lies from there; the joint is the mean of what is said. Convolutions do the same wherever the hand
is, so that far fewer hands teach as much: with equal time `SharedJointNetwork` stayed more than twice as far off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.pose.anatomy import JOINT_PARTS, PARTS
from graspcut.pose.models.hand_locator import block
from graspcut.pose.models.joint_network import opened

# What a place says of a joint: how likely it knows, u, v and d from there, visibility, and the expected error.
_SAID = 6


@dataclass(frozen=True)
class VotingJointConfig:
    """What a voting joint network is built from.

    Attributes:
        joint_parts: One entry a joint; which parts are near is learned.
        masks: Look at the parts; without is baseline (a).
        channels: Maps of the two convolutions on 24x24 places, and of those on 12x12.
        dilations: Of the convolutions on 12x12 places.
    """

    joint_parts: tuple[tuple[int, ...], ...] = JOINT_PARTS
    masks: bool = True
    channels: tuple[int, int, int] = (24, 32, 64)
    dilations: tuple[int, ...] = (1, 1, 2, 4)


class VotingJointNetwork(nn.Module):
    """All joints of a crop; the same inputs and outputs as `SharedJointNetwork`.

    Args:
        config: What it is built from.
    """

    def __init__(self, config: VotingJointConfig | None = None) -> None:
        super().__init__()
        self.config = config or VotingJointConfig()
        self.masks = self.config.masks
        first, second, coarse = self.config.channels
        self.fine = nn.Sequential(block(2, first, stride=2), block(first, second))
        widths = [second + PARTS * self.masks] + [coarse] * len(self.config.dilations)
        self.coarse = nn.Sequential(
            *(
                block(before, after, stride=2 if number == 0 else 1, dilation=dilation)
                for number, (before, after, dilation) in enumerate(
                    zip(widths, widths[1:], self.config.dilations, strict=False)
                )
            )
        )
        self.votes = nn.Conv2d(coarse, len(self.config.joint_parts) * _SAID, 1)
        self.handedness = nn.Linear(coarse, 1)

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Joints from what all places say.

        Args:
            image: (n, 1, 48, 48), the crop after local contrast normalisation.
            crop: (n, 1, 48, 48), the crop, -1..1, background 1.
            parts: (n, 48, 48) integers, 1..20 a part.

        Returns:
            See `SharedJointNetwork.forward`.
        """
        maps = self.fine(torch.cat([image, crop], dim=1))
        if self.masks:
            numbers = torch.arange(1, PARTS + 1, device=parts.device)
            regions = opened((parts[:, None].long() == numbers[None, :, None, None]).float())
            maps = torch.cat([maps, functional.avg_pool2d(regions, 2)], dim=1)
        maps = self.coarse(maps)
        size = maps.shape[-1]
        said = self.votes(maps).float().reshape(-1, len(self.config.joint_parts), _SAID, size * size)
        weights = functional.softmax(said[:, :, 0], dim=2)
        steps = (torch.arange(size, device=maps.device, dtype=said.dtype) + 0.5) * (2.0 / size) - 1.0
        down, right = torch.meshgrid(steps, steps, indexing="ij")
        # Depth is told from the surface that is seen at the place, where there is one.
        hand = (crop < 1.0).float()
        pixels = crop.shape[-1] // size
        cover = functional.avg_pool2d(hand, pixels)
        depth = functional.avg_pool2d(crop * hand, pixels) / cover.clamp(min=1e-3)
        places = torch.stack([right.expand_as(depth[:, 0]), down.expand_as(depth[:, 0]), depth[:, 0]], dim=1).flatten(2)
        joints = ((said[:, :, 1:4] + places[:, None]) * weights[:, :, None]).sum(dim=3)
        rest = (said[:, :, 4:] * weights[:, :, None]).sum(dim=3)
        return joints, rest[..., 0], rest[..., 1], self.handedness(maps.float().mean(dim=(2, 3)))[:, 0]
