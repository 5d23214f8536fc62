"""VGG-16: parameter count, shapes, the dilated form against the strided one, and public weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graspcut.nn.counting import count_parameters
from graspcut.nn.pretrained import load_pretrained
from graspcut.nn.vgg import VGG16Trunk


def test_parameters_are_those_of_the_public_network() -> None:
    assert count_parameters(VGG16Trunk(3)) == 14_714_688
    assert count_parameters(VGG16Trunk(1)) == 14_714_688 - 2 * 64 * 9


def test_sizes_of_fcn_at_480x640() -> None:
    with torch.device("meta"):
        _, pooled = VGG16Trunk(1, first_padding=100, ceil_mode=True).eval()(torch.empty(1, 1, 480, 640))
    assert [tuple(map.shape[-2:]) for map in pooled[2:]] == [(85, 105), (43, 53), (22, 27)]


@pytest.mark.parametrize(("size", "ceil_mode"), [((96, 64), False), ((90, 70), True)])
def test_dilated_form_equals_the_strided_one_at_even_positions(size: tuple[int, int], ceil_mode: bool) -> None:
    """At sizes that 16 does not divide only if pools round up: else the strided network never sees the last rows."""
    torch.manual_seed(0)
    strided = VGG16Trunk(3, ceil_mode=ceil_mode).eval()
    dilated = VGG16Trunk(3, ceil_mode=ceil_mode, output_stride=8).eval()
    dilated.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        coarse, fine = strided(image)[0][4], dilated(image)[0][4]
    assert torch.allclose(fine[..., ::2, ::2], coarse, atol=1e-5 * float(coarse.abs().max()))


def test_public_weights_load_and_a_depth_stem_sums_over_colour(tmp_path: Path) -> None:
    torch.manual_seed(1)
    colour, depth = VGG16Trunk(3), VGG16Trunk(1)
    state = {**colour.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "vgg16.pth")
    report = load_pretrained(depth, tmp_path / "vgg16.pth", stem="features.0.weight", head_prefixes=("classifier.",))
    assert report.stem_converted and not report.missing and not report.unexpected
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        expected, found = colour(grey.repeat(1, 3, 1, 1))[0][0], depth(grey)[0][0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_unknown_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="output stride is 32, expected 8 or 16"):
        VGG16Trunk(3, output_stride=32)
