"""Muon (Jordan et al. 2024): momentum whose steps are made orthogonal, for the weights in the middle of a network.

A step of equal size in all directions that a matrix has: in short trainings on a processor it learned more in the same
time than AdamW (docs/hand-pose.md). First and last layers, biases and norms are better left to AdamW.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_DECAY = 0.01


class Muon:
    """Moves weights of two and more dimensions; all but the first are taken as one.

    Args:
        weights: Tensors that have gradients when `step` is called.
        momentum: Share of the old direction.
    """

    def __init__(self, weights: Sequence[Tensor], momentum: float = 0.95) -> None:
        if any(weight.dim() < 2 for weight in weights):
            raise ValueError("a weight of one dimension came; expected two or more, leave others to another optimiser.")
        self.weights, self.momentum = list(weights), momentum
        self.directions = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step of size `rate`, which fits networks of any width: 0.02 to 0.05 are usual."""
        for weight, direction in zip(self.weights, self.directions, strict=True):
            assert weight.grad is not None
            direction.lerp_(weight.grad, 1 - self.momentum)
            matrix = weight.grad.lerp(direction, self.momentum).flatten(1)
            scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            weight.mul_(1 - _DECAY * rate).add_(orthogonal(matrix).reshape(weight.shape), alpha=-rate * scale)


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, by a Newton-Schulz iteration of fifth order.

    Args:
        matrix: (rows, columns).
        steps: Of the iteration; after 5 all singular values lie between about 0.7 and 1.2.
    """
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    found: Tensor = (x.T if tall else x).float()
    return found
