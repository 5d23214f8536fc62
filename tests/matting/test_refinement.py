"""Backpropagating refinement: worked cost, invariants, and that it finds what the trimap says."""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from graspcut.matting.models.lsa_matting import LSAMatting, LSAMattingConfig
from graspcut.matting.models.lsa_matting_small import LSAMattingSmall, LSAMattingSmallConfig
from graspcut.matting.refinement import _Cost, boundary_pixels, refined_alpha
from graspcut.matting.refinement_config import RefinementConfig


def small_network(name: str) -> nn.Module:
    """A network with random weights that says something different everywhere."""
    torch.manual_seed(0)
    network: nn.Module
    if name == "LSAMatting":
        network = LSAMatting(LSAMattingConfig(8, (1, 1, 1, 1), (8, 8, 8, 8, 8), 8))
    else:
        network = LSAMattingSmall(LSAMattingSmallConfig((8, 8, 8, 8, 8), (0, 0, 0, 0, 0), (8, 8, 8, 8, 8), 8))
        nn.init.normal_(network.decoder.head[-1].weight, std=0.2)  # type: ignore[arg-type]
    return network.eval()


def thin_example() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image whose trimap has thin known regions."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 96, 3), np.uint8)
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:, 40:43] = 255
    trimap[20:22] = 0
    trimap[:6] = 0
    return image, trimap


@pytest.mark.parametrize(
    ("boundary", "foreground", "background", "expected"),
    [("paper", [1, 2], [3, 4], 0.0325), ("visible", [2], [3], 0.065)],
)
def test_worked_row(
    boundary: Literal["paper", "visible"], foreground: list[int], background: list[int], expected: float
) -> None:
    unknown = 128 / 255
    trimap = torch.tensor([1.0, 1.0, unknown, unknown, 0.0, 0.0]).reshape(1, 1, 1, 6)
    to_one, to_zero = boundary_pixels(trimap, boundary)
    assert torch.nonzero(to_one.flatten()).flatten().tolist() == foreground
    assert torch.nonzero(to_zero.flatten()).flatten().tolist() == background
    predicted = torch.tensor([1.0, 1.0, 0.8, 0.3, 0.0, 0.0]).reshape(1, 1, 1, 6)
    cost = _Cost(to_one, to_zero, trimap == unknown, predicted, RefinementConfig(boundary=boundary))
    total, first = cost(predicted)
    # The published program divides by the counts plus 0.2: 0.13 / 2.2; here by the counts alone.
    assert float(first) == pytest.approx(expected) and float(total) == float(first)


def test_distance_term_is_the_squared_mean_difference() -> None:
    trimap = torch.full((1, 1, 4, 4), 128 / 255)
    trimap[..., 0] = 1.0
    to_one, to_zero = boundary_pixels(trimap)
    initial = torch.full((1, 1, 4, 4), 0.5)
    cost = _Cost(to_one, to_zero, (trimap > 0.01) & (trimap < 0.99), initial, RefinementConfig())
    total, first = cost(initial + 0.2)
    assert float(total - first) == pytest.approx(0.1 * 0.2**2, rel=1e-4)


@pytest.mark.parametrize("name", ["LSAMatting", "LSAMattingSmall"])
def test_cost_falls_and_the_network_stays_what_it_is(name: str) -> None:
    network = small_network(name)
    before = copy.deepcopy(network.state_dict())
    image, trimap = thin_example()
    found = refined_alpha(network, image, trimap, RefinementConfig(steps=40, growth=1.5, patience=0))
    assert found.boundary_costs[-1] < 0.7 * found.boundary_costs[0]
    assert all(later < earlier for earlier, later in zip(found.costs, found.costs[1:], strict=False))
    assert found.steps <= 40
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert (found.alpha[trimap == 255] == 1).all() and (found.alpha[trimap == 0] == 0).all()


def test_no_steps_and_no_boundary_change_nothing() -> None:
    network = small_network("LSAMatting")
    image, trimap = thin_example()
    with torch.no_grad():
        plain = network(
            torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0, torch.from_numpy(trimap)[None, None] / 255.0
        )
    unknown = trimap == 128
    none = refined_alpha(network, image, trimap, RefinementConfig(steps=0))
    np.testing.assert_allclose(none.alpha[unknown], plain.clamp(0, 1)[0, 0].numpy()[unknown], atol=1e-6)
    everywhere = np.full_like(trimap, 128)
    still = refined_alpha(network, image, everywhere, RefinementConfig(steps=5))
    assert still.steps == 0 and len(still.costs) == 1


def test_a_rate_that_diverges_is_halved() -> None:
    image, trimap = thin_example()
    found = refined_alpha(small_network("LSAMatting"), image, trimap, RefinementConfig(steps=30, rate=1e6))
    assert found.costs[-1] <= found.costs[0]
    assert found.steps > len(found.costs) - 1


@pytest.mark.parametrize("outside", ["leaky", "clamp"])
def test_a_value_above_1_beside_background_is_pulled_back_only_by_the_leak(outside: Literal["leaky", "clamp"]) -> None:
    trimap = torch.tensor([0.0, 128 / 255, 128 / 255]).reshape(1, 1, 1, 3)
    to_one, to_zero = boundary_pixels(trimap)
    unknown = trimap == 128 / 255
    predicted = torch.tensor([0.0, 1.2, 0.5]).reshape(1, 1, 1, 3).requires_grad_()
    cost = _Cost(to_one, to_zero, unknown, predicted.detach().clamp(0, 1), RefinementConfig(outside=outside))
    slope = torch.autograd.grad(cost(predicted)[0], predicted)[0].flatten()
    assert float(slope[1]) == pytest.approx(2 * 1.02 * 0.1 if outside == "leaky" else 0.0, abs=1e-6)
    assert float(slope[2]) == 0.0


def test_it_stops_when_the_cost_has_settled() -> None:
    image, trimap = thin_example()
    network = small_network("LSAMattingSmall")
    early = refined_alpha(network, image, trimap, RefinementConfig(steps=150, patience=3, settled=0.3))
    assert early.steps < 150


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="rate"):
        RefinementConfig(rate=0)
    with pytest.raises(ValueError, match="boundary"):
        RefinementConfig(boundary="some")  # type: ignore[arg-type]
