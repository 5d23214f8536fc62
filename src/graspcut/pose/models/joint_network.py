"""f_r, the joint regressors of Neverova et al. (2017): table 1, figure 4 and section 4.

One small network a joint: a convolution, then an inception module whose four branches see the same maps, one of them
only where the hand's parts that are closest to the joint are. Two branches have equal sizes in table 1 (c211-c212,
c221-c222); the first is the masked one here.

Deviations: batch normalisation has no affine parameters, so that the counts are those of table 1 (the convolution after
it scales as well). Opening uses a 2x2 element: at 5 mm a pixel fingers are 2 to 4 pixels wide. `SharedJointNetwork`
shares all layers over joints, as section 4 expects to be best for less data, and also says which joints are seen and
whether the hand is a right one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.pose.anatomy import JOINT_PARTS, PARTS, joint_part_matrix

INPUT_PX = 24
MASK_PX = 12
_CONCATENATED = 8 + 8 + 8 + 16
_LOCAL_UNITS = 64


def halved(image: Tensor) -> Tensor:
    """(n, k, 48, 48) to (n, k, 24, 24), the mean of 2x2 pixels."""
    return functional.avg_pool2d(image, 2)


def opened(regions: Tensor) -> Tensor:
    """Morphological opening by a 2x2 square of maps of 0 and 1, (n, k, H, W); outside the map counts as inside."""
    inside = regions > 0.5
    for axis in (2, 3):
        size = inside.shape[axis]
        both = inside.narrow(axis, 0, size - 1) & inside.narrow(axis, 1, size - 1)
        inside = torch.cat([both, inside.narrow(axis, size - 1, 1)], dim=axis)
    for axis in (2, 3):
        size = inside.shape[axis]
        either = inside.narrow(axis, 1, size - 1) | inside.narrow(axis, 0, size - 1)
        inside = torch.cat([inside.narrow(axis, 0, 1), either], dim=axis)
    return inside.to(regions.dtype)


def joint_masks(parts: Tensor, matrix: Tensor) -> Tensor:
    """Where each joint's parts are, on the grid of the inception module's maps.

    Args:
        parts: (n, 48, 48) integers, 1..20 a part, anything else none.
        matrix: (joints, 20) of `joint_part_matrix`.

    Returns:
        (n, joints, 12, 12) of 0 and 1: a cell is 1 if any of its pixels is in the opened regions. Where opening leaves
        nothing the regions themselves count, and where there are none the whole map.
    """
    numbers = torch.arange(1, PARTS + 1, device=parts.device)
    regions = (parts[:, None].long() == numbers[None, :, None, None]).float()
    cells = functional.max_pool2d(regions, parts.shape[-1] // MASK_PX)
    opened_cells = functional.max_pool2d(opened(regions), parts.shape[-1] // MASK_PX)
    raw, clean = _united(cells, matrix), _united(opened_cells, matrix)
    mask = torch.where(clean.amax(dim=(2, 3), keepdim=True) > 0, clean, raw)
    return torch.where(mask.amax(dim=(2, 3), keepdim=True) > 0, mask, torch.ones_like(mask))


def _united(cells: Tensor, matrix: Tensor) -> Tensor:
    flat = torch.einsum("jp,npc->njc", matrix.to(cells.dtype), cells.flatten(2))
    return flat.clamp(max=1.0).reshape(flat.shape[0], flat.shape[1], MASK_PX, MASK_PX)


class JointRegressor(nn.Module):
    """One joint's network: 6,921,291 parameters.

    Args:
        hidden: Units of the fully connected layer.
        outputs: Numbers that are regressed.
    """

    def __init__(self, hidden: int = 1200, outputs: int = 3) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 32, 3, padding=1)
        self.norm_c1 = _norm2d(32)
        self.c211 = nn.Conv2d(32, 16, 1)
        self.norm_c211 = _norm2d(16)
        self.c212 = nn.Conv2d(16, 8, 3, padding=1)
        self.c221 = nn.Conv2d(32, 16, 1)
        self.norm_c221 = _norm2d(16)
        self.c222 = nn.Conv2d(16, 8, 3, padding=1)
        self.c232 = nn.Conv2d(32, 8, 1)
        self.c241 = nn.Conv2d(32, 16, 1)
        self.norm_concatenated = _norm2d(_CONCATENATED)
        self.fc = nn.Linear(_CONCATENATED * MASK_PX * MASK_PX, hidden)
        self.norm_fc = nn.BatchNorm1d(hidden, affine=False)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Regress a joint.

        Args:
            image: (n, 1, 24, 24), the crop after local contrast normalisation.
            mask: (n, 12, 12) of 0 and 1, where the joint's parts are; None is baseline (a), no masks.

        Returns:
            (n, 3), u, v, d of the crop.
        """
        maps = functional.max_pool2d(functional.relu(self.norm_c1(self.c1(image))), 2)
        masked = maps if mask is None else maps * mask[:, None]
        local = self.c212(functional.relu(self.norm_c211(self.c211(masked))))
        whole = self.c222(functional.relu(self.norm_c221(self.c221(maps))))
        # Pooling keeps the size: the last row and column are pooled with nothing beyond them.
        pooled = self.c232(functional.max_pool2d(functional.pad(maps, (0, 1, 0, 1)), 2, stride=1))
        joined = torch.cat([local, whole, pooled, self.c241(maps)], dim=1)
        x = functional.relu(self.norm_concatenated(joined)).flatten(1)
        joints: Tensor = self.output(functional.relu(self.norm_fc(self.fc(x))))
        return joints


@dataclass(frozen=True)
class SeparateJointConfig:
    """What the paper's joint networks are built from.

    Attributes:
        joint_parts: For every joint the parts of its mask.
        masks: False for baseline (a), which sees no parts.
        hidden: Units of each fully connected layer.
    """

    joint_parts: tuple[tuple[int, ...], ...] = JOINT_PARTS
    masks: bool = True
    hidden: int = 1200


class SeparateJointNetworks(nn.Module):
    """The paper's f_r: a `JointRegressor` for every joint.

    Args:
        config: What it is built from.
    """

    matrix: Tensor

    def __init__(self, config: SeparateJointConfig | None = None) -> None:
        super().__init__()
        self.config = config or SeparateJointConfig()
        joint_parts, hidden = self.config.joint_parts, self.config.hidden
        self.masks = self.config.masks
        self.register_buffer("matrix", torch.from_numpy(joint_part_matrix(joint_parts)), persistent=False)
        self.joints = nn.ModuleList(JointRegressor(hidden) for _ in joint_parts)

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, None, None, None]:
        """(n, joints, 3) from the normalised crop (n, 1, 48, 48) and its parts (n, 48, 48); `crop` is not looked at.

        The three None stand for what `SharedJointNetwork` says of visibility, expected error and handedness.
        """
        small = halved(image)
        masks = joint_masks(parts, self.matrix) if self.masks else None
        each = [network(small, None if masks is None else masks[:, index]) for index, network in enumerate(self.joints)]
        return torch.stack(each, dim=1), None, None, None


@dataclass(frozen=True)
class SharedJointConfig:
    """What a shared joint network is built from.

    Attributes:
        joint_parts: For every joint the parts of its mask.
        masks: False for baseline (a), which sees no parts.
        hidden: Units of the fully connected layer.
        channels: Maps of the first convolution.
    """

    joint_parts: tuple[tuple[int, ...], ...] = JOINT_PARTS
    masks: bool = True
    hidden: int = 512
    channels: int = 32


class SharedJointNetwork(nn.Module):
    """f_r with one set of parameters for all joints, for shipping.

    The convolutions are those of `JointRegressor`; the masked branch runs once a joint, the others once. A joint's
    units are the sum of what the whole maps say, what its masked maps say, and its own bias.

    Args:
        config: What it is built from.
    """

    matrix: Tensor

    def __init__(self, config: SharedJointConfig | None = None) -> None:
        super().__init__()
        self.config = config or SharedJointConfig()
        joint_parts, hidden, channels = self.config.joint_parts, self.config.hidden, self.config.channels
        joints = len(joint_parts)
        self.masks = self.config.masks
        self.register_buffer("matrix", torch.from_numpy(joint_part_matrix(joint_parts)), persistent=False)
        self.c1 = nn.Conv2d(2, channels, 3, padding=1)
        self.norm_c1 = _norm2d(channels)
        self.c211 = nn.Conv2d(channels, 16, 1)
        self.norm_c211 = _norm2d(16)
        self.c212 = nn.Conv2d(16, 8, 3, padding=1)
        self.norm_local = _norm2d(8)
        self.c221 = nn.Conv2d(channels, 16, 1)
        self.norm_c221 = _norm2d(16)
        self.c222 = nn.Conv2d(16, 8, 3, padding=1)
        self.c232 = nn.Conv2d(channels, 8, 1)
        self.c241 = nn.Conv2d(channels, 16, 1)
        self.norm_whole = _norm2d(_CONCATENATED - 8)
        cells = MASK_PX * MASK_PX
        self.fc_whole = nn.Linear((_CONCATENATED - 8) * cells, hidden)
        # Through few units: it runs once a joint, and would cost more than all the rest together.
        self.fc_local = nn.Linear(8 * cells, _LOCAL_UNITS)
        self.fc_from_local = nn.Linear(_LOCAL_UNITS, hidden, bias=False)
        self.joint_bias = nn.Parameter(torch.zeros(joints, hidden))
        self.norm_fc = nn.BatchNorm1d(hidden, affine=False)
        self.output = nn.Parameter(torch.randn(joints, hidden, 5) * hidden**-0.5)
        self.output_bias = nn.Parameter(torch.zeros(joints, 5))
        self.handedness = nn.Linear(hidden, 1)

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Regress all joints.

        Args:
            image: (n, 1, 48, 48), the crop after local contrast normalisation.
            crop: (n, 1, 48, 48), the crop, -1..1, background 1: absolute depth helps where contrast cannot.
            parts: (n, 48, 48) integers, 1..20 a part.

        Returns:
            Joints (n, joints, 3) as u, v, d of the crop; logits (n, joints) of being visible; the logarithm (n, joints)
            of the error that is expected, in the crop's units; logits (n,) of a right hand.
        """
        joints = len(self.config.joint_parts)
        maps = functional.relu(self.norm_c1(self.c1(halved(torch.cat([image, crop], dim=1)))))
        maps = functional.max_pool2d(maps, 2)
        whole = self.c222(functional.relu(self.norm_c221(self.c221(maps))))
        pooled = self.c232(functional.max_pool2d(functional.pad(maps, (0, 1, 0, 1)), 2, stride=1))
        joined = functional.relu(self.norm_whole(torch.cat([whole, pooled, self.c241(maps)], dim=1)))
        from_whole = self.fc_whole(joined.flatten(1))
        # A 1x1 convolution of masked maps is the masked convolution of the maps: it runs once, not once a joint.
        local = functional.conv2d(maps, self.c211.weight)
        if self.masks:
            local = local[:, None] * joint_masks(parts, self.matrix)[:, :, None]
            local = local.reshape(-1, self.c211.out_channels, MASK_PX, MASK_PX)
        assert self.c211.bias is not None
        local = local + self.c211.bias[:, None, None]
        local = self.c212(functional.relu(_normalised(self.norm_c211, local)))
        local = functional.relu(self.fc_local(functional.relu(self.norm_local(local)).flatten(1)))
        from_local = self.fc_from_local(local)
        if self.masks:
            from_local = from_local.reshape(-1, joints, self.config.hidden)
        else:
            from_local = from_local[:, None].expand(-1, joints, -1)
        units = from_whole[:, None] + from_local + self.joint_bias
        units = _normalised(self.norm_fc, units.reshape(-1, self.config.hidden)).reshape(-1, joints, self.config.hidden)
        units = functional.relu(units)
        found = torch.einsum("njh,jho->njo", units, self.output) + self.output_bias
        return found[..., :3], found[..., 3], found[..., 4], self.handedness(units.mean(dim=1))[:, 0]


def _normalised(norm: nn.BatchNorm2d | nn.BatchNorm1d, x: Tensor) -> Tensor:
    """What the layer does, written out outside training: the ONNX exporter loses the number of "
    "channels of masked maps."""
    if norm.training or norm.running_mean is None or norm.running_var is None:
        normalised: Tensor = norm(x)
        return normalised
    scale = torch.rsqrt(norm.running_var + norm.eps)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return (x - norm.running_mean.reshape(shape)) * scale.reshape(shape)


def _norm2d(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)
