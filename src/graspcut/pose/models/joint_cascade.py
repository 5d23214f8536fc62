"""Baseline (b) of section 5.2: direct regression of all joints, then a second look at half the crop around each.

The second step is shared over joints as the first is (`SharedJointNetwork` without masks, or `VotingJointNetwork`), and
adds to the first estimate. Where the windows lie is not learned through: only what is added to the estimate is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.pose.anatomy import JOINT_PARTS
from graspcut.pose.models.joint_network import SharedJointConfig, SharedJointNetwork
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork

WINDOW_PX = 24
_CELLS = 6


@dataclass(frozen=True)
class JointCascadeConfig:
    """What a cascade is built from.

    Attributes:
        joint_parts: One entry a joint; the parts are not looked at.
        hidden: Units of the first step, if it has fully connected layers.
        channels: Maps of the first convolution of both steps.
        window_hidden: Units of the second step.
        first: The first step, "shared" or "voting".
    """

    joint_parts: tuple[tuple[int, ...], ...] = JOINT_PARTS
    hidden: int = 512
    channels: int = 32
    window_hidden: int = 192
    first: str = "shared"

    def __post_init__(self) -> None:
        if self.first not in ("shared", "voting"):
            raise ValueError(f"a cascade cannot begin with {self.first!r}; expected shared or voting.")


class JointCascade(nn.Module):
    """Two steps; the same inputs and outputs as `SharedJointNetwork`.

    Args:
        config: What it is built from.
    """

    def __init__(self, config: JointCascadeConfig | None = None) -> None:
        super().__init__()
        self.config = config or JointCascadeConfig()
        joints, hidden, channels = len(self.config.joint_parts), self.config.window_hidden, self.config.channels
        self.first: nn.Module = (
            VotingJointNetwork(VotingJointConfig(self.config.joint_parts, masks=False))
            if self.config.first == "voting"
            else SharedJointNetwork(
                SharedJointConfig(self.config.joint_parts, masks=False, hidden=self.config.hidden, channels=channels)
            )
        )
        self.conv1 = nn.Conv2d(2, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 16, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16 * _CELLS * _CELLS, hidden)
        self.joint_bias = nn.Parameter(torch.zeros(joints, hidden))
        # Adds nothing at first.
        self.residual = nn.Parameter(torch.zeros(joints, hidden, 3))

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `SharedJointNetwork.forward`; `parts` are not looked at."""
        joints, visible, spread, right = self.first(image, crop, parts)
        windows = joint_windows(torch.cat([image, crop], dim=1), joints.detach().float())
        # Depth in the window as seen from the joint.
        depth = windows[:, :, 1:] - joints.detach()[:, :, 2, None, None, None]
        x = torch.cat([windows[:, :, :1], depth], dim=2).flatten(0, 1)
        x = functional.max_pool2d(functional.relu(self.norm1(self.conv1(x))), 2)
        x = functional.max_pool2d(functional.relu(self.norm2(self.conv2(x))), 2)
        units = self.fc(x.flatten(1)).reshape(-1, len(self.config.joint_parts), self.config.window_hidden)
        units = functional.relu(units + self.joint_bias)
        return joints + torch.einsum("njh,jhk->njk", units, self.residual), visible, spread, right


def joint_windows(maps: Tensor, joints: Tensor) -> Tensor:
    """Windows of half the maps' edge around joints.

    Args:
        maps: (n, k, 48, 48).
        joints: (n, joints, 3), u and v from -1 to 1 across the maps.

    Returns:
        (n, joints, k, 24, 24); beyond the maps the border is repeated.
    """
    steps = (torch.arange(WINDOW_PX, dtype=joints.dtype, device=joints.device) + 0.5) / WINDOW_PX - 0.5
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)[None, None] + joints[:, :, None, None, :2]
    count, number = joints.shape[:2]
    # All windows of an image in one tall picture.
    tall = functional.grid_sample(
        maps, grid.reshape(count, number * WINDOW_PX, WINDOW_PX, 2), mode="bilinear", padding_mode="border",
        align_corners=False,
    )  # fmt: skip
    return tall.reshape(count, maps.shape[1], number, WINDOW_PX, WINDOW_PX).transpose(1, 2)
