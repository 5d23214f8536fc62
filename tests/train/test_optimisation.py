"""Schedules against the papers' numbers, optimisers against their equations, decay by kind, averaged weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from graspcut.train.optimisation import (
    Optimisation,
    averaged_model,
    build_optimiser,
    parameter_groups,
    parameter_penalty,
    steps_per_epoch,
)
from tests.train.fake_frames import TinyNetwork


def test_constant_times_a_factor_every_n_steps() -> None:
    """Adam's rate in LSA matting: 5e-5, halved every 20 epochs of 2,694 steps."""
    epoch = steps_per_epoch(43_100, 16)
    assert epoch == 2_694
    matting = Optimisation(
        100 * epoch, "adam", 5e-5, schedule="step", decay_factor=0.5, decay_steps=20 * epoch, weight_decay=1e-4
    )
    found = [matting.learning_rate_at(number * epoch) for number in (0, 19, 20, 40, 99)]
    assert found == pytest.approx([5e-5, 5e-5, 2.5e-5, 1.25e-5, 5e-5 / 16])
    instances = Optimisation(40_000, "sgd", 1e-3, schedule="step", decay_factor=0.1, decay_steps=32_000)
    assert instances.learning_rate_at(31_999) == 1e-3
    assert instances.learning_rate_at(32_000) == pytest.approx(1e-4)


def test_inverse_decay() -> None:
    """Neverova et al.: 0.1 / (1 + 1e-5 t)."""
    pose = Optimisation(1_000_000, "sgd", 0.1, schedule="inverse")
    assert pose.learning_rate_at(0) == 0.1
    assert pose.learning_rate_at(100_000) == pytest.approx(0.05)
    assert pose.learning_rate_at(900_000) == pytest.approx(0.01)


def test_warm_up_and_cosine_rise_to_the_peak_and_fall_to_the_end() -> None:
    config = Optimisation(1000, learning_rate=0.01, schedule="warm_up_cosine")
    rates = [config.learning_rate_at(step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01 / 50)
    assert rates[49] == rates[50] == pytest.approx(0.01) == max(rates)
    assert all(later <= earlier for earlier, later in pairwise(rates[50:]))
    assert rates[1000] == pytest.approx(1e-4)
    plain = Optimisation(1000, learning_rate=0.01, schedule="cosine")
    assert plain.learning_rate_at(0) == 0.01
    middle = 0.01 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert plain.learning_rate_at(500) == pytest.approx(middle)


def test_the_optimiser_follows_the_schedule() -> None:
    config = Optimisation(10, "adam", 0.1, schedule="step", decay_factor=0.8, decay_steps=2)
    optimiser, scheduler = build_optimiser(TinyNetwork(), config)
    seen = []
    for _ in range(5):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert seen == pytest.approx([0.1, 0.1, 0.08, 0.08, 0.064])


def one_weight(config: Optimisation, gradients: list[float], start: float = 1.0) -> float:
    """A single weight after some steps with given gradients."""
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(start)
    optimiser, scheduler = build_optimiser(layer, config)
    for gradient in gradients:
        layer.weight.grad = torch.full((1, 1), gradient)
        optimiser.step()
        scheduler.step()
    return layer.weight.item()


def test_sgd_with_momentum_and_weight_decay_by_hand() -> None:
    config = Optimisation(9, "sgd", 0.1, momentum=0.9, weight_decay=0.01, schedule="inverse", inverse_decay=1.0)
    weight, velocity = 1.0, 0.0
    for step, gradient in enumerate([0.5, -0.2, 0.3]):
        velocity = 0.9 * velocity + gradient + 0.01 * weight
        weight -= 0.1 / (1 + step) * velocity
    assert one_weight(config, [0.5, -0.2, 0.3]) == pytest.approx(weight, rel=1e-6)


def test_decay_is_in_the_gradient_of_adam_and_beside_that_of_adamw() -> None:
    # Adam's first step is lr * sign(gradient + decay), whatever their size.
    adam = one_weight(Optimisation(9, "adam", 0.1, weight_decay=0.5), [0.3])
    assert adam == pytest.approx(0.9, abs=1e-6)
    adamw = one_weight(Optimisation(9, "adamw", 0.1, weight_decay=0.5), [0.3])
    assert adamw == pytest.approx(1.0 * (1 - 0.1 * 0.5) - 0.1, abs=1e-6)


def test_weight_decay_by_kind_of_parameter() -> None:
    network = TinyNetwork()
    network.second.requires_grad_(False)
    config = Optimisation(1, weight_decay=0.3, norm_weight_decay=0.2, bias_weight_decay=0.1)
    groups = {group["weight_decay"]: group["params"] for group in parameter_groups(network, config)}
    assert [id(parameter) for parameter in groups[0.3]] == [id(network.first.weight)]
    assert [id(parameter) for parameter in groups[0.2]] == [id(network.norm.weight), id(network.norm.bias)]
    assert [id(parameter) for parameter in groups[0.1]] == [id(network.first.bias)]
    spared = parameter_groups(TinyNetwork(), Optimisation(1, weight_decay=0.3))
    assert [group["weight_decay"] for group in spared] == [0.3, 0.0]
    assert {parameter.ndim for parameter in spared[0]["params"]} == {4}


def test_penalties() -> None:
    network = TinyNetwork()
    assert parameter_penalty(network).item() == 0.5 * 6  # six batch-norm scales of 1, six shifts of 0
    every = sum(parameter.square().sum().item() for parameter in network.parameters())
    assert parameter_penalty(network, "all").item() == pytest.approx(0.5 * every)
    assert parameter_penalty(network, "none").item() == 0
    with pytest.raises(ValueError, match="unknown target 'weights'"):
        parameter_penalty(network, "weights")  # type: ignore[arg-type]


def test_averaged_weights_follow_the_slow_formula() -> None:
    model = nn.BatchNorm2d(1)
    average = averaged_model(model, 0.5)
    values, decays = [1.0, 3.0, -2.0, 5.0], []
    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
            model.get_buffer("running_mean").fill_(2 * value)
        average.update_parameters(model)
    expected = values[0]  # the first update copies
    for updates, value in enumerate(values[1:], start=1):
        decays.append(min(0.5, (1 + updates) / (10 + updates)))
        expected = decays[-1] * expected + (1 - decays[-1]) * value
    assert float(average.module.get_parameter("weight")) == pytest.approx(expected, rel=1e-5)
    assert float(average.module.get_buffer("running_mean")) == pytest.approx(2 * expected, rel=1e-5)
    assert decays[0] == pytest.approx(2 / 11) and decays[-1] < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps > 0"),
        ({"optimiser": "lamb"}, "unknown optimiser 'lamb', choose one of sgd, adam, adamw"),
        ({"schedule": "one_cycle"}, "unknown schedule 'one_cycle', choose one of .*warm_up_cosine"),
        ({"average_decay": 1.0}, "between 0 and 1"),
        ({"gradient_clip": 0.0}, "gradient_clip is 0.0"),
        ({"learning_rate": math.nan}, "the learning rate is nan"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Optimisation(**{"steps": 2, **change})
