"""The multi-scale loss: worked value, a slow version, overshoot."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from graspcut.matting.losses import multi_scale_loss


def slow_loss(predicted: Tensor, alpha: Tensor, unknown: Tensor, *, any_unknown: bool = False) -> float:
    """One image, pixel by pixel, from the text."""
    p, a, u = predicted[0, 0].tolist(), alpha[0, 0].tolist(), unknown[0, 0].tolist()
    height, width = len(p), len(p[0])
    total = 0.0
    for scale in range(5):
        side = 2**scale
        if height // side < 1 or width // side < 1:
            break
        numerator = denominator = 0.0
        for y in range(height // side):
            for x in range(width // side):
                block = [(v, h) for v in range(y * side, (y + 1) * side) for h in range(x * side, (x + 1) * side)]
                d = 0.0
                for v, h in block:
                    over = (a[v][h] > 0.999 and p[v][h] > 1) or (a[v][h] < 0.001 and p[v][h] < 0)
                    d += 0.0 if over else p[v][h] - a[v][h]
                weights = [u[v][h] for v, h in block]
                w = max(weights) if any_unknown else sum(weights) / len(block)
                numerator += w * math.sqrt((d / len(block)) ** 2 + 1e-6)
                denominator += w
        total += numerator / (denominator + 1) / 2**scale
    return total


@pytest.mark.parametrize(("height", "width"), [(32, 48), (19, 33), (8, 5)])
@pytest.mark.parametrize("coarse", ["fractional", "any"])
def test_equals_the_slow_version(height: int, width: int, coarse: str) -> None:
    generator = torch.Generator().manual_seed(1)
    alpha = (torch.rand(1, 1, height, width, generator=generator) * 1.4 - 0.2).clamp(0, 1)
    predicted = alpha + 0.4 * torch.randn(1, 1, height, width, generator=generator)
    unknown = (torch.rand(1, 1, height, width, generator=generator) > 0.5).float()
    found = float(multi_scale_loss(predicted, alpha, unknown, coarse=coarse))  # type: ignore[arg-type]
    assert found == pytest.approx(slow_loss(predicted, alpha, unknown, any_unknown=coarse == "any"), rel=1e-5)


def test_worked_value_of_a_constant_difference() -> None:
    alpha = torch.full((1, 1, 256, 256), 0.4)
    ones = torch.ones_like(alpha)
    expected = sum(2.0**-s * math.sqrt(0.04 + 1e-6) * (n := 65536 / 4**s) / (n + 1) for s in range(5))
    assert float(multi_scale_loss(alpha + 0.2, alpha, ones)) == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(1.9375 * math.sqrt(0.04 + 1e-6), rel=1e-3)


def test_overshoot_has_no_gradient() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 16:] = 1.0
    predicted = (alpha + 0.3 * (2 * alpha - 1)).requires_grad_()
    multi_scale_loss(predicted, alpha, torch.ones_like(alpha)).backward()  # type: ignore[no-untyped-call]
    assert predicted.grad is not None and float(predicted.grad.abs().max()) == 0.0
    inside = (alpha - 0.3 * (2 * alpha - 1)).requires_grad_()
    multi_scale_loss(inside, alpha, torch.ones_like(alpha)).backward()  # type: ignore[no-untyped-call]
    assert inside.grad is not None and float(inside.grad.abs().min()) > 0.0


def test_nothing_unknown_is_nothing_to_learn() -> None:
    alpha = torch.rand(2, 1, 16, 16)
    assert float(multi_scale_loss(alpha + 1, alpha, torch.zeros_like(alpha))) == 0.0
    with pytest.raises(ValueError, match="three equal"):
        multi_scale_loss(alpha, alpha[:1], alpha)
