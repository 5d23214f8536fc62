"""Resampling to the working scale and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.working_scale import (
    AxisSampling,
    WorkingScale,
    axis_sampling,
    guided_upsample,
    sample_depth,
    working_size,
)


def sampling(full: int, working: int) -> AxisSampling:
    """`axis_sampling` of plain numbers."""
    return axis_sampling(torch.tensor(full), torch.tensor(working))


class _NearIsHand(nn.Module):
    """Labels by depth alone and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], float]] = []

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        assert focal_px.shape == depth_mm.shape[:1]
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
    axis = sampling(full, working)
    source = axis.source[:working]
    assert (source.diff() > 0).all()
    position = axis.lower + axis.fraction
    assert torch.allclose(position[source], torch.arange(working).float(), atol=1e-6)
    assert (position.diff() >= 0).all() and axis.upper.max() == working - 1
    assert torch.equal(axis.before, (axis.source - 1).clamp(min=0)) and torch.equal(axis.after, axis.source)


@pytest.mark.parametrize(("full", "working"), [(480, 240), (481, 240), (317, 211), (90, 30), (16, 16), (20, 37)])
def test_a_working_pixel_is_taken_where_its_centre_falls(full: int, working: int) -> None:
    expected = [int((position + 0.5) * full / working) for position in range(working)]
    assert sampling(full, working).source[:working].tolist() == expected


@pytest.mark.parametrize(("full", "working"), [(12, 24), (30, 37), (5, 16)])
def test_a_growing_axis_is_bilinear_both_ways(full: int, working: int) -> None:
    """Pixel centres are half a pixel off the pixel's edge, and nothing reaches beyond the border pixels."""
    axis = sampling(full, working)
    into = [np.clip((pixel + 0.5) * full / working - 0.5, 0, full - 1) for pixel in range(working)]
    assert (axis.before + axis.share)[:working].tolist() == pytest.approx(into, abs=1e-5)
    assert torch.equal(axis.after, torch.clamp(axis.before + 1, max=full - 1))
    back = [np.clip((pixel + 0.5) * working / full - 0.5, 0, working - 1) for pixel in range(full)]
    assert (axis.lower + axis.fraction).tolist() == pytest.approx(back, abs=1e-5)
    assert torch.equal(axis.upper, torch.clamp(axis.lower + 1, max=working - 1))


@pytest.mark.parametrize(("full", "working", "filled"), [(480, 240, 240), (472, 236, 240), (30, 33, 48), (17, 17, 32)])
def test_an_axis_is_filled_up_to_multiples_of_the_stride(full: int, working: int, filled: int) -> None:
    axis = sampling(full, working)
    assert len(axis.source) == len(axis.before) == len(axis.after) == len(axis.share) == filled
    assert axis.inside.tolist() == [1.0] * working + [0.0] * (filled - working)
    assert max(axis.source.max(), axis.after.max()) < full and axis.upper.max() < working
    assert len(axis.lower) == len(axis.upper) == len(axis.fraction) == full


def test_shrinking_takes_values_of_the_frame_only() -> None:
    depth = torch.rand(1, 1, 47, 61) * 1000 + 1
    small, neighbours = sample_depth(depth, sampling(47, 31), sampling(61, 40))
    assert torch.isin(neighbours[..., :31, :40], depth).all() and not neighbours[..., 40:].any()
    assert small.shape == (1, 1, 32, 48)
    assert torch.isin(small[..., :31, :40], depth).all()
    assert not small[..., 31:, :].any() and not small[..., 40:].any()


@pytest.mark.parametrize(("full", "working"), [((48, 64), (24, 32)), ((47, 61), (31, 40)), ((30, 50), (30, 50))])
def test_neighbours_lie_above_left_and_above_left(full: tuple[int, int], working: tuple[int, int]) -> None:
    depth = torch.rand(1, 1, *full) * 1000 + 1
    rows, columns = (sampling(a, b) for a, b in zip(full, working, strict=True))
    small, neighbours = sample_depth(depth, rows, columns)
    at = [axis.source[:side] for axis, side in zip((rows, columns), working, strict=True)]
    above, left = ((index - 1).clamp(min=0) for index in at)
    inside = (slice(working[0]), slice(working[1]))
    assert torch.equal(small[0, 0][inside], depth[0, 0][at[0]][:, at[1]])
    expected = [depth[0, 0][row][:, column] for row, column in ((above, at[1]), (at[0], left), (above, left))]
    assert torch.equal(neighbours[0][:, inside[0], inside[1]], torch.stack(expected))


def test_neighbours_of_a_frame_that_grows_are_of_the_pixels_around() -> None:
    depth = torch.rand(1, 1, 12, 16) * 1000 + 1
    _, neighbours = sample_depth(depth, sampling(12, 24), sampling(16, 32))
    # Working row 4 lies at frame row 1.75: between row 1, which stands for the one above, and row 2, its own.
    assert torch.equal(neighbours[0, 0, 4, 4:32:2], depth[0, 0, 1, 2:])
    # Row 5 lies at 2.25: row 2 is its own, and the first of the two.
    assert torch.equal(neighbours[0, 0, 5, 4:32:2], depth[0, 0, 2, 2:])


def test_growing_interpolates_surfaces_but_not_edges_or_holes() -> None:
    ramp = torch.arange(16.0).reshape(1, 1, 1, 16).expand(1, 1, 12, 16) * 4 + 500
    depth = ramp.clone()
    depth[..., 8:] += 300
    depth[..., 5, 3] = 0
    large = sample_depth(depth, sampling(12, 24), sampling(16, 32))[0][..., :24, :]
    assert large[0, 0, 2, 2:14].diff().tolist() == pytest.approx([2.0] * 11)
    # Between the surfaces, and around the hole, only values that the frame has.
    assert torch.isin(large[..., 15:17], depth).all()
    assert torch.isin(large[..., 9:13, 5:9], depth).all() and (large[..., 10:12, 6:8] == 0).all()


@pytest.mark.parametrize("size", [(480, 640), (472, 630), (241, 317), (424, 512)])
def test_labels_follow_depth_edges_at_full_resolution(size: tuple[int, int]) -> None:
    """A disc before a wall: every pixel gets the class of its own surface, also between sampled pixels."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    hand = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (height / 4) ** 2
    depth = torch.from_numpy(np.where(hand, 500.0, 800.0)).float().reshape(1, 1, height, width)
    network = WorkingScale(_NearIsHand(), 240.0)
    probabilities = network(depth, torch.tensor([480.0]))
    assert probabilities.shape == (1, 3, height, width)
    assert torch.equal(probabilities.argmax(dim=1)[0].bool(), torch.from_numpy(hand))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(1, height, width))
    assert probabilities.min() > -1e-6


def test_core_gets_the_working_size_and_focal_length() -> None:
    core = _NearIsHand()
    network = WorkingScale(core, 240.0)
    network(torch.full((2, 1, 480, 640), 500.0), torch.tensor([476.0, 476.0]))
    network(torch.full((1, 1, 240, 320), 500.0), torch.tensor([230.0]))
    network(torch.full((1, 1, 120, 160), 500.0), torch.tensor([120.0]))
    network(torch.full((1, 1, 472, 630), 500.0), torch.tensor([476.0]))
    assert core.seen == [
        ((2, 1, 240, 320), 238.0),
        ((1, 1, 240, 320), 230.0),
        ((1, 1, 240, 320), 240.0),
        ((1, 1, 240, 320), 238.0),
    ]


def test_near_the_working_scale_nothing_is_resampled() -> None:
    core = _NearIsHand()
    depth, focal = torch.rand(1, 1, 48, 64) * 900, torch.tensor([255.0])
    network = WorkingScale(core)
    assert network.plan(48, 64, 255.0, depth.device) is None
    assert torch.equal(network(depth, focal), torch.softmax(core(depth, focal), dim=1))


@pytest.mark.parametrize("working_focal_px", [240.0, None])
def test_near_the_working_scale_frames_are_only_filled_up(working_focal_px: float | None) -> None:
    core = _NearIsHand()
    depth, focal = torch.rand(2, 1, 41, 57) * 900, torch.tensor([255.0, 255.0])
    probabilities = WorkingScale(core, working_focal_px)(depth, focal)
    assert core.seen == [((2, 1, 48, 64), 255.0)]
    assert torch.allclose(probabilities, torch.softmax(core(depth, focal), dim=1), atol=1e-6)


def test_without_a_working_scale_no_focal_length_changes_the_size() -> None:
    core = _NearIsHand()
    assert WorkingScale(core, None)(torch.full((1, 1, 64, 80), 500.0), torch.tensor([900.0])).shape == (1, 3, 64, 80)
    assert core.seen == [((1, 1, 64, 80), 900.0)]


@pytest.mark.parametrize(
    ("size", "focal"), [((48, 64), 240.0), ((41, 57), 240.0), ((96, 130), 480.0), ((47, 61), 365.0)]
)
def test_a_plan_made_beforehand_changes_nothing(size: tuple[int, int], focal: float) -> None:
    network = WorkingScale(_NearIsHand(), 240.0)
    depth, focal_px = torch.rand(2, 1, *size) * 900, torch.tensor([focal])
    expected = network(depth, focal_px.expand(2))
    assert torch.equal(network.run(depth, focal_px, network.plan(*size, focal, depth.device)), expected)


def test_upsampling_is_bilinear_on_a_flat_surface() -> None:
    probabilities = torch.softmax(torch.randn(1, 3, 6, 8), dim=1)
    rows, columns = sampling(18, 6), sampling(24, 8)
    flat = guided_upsample(
        probabilities, torch.full((1, 1, 6, 8), 500.0), torch.full((1, 1, 18, 24), 500.0), rows, columns
    )
    # At factor 3 the middle pixel of three was sampled, so pixel 4 of a row lies on working pixel 1.
    assert torch.allclose(flat[..., 4, 4], probabilities[..., 1, 1], atol=0.06)
    between = (2 * probabilities[..., 1, 1] + probabilities[..., 1, 2]) / 3
    assert torch.allclose(flat[..., 4, 5], between, atol=0.06)


@pytest.mark.parametrize("sum_to_one", [True, False])
def test_upsampling_equals_a_loop_over_pixels(sum_to_one: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    probabilities = torch.randn(1, 3, 16, 16, generator=generator).double()
    if sum_to_one:
        probabilities = torch.softmax(probabilities, dim=1)
    working_depth = torch.rand(1, 1, 16, 16, generator=generator).double() * 40 + 500
    depth = torch.rand(1, 1, 19, 24, generator=generator).double() * 40 + 500
    depth[..., 3, 4] = working_depth[..., 5, 6] = 0.0
    rows, columns = sampling(19, 13), sampling(24, 16)
    found = guided_upsample(probabilities, working_depth, depth, rows, columns, edge_mm=12.0, sum_to_one=sum_to_one)
    for row in range(19):
        for column in range(24):
            total, mixed = 0.0, torch.zeros(3).double()
            for row_index, row_share in _neighbours(rows, row):
                for column_index, column_share in _neighbours(columns, column):
                    apart = float(depth[0, 0, row, column] - working_depth[0, 0, row_index, column_index]) / 12.0
                    weight = (row_share * column_share + 0.02) / (1 + apart**2)
                    mixed += weight * probabilities[0, :, row_index, column_index]
                    total += weight
            assert torch.allclose(found[0, :, row, column], mixed / total, atol=1e-6)


def _neighbours(axis: AxisSampling, pixel: int) -> list[tuple[int, float]]:
    share = float(axis.fraction[pixel])
    return [(int(axis.lower[pixel]), 1 - share), (int(axis.upper[pixel]), share)]


def test_a_single_map_that_is_no_probability_comes_back() -> None:
    class _Distance(nn.Module):
        def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
            return depth_mm / 10.0 - 30.0

    depth = torch.full((1, 1, 95, 130), 500.0)
    found = WorkingScale(_Distance(), 240.0, activation=torch.abs, sum_to_one=False)(depth, torch.tensor([480.0]))
    torch.testing.assert_close(found, torch.full((1, 1, 95, 130), 20.0))


def test_invalid_neighbours_count_little() -> None:
    probabilities = torch.zeros(1, 2, 4, 4)
    probabilities[:, 0] = 1.0
    working_depth = torch.zeros(1, 1, 4, 4)
    probabilities[..., 1, 1] = torch.tensor([0.0, 1.0])
    working_depth[..., 1, 1] = 500.0
    rows = columns = sampling(8, 4)
    full = guided_upsample(probabilities, working_depth, torch.full((1, 1, 8, 8), 500.0), rows, columns)
    assert (full[0, 1, 2:5, 2:5] > 0.95).all()


def test_differing_or_wrong_focal_lengths_are_refused() -> None:
    network = WorkingScale(_NearIsHand())
    with pytest.raises(ValueError, match="one camera"):
        network(torch.ones(2, 1, 32, 32), torch.tensor([240.0, 480.0]))
    with pytest.raises(ValueError, match="positive"):
        network(torch.ones(1, 1, 32, 32), torch.tensor([0.0]))
    with pytest.raises(ValueError, match="positive"):
        working_size(480, 640, -1.0, 240.0)
