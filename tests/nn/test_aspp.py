"""ASPP: counts, reach of its branches, and the pooled branch with one image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graspcut.nn.aspp import ASPP, ImagePooling
from graspcut.nn.counting import count_macs, count_parameters


def test_counts_are_the_reference_ones() -> None:
    with torch.device("meta"):
        aspp = ASPP(2048, 256)
        macs = count_macs(aspp, torch.empty(1, 2048, 30, 40))
    assert count_parameters(aspp) == 15_535_104
    assert round(macs / 1e9, 3) == 18.010


def test_branches_reach_as_far_as_their_dilation() -> None:
    aspp = ASPP(4, 3, dilations=(6, 12, 18), dropout=0.0).eval()
    flat = torch.zeros(1, 4, 41, 41)
    point = flat.clone()
    point[..., 20, 20] = 1.0
    reach = []
    with torch.no_grad():
        for branch in aspp.branches[:4]:
            assert isinstance(branch, nn.Sequential)
            convolution = branch[0]
            touched = (convolution(point) - convolution(flat)).abs().sum(dim=(0, 1)) > 0
            reach.append(int((touched.any(dim=0).nonzero() - 20).abs().max()))
    assert reach == [0, 6, 12, 18]


@pytest.mark.parametrize("size", [(6, 8), (7, 6), (20, 7), (20, 20)])
@pytest.mark.parametrize("dilation", [6, 8])
def test_weights_that_meet_only_padding_are_left_out_of_training_and_nothing_changes(
    size: tuple[int, int], dilation: int
) -> None:
    branch = ASPP(5, 4, dilations=(dilation,)).branches[1]
    assert isinstance(branch, nn.Sequential)
    ours = branch[0]
    torch_convolution = nn.Conv2d(5, 4, 3, padding=dilation, dilation=dilation, bias=False)
    torch_convolution.load_state_dict(ours.state_dict())
    given = torch.randn(2, 5, *size)
    weights_of_loss = torch.randn(2, 4, *size)
    found = []
    for convolution in (ours.train(), torch_convolution):
        features = given.clone().requires_grad_()
        scores = convolution(features)
        (scores * weights_of_loss).sum().backward()
        found.append((scores, features.grad, convolution.weight.grad))
    for mine, its in zip(*found, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-5)


def test_pooled_branch_is_constant_over_the_image_and_sees_all_of_it() -> None:
    pooling = ImagePooling(4, 3).eval()
    features = torch.rand(2, 4, 5, 7)
    with torch.no_grad():
        pooled = pooling(features)
        flat = pooling(features.mean(dim=(2, 3), keepdim=True))
    assert pooled.shape == (2, 3, 5, 7)
    assert torch.allclose(pooled, flat.expand_as(pooled), atol=1e-6)


def test_one_image_in_training_uses_running_statistics_and_leaves_them() -> None:
    pooling = ImagePooling(4, 3)
    with torch.no_grad():
        pooling(torch.rand(8, 4, 5, 7))
    before = {name: value.clone() for name, value in pooling.state_dict().items()}
    features = torch.rand(1, 4, 5, 7)
    in_training = pooling.train()(features)
    assert all(torch.equal(value, before[name]) for name, value in pooling.state_dict().items())
    assert torch.allclose(in_training, pooling.eval()(features), atol=1e-6)
    pooling.train()(torch.rand(2, 4, 5, 7))
    assert not torch.equal(pooling.norm.running_mean, before["norm.running_mean"])  # type: ignore[arg-type]
