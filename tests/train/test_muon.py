"""Orthogonal steps."""

from __future__ import annotations

import pytest
import torch

from graspcut.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_singular_values_are_made_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -1, shape[1])
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3 and values.max() < 1.3
    first, _, last = torch.linalg.svd(matrix, full_matrices=False)
    assert (first @ last * orthogonal(matrix)).sum() / min(shape) > 0.6  # in the direction of the nearest one


def test_steps_lead_to_the_least_loss() -> None:
    torch.manual_seed(0)
    target = torch.randn(5, 3, 2, 2)
    weight = torch.zeros(5, 3, 2, 2, requires_grad=True)
    muon = Muon([weight])
    for step in range(150):
        weight.grad = None
        loss = (weight - target).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        muon.step(0.1 * (1 - step / 150))
    assert (weight - target).square().mean() < 0.05 * target.square().mean()
    with pytest.raises(ValueError, match="two or more"):
        Muon([torch.zeros(3)])
