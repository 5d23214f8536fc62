"""Everything between a raw depth frame and the scores of all windows at all scales as one graph, exported and run.

Raw millimetres go in; the pyramid is made inside, so an exported file cannot be given wrong scales. The maps of all
scales come out one behind the other, with a table that says what lies where. What follows (assembling the best
windows, suppression) depends on values and is `graspcut.instances.proposing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.instances.scoring import PADDED_TO_PX

# Columns of the table of levels.
LEVEL_COLUMNS = ("resized_height", "resized_width", "rows", "columns", "stride_px", "first_centre_px")
_LARGEST_MM = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class _Axis:
    """Which pixels an axis takes, and 1 where they belong to the frame."""

    source: Tensor
    inside: Tensor


@dataclass(frozen=True)
class _Scale:
    """Size (height, width) of a frame at one scale, how it gets there, and the focal length there."""

    resized: Tensor
    rows: _Axis
    columns: _Axis
    focal_px: Tensor


class InstanceGraph(nn.Module):
    """Raw depth -> score maps and objectness of all scales (see the module).

    Args:
        network: an InstanceFCN for depth.
        short_sides: of the scales; by default those of the network.

    Raises:
        ValueError: the network takes more than depth.
    """

    def __init__(self, network: nn.Module, short_sides: Sequence[int] | None = None) -> None:
        super().__init__()
        config: Any = network.config
        if config.inputs != "depth":
            raise ValueError(f"this network takes {config.inputs}; graphs are for networks that take depth alone")
        self.network = network
        self.geometry = config.geometry
        self.short_sides = tuple(short_sides or config.geometry.short_sides)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score all windows of frames.

        Args:
            depth_mm: (B, H, W) float32 or uint16 millimetres, 0 = no data; any H, W.
            focal_px: (1,) float32, focal length of all frames in pixels.

        Returns:
            score_maps: (B, k^2, N) float32 logits, N cells of all scales, each scale row by row.
            objectness: (B, N) float32 logits.
            levels: (scales, 6) float32, see `LEVEL_COLUMNS`; rows and columns count those made on padding.
        """
        depth = depth_mm.float().unsqueeze(1)
        scales = self._scales(torch._shape_as_tensor(depth)[2:], focal_px)
        return self._scored(depth, scales)

    def prepare(
        self, shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, NDArray[Any]], device: torch.device
    ) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """`forward` for one size and focal length; see `graspcut.runtime.torch_session.Prepare`.

        Returns:
            (B, H, W) float32 millimetres -> what `forward` returns; it never waits for a GPU.
        """
        focal_px = torch.from_numpy(np.array(settings["focal_px"])).to(device)
        scales = self._scales(torch.tensor(shapes["depth_mm"][1:]), focal_px)
        return lambda depth_mm: self._scored(depth_mm.float().unsqueeze(1), scales)

    def _scales(self, size: Tensor, focal_px: Tensor) -> list[_Scale]:
        """How a frame of some size is brought to all scales."""
        short = size.min()
        scales = []
        for side in self.short_sides:
            resized = ((2 * side * size + short) // (2 * short)).clamp(min=1)
            rows, columns = (_axis(size[axis], resized[axis], focal_px.device) for axis in (0, 1))
            focal = focal_px.float() * (resized[1].float() / size[1].float()).to(focal_px.device)
            scales.append(_Scale(resized, rows, columns, focal))
        return scales

    def _scored(self, depth: Tensor, scales: Sequence[_Scale]) -> tuple[Tensor, Tensor, Tensor]:
        depth = torch.where((depth > 0) & (depth <= _LARGEST_MM), depth, 0.0)
        maps, scores, levels = [], [], []
        for scale in scales:
            resampled = _sampled(_sampled(depth, 2, scale.rows), 3, scale.columns)
            level_maps, level_scores = self.network(resampled, scale.focal_px.expand(depth.shape[0]))
            maps.append(level_maps.float().flatten(2))
            scores.append(level_scores.float().flatten(1))
            # The table stays with the processor, which alone reads it.
            cells = torch._shape_as_tensor(level_scores)[1:]
            fixed = torch.tensor([float(self.geometry.stride_px), self.geometry.first_centre_px])
            levels.append(torch.cat([scale.resized.float(), cells.float(), fixed]))
        return torch.cat(maps, dim=2), torch.cat(scores, dim=1), torch.stack(levels)


def _axis(full: Tensor, resized: Tensor, device: torch.device) -> _Axis:
    """One axis by nearest neighbour, with zeros up to a whole multiple of 16 pixels."""
    filled = (resized + (PADDED_TO_PX - 1)) // PADDED_TO_PX * PADDED_TO_PX
    taken = torch.arange(filled)  # type: ignore[call-overload]
    source = torch.minimum((2 * taken + 1) * full // (2 * resized), full - 1).to(device)
    return _Axis(source, (taken < resized).float().to(device))


def _sampled(depth: Tensor, dimension: int, axis: _Axis) -> Tensor:
    shape = [1, 1, 1, 1]
    shape[dimension] = -1
    sampled: Tensor = depth.index_select(dimension, axis.source) * axis.inside.reshape(shape)
    return sampled
