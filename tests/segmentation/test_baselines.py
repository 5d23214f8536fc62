"""The baselines of Table 2: what is special to each, on the reference's worked values (section 2)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from graspcut.nn.counting import count_macs, count_parameters
from graspcut.segmentation.models.fcn import FCN, FCNConfig, bilinear_kernel
from graspcut.segmentation.models.large_kernel_matters import (
    GlobalConvolution,
    LargeKernelMatters,
    LargeKernelMattersConfig,
)
from graspcut.segmentation.models.refinenet import RefineNet, RefineNetConfig, ResidualConvolutionUnit

SLIM_FCN: dict[str, Any] = {"trunk_width": 2, "hidden_width": 4, "dropout": 0.0}


@pytest.mark.parametrize(
    ("network", "config", "parameters", "gigamacs"),
    [
        (FCN, FCNConfig(stride=32), 134_308_547, 214.285),
        (FCN, FCNConfig(stride=16), 134_282_582, 214.289),
        (FCN, FCNConfig(stride=8), 134_276_585, 214.297),
        (LargeKernelMatters, LargeKernelMattersConfig(), 23_712_048, 25.129),
        (LargeKernelMatters, LargeKernelMattersConfig(learned_upsampling=False), 23_711_328, 25.114),
        (LargeKernelMatters, LargeKernelMattersConfig(depth=101), 42_704_176, 47.856),
        (LargeKernelMatters, LargeKernelMattersConfig(depth=152), 58_347_824, 70.584),
        (RefineNet, RefineNetConfig(), 99_012_547, 284.079),
        (RefineNet, RefineNetConfig.paper(), 74_237_379, 190.651),
        (RefineNet, RefineNetConfig(depth=101), 118_004_675, 306.807),
    ],
)
def test_reference_counts_at_640x480(
    network: type[nn.Module], config: object, parameters: int, gigamacs: float
) -> None:
    with torch.device("meta"):
        model = network(config)
        macs = count_macs(model, torch.empty(1, 1, 480, 640), torch.empty(1))
    assert count_parameters(model) == parameters
    assert round(macs / 1e9, 3) == gigamacs


def test_the_fast_fcn_needs_three_fifths() -> None:
    with torch.device("meta"):
        macs = count_macs(FCN(FCNConfig(border=1)), torch.empty(1, 1, 480, 640), torch.empty(1))
    assert 129.0e9 < macs < 130.0e9


@pytest.mark.parametrize(("stride", "whole_from"), [(32, 13), (16, 21), (8, 25)])
def test_a_constant_coarse_score_fades_at_the_upper_left_border(stride: int, whole_from: int) -> None:
    """Reference 2.1: weight 0.609375 at pixel 0, 1 from a pixel that depends on the offsets; a wrong offset shows."""
    model = FCN(FCNConfig(classes=1, stride=stride, **SLIM_FCN)).eval()
    frame = torch.full((1, 1, 96, 128), 500.0)
    with torch.no_grad():
        scores = model.scores(model.encoding(frame, torch.tensor([240.0])))
        alone = [torch.full_like(scores[0], 1.0), *(torch.zeros_like(score) for score in scores[1:])]
        row = model.fuse(alone, frame)[0, 0, 60]
    assert float(row[0]) == pytest.approx(0.609375)
    assert torch.allclose(row[whole_from:], torch.ones(128 - whole_from))
    assert float(row[whole_from - 1]) < 1.0 - 1e-6


@pytest.mark.parametrize("border", [100, 1])
@pytest.mark.parametrize("stride", [16, 8])
def test_a_constant_finer_score_is_one_everywhere(stride: int, border: int) -> None:
    model = FCN(FCNConfig(classes=1, stride=stride, border=border, **SLIM_FCN)).eval()
    frame = torch.full((1, 1, 75, 83), 500.0)
    with torch.no_grad():
        scores = model.scores(model.encoding(frame, torch.tensor([240.0])))
        finest = [*(torch.zeros_like(score) for score in scores[:-1]), torch.ones_like(scores[-1])]
        logits = model.fuse(finest, frame)
    inside = logits if border == 100 else logits[..., stride:-stride, stride:-stride]
    assert torch.allclose(inside, torch.ones_like(inside))


@pytest.mark.parametrize("border", [100, 1])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_a_score_comes_out_where_its_cell_lies(stride: int, border: int) -> None:
    """An impulse in the finest score map: its centre of mass in the frame is the centre of that cell's pixels."""
    model = FCN(FCNConfig(classes=1, stride=stride, border=border, **SLIM_FCN)).eval()
    frame = torch.full((1, 1, 192, 224), 500.0)
    with torch.no_grad():
        scores = [torch.zeros_like(score) for score in model.scores(model.encoding(frame, torch.tensor([240.0])))]
        # With the border of 100 the first cell of pool k lies at -99 (the convolution takes 1 pixel of the border).
        first = -99 if border == 100 else 0
        if border == 100 and stride == 32:
            first += 3 * 32  # fc6 looks 3 cells to either side and has no border
        cell = (100 - first) // stride
        scores[-1][0, 0, cell, cell] = 1.0
        weights = model.fuse(scores, frame)[0, 0].sum(dim=0)
    centre = float((weights * torch.arange(224)).sum() / weights.sum())
    # Long et al. place the crop to within a pixel and a half of the middle of a cell.
    assert centre == pytest.approx(first + stride * cell + (stride - 1) / 2, abs=1.5 if border == 100 else 1e-3)


def test_bilinear_taps_of_the_reference() -> None:
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.allclose(bilinear_kernel(4), taps[:, None] * taps[None, :])
    layer = FCN(FCNConfig(stride=16, **SLIM_FCN)).doublings[0]
    assert isinstance(layer, nn.ConvTranspose2d)
    off_diagonal = layer.weight.detach()[~torch.eye(3, dtype=torch.bool)]
    assert not off_diagonal.any()


def test_fixed_upsampling_is_not_trained() -> None:
    model = FCN(FCNConfig(fixed_upsampling=True, **SLIM_FCN))
    assert not model.enlarge.weight.requires_grad and not model.doublings[0].weight.requires_grad


def test_at_once_scales_the_skips() -> None:
    torch.manual_seed(0)
    staged, at_once = FCN(FCNConfig(**SLIM_FCN)).eval(), FCN(FCNConfig(at_once=True, **SLIM_FCN)).eval()
    for model in (staged, at_once):
        for layer in (model.score_pool4, model.score_pool3):
            assert layer is not None
            nn.init.ones_(layer.weight)
    at_once.load_state_dict(staged.state_dict())
    encoded = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        plain, scaled = staged.scores(encoded), at_once.scores(encoded)
    assert torch.allclose(plain[0], scaled[0])
    assert torch.allclose(plain[1] * 0.01, scaled[1], rtol=1e-4)
    assert torch.allclose(plain[2] * 0.0001, scaled[2], rtol=1e-4)


@pytest.mark.parametrize("kernel", [3, 9])
def test_impulse_response_of_a_global_convolution(kernel: int) -> None:
    """All weights one, no bias: 2 on a full k x k square."""
    block = GlobalConvolution(1, 1, kernel)
    for parameter in block.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.ndim == 4 else 0.0)
    impulse = torch.zeros(1, 1, 21, 21)
    impulse[0, 0, 10, 10] = 1.0
    with torch.no_grad():
        found = block(impulse)[0, 0]
    expected = torch.zeros(21, 21)
    reach = kernel // 2
    expected[10 - reach : 11 + reach, 10 - reach : 11 + reach] = 2.0
    assert torch.equal(found, expected)


def test_a_residual_unit_without_weights_is_the_identity_on_negative_values() -> None:
    unit = ResidualConvolutionUnit(2)
    for parameter in unit.parameters():
        nn.init.zeros_(parameter)
    features = torch.randn(1, 2, 5, 5)
    with torch.no_grad():
        assert torch.equal(unit(features), features)


def test_wrong_configurations_say_what_is_expected() -> None:
    with pytest.raises(ValueError, match="32, 16 or 8"):
        FCNConfig(stride=4)
    with pytest.raises(ValueError, match="odd"):
        LargeKernelMattersConfig(kernel=4)
    with pytest.raises(ValueError, match="at least 1 and 0"):
        RefineNetConfig(chained_poolings=0)
