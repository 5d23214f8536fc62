"""Resampling to the working scale and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.segmentation.models.working_scale import (
    WorkingScale,
    axis_sampling,
    guided_upsample,
    sample_depth,
    working_size,
)


class _NearIsHand(nn.Module):
    """Labels by depth alone and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], float]] = []

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        self.seen.append((tuple(depth_mm.shape), float(focal_px[0])))
        hand = (depth_mm > 0) & (depth_mm < 600)
        return 20.0 * torch.cat((~hand, hand, torch.zeros_like(hand)), dim=1).float()


@pytest.mark.parametrize(
    ("size", "focal", "expected"),
    [
        ((240, 320), 240.0, (240, 320)),
        ((240, 320), 222.0, (240, 320)),
        ((480, 640), 476.0, (240, 320)),
        ((472, 630), 500.0, (236, 315)),
        ((424, 512), 365.0, (279, 337)),
        ((120, 160), 120.0, (240, 320)),
        ((20, 20), 2400.0, (16, 16)),
    ],
)
def test_working_sizes(size: tuple[int, int], focal: float, expected: tuple[int, int]) -> None:
    assert working_size(*size, focal, 240.0) == expected


@pytest.mark.parametrize(("full", "working"), [(480, 240), (481, 240), (317, 211), (90, 30)])
def test_way_back_finds_each_pixel_where_it_was_taken(full: int, working: int) -> None:
    axis = axis_sampling(full, working)
    assert (np.diff(axis.source) > 0).all()
    position = axis.lower + axis.fraction
    assert position[axis.source] == pytest.approx(np.arange(working), abs=1e-6)
    assert (np.diff(position) >= 0).all() and axis.upper.max() == working - 1


def test_shrinking_takes_values_of_the_frame_only() -> None:
    depth = torch.rand(1, 1, 47, 61) * 1000
    small = sample_depth(depth, 31, 40)
    assert small.shape == (1, 1, 31, 40)
    assert torch.isin(small, depth).all()


def test_growing_interpolates_surfaces_but_not_edges_or_holes() -> None:
    ramp = torch.arange(16.0).reshape(1, 1, 1, 16).expand(1, 1, 12, 16) * 4 + 500
    depth = ramp.clone()
    depth[..., 8:] += 300
    depth[..., 5, 3] = 0
    large = sample_depth(depth, 24, 32)
    assert large[0, 0, 2, 2:14].diff().tolist() == pytest.approx([2.0] * 11)
    allowed = torch.cat((depth.flatten(), large[..., :15].flatten(), large[..., 17:].flatten()))
    assert torch.isin(large[..., 15:17], allowed[: depth.numel()]).all()
    assert ((large == 0) | (large >= 500)).all()


@pytest.mark.parametrize("size", [(480, 640), (472, 630), (241, 317), (424, 512)])
def test_labels_follow_depth_edges_at_full_resolution(size: tuple[int, int]) -> None:
    """A disc before a wall: every pixel gets the class of its own surface, also between sampled pixels."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    hand = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (height / 4) ** 2
    depth = torch.from_numpy(np.where(hand, 500.0, 800.0)).float().reshape(1, 1, height, width)
    network = WorkingScale(_NearIsHand(), 240.0)
    logits = network(depth, torch.tensor([480.0]))
    assert logits.shape == (1, 3, height, width)
    assert torch.equal(logits.argmax(dim=1)[0].bool(), torch.from_numpy(hand))
    assert torch.allclose(torch.softmax(logits, dim=1).sum(dim=1), torch.ones(1, height, width))


def test_core_gets_the_working_size_and_focal_length() -> None:
    core = _NearIsHand()
    network = WorkingScale(core, 240.0)
    network(torch.full((2, 1, 480, 640), 500.0), torch.tensor([476.0, 476.0]))
    network(torch.full((1, 1, 240, 320), 500.0), torch.tensor([230.0]))
    network(torch.full((1, 1, 120, 160), 500.0), torch.tensor([120.0]))
    assert core.seen == [((2, 1, 240, 320), 238.0), ((1, 1, 240, 320), 230.0), ((1, 1, 240, 320), 240.0)]


def test_near_the_working_scale_nothing_is_resampled() -> None:
    core = _NearIsHand()
    depth, focal = torch.rand(1, 1, 48, 64) * 900, torch.tensor([255.0])
    assert torch.equal(WorkingScale(core)(depth, focal), core(depth, focal))


def test_upsampling_is_bilinear_on_a_flat_surface() -> None:
    probabilities = torch.softmax(torch.randn(1, 3, 6, 8), dim=1)
    rows, columns = axis_sampling(18, 6), axis_sampling(24, 8)
    flat = guided_upsample(
        probabilities, torch.full((1, 1, 6, 8), 500.0), torch.full((1, 1, 18, 24), 500.0), rows, columns
    )
    # At factor 3 the middle pixel of three was sampled, so pixel 4 of a row lies on working pixel 1.
    assert torch.allclose(flat[..., 4, 4], probabilities[..., 1, 1], atol=0.06)
    between = (2 * probabilities[..., 1, 1] + probabilities[..., 1, 2]) / 3
    assert torch.allclose(flat[..., 4, 5], between, atol=0.06)


def test_invalid_neighbours_count_little() -> None:
    probabilities = torch.zeros(1, 2, 4, 4)
    probabilities[:, 0] = 1.0
    working_depth = torch.zeros(1, 1, 4, 4)
    probabilities[..., 1, 1] = torch.tensor([0.0, 1.0])
    working_depth[..., 1, 1] = 500.0
    rows = columns = axis_sampling(8, 4)
    full = guided_upsample(probabilities, working_depth, torch.full((1, 1, 8, 8), 500.0), rows, columns)
    assert (full[0, 1, 2:5, 2:5] > 0.95).all()


def test_differing_or_wrong_focal_lengths_are_refused() -> None:
    network = WorkingScale(_NearIsHand())
    with pytest.raises(ValueError, match="one camera"):
        network(torch.ones(2, 1, 32, 32), torch.tensor([240.0, 480.0]))
    with pytest.raises(ValueError, match="positive"):
        network(torch.ones(1, 1, 32, 32), torch.tensor([0.0]))
