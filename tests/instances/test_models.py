"""The networks: parameter counts of the paper, sizes, gradients, sliding against cropping."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from graspcut.instances.models import (
    DeepMask,
    DeepMaskConfig,
    InstanceFCN,
    InstanceFCNConfig,
    InstanceFCNSmall,
    InstanceFCNSmallConfig,
    build_model,
    model_config,
)
from graspcut.nn.counting import count_macs, count_parameters
from graspcut.segmentation.models import DenseAttentionSmall

TINY: dict[str, Any] = {
    "widths": (4, 6, 8, 8, 8),
    "context_width": 8,
    "feature_width": 8,
}
TINY_DEEPMASK = DeepMaskConfig("light", "depth", width=6, mask_width=10, score_widths=(8, 8), **TINY)


@pytest.mark.parametrize("grid, parameters", [(3, 17_379_146), (5, 17_452_890), (7, 17_563_506)])
def test_parameters_of_the_paper(grid: int, parameters: int) -> None:
    with torch.device("meta"):
        network = InstanceFCN(InstanceFCNConfig(grid=grid))
    assert count_parameters(network) == parameters
    last = network.heads.masks[2]
    assert isinstance(last, nn.Conv2d) and last.weight.numel() == 512 * 9 * grid**2


def test_work_of_the_paper() -> None:
    with torch.device("meta"):
        network = InstanceFCN()
        for height, width, macs in ((600, 800, 207.15), (224, 224, 21.65)):
            image, focal = torch.empty(1, 3, height, width), torch.empty(1)
            assert count_macs(network, image, focal) / 1e9 == pytest.approx(macs, abs=0.01)


def test_fully_connected_parameters_of_deepmask() -> None:
    with torch.device("meta"):
        network = DeepMask()
    assert count_parameters(network.masks) == 52_989_504


@pytest.mark.parametrize("inputs, channels", [("depth", 1), ("colour", 3), ("both", 4)])
def test_inputs_and_sizes_of_the_vgg_network(inputs: str, channels: int) -> None:
    with torch.device("meta"):
        network = InstanceFCN(InstanceFCNConfig(inputs=inputs))
        maps, scores = network(torch.empty(2, channels, 119, 158), torch.empty(2))
    assert maps.shape == (2, 25, 15, 20) and scores.shape == (2, 15, 20)
    assert network.config.geometry.map_size(119, 158) == (15, 20)


@pytest.mark.parametrize("height, width", [(59, 79), (89, 119), (64, 96)])
def test_the_small_network_takes_any_size(height: int, width: int) -> None:
    network = InstanceFCNSmall(InstanceFCNSmallConfig(**TINY)).train()
    depth = torch.rand(2, 1, height, width) * 200 + 400
    maps, scores = network(depth, torch.tensor([120.0, 120.0]))
    assert tuple(maps.shape[-2:]) == network.config.geometry.map_size(height, width)
    assert maps.shape[:2] == (2, 25) and scores.shape == (2, *maps.shape[-2:])
    (maps.square().mean() + scores.square().mean()).backward()
    for name, parameter in network.named_parameters():
        used = not name.startswith("features.encoder.levels.0") or parameter.grad is not None
        assert used and parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    network.eval()
    with torch.no_grad():
        one, both = network(depth[:1], torch.tensor([120.0])), network(depth, torch.tensor([120.0, 120.0]))
    torch.testing.assert_close(one[0], both[0][:1], rtol=1e-4, atol=1e-5)


def test_the_encoder_is_that_of_the_segmentation_network() -> None:
    small, segmentation = InstanceFCNSmall(), DenseAttentionSmall()
    small.features.encoder.load_state_dict(segmentation.encoder.state_dict())
    assert count_parameters(small) * 2 < 8_000_000


def test_sliding_equals_cropping() -> None:
    torch.manual_seed(0)
    network = DeepMask(TINY_DEEPMASK).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)

    class Plain(nn.Module):
        """Features without a border or context, so that a crop sees what the window sees."""

        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Conv2d(1, 8, 8, stride=8)

        def forward(self, image: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.project(image / 500)
            return result

    network.features = Plain()
    image, focal = torch.rand(1, 1, 150, 170) * 500, torch.tensor([100.0])
    with torch.no_grad():
        reduced, scores = network.slide(image, focal)
        assert tuple(scores.shape[1:]) == network.config.geometry.map_size(150, 170)
        # Window (r, c) is centred on pixel 8 r - 0.5: its crop begins 56 pixels before.
        centres = torch.tensor([[7, 7], [9, 12], [11, 8]])
        masks = network.masks_at(reduced[0], centres)
        for (row, column), mask in zip(centres.tolist(), masks, strict=True):
            top, left = 8 * row - 56, 8 * column - 56
            expected, score = network(image[..., top : top + 112, left : left + 112], focal)
            torch.testing.assert_close(mask, expected[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(scores[0, row, column], score[0], rtol=1e-4, atol=1e-4)


def test_configuration_there_and_back() -> None:
    for network in (InstanceFCNSmall(InstanceFCNSmallConfig(grid=3)), DeepMask(TINY_DEEPMASK)):
        again = build_model(model_config(network))
        assert again.config == network.config
    with pytest.raises(ValueError, match="inputs"):
        InstanceFCNConfig(inputs="infrared")
    with pytest.raises(ValueError, match="depth"):
        DeepMaskConfig("light", "colour")
