"""Depth in millimetres -> input channels, inside the network's graph.

Weights can't be used with wrong scaling when the scaling is part of the network. Every encoding takes
`depth_mm` (B, 1, H, W) float32, 0 = no data, and `focal_px` (B,) float32, the focal length in pixels at this very
resolution, and returns (B, channels, H, W). Only operations with fixed shapes and an ONNX counterpart are used
(pooling, comparison, slicing); nothing is sorted and nothing is kept between calls.

The paper (DenseAttentionSeg, section 3) crops a slab of 16 cm from the nearest point; `SlabEncoding` is that reading,
`RawEncoding` the plain one. `GeometryEncoding` is ours: it keeps what lies behind the slab and says how large a
pixel is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.precision import without_autocast

NEAREST_BLOCK_PX = 4
_NO_BLOCK_MM = 1.0e9


def robust_nearest_mm(depth_mm: Tensor) -> Tensor:
    """Distance of the nearest surface, blind to invalid pixels and to single flying pixels.

    The frame is cut into blocks of 4x4 pixels; blocks with an invalid pixel are left out, each other block counts with
    its farthest pixel. A surface must therefore fill a block before it is the nearest one.

    Args:
        depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.

    Returns:
        (B, 1, 1, 1) float32 millimetres; 0 where no block is fully valid.

    Raises:
        ValueError: the frame is smaller than a block.
    """
    if min(depth_mm.shape[-2:]) < NEAREST_BLOCK_PX:
        raise ValueError(
            f"depth has size {tuple(depth_mm.shape[-2:])}, expected at least {NEAREST_BLOCK_PX} pixels a side: "
            "pass the whole frame, not a crop of a few pixels"
        )
    farthest = functional.max_pool2d(depth_mm, NEAREST_BLOCK_PX)
    nearest = -functional.max_pool2d(-depth_mm, NEAREST_BLOCK_PX)
    candidates = torch.where(nearest > 0, farthest, torch.full_like(farthest, _NO_BLOCK_MM))
    reference = candidates.amin(dim=(2, 3), keepdim=True)
    return torch.where(reference < _NO_BLOCK_MM, reference, torch.zeros_like(reference))


class RawEncoding(nn.Module):
    """One channel: depth over the frame's largest depth, 0 = no data."""

    channels = 1

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Scale depth to [0, 1]; `focal_px` is not used. See the module for shapes."""
        farthest = depth_mm.amax(dim=(2, 3), keepdim=True)
        return depth_mm / farthest.clamp(min=1.0)


class SlabEncoding(nn.Module):
    """One channel: 1 at the nearest surface, falling to 0 at `slab_mm` behind it; 0 outside the slab and where invalid.

    With nearest mapped to 1 the background value 0 is continuous with the far end of the slab.
    """

    channels = 1

    def __init__(self, slab_mm: float = 160.0) -> None:
        super().__init__()
        self.slab_mm = slab_mm

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Scale depth to [0, 1]; `focal_px` is not used. See the module for shapes."""
        valid = (depth_mm > 0).to(depth_mm.dtype)
        fraction = (depth_mm - robust_nearest_mm(depth_mm)) / self.slab_mm
        # A flying pixel before the slab is as foreign to it as one behind it; 4 mm of noise are not.
        inside = valid * (fraction > -0.1).to(depth_mm.dtype)
        return inside * (1.0 - fraction).clamp(0.0, 1.0)


class GeometryEncoding(nn.Module):
    """Six channels that say what a depth pixel is and how large it is.

    Channels (all 0 where depth is invalid):
        0. validity, 0 or 1;
        1. depth behind the robust nearest surface, 400 mm -> 1, clipped to [0, 1];
        2. log of the width of a pixel on the surface, log(z / f) with 2 mm -> 0, clipped to [-2, 2];
        3. depth minus the mean of the valid pixels in a window of about 33 pixels, 40 mm -> 1, clipped to [-1, 1];
        4., 5. slope of the surface to the right and downwards, dz/dx as millimetres per millimetre, clipped to [-3, 3];
           0 unless the pixel and both neighbours are valid.
    """

    channels = 6
    reach_mm = 400.0
    pixel_width_mm = 2.0
    relief_mm = 40.0
    relief_pool_px = 4
    relief_box = 9
    steepest = 3.0

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Encode depth. See the module for shapes."""
        valid = (depth_mm > 0).to(depth_mm.dtype)
        behind = ((depth_mm - robust_nearest_mm(depth_mm)) / self.reach_mm).clamp(0.0, 1.0)
        focal = focal_px.to(depth_mm.dtype).reshape(-1, 1, 1, 1)
        # 0.05 mm per pixel is below every sensor: only invalid pixels are raised, and the mask removes them.
        pixel_mm = (depth_mm / focal).clamp(min=0.05)
        scale = (pixel_mm / self.pixel_width_mm).log().clamp(-2.0, 2.0)
        relief = ((depth_mm - self._local_mean_mm(depth_mm, valid)) / self.relief_mm).clamp(-1.0, 1.0)
        slopes = (self._differences_mm(depth_mm, valid) / (2.0 * pixel_mm)).clamp(-self.steepest, self.steepest)
        return torch.cat((valid, behind, scale, relief, slopes), dim=1) * valid

    def _local_mean_mm(self, depth_mm: Tensor, valid: Tensor) -> Tensor:
        """Mean of valid depth in a window of 9 blocks of 4 pixels, brought back to every pixel."""
        height, width = depth_mm.shape[-2:]
        pool = self.relief_pool_px
        sums = torch.cat((depth_mm, valid), dim=1)
        whole = height % pool == 0 and width % pool == 0
        if not whole:
            sums = functional.pad(sums, (0, -width % pool, 0, -height % pool))
        sums = functional.avg_pool2d(sums, pool)
        sums = functional.avg_pool2d(sums, self.relief_box, stride=1, padding=self.relief_box // 2)
        # A valid pixel lies in the window of each block next to it, so the floor only meets windows without data.
        mean = sums[:, :1] / sums[:, 1:].clamp(min=1.0e-6)
        mean = self._enlarge(mean, pool)
        return mean if whole else mean[..., :height, :width]

    @staticmethod
    def _enlarge(blocks: Tensor, factor: int) -> Tensor:
        """Bilinear, `factor` even. A pixel is a weighted mean of its block and the ones around, so a convolution."""
        phase = (torch.arange(factor, device=blocks.device, dtype=blocks.dtype) + 0.5) / factor - 0.5
        taps = torch.stack(((-phase).clamp(min=0.0), 1.0 - phase.abs(), phase.clamp(min=0.0)), dim=1)
        with without_autocast(blocks):
            weight = torch.einsum("ik,jl->ijkl", taps, taps).reshape(factor * factor, 1, 3, 3)
            phases = functional.conv2d(functional.pad(blocks, (1, 1, 1, 1), mode="replicate"), weight)
        return functional.pixel_shuffle(phases, factor)

    @staticmethod
    def _differences_mm(depth_mm: Tensor, valid: Tensor) -> Tensor:
        """Right minus left and lower minus upper neighbour; 0 at the frame's border and where one is invalid.

        One convolution with fixed weights: inference engines run it many times faster than slices and padding.
        """
        # Counted on the device: numbers of the processor's cannot become part of a CUDA graph.
        change = torch.arange(3, device=depth_mm.device, dtype=depth_mm.dtype) - 1.0
        both = change.abs()
        weight = depth_mm.new_zeros(4, 2, 3, 3)
        weight[0, 0, 1, :] = weight[1, 0, :, 1] = change
        weight[2, 1, 1, :] = weight[3, 1, :, 1] = both
        with without_autocast(depth_mm):
            found = functional.conv2d(torch.cat((depth_mm, valid), dim=1), weight, padding=1)
        return found[:, :2] * (found[:, 2:] > 1.5).to(depth_mm.dtype)


ENCODINGS: dict[str, type[RawEncoding] | type[SlabEncoding] | type[GeometryEncoding]] = {
    "geometry": GeometryEncoding,
    "slab": SlabEncoding,
    "raw": RawEncoding,
}


def build_encoding(name: str) -> RawEncoding | SlabEncoding | GeometryEncoding:
    """Encoding by name.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in ENCODINGS:
        raise ValueError(f"unknown encoding {name!r}, expected one of {', '.join(sorted(ENCODINGS))}")
    return ENCODINGS[name]()
