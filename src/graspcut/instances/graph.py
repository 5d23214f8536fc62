"""Everything between a raw depth frame and the scores of all windows at all scales as one graph, exported and run.

Raw millimetres go in; the pyramid is made inside, so an exported file cannot be given wrong scales. The maps of all
scales come out one behind the other, with a table that says what lies where. What follows (assembling the best
windows, suppression) depends on values and is `graspcut.instances.proposing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graspcut.instances.scoring import PADDED_TO_PX

# Columns of the table of levels.
LEVEL_COLUMNS = ("resized_height", "resized_width", "rows", "columns", "stride_px", "first_centre_px")
_LARGEST_MM = torch.finfo(torch.float32).max


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
        depth = torch.where((depth > 0) & (depth <= _LARGEST_MM), depth, 0.0)
        size = torch._shape_as_tensor(depth)[2:]
        short = size.min()
        maps, scores, levels = [], [], []
        for side in self.short_sides:
            resized = ((2 * side * size + short) // (2 * short)).clamp(min=1)
            resampled = depth
            for axis in (0, 1):
                resampled = _sampled(resampled, 2 + axis, size[axis], resized[axis])
            focal = focal_px.float() * (resized[1].float() / size[1].float()).to(focal_px.device)
            level_maps, level_scores = self.network(resampled, focal.expand(depth.shape[0]))
            maps.append(level_maps.float().flatten(2))
            scores.append(level_scores.float().flatten(1))
            cells = torch._shape_as_tensor(level_scores)[1:]
            fixed = torch.tensor([float(self.geometry.stride_px), self.geometry.first_centre_px])
            levels.append(torch.cat([resized.float(), cells.float(), fixed]))
        return torch.cat(maps, dim=2), torch.cat(scores, dim=1), torch.stack(levels)


def _sampled(depth: Tensor, axis: int, full: Tensor, resized: Tensor) -> Tensor:
    """One axis by nearest neighbour, with zeros up to a whole multiple of 16 pixels."""
    filled = (resized + (PADDED_TO_PX - 1)) // PADDED_TO_PX * PADDED_TO_PX
    taken = torch.arange(filled)  # type: ignore[call-overload]
    source = torch.minimum((2 * taken + 1) * full // (2 * resized), full - 1).to(depth.device)
    inside = (taken < resized).to(depth)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    sampled: Tensor = depth.index_select(axis, source) * inside.reshape(shape)
    return sampled
