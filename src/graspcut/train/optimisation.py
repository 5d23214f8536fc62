"""How weights are learned: optimiser, learning rate by step, weight decay by kind of parameter, averaging, clipping.

A method's configuration embeds one `Optimisation` and adds what its losses need. The four papers:

| paper | optimiser | learning rate |
|---|---|---|
| DenseAttentionSeg, 4.5 | Adam | "step": 1e-3, times 0.8 every 80,000 steps |
| InstanceFCN, 4.2 | SGD, momentum 0.9, weight decay 5e-4 | "step": 1e-3 for 32,000 steps, then times 0.1 |
| Neverova et al., 5 | SGD | "inverse": 0.1 / (1 + 1e-5 t) |
| LSA matting, 5 | Adam, weight decay 1e-4, 1e-5 on norms | "step": 5e-5, halved every 20 epochs |

`decay_steps` counts optimiser steps; for epochs multiply by the steps of one (`steps_per_epoch`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "step", "inverse", "cosine", "warm_up_cosine")


@dataclass(frozen=True)
class Optimisation:
    """How weights are learned. A step is one batch (of each process).

    Attributes:
        steps: all steps of the run.
        optimiser: "sgd"; "adam" (weight decay as a term of the gradient); "adamw" (decoupled weight decay).
        learning_rate: the highest one, a.
        momentum: of "sgd"; plain, not Nesterov.
        weight_decay: of weights with two or more dimensions: convolutions and fully connected layers.
        norm_weight_decay: of scales and shifts of normalisation layers.
        bias_weight_decay: of all other parameters, biases above all.
        schedule: learning rate of step t = 0, 1, ...:
            "constant": a;
            "step": a * decay_factor ^ floor(t / decay_steps);
            "inverse": a / (1 + inverse_decay * t);
            "cosine": from a to a * final_learning_rate by half a cosine over the run;
            "warm_up_cosine": first a line up to a over the part `warm_up` of the run, then the cosine.
        decay_factor, decay_steps: for "step".
        inverse_decay: for "inverse".
        warm_up: for "warm_up_cosine", part of the run.
        final_learning_rate: for both cosines, part of `learning_rate`.
        average_decay: decay of the exponential moving average of the weights; None trains without. With it, validation
            and export use the averaged weights.
        gradient_clip: largest norm of the whole gradient; None does not clip.
        channels_last: memory layout of the network; faster on CPU and tensor cores.
    """

    steps: int
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    norm_weight_decay: float = 0.0
    bias_weight_decay: float = 0.0
    schedule: Literal["constant", "step", "inverse", "cosine", "warm_up_cosine"] = "constant"
    decay_factor: float = 0.1
    decay_steps: int = 10_000
    inverse_decay: float = 1e-5
    warm_up: float = 0.05
    final_learning_rate: float = 0.01
    average_decay: float | None = None
    gradient_clip: float | None = None
    channels_last: bool = True

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("optimiser", self.optimiser, OPTIMISERS),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if value not in choices:
                raise ValueError(f"unknown {name} {value!r}, choose one of {', '.join(choices)}")
        if self.steps < 1 or self.decay_steps < 1:
            raise ValueError(f"need steps > 0 and decay_steps > 0, got {self.steps} and {self.decay_steps}")
        if not self.learning_rate >= 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"the learning rate is {self.learning_rate}, expected a number of 0 or more")
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            raise ValueError(f"average_decay must lie between 0 and 1, got {self.average_decay}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip is {self.gradient_clip}, expected a positive number or None")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step.

        Args:
            step: steps done before this one.
        """
        rate = self.learning_rate
        if self.schedule == "constant":
            return rate
        if self.schedule == "step":
            return rate * self.decay_factor ** (step // self.decay_steps)
        if self.schedule == "inverse":
            return rate / (1.0 + self.inverse_decay * step)
        warm_up_steps = round(self.warm_up * self.steps) if self.schedule == "warm_up_cosine" else 0
        if step < warm_up_steps:
            return rate * (step + 1) / warm_up_steps
        progress = min(1.0, (step - warm_up_steps) / max(1, self.steps - warm_up_steps))
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return rate * (self.final_learning_rate + (1.0 - self.final_learning_rate) * cosine)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches that hold every sample once; the last may be filled up from the next epoch."""
    return -(-samples // batch_size)


def parameter_groups(model: nn.Module, optimisation: Optimisation) -> list[dict[str, Any]]:
    """Optimiser groups by kind of parameter, each with its weight decay; frozen parameters are in none.

    Args:
        model: the network. Normalisation layers are batch, group, layer and instance norm.
        optimisation: the three weight decays.

    Returns:
        one group for each weight decay, weights first, otherwise in the network's order.
    """
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm)
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[float, list[nn.Parameter]] = {optimisation.weight_decay: []}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in norms:
            decay = optimisation.norm_weight_decay
        else:
            decay = optimisation.weight_decay if parameter.ndim > 1 else optimisation.bias_weight_decay
        groups.setdefault(decay, []).append(parameter)
    return [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items() if parameters]


def build_optimiser(model: nn.Module, optimisation: Optimisation) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Optimiser and schedule of a network.

    Args:
        model: the network.
        optimisation: how it is learned.

    Returns:
        the optimiser, and a scheduler that is to be advanced after every step.
    """
    groups, rate = parameter_groups(model, optimisation), optimisation.learning_rate
    optimiser: torch.optim.Optimizer
    if optimisation.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=rate, momentum=optimisation.momentum, foreach=True)
    elif optimisation.optimiser == "adam":
        optimiser = torch.optim.Adam(groups, lr=rate, foreach=True)
    else:
        optimiser = torch.optim.AdamW(groups, lr=rate, foreach=True)

    def factor(step: int) -> float:
        return optimisation.learning_rate_at(step) / rate if rate > 0 else 0.0

    return optimiser, LambdaLR(optimiser, factor)


def parameter_penalty(model: nn.Module, target: Literal["bn", "all", "none"] = "bn") -> Tensor:
    """Half the sum of squares of parameters, to be weighted and added to a loss.

    Args:
        model: the network.
        target: "bn": scales and shifts of batch norms; "all": every parameter; "none": the value is 0.

    Returns:
        scalar.

    Raises:
        ValueError: another target.
    """
    if target not in ("bn", "all", "none"):
        raise ValueError(f"unknown target {target!r}, expected 'bn', 'all' or 'none'")
    chosen: list[nn.Parameter] = []
    if target == "all":
        chosen = list(model.parameters())
    elif target == "bn":
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        chosen = [parameter for norm in norms for parameter in norm.parameters()]
    if not chosen:
        first = next(model.parameters(), None)
        return torch.zeros(()) if first is None else first.new_zeros(())
    return 0.5 * torch.stack([parameter.square().sum() for parameter in chosen]).sum()


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that follows it as an exponential moving average, running statistics included.

    Args:
        model: the network.
        decay: of the average; it grows from 0.1 to this, so that the first weights are soon forgotten.
    """
    averaged = AveragedModel(model, multi_avg_fn=_moving_average(decay), use_buffers=True)
    averaged.requires_grad_(False)
    return averaged


def _moving_average(
    decay: float,
) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        updates = int(count)
        weight = 1.0 - min(decay, (1.0 + updates) / (10.0 + updates))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(list(averaged), list(current), weight)
        else:
            torch._foreach_copy_(list(averaged), list(current))

    return average
