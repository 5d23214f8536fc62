"""Frames of any size and focal length -> the scale a network was trained at -> labels for every original pixel.

Scale decides more than anything else: an early network trained at 320x240 lost 19 points of mean IOU at 640x480. So
the network always runs at one focal length in pixels, and class probabilities come back by joint upsampling: each
original pixel takes the four network pixels around it, weighted bilinearly and by how well their depth agrees with its
own (Kopf et al., "Joint Bilateral Upsampling", 2007, on two-by-two windows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SMALLEST_SIDE_PX = 16
_FLOOR = 0.02
_SMALLEST_PROBABILITY = 1.0e-7


def working_size(height: int, width: int, focal_px: float, working_focal_px: float) -> tuple[int, int]:
    """Size at which a frame has about the working focal length.

    Factors within 10 % of a whole number are taken as that number: then pixels are left out evenly, and a frame that
    is nearly at the working scale is not touched at all.

    Args:
        height, width: frame size in pixels.
        focal_px: its focal length in pixels.
        working_focal_px: the focal length to come near to.

    Returns:
        (height, width) to sample, not below 16 pixels a side.

    Raises:
        ValueError: a focal length is not positive.
    """
    if not (focal_px > 0 and working_focal_px > 0):
        raise ValueError(
            f"focal lengths are {focal_px} px and {working_focal_px} px, expected positive numbers: "
            "pass the camera's fx"
        )
    factor = focal_px / working_focal_px
    whole = max(round(factor), 1)
    if abs(factor / whole - 1.0) <= 0.1:
        factor = float(whole)
    if factor == 1.0:
        return height, width
    return max(round(height / factor), SMALLEST_SIDE_PX), max(round(width / factor), SMALLEST_SIDE_PX)


@dataclass(frozen=True)
class AxisSampling:
    """How one axis of the frame and of the working frame relate.

    Attributes:
        source: (working,) int64, the frame pixel each working pixel was taken from.
        lower, upper: (full,) int64, the two working pixels around each frame pixel.
        fraction: (full,) float32 in [0, 1], the share of `upper`.
    """

    source: NDArray[np.int64]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    fraction: NDArray[np.float32]


def axis_sampling(full: int, working: int) -> AxisSampling:
    """Nearest sampling of `full` pixels by `working` ones and the way back."""
    centres = (np.arange(working) + 0.5) * full / working
    source = np.minimum(np.floor(centres).astype(np.int64), full - 1)
    if working < full:
        # Where a pixel was taken is exact, unlike its nominal centre: at factor 2 they lie half a pixel apart.
        position = np.interp(np.arange(full), source, np.arange(working))
    else:
        position = np.clip((np.arange(full) + 0.5) * working / full - 0.5, 0, working - 1)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, working - 1)
    return AxisSampling(source, lower, upper, (position - lower).astype(np.float32))


def _pick_along(features: Tensor, dim: int, index: NDArray[np.int64]) -> Tensor:
    """Entries `index` of an axis."""
    return features.index_select(dim, torch.from_numpy(index).to(features.device))


def _pick(features: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """features[:, :, rows, :][..., columns]."""
    return _pick_along(_pick_along(features, 2, rows), 3, columns)


def sample_depth(depth_mm: Tensor, height: int, width: int, surface_mm: float = 20.0) -> Tensor:
    """Depth at another size, without ever averaging across an edge or with an invalid pixel.

    Axes that shrink are sampled at the nearest pixel. If the frame grows, a pixel whose four neighbours are valid and
    within `surface_mm` of each other is interpolated, since steps of repeated pixels look like a rough surface; any
    other takes its nearest neighbour.

    Args:
        depth_mm: (B, 1, H, W) millimetres, 0 = no data.
        height, width: size wanted; both larger or both smaller than the frame's.
        surface_mm: largest depth span of one surface within two pixels.

    Returns:
        (B, 1, height, width).
    """
    rows, columns = axis_sampling(depth_mm.shape[2], height), axis_sampling(depth_mm.shape[3], width)
    nearest = _pick(depth_mm, rows.source, columns.source)
    if height <= depth_mm.shape[2] or width <= depth_mm.shape[3]:
        return nearest
    upper, lower, down = _neighbours(depth_mm.shape[2], height)
    left, right, across = _neighbours(depth_mm.shape[3], width)
    corners = torch.cat([_pick(depth_mm, row, column) for row in (upper, lower) for column in (left, right)], dim=1)
    share_down = torch.from_numpy(down).to(depth_mm).reshape(1, 1, -1, 1)
    share_across = torch.from_numpy(across).to(depth_mm).reshape(1, 1, 1, -1)
    top = torch.lerp(corners[:, 0:1], corners[:, 1:2], share_across)
    bottom = torch.lerp(corners[:, 2:3], corners[:, 3:4], share_across)
    lowest, highest = corners.amin(dim=1, keepdim=True), corners.amax(dim=1, keepdim=True)
    one_surface = (lowest > 0) & (highest - lowest < surface_mm)
    return torch.where(one_surface, torch.lerp(top, bottom, share_down), nearest)


def _neighbours(full: int, working: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The two frame pixels around each working pixel, and the share of the second."""
    position = np.clip((np.arange(working) + 0.5) * full / working - 0.5, 0, full - 1)
    first = np.floor(position).astype(np.int64)
    return first, np.minimum(first + 1, full - 1), (position - first).astype(np.float32)


def guided_upsample(
    probabilities: Tensor,
    working_depth_mm: Tensor,
    depth_mm: Tensor,
    rows: AxisSampling,
    columns: AxisSampling,
    edge_mm: float = 12.0,
) -> Tensor:
    """Joint upsampling of class probabilities, guided by depth.

    Args:
        probabilities: (B, C, h, w).
        working_depth_mm: (B, 1, h, w) depth the probabilities belong to.
        depth_mm: (B, 1, H, W) depth of the frame.
        rows, columns: from `axis_sampling` (H, h) and (W, w).
        edge_mm: depth difference at which a neighbour counts half.

    Returns:
        (B, C, H, W) probabilities. An invalid neighbour has depth 0 and so counts next to nothing for a valid pixel.
    """
    guide = depth_mm / edge_mm
    low = torch.cat((probabilities, working_depth_mm / edge_mm), dim=1)
    row_share = torch.from_numpy(rows.fraction).to(depth_mm).reshape(1, 1, -1, 1)
    column_share = torch.from_numpy(columns.fraction).to(depth_mm).reshape(1, 1, 1, -1)
    one = torch.ones_like(guide[:1, :, :1, :1])
    total, mixed = torch.zeros_like(guide), torch.zeros_like(probabilities[:, :, :1, :1])
    for column_index, column_weight in ((columns.lower, 1.0 - column_share), (columns.upper, column_share)):
        # Columns first, while there are few rows: whole rows are then copied, which is quick.
        spread = _pick_along(low, 3, column_index)
        for row_index, row_weight in ((rows.lower, 1.0 - row_share), (rows.upper, row_share)):
            neighbour = _pick_along(spread, 2, row_index)
            apart = guide - neighbour[:, -1:]
            # The floor lets a neighbour on the right surface win against a nearer one on the wrong surface.
            weight = (row_weight * column_weight + _FLOOR) / torch.addcmul(one, apart, apart)
            mixed = torch.addcmul(mixed, neighbour[:, :-1], weight)
            total = total + weight
    return mixed / total


class WorkingScale(nn.Module):
    """Runs a segmentation network at its working scale; same call as the network, frames of any size.

    Args:
        core: network with `forward(depth_mm, focal_px) -> logits`.
        working_focal_px: focal length in pixels at which `core` was trained.
        edge_mm: see `guided_upsample`.
    """

    def __init__(self, core: nn.Module, working_focal_px: float = 240.0, edge_mm: float = 12.0) -> None:
        super().__init__()
        self.core = core
        self.working_focal_px = working_focal_px
        self.edge_mm = edge_mm

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Segment depth frames.

        Args:
            depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
            focal_px: (B,) float32 pixels, the same for all frames of the batch.

        Returns:
            (B, classes, H, W) logits; log probabilities where the frame was resampled.

        Raises:
            ValueError: focal lengths differ within the batch, or are not positive.
        """
        height, width = depth_mm.shape[-2:]
        nearest, farthest = float(focal_px.min()), float(focal_px.max())
        if farthest - nearest > 0.01 * farthest:
            raise ValueError(
                f"focal lengths of one batch run from {nearest} to {farthest} px, expected one camera: "
                "segment frames of different cameras in batches of their own"
            )
        size = working_size(height, width, nearest, self.working_focal_px)
        if size == (height, width):
            logits: Tensor = self.core(depth_mm, focal_px)
            return logits
        rows, columns = axis_sampling(height, size[0]), axis_sampling(width, size[1])
        working_depth_mm = sample_depth(depth_mm, *size)
        scale = (size[0] / height * size[1] / width) ** 0.5
        probabilities = torch.softmax(self.core(working_depth_mm, focal_px * scale), dim=1)
        full = guided_upsample(probabilities, working_depth_mm, depth_mm, rows, columns, self.edge_mm)
        return full.clamp(min=_SMALLEST_PROBABILITY).log()
