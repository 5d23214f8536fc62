"""Encoders by name, and networks from their configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.building import build_network, network_config
from graspcut.nn.encoders import ENCODERS, build_encoder
from graspcut.nn.resnet import ResNetTrunk
from graspcut.nn.working_scale import WorkingScale


@pytest.mark.parametrize("name", ENCODERS)
def test_levels_are_what_the_encoder_says(name: str) -> None:
    with torch.device("meta"):
        encoder = build_encoder(name, input_channels=2)
        levels = encoder(torch.empty(1, 2, 96, 128))
    assert [level.shape[1] for level in levels] == list(encoder.channels)
    assert [(level.shape[2], level.shape[3]) for level in levels] == [(96 // s, 128 // s) for s in encoder.strides]


def test_imagenet_weights_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = ResNetTrunk(50, 3)
    torch.save({**trunk.state_dict(), "fc.weight": torch.zeros(3, 3)}, tmp_path / "resnet50.pth")
    loaded = build_encoder("resnet50", input_channels=1, weights=tmp_path / "resnet50.pth").state_dict()
    torch.testing.assert_close(loaded["layer4.2.conv3.weight"], trunk.state_dict()["layer4.2.conv3.weight"])
    torch.testing.assert_close(loaded["conv1.weight"], trunk.conv1.weight.detach().sum(dim=1, keepdim=True))
    with pytest.raises(FileNotFoundError, match="no weights at"):
        build_encoder("resnet50", weights=tmp_path / "missing.pth")
    torch.save({"conv1.weight": trunk.conv1.weight.detach()}, tmp_path / "half.pth")
    with pytest.raises(ValueError, match="lacks weights of resnet50"):
        build_encoder("resnet50", weights=tmp_path / "half.pth")


def test_wrong_encoders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of light, resnet50, resnet101, vgg16"):
        build_encoder("resnet18")
    with pytest.raises(ValueError, match="output stride 16"):
        build_encoder("light", output_stride=8)
    with pytest.raises(ValueError, match="no ImageNet weights"):
        build_encoder("light", weights=tmp_path)


@dataclass(frozen=True)
class _Config:
    widths: tuple[tuple[int, ...], ...] = ((2, 3), (4,))
    bias: bool = True


class _Network(nn.Module):
    def __init__(self, config: _Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        return depth_mm


def test_a_configuration_builds_the_network_that_gives_it_back() -> None:
    table = {"_Network": (_Network, _Config)}
    built = build_network({"class": "_Network", "arguments": {"widths": [[1], [2, 2]]}}, table)
    assert isinstance(built, _Network) and built.config == _Config(widths=((1,), (2, 2)))
    expected = {"class": "_Network", "arguments": {"widths": ((1,), (2, 2)), "bias": True}}
    assert network_config(built, table) == network_config(WorkingScale(built), table) == expected
    with pytest.raises(ValueError, match="no argument depth; it takes widths, bias"):
        build_network({"class": "_Network", "arguments": {"depth": 3}}, table)
    with pytest.raises(ValueError, match="unknown network class 'Other', expected one of _Network"):
        build_network({"class": "Other"}, table)
    with pytest.raises(TypeError, match="none of this method's networks"):
        network_config(nn.ReLU(), table)
