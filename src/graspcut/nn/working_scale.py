"""Frames of any size and focal length -> the scale a network was trained at -> maps for every original pixel.

Scale decides more than anything else: an early network trained at 320x240 lost 19 points of mean IOU at 640x480. So
the network always runs at one focal length in pixels, and its maps (class probabilities, mattes, heat maps) come back
by joint upsampling: each original pixel takes the four network pixels around it, weighted bilinearly and by how well
their depth agrees with its own (Kopf et al., "Joint Bilateral Upsampling", 2007, on two-by-two windows).

Everything here is tensor operations, sizes included, so that a graph traced once holds for every size and focal length
(see `graspcut.segmentation.graph`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SMALLEST_SIDE_PX = 16
STRIDE_PX = 16
_FLOOR = 0.02


def working_shape(shape: Tensor, focal_px: Tensor, working_focal_px: float) -> Tensor:
    """Size at which a frame has about the working focal length.

    Factors within 10 % of a whole number are taken as that number: then pixels are left out evenly, and a frame that
    is nearly at the working scale is not touched at all.

    Args:
        shape: (2,) int64, height and width of the frame in pixels.
        focal_px: scalar, its focal length in pixels.
        working_focal_px: the focal length to come near to.

    Returns:
        (2,) int64: height and width to sample, not below 16 pixels a side where the frame is resampled.
    """
    factor = focal_px.double() / working_focal_px
    whole = factor.round().clamp(min=1.0)
    factor = torch.where((factor / whole - 1.0).abs() <= 0.1, whole, factor)
    sampled = (shape.double() / factor).round().clamp(min=float(SMALLEST_SIDE_PX)).long()
    return torch.where(factor == 1.0, shape, sampled)


def working_size(height: int, width: int, focal_px: float, working_focal_px: float) -> tuple[int, int]:
    """`working_shape` of plain numbers.

    Raises:
        ValueError: a focal length is not positive.
    """
    if not (focal_px > 0 and working_focal_px > 0):
        raise ValueError(
            f"focal lengths are {focal_px} px and {working_focal_px} px, expected positive numbers: "
            "pass the camera's fx"
        )
    focal = torch.tensor(focal_px, dtype=torch.float64)
    found = working_shape(torch.tensor([height, width]), focal, working_focal_px)
    return int(found[0]), int(found[1])


@dataclass(frozen=True)
class AxisSampling:
    """How one axis of the frame and of the working frame relate.

    The working frame is filled up to a whole multiple of 16 pixels with pixels that have no data.

    Attributes:
        source: (filled,) int64, the frame pixel each working pixel was taken from.
        inside: (filled,) float32, 1 for working pixels and 0 for those that fill up.
        lower, upper: (full,) int64, the two working pixels around each frame pixel.
        fraction: (full,) float32 in [0, 1], the share of `upper`.
        before, after, share: (filled,) int64, int64 and float32: where the frame grows, the two frame pixels around
            each working pixel, of which `source` is one, and the share of the second. Otherwise `after` is `source`,
            and `before` the frame pixel before it.
        grows: scalar bool, whether there are more working pixels than frame pixels.
    """

    source: Tensor
    inside: Tensor
    lower: Tensor
    upper: Tensor
    fraction: Tensor
    before: Tensor
    after: Tensor
    share: Tensor
    grows: Tensor


def axis_sampling(full: Tensor, working: Tensor) -> AxisSampling:
    """Nearest sampling of `full` pixels by `working` ones and the way back.

    Args:
        full, working: scalar int64 tensors.
    """
    filled = (working + (STRIDE_PX - 1)) // STRIDE_PX * STRIDE_PX
    shrinks, grows = working < full, working > full
    # Whole numbers as far as possible, so that every engine finds the same pixel where a centre lies between two.
    taken = _range(filled)
    source = torch.minimum((2 * taken + 1) * full // (2 * working), full - 1)
    before, share = _position((2 * taken + 1) * full - working, 2 * working, full)
    after = torch.where(grows, torch.minimum(before + 1, full - 1), source)
    before = torch.where(grows, before, (source - 1).clamp(min=0))

    # The way back. Where a pixel was taken is exact, unlike its nominal centre: at factor 2 it is half a pixel off.
    pixels = _range(full)
    taken_before = ((2 * working * (pixels + 1) - 1) // full - 1).clamp(min=0) // 2
    taken_before = torch.minimum(taken_before, working - 1)
    left, right = source[taken_before], source[torch.minimum(taken_before + 1, working - 1)]
    between = ((pixels - left).float() / (right - left).clamp(min=1).float()).clamp(0.0, 1.0)
    lower, fraction = _position((2 * pixels + 1) * working - full, 2 * full, working)
    lower = torch.where(shrinks, taken_before, lower)
    return AxisSampling(
        source=source,
        inside=(taken < working).float(),
        lower=lower,
        upper=torch.minimum(lower + 1, working - 1),
        fraction=torch.where(shrinks, between, fraction),
        before=before,
        after=after,
        share=torch.where(grows, share, 1.0),
        grows=grows,
    )


def _range(length: Tensor) -> Tensor:
    # The tensor itself, not its value, so that a traced graph keeps the connection.
    return torch.arange(length, device=length.device)  # type: ignore[call-overload, no-any-return]


def _position(numerator: Tensor, denominator: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Whole part and fraction of numerator / denominator, clamped to the pixels 0 .. length - 1."""
    numerator = torch.minimum(numerator.clamp(min=0), (length - 1) * denominator)
    whole = numerator // denominator
    return whole, (numerator - whole * denominator).float() / denominator.float()


def _pick(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """features[:, :, rows, :][..., columns]."""
    return features.index_select(2, rows).index_select(3, columns)


def sample_depth(
    depth_mm: Tensor, rows: AxisSampling, columns: AxisSampling, surface_mm: float = 20.0
) -> tuple[Tensor, Tensor]:
    """Depth at another size, without ever averaging across an edge or with an invalid pixel.

    Frames that shrink are sampled at the nearest pixel. If the frame grows, a pixel whose four neighbours are valid and
    within `surface_mm` of each other is interpolated, since steps of repeated pixels look like a rough surface; any
    other takes its nearest neighbour.

    Args:
        depth_mm: (B, 1, H, W) millimetres, 0 = no data.
        rows, columns: from `axis_sampling` of the height and the width.
        surface_mm: largest depth span of one surface within two pixels.

    Returns:
        (B, 1, h, w), h and w whole multiples of 16, and its neighbours, (B, 3, h, w): the frame pixels above, left, and
        above left of each pixel that was taken. Where every second pixel is taken, these are the ones that are left
        out, so that with them a network sees all. At the frame's border, and where a frame grows and the pixel is the
        first of the two around it, the pixel itself stands for the one before it.
    """
    corners = [
        _pick(depth_mm, row, column) for row in (rows.before, rows.after) for column in (columns.before, columns.after)
    ]
    across, down = columns.share.reshape(1, 1, 1, -1), rows.share.reshape(1, 1, -1, 1)
    mixed = torch.lerp(torch.lerp(corners[0], corners[1], across), torch.lerp(corners[2], corners[3], across), down)
    lowest = torch.minimum(torch.minimum(corners[0], corners[1]), torch.minimum(corners[2], corners[3]))
    highest = torch.maximum(torch.maximum(corners[0], corners[1]), torch.maximum(corners[2], corners[3]))
    one_surface = (lowest > 0) & (highest - lowest < surface_mm) & (rows.grows | columns.grows)
    first_row = (rows.source == rows.before).reshape(1, 1, -1, 1)
    first_column = (columns.source == columns.before).reshape(1, 1, 1, -1)
    above, left = torch.where(first_column, corners[0], corners[1]), torch.where(first_row, corners[0], corners[2])
    nearest = torch.where(first_row, above, torch.where(first_column, corners[2], corners[3]))
    inside = rows.inside.reshape(1, 1, -1, 1) * columns.inside.reshape(1, 1, 1, -1)
    neighbours = torch.cat((above, left, corners[0]), dim=1)
    return torch.where(one_surface, mixed, nearest) * inside, neighbours * inside


def adjacent_pixels(depth_mm: Tensor) -> Tensor:
    """Neighbours, as from `sample_depth`, of a frame that is taken as it is: (B, 1, H, W) -> (B, 3, H, W)."""
    above = torch.cat((depth_mm[:, :, :1], depth_mm[:, :, :-1]), dim=2)
    left, above_left = (torch.cat((rows[..., :1], rows[..., :-1]), dim=3) for rows in (depth_mm, above))
    return torch.cat((above, left, above_left), dim=1)


def guided_upsample(
    maps: Tensor,
    working_depth_mm: Tensor,
    depth_mm: Tensor,
    rows: AxisSampling,
    columns: AxisSampling,
    edge_mm: float = 12.0,
    *,
    sum_to_one: bool = True,
) -> Tensor:
    """Joint upsampling of maps, guided by depth.

    Args:
        maps: (B, C, h, w), any number of maps.
        working_depth_mm: (B, 1, h, w) depth the maps belong to.
        depth_mm: (B, 1, H, W) depth of the frame.
        rows, columns: from `axis_sampling` (H, h) and (W, w).
        edge_mm: depth difference at which a neighbour counts half.
        sum_to_one: the maps are probabilities of classes that exclude each other. The first one is then what the others
            leave and need not travel.

    Returns:
        (B, C, H, W) maps. An invalid neighbour has depth 0 and so counts next to nothing for a valid pixel.
    """
    guide = depth_mm / edge_mm
    low, guide_low = maps[:, 1:] if sum_to_one else maps, working_depth_mm / edge_mm
    row_shares = ((rows.lower, 1.0 - rows.fraction), (rows.upper, rows.fraction))
    # A frame that was not resampled comes back as it is.
    floor = _FLOOR * ((rows.fraction > 0).any() | (columns.fraction > 0).any()).float()
    total, mixed = torch.zeros_like(guide), torch.zeros_like(low[:, :, :1, :1])
    for column_index, column_weight in ((columns.lower, 1.0 - columns.fraction), (columns.upper, columns.fraction)):
        # Columns first, while there are few rows: whole rows are then copied, which is quick.
        spread = low.index_select(3, column_index)
        guide_spread = guide_low.index_select(3, column_index)
        for row_index, row_weight in row_shares:
            apart = guide - guide_spread.index_select(2, row_index)
            # The floor lets a neighbour on the right surface win against a nearer one on the wrong surface.
            share = row_weight.reshape(1, 1, -1, 1) * column_weight.reshape(1, 1, 1, -1) + floor
            weight = share / (1.0 + apart * apart)
            mixed = mixed + spread.index_select(2, row_index) * weight
            total = total + weight
    full = mixed / total
    if not sum_to_one:
        return full
    first = 1.0 - full[:, :1]
    for label in range(1, full.shape[1]):
        first = first - full[:, label : label + 1]
    return torch.cat((first, full), dim=1)


@dataclass(frozen=True)
class ScalePlan:
    """What resampling frames of one size and focal length needs.

    Attributes:
        rows, columns: the two axes.
        focal_px: (1,) float32, focal length of the working frame in pixels.
    """

    rows: AxisSampling
    columns: AxisSampling
    focal_px: Tensor


def class_probabilities(logits: Tensor) -> Tensor:
    """Softmax over the maps."""
    return torch.softmax(logits, dim=1)


class WorkingScale(nn.Module):
    """Runs a network at its working scale, on frames of any size.

    Networks get whole multiples of 16 pixels, their stride: then every level has exactly half the size of the one
    before.

    Args:
        core: network with `forward(depth_mm, focal_px) -> maps at the size of the depth`. If it has an attribute
            `takes_neighbours` that is true, it is also given the neighbours that `sample_depth` finds.
        working_focal_px: focal length in pixels at which `core` was trained; None runs it at the frame's own scale.
        edge_mm: see `guided_upsample`.
        activation: what becomes of the core's maps before they are brought back; the default makes class logits
            probabilities.
        sum_to_one: whether the activated maps do; see `guided_upsample`.
    """

    def __init__(
        self,
        core: nn.Module,
        working_focal_px: float | None = 240.0,
        edge_mm: float = 12.0,
        *,
        activation: Callable[[Tensor], Tensor] = class_probabilities,
        sum_to_one: bool = True,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.sum_to_one = sum_to_one
        self.core = core
        self.working_focal_px = working_focal_px
        self.edge_mm = edge_mm

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Maps of depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
            focal_px: (1,) or (B,) float32 pixels, the same for all frames of the batch.

        Returns:
            (B, C, H, W) float32 maps, activated.

        Raises:
            ValueError: focal lengths differ within the batch, or are not positive (not checked in a traced graph).
        """
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            size = torch._shape_as_tensor(depth_mm)[2:]
            return self.run(depth_mm, focal_px, self._sampling(size, focal_px[:1]))
        _check_focal_lengths(focal_px)
        plan = self.plan(depth_mm.shape[-2], depth_mm.shape[-1], float(focal_px[0]), depth_mm.device)
        return self.run(depth_mm, focal_px, plan)

    def plan(self, height: int, width: int, focal_px: float, device: torch.device) -> ScalePlan | None:
        """How frames of one size and focal length are resampled; None if the network takes them as they are."""
        size, focal = torch.tensor([height, width]), torch.tensor([focal_px])
        same = self.working_focal_px is None or torch.equal(working_shape(size, focal[0], self.working_focal_px), size)
        if same and height % STRIDE_PX == 0 and width % STRIDE_PX == 0:
            return None
        plan = self._sampling(size, focal)
        rows, columns = (
            AxisSampling(**{name: index.to(device) for name, index in vars(axis).items()})
            for axis in (plan.rows, plan.columns)
        )
        return ScalePlan(rows, columns, plan.focal_px.to(device))

    def _sampling(self, size: Tensor, focal_px: Tensor) -> ScalePlan:
        working = size if self.working_focal_px is None else working_shape(size, focal_px[0], self.working_focal_px)
        scale = (working.double() / size.double()).prod().sqrt().float()
        return ScalePlan(
            axis_sampling(size[0], working[0]), axis_sampling(size[1], working[1]), focal_px.float() * scale
        )

    def run(self, depth_mm: Tensor, focal_px: Tensor, plan: ScalePlan | None) -> Tensor:
        """`forward` with the resampling worked out beforehand, so that nothing here depends on values.

        Args:
            depth_mm, focal_px: as in `forward`.
            plan: from `plan`.
        """
        looks_around = getattr(self.core, "takes_neighbours", False)
        if plan is None:
            around = (adjacent_pixels(depth_mm),) if looks_around else ()
            return self.activation(self.core(depth_mm, focal_px.expand(len(depth_mm)), *around).float())
        working_depth_mm, neighbours_mm = sample_depth(depth_mm, plan.rows, plan.columns)
        around = (neighbours_mm,) if looks_around else ()
        maps = self.activation(self.core(working_depth_mm, plan.focal_px.expand(len(depth_mm)), *around).float())
        if self.working_focal_px is None:
            return maps[..., : depth_mm.shape[-2], : depth_mm.shape[-1]]
        return guided_upsample(
            maps,
            working_depth_mm,
            depth_mm,
            plan.rows,
            plan.columns,
            self.edge_mm,
            sum_to_one=self.sum_to_one,
        )


def _check_focal_lengths(focal_px: Tensor) -> None:
    nearest, farthest = float(focal_px.min()), float(focal_px.max())
    if not nearest > 0:
        raise ValueError(f"a focal length is {nearest} px, expected a positive number: pass the camera's fx")
    if farthest - nearest > 0.01 * farthest:
        raise ValueError(
            f"focal lengths of one batch run from {nearest} to {farthest} px, expected one camera: "
            "segment frames of different cameras in batches of their own"
        )
