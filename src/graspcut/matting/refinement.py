"""BR, backpropagating refinement: a trained network's features are bent for one image until its trimap is kept to.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 4.3. After decoder block l, for l = 2
to 5, the features x become exp(I(A)) x + I(B), where A and B have 2^(8-l) x 2^(8-l) cells for every channel and I
enlarges them (bicubic). A and B begin as 0, which changes nothing, and go down the gradient of C1 + 0.1 C2: C1 wants
1 and 0 beside the known pixels of the trimap, C2 wants the matte of the beginning back. The encoder runs once;
nothing else of the network changes.

Deviations, with the reason:
    - C1 looks at unknown pixels with a known one among their eight neighbours ("visible"), as the published program:
      the known pixels themselves are pasted over in the end. "paper" takes both sides of the boundary.
    - A rate of 20 can diverge, and for another network move nothing: a step that makes the cost larger is taken back
      and the rate halved; after any other it grows by half. What is returned never costs more than the beginning.
    - Cutting alpha to 0..1 has no gradient outside; a pixel predicted as 1.2 beside background could not move. Outside,
      C1 keeps a tenth of the slope ("leaky"). "clamp" is the published program.
    - C2 compares with the matte of the beginning cut to 0..1, as both are used; the published program does not cut it.
    - It stops when the cost has settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graspcut.matting.models import MattingNetwork
from graspcut.matting.refinement_config import RefinementConfig

_REFINED_BLOCKS = (2, 3, 4, 5)
_LEAK = 0.1
_SMALLEST_RATE = 1.0e-3


@dataclass(frozen=True)
class RefinedAlpha:
    """What came of it.

    Attributes:
        alpha: (H, W) float32 in 0..1, exactly 0 and 1 where the trimap is known.
        costs: C1 + 0.1 C2 at the beginning and after every step that was kept.
        boundary_costs: C1 of the same.
        steps: gradient steps done, also those taken back.
    """

    alpha: NDArray[np.float32]
    costs: tuple[float, ...]
    boundary_costs: tuple[float, ...]
    steps: int


@dataclass(frozen=True)
class _Cost:
    """C1 + w C2 for one trimap.

    Attributes:
        to_one: (1, 1, H, W) bool: pixels that should be 1.
        to_zero: likewise 0.
        unknown: likewise those of C2.
        initial: (1, 1, H, W), the matte at the beginning, in 0..1.
        config: weights.
    """

    to_one: Tensor
    to_zero: Tensor
    unknown: Tensor
    initial: Tensor
    config: RefinementConfig

    def __call__(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """The whole cost, and C1 of it."""
        bounded = predicted.clamp(0.0, 1.0)
        seen = bounded
        if self.config.outside == "leaky":
            seen = bounded + _LEAK * (predicted - bounded)
        count = int(self.to_one.sum()) + int(self.to_zero.sum())
        boundary = predicted.new_zeros(())
        if count:
            errors = (1.0 - seen[self.to_one]).square().sum() + seen[self.to_zero].square().sum()
            boundary = errors / count
        distance = predicted.new_zeros(())
        if bool(self.unknown.any()):
            distance = (bounded - self.initial)[self.unknown].abs().mean().square()
        return boundary + self.config.distance_weight * distance, boundary


def boundary_pixels(trimap: Tensor, boundary: Literal["visible", "paper"] = "visible") -> tuple[Tensor, Tensor]:
    """Pixels that should be 1 and 0 because the trimap beside them is known.

    Args:
        trimap: (1, 1, H, W): 0, 128/255 and 1.
        boundary: "visible": unknown pixels with a known one of that kind among their eight neighbours; "paper": the
            boundary of the known region by four neighbours, on both of its sides (section 4).

    Returns:
        two (1, 1, H, W) bool.
    """
    unknown = (trimap > 0.01) & (trimap < 0.99)
    found = []
    for region in (trimap >= 0.99, trimap <= 0.01):
        if boundary == "visible":
            found.append(unknown & (_grown(region, corners=True)))
        else:
            found.append(_grown(region, corners=False) & _grown(~region, corners=False))
    return found[0], found[1]


def refined_alpha(
    network: nn.Module, image: NDArray[np.uint8], trimap: NDArray[np.uint8], config: RefinementConfig | None = None
) -> RefinedAlpha:
    """Refines the matte of one image.

    Args:
        network: one of `graspcut.matting.models`, trained. It is left as it is: weights, statistics, mode.
        image: (H, W, 3) uint8 RGB; H and W multiples of the network's `size_multiple`.
        trimap: (H, W) uint8: 0, 128 and 255.
        config: how.

    Returns:
        the matte with the lowest cost that was met, and the way there.
    """
    settings = config if config is not None else RefinementConfig()
    place = next(network.parameters())
    pictured = torch.from_numpy(image).to(place.device, place.dtype).permute(2, 0, 1)[None] / 255.0
    marked = torch.from_numpy(trimap).to(place.device, place.dtype)[None, None] / 255.0
    was_training = network.training
    trainable = [parameter.requires_grad for parameter in network.parameters()]
    network.eval().requires_grad_(False)
    try:
        found, costs, boundary_costs, steps = _refine(cast(MattingNetwork, network), pictured, marked, settings)
    finally:
        network.train(was_training)
        for parameter, needs in zip(network.parameters(), trainable, strict=True):
            parameter.requires_grad_(needs)
    alpha = found.clamp(0.0, 1.0)[0, 0].float().cpu().numpy()
    alpha[trimap == 0], alpha[trimap == 255] = 0.0, 1.0
    return RefinedAlpha(alpha, tuple(costs), tuple(boundary_costs), steps)


def _refine(
    network: MattingNetwork, image: Tensor, trimap: Tensor, config: RefinementConfig
) -> tuple[Tensor, list[float], list[float], int]:
    with torch.no_grad():
        encoded = network.encode(image, trimap)
        initial = network.decode(encoded)
    to_one, to_zero = boundary_pixels(trimap, config.boundary)
    cost = _Cost(to_one, to_zero, (trimap > 0.01) & (trimap < 0.99), initial.clamp(0.0, 1.0), config)
    widths = network.decoder.widths
    cells = {number: 2 ** (8 - number) for number in _REFINED_BLOCKS if number <= len(widths)}
    maps = [
        torch.zeros(1, widths[number - 1], side, side, dtype=image.dtype, device=image.device, requires_grad=True)
        for number, side in cells.items()
        for _ in range(2)
    ]
    sizes = {number: encoded[number].shape[-2:] for number in cells}

    def decode(values: list[Tensor]) -> Tensor:
        return network.decode(
            encoded,
            {
                number: (_enlarged(values[2 * place], sizes[number]), _enlarged(values[2 * place + 1], sizes[number]))
                for place, number in enumerate(cells)
            },
        )

    best, rate, steps, too_large = initial, config.rate, 0, False
    predicted = decode(maps)
    total, boundary = cost(predicted)
    costs, boundary_costs = [float(total.detach())], [float(boundary.detach())]
    if not bool(to_one.any() or to_zero.any()):
        return best, costs, boundary_costs, 0
    while steps < config.steps and rate >= _SMALLEST_RATE:
        slopes = torch.autograd.grad(total, maps)
        while steps < config.steps and rate >= _SMALLEST_RATE:
            steps += 1
            moved = [
                (values - rate * slope).detach().requires_grad_() for values, slope in zip(maps, slopes, strict=True)
            ]
            predicted = decode(moved)
            following, boundary = cost(predicted)
            if float(following.detach()) < costs[-1]:
                maps, total, best = moved, following, predicted.detach()
                costs.append(float(following.detach()))
                boundary_costs.append(float(boundary.detach()))
                rate *= config.growth
                break
            rate /= 2.0
            too_large = True
        if too_large and config.patience and len(costs) > config.patience:
            before = costs[-1 - config.patience]
            if before - costs[-1] < config.settled * before:
                break
    return best, costs, boundary_costs, steps


def _enlarged(cells: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(cells, size=tuple(size), mode="bicubic", align_corners=False)


def _grown(region: Tensor, *, corners: bool) -> Tensor:
    """A region with its neighbours: eight, or four."""
    values = region.to(torch.float32)
    if corners:
        return functional.max_pool2d(values, 3, 1, 1) > 0
    across = functional.max_pool2d(values, (1, 3), 1, (0, 1))
    down = functional.max_pool2d(values, (3, 1), 1, (1, 0))
    return torch.maximum(across, down) > 0
