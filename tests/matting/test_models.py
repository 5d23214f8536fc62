"""The networks: counts, sizes, gradients, and what each part promises."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.matting.models import MODEL_NAMES, MattingNetwork, build_model, model_config
from graspcut.matting.models.colour_prior import colour_prior, spread_colours
from graspcut.matting.models.decoder import MattingDecoder, SqueezedBlock
from graspcut.matting.models.lsa_matting import LSAMatting, LSAMattingConfig
from graspcut.matting.models.lsa_matting_small import LSAMattingSmall, LSAMattingSmallConfig, within_reach
from graspcut.matting.trimap import with_estimate
from graspcut.nn.counting import count_macs

TINY = {
    "LSAMatting": LSAMatting(LSAMattingConfig(8, (1, 1, 1, 1), (8, 8, 8, 16, 16), 8)),
    "LSAMattingSmall": LSAMattingSmall(LSAMattingSmallConfig((8, 8, 16, 16, 16), (0, 1, 0, 0, 1), (8, 8, 8, 8, 16), 8)),
}


def example(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Image and trimap."""
    generator = torch.Generator().manual_seed(height + width)
    trimap = torch.randint(0, 3, (batch, 1, height // 8, width // 8), generator=generator)
    trimap = nn.functional.interpolate(trimap.float(), size=(height, width), mode="nearest")
    return torch.rand(batch, 3, height, width, generator=generator), trimap * 127.5 / 255 * 1.0


def test_the_paper_s_network_has_the_published_size() -> None:
    network = LSAMatting()
    counts = {
        "all": sum(p.numel() for p in network.parameters()),
        "encoder": sum(p.numel() for p in network.encoder.parameters()),
        "blocks": [sum(p.numel() for p in block.parameters()) for block in network.decoder.blocks],
        "head": sum(p.numel() for p in network.decoder.head.parameters()),
    }
    assert counts == {
        "all": 38_067_809,
        "encoder": 23_527_552,
        "blocks": [78_016, 225_472, 901_504, 3_605_248, 9_700_864],
        "head": 29_153,
    }


@pytest.mark.parametrize("name", list(TINY))
def test_every_parameter_gets_a_gradient_and_sizes_are_kept(name: str) -> None:
    network = TINY[name].train()
    # The head of the small network begins at 0 and lets nothing through.
    head = cast(nn.Conv2d, cast(MattingNetwork, network).decoder.head[-1])
    nn.init.normal_(head.weight, std=0.1)
    network.zero_grad()
    found = network(*example(2, 64, 96))
    assert found.shape == (2, 1, 64, 96)
    found.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0 or "bias" in parameter_name, parameter_name


@pytest.mark.parametrize("name", list(TINY))
def test_one_image_equals_the_same_in_a_batch_and_halves_equal_the_whole(name: str) -> None:
    network = TINY[name].eval()
    image, trimap = example(3, 64, 64)
    with torch.no_grad():
        together = network(image, trimap)
        torch.testing.assert_close(network(image[1:2], trimap[1:2]), together[1:2], atol=1e-5, rtol=1e-4)
        halves = cast(MattingNetwork, network)
        torch.testing.assert_close(halves.decode(halves.encode(image, trimap)), together)


def test_output_is_not_bounded() -> None:
    network = TINY["LSAMatting"].eval()
    head = cast(nn.Conv2d, cast(MattingNetwork, network).decoder.head[-1])
    with torch.no_grad():
        before = float(head.bias[0])  # type: ignore[index]
        head.bias[0] = 3.0  # type: ignore[index]
        assert network(*example(1, 32, 32)).max() > 1.5
        head.bias[0] = before  # type: ignore[index]


def test_configuration_builds_the_same_network() -> None:
    network = TINY["LSAMattingSmall"]
    again = build_model(model_config(network))
    again.load_state_dict(network.state_dict(), strict=True)
    for name in MODEL_NAMES:
        assert model_config(build_model(MODEL_NAMES[name]))["arguments"]


def test_features_grow_by_repetition_between_levels_and_bilinearly_at_last() -> None:
    decoder = MattingDecoder((2, 2), (2, 2), inputs=1, head=2).eval()
    seen: dict[str, Tensor] = {}
    decoder.blocks[0].register_forward_pre_hook(lambda _, given: seen.update(block=given[0]))
    decoder.head.register_forward_pre_hook(lambda _, given: seen.update(head=given[0]))
    levels = [torch.rand(1, 2, 4, 6), torch.rand(1, 2, 2, 3)]
    decoder(levels, torch.zeros(1, 1, 8, 12))
    skip, grown = seen["block"][:, :2], seen["block"][:, 2:]
    torch.testing.assert_close(skip, levels[0])
    torch.testing.assert_close(grown, grown[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3))
    full = seen["head"][:, 1:]
    assert not torch.equal(full, full[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_modulation_scales_and_shifts_one_block() -> None:
    network = cast(MattingNetwork, TINY["LSAMatting"].eval())
    encoded = network.encode(*example(1, 64, 64))
    with torch.no_grad():
        plain = network.decode(encoded)
        nothing = {3: (torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 8, 8))}
        torch.testing.assert_close(network.decode(encoded, nothing), plain)
        something = {3: (torch.full((1, 8, 8, 8), 0.5), torch.full((1, 8, 8, 8), 0.1))}
        assert (network.decode(encoded, something) - plain).abs().max() > 1e-6


def test_excitation_is_a_hard_sigmoid_of_the_mean() -> None:
    block = SqueezedBlock(3, 2).eval()
    features = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        plain = torch.relu(block.norm(block.convolution(features)))
        t = block.excitation(plain.mean(dim=(2, 3), keepdim=True))
        torch.testing.assert_close(block(features), plain * ((t + 3).clamp(0, 6) / 6))


def test_spread_colours_keep_what_is_known_and_stay_between() -> None:
    image = torch.rand(1, 3, 64, 64)
    known = torch.zeros(1, 1, 64, 64)
    known[..., 5:20, 8:30] = 1.0
    spread = spread_colours(image, known)
    torch.testing.assert_close(spread * known, image * known)
    seen = image[..., 5:20, 8:30].flatten(2)
    assert (spread.flatten(2).amax(2) <= seen.amax(2) + 1e-4).all()
    assert (spread.flatten(2).amin(2) >= seen.amin(2) - 1e-4).all()
    assert spread_colours(image, torch.zeros_like(known)).abs().max() == 0


def test_guess_is_right_where_both_colours_are_constant() -> None:
    alpha = torch.rand(1, 1, 64, 64)
    alpha[..., :20], alpha[..., 44:] = 0.0, 1.0
    trimap = torch.full_like(alpha, 128 / 255)
    trimap[..., :20], trimap[..., 44:] = 0.0, 1.0
    red, blue = torch.tensor([0.9, 0.1, 0.2]), torch.tensor([0.1, 0.3, 0.8])
    image = alpha * red.reshape(1, 3, 1, 1) + (1 - alpha) * blue.reshape(1, 3, 1, 1)
    guess, foreground, background, deviation = colour_prior(image, trimap)
    torch.testing.assert_close(guess, alpha, atol=5e-3, rtol=0)
    torch.testing.assert_close(foreground, red.reshape(1, 3, 1, 1).expand_as(image), atol=1e-4, rtol=0)
    torch.testing.assert_close(background, blue.reshape(1, 3, 1, 1).expand_as(image), atol=1e-4, rtol=0)
    assert deviation.shape == (1, 2, 64, 64)


def test_the_small_network_begins_as_the_guess() -> None:
    image, trimap = example(1, 64, 64)
    network = LSAMattingSmall(LSAMattingSmallConfig((8, 8, 8, 8, 8))).eval()
    torch.testing.assert_close(network(image, trimap), colour_prior(image, trimap)[0])


def test_it_can_begin_with_an_estimate_in_the_trimap() -> None:
    image, trimap = example(1, 64, 64)
    marked = np.rint(trimap[0, 0].numpy() * 255).astype(np.uint8)
    marked[marked == 127] = 128
    estimate = np.random.default_rng(0).random(marked.shape)
    carrying = torch.from_numpy(with_estimate(marked, estimate))[None, None] / 255
    network = LSAMattingSmall(LSAMattingSmallConfig((8, 8, 8, 8, 8), begins_with="closed-form")).eval()
    begun = network(image, carrying)[0, 0].detach().numpy()
    expected = np.where(marked == 255, 1.0, np.where(marked == 0, 0.0, estimate))
    np.testing.assert_allclose(begun, expected, atol=0.5 / 150 + 1e-4)


def test_multiplications_of_the_paper_s_network() -> None:
    macs = count_macs(LSAMatting().eval(), torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    assert macs * 100 == pytest.approx(75.576e9, rel=0.01)


def test_reach_is_near_known_pixels() -> None:
    known = torch.zeros(1, 1, 192, 256)
    known[..., 100, 40] = 1.0
    reach = within_reach(known, 64)
    distance = torch.maximum((torch.arange(192.0)[:, None] - 100).abs(), (torch.arange(256.0)[None] - 40).abs())
    assert reach[0, 0][distance <= 48].eq(1.0).all()
    assert reach[0, 0][distance >= 96].eq(0.0).all()
    assert not within_reach(torch.zeros(1, 1, 64, 64), 64).any()


def test_nothing_is_added_out_of_reach() -> None:
    config = LSAMattingSmallConfig((8, 8, 16, 16, 16), (0, 1, 0, 0, 1), (8, 8, 8, 8, 16), 8, "closed-form", 16)
    network = LSAMattingSmall(config).eval()
    nn.init.normal_(cast(nn.Conv2d, network.decoder.head[-1]).weight, std=0.5)
    estimate = np.full((64, 256), 0.5, np.float32)
    trimap = np.full((64, 256), 128, np.uint8)
    trimap[:, :8] = 255
    marked = torch.from_numpy(with_estimate(trimap, estimate))[None, None] / 255
    with torch.no_grad():
        found = network(torch.rand(1, 3, 64, 256), marked)[0, 0]
    assert (found[:, 64:] - 0.5).abs().max() < 0.01
    assert (found[:, 8:16] - 0.5).abs().max() > 0.05
