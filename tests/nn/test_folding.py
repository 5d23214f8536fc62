"""Folded networks compute what the unfolded ones do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.folding import doubling_as_convolution, fold_batch_norm, folded, replace_small_deconvolutions
from graspcut.segmentation.models import MODELS, build_model
from tests.mini_network import mini_network, randomise_batch_norms, scene_mm


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    """Modules of a kind."""
    return sum(isinstance(module, kind) for module in network.modules())


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Equal but for rounding; and not because everything is the same number."""
    assert found.shape == expected.shape and float(expected.std()) > 0
    assert float((found - expected).abs().max()) < 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.Conv2d(3, 5, 3, stride=2, dilation=2),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(3, 5, 4, 2, padding=1, bias=False),
        nn.ConvTranspose2d(3, 5, 3, padding=1),
    ],
    ids=str,
)
def test_a_convolution_takes_its_batch_norm_in(convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
    network = nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()).eval()
    randomise_batch_norms(network)
    images = torch.randn(2, convolution.in_channels, 9, 11)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network(images)
        single = fold_batch_norm(network, lambda module: module(images))
        assert count(single, nn.BatchNorm2d) == 0
        assert_close(single(images), expected)
        assert torch.equal(network(images), expected)
    after = network.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(value, before[name]) for name, value in after.items())


def test_a_network_that_is_called_for_several_scales_is_folded_once() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()).eval()
    randomise_batch_norms(network)
    large, small = torch.randn(1, 3, 20, 20), torch.randn(1, 3, 9, 11)
    with torch.no_grad():
        single = fold_batch_norm(network, lambda module: (module(large), module(small)))
        assert_close(single(small), network(small))


def test_a_batch_norm_without_a_convolution_before_it_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    randomise_batch_norms(network)
    images = torch.randn(1, 3, 6, 7)
    with torch.no_grad():
        copied = fold_batch_norm(network, lambda module: module(images))
        assert count(copied, nn.BatchNorm2d) == 2
        assert_close(copied(images), network(images))


def test_training_mode_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        fold_batch_norm(network, lambda module: module(torch.zeros(1, 1, 5, 5)))


def run_example(network: nn.Module) -> object:
    """Any frame."""
    return network(torch.full((1, 1, 64, 64), 500.0), torch.full((1,), 240.0))


# FCN has no batch norm; the others are looked at with few channels where they are large.
FEW_CHANNELS = {name: {} if name == "DenseAttentionSmall" else {"trunk_width": 16} for name in MODELS if name != "FCN"}


@pytest.mark.parametrize("name", FEW_CHANNELS)
def test_every_segmentation_network_computes_the_same_folded(name: str) -> None:
    torch.manual_seed(0)
    network = build_model({"class": name, "arguments": FEW_CHANNELS[name]}).eval()
    randomise_batch_norms(network)
    norms = count(network, nn.BatchNorm2d)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    depth, focal = torch.from_numpy(scene_mm(45, 61)).reshape(1, 1, 45, 61), torch.tensor([240.0])
    with torch.no_grad():
        expected = network(depth, focal)
        small = folded(network, run_example)
        assert count(small, nn.BatchNorm2d) == 0 and norms > 0
        assert_close(small(depth, focal), expected)
    assert count(network, nn.BatchNorm2d) == norms
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_folding_leaves_the_mode_of_the_network_and_gives_evaluation_mode() -> None:
    network = mini_network().train()
    small = folded(network, run_example)
    assert network.training and network.encoder.training and not any(module.training for module in small.modules())
    depth, focal = torch.from_numpy(scene_mm(48, 64)).reshape(1, 1, 48, 64), torch.tensor([240.0])
    with torch.no_grad():
        assert_close(small(depth, focal), network.eval()(depth, focal))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("inputs", "outputs", "size"), [(3, 2, (6, 8)), (5, 3, (7, 9)), (1, 1, (1, 1)), (4, 6, (1, 5))]
)
def test_doubling_as_convolution_equals_the_transposed_one(
    inputs: int, outputs: int, size: tuple[int, int], bias: bool
) -> None:
    deconvolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, bias=bias)
    images = torch.randn(2, inputs, *size)
    with torch.no_grad():
        if deconvolution.bias is not None:
            deconvolution.bias.normal_()
        found = doubling_as_convolution(deconvolution)(images)
        assert found.shape == (2, outputs, 2 * size[0], 2 * size[1])
        assert torch.allclose(found, deconvolution(images), atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        nn.ConvTranspose2d(2, 2, 3, 1, padding=1),
        nn.ConvTranspose2d(2, 2, 2, 2),
        nn.ConvTranspose2d(2, 2, 4, 2, padding=0),
        nn.ConvTranspose2d(2, 2, 4, 2, padding=1, output_padding=1),
        nn.ConvTranspose2d(2, 2, 4, 2, padding=1, groups=2),
        nn.ConvTranspose2d(2, 2, 4, 2, padding=1, dilation=2),
    ],
    ids=str,
)
def test_other_transposed_convolutions_are_refused(other: nn.ConvTranspose2d) -> None:
    with pytest.raises(ValueError, match="expected 4, 2, 1 and one group"):
        doubling_as_convolution(other)


def test_only_small_doubling_deconvolutions_are_replaced() -> None:
    network = nn.Sequential(
        nn.ConvTranspose2d(3, 9, 4, 2, padding=1),
        nn.Sequential(nn.ConvTranspose2d(9, 8, 4, 2, padding=1), nn.ReLU()),
        nn.ConvTranspose2d(8, 2, 3, 1, padding=1),
    )
    images = torch.randn(1, 3, 5, 7)
    with torch.no_grad():
        expected = network(images)
        replace_small_deconvolutions(network)
        assert_close(network(images), expected)
    assert count(network, nn.ConvTranspose2d) == 2 and count(network, nn.PixelShuffle) == 1
