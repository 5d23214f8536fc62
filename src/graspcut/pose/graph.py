"""The networks from what the contracts promise to what they promise, contrast normalisation "
"included, for every engine."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.preprocessing import CUBE_MM

# Confidence is the chance that a joint is nearer than this to where it is said to be.
CONFIDENT_MM = 20.0


class PartGraph(nn.Module):
    """Crop to parts.

    Args:
        network: A `PartNetwork`.
        output_stride: 2 finds a class at every second row and column and repeats it: 24x24, the paper's fast way.
    """

    def __init__(self, network: nn.Module, output_stride: int = 2) -> None:
        super().__init__()
        self.contrast, self.network, self.output_stride = LocalContrast(), network, output_stride

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 48, 48) float32 to parts (n, 48, 48) uint8 and how sure they are, float32."""
        logits = self.network(self.contrast(crop[:, None]), self.output_stride)
        sure, found = functional.softmax(logits, dim=1).max(dim=1)
        if self.output_stride == 2:
            sure, found = _repeated(sure), _repeated(found.float())
        hand = crop < 1.0
        return ((found.float() + 1.0) * hand).to(torch.uint8), sure * hand


def _repeated(values: Tensor) -> Tensor:
    return functional.interpolate(values[:, None], scale_factor=2.0, mode="nearest")[:, 0]


class JointGraph(nn.Module):
    """Crop and parts to joints.

    Args:
        network: A `SharedJointNetwork` or `SeparateJointNetworks`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.contrast, self.network = LocalContrast(), network

    def forward(self, crop: Tensor, parts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """To joints (n, j, 3) u v d, confidence (n, j), chance of being visible (n, j) and of a right hand (n,)."""
        crop = crop[:, None]
        joints, visible, spread, right = self.network(self.contrast(crop), crop, parts)
        if visible is None:  # networks that were not taught to say more
            ones = torch.ones_like(joints[..., 0])
            return joints, ones, ones, 0.5 * ones[:, 0]
        spread_mm = torch.exp(spread.clamp(-7.0, 3.0)) * (CUBE_MM / 2)
        confidence = 1.0 - torch.exp(-CONFIDENT_MM / spread_mm)
        return joints, confidence, torch.sigmoid(visible), torch.sigmoid(right)


class LocatorGraph(nn.Module):
    """Wide crop to the hand's centre and wrist.

    Args:
        network: A `HandLocator`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.contrast, self.network = LocalContrast(), network

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 48, 48) to centre and wrist, (n, 3) each, u v d."""
        crop = crop[:, None]
        found: Tensor = self.network(self.contrast(crop), crop, crop)[0]
        return found[:, 0], found[:, 1]
