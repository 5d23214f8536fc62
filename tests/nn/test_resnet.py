"""The ResNet trunk against the published counts, torchvision's names and the meaning of dilation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.counting import count_macs, count_parameters
from graspcut.nn.resnet import LEVEL_CHANNELS, Bottleneck, ResNetTrunk

CLASSIFIER_PARAMETERS = 2048 * 1000 + 1000
CLASSIFIER_MACS = 2048 * 1000


@pytest.mark.parametrize(("depth", "parameters", "gigamacs"), [(50, 25_557_032, 4.089), (101, 44_549_160, 7.801)])
def test_counts_are_the_published_ones(depth: int, parameters: int, gigamacs: float) -> None:
    with torch.device("meta"):
        trunk = ResNetTrunk(depth)
        macs = count_macs(trunk, torch.empty(1, 3, 224, 224))
    assert count_parameters(trunk) + CLASSIFIER_PARAMETERS == parameters
    assert round((macs + CLASSIFIER_MACS) / 1e9, 3) == gigamacs


def test_depth_trunk_of_the_paper() -> None:
    with torch.device("meta"):
        trunk = ResNetTrunk(50, input_channels=1, output_stride=16)
        macs = count_macs(trunk, torch.empty(1, 1, 480, 640))
    assert count_parameters(trunk) == 23_508_032 - 2 * 64 * 49
    assert round(macs / 1e9, 3) == 37.518


@pytest.mark.parametrize(
    ("output_stride", "strides"), [(32, (2, 4, 8, 16, 32)), (16, (2, 4, 8, 16, 16)), (8, (2, 4, 8, 8, 8))]
)
def test_levels_have_their_strides_and_sizes_are_rounded_up(output_stride: int, strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        levels = ResNetTrunk(50, 3, output_stride)(torch.empty(2, 3, 241, 317))
    expected = [
        (2, channels, -(-241 // stride), -(-317 // stride))
        for channels, stride in zip(LEVEL_CHANNELS, strides, strict=True)
    ]
    assert [tuple(level.shape) for level in levels] == expected


def _expected_names(blocks: tuple[int, ...]) -> set[str]:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", *(f"bn1.{part}" for part in norm)}
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            prefix = f"layer{stage}.{block}."
            for number in (1, 2, 3):
                names |= {f"{prefix}conv{number}.weight", *(f"{prefix}bn{number}.{part}" for part in norm)}
            if block == 0:
                names |= {f"{prefix}downsample.0.weight", *(f"{prefix}downsample.1.{part}" for part in norm)}
    return names


@pytest.mark.parametrize(("depth", "blocks"), [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3))])
def test_names_are_torchvisions(depth: int, blocks: tuple[int, ...]) -> None:
    with torch.device("meta"):
        assert set(ResNetTrunk(depth).state_dict()) == _expected_names(blocks)


def test_same_output_as_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision", reason="torchvision is no dependency; compared where present")
    theirs = torchvision.models.resnet50(weights=None).eval()
    ours = ResNetTrunk(50).eval()
    ours.load_state_dict({name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")})
    image = torch.randn(1, 3, 64, 96)
    features = theirs.layer4(
        theirs.layer3(theirs.layer2(theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image)))))))
    )
    assert torch.allclose(ours(image)[-1], features, rtol=1e-4, atol=1e-4)


def _twin_outputs(change_first_block: bool) -> tuple[Tensor, Tensor]:
    """layer4 at stride 32, and at stride 16 taken at even positions, with the same weights."""
    torch.manual_seed(3)
    coarse = ResNetTrunk(50, 1, output_stride=32).double().eval()
    fine = ResNetTrunk(50, 1, output_stride=16).double().eval()
    fine.load_state_dict(coarse.state_dict())
    if change_first_block:
        first = fine.layer4[0]
        assert isinstance(first, Bottleneck)
        first.conv2.dilation = first.conv2.padding = (2, 2)
    image = torch.randn(1, 1, 97, 129, dtype=torch.float64)
    with torch.no_grad():
        return coarse(image)[-1], fine(image)[-1][..., ::2, ::2]


def test_dilated_trunk_equals_the_strided_one_at_even_positions() -> None:
    coarse, fine = _twin_outputs(change_first_block=False)
    assert coarse.shape == fine.shape
    assert (coarse - fine).abs().max() < 1e-12 * coarse.abs().max()


def test_dilating_the_first_block_would_change_the_meaning_of_weights() -> None:
    coarse, fine = _twin_outputs(change_first_block=True)
    assert (coarse - fine).abs().max() > 1e-2 * coarse.abs().max()


def test_stride_is_in_the_3x3_convolution() -> None:
    with torch.device("meta"):
        block = ResNetTrunk(50).layer2[0]
    assert isinstance(block, Bottleneck)
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))
    assert isinstance(block.downsample, nn.Sequential)


@pytest.mark.parametrize("arguments", [{"depth": 34}, {"output_stride": 4}])
def test_wrong_arguments_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ResNetTrunk(**arguments)
