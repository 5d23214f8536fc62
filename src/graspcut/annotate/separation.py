"""Half-spaces between two clouds of colours: logistic regression with equal weight for both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.colour_rules import HalfSpace

# Hue, saturation and value in units of about one.
_SCALE = np.array([45.0, 64.0, 64.0])
_RIDGE = 1e-2
_ITERATIONS = 12


def separate(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """The plane between two clouds.

    Args:
        inside, outside: (n, 3) and (m, 3) hue (from the centre), saturation, value; neither empty.

    Returns:
        Factors w (3,) and offset b: w x + b is the log odds of `outside`, negative inside.
    """
    points = np.concatenate([inside, outside]).astype(np.float64) / _SCALE
    middle = points.mean(axis=0)
    points = np.column_stack([points - middle, np.ones(len(points))])
    target = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    weight = np.where(target > 0, 0.5 / len(outside), 0.5 / len(inside))
    # Ridge on the factors only; without it separable clouds have no finite answer.
    ridge = np.diag([_RIDGE, _RIDGE, _RIDGE, 0.0])
    solution = np.zeros(4)
    for _ in range(_ITERATIONS):
        probability = 1 / (1 + np.exp(-np.clip(points @ solution, -30, 30)))
        gradient = points.T @ (weight * (probability - target)) + ridge @ solution
        curvature = np.maximum(weight * probability * (1 - probability), 1e-9 * weight)
        hessian = (points * curvature[:, None]).T @ points + ridge + 1e-9 * np.eye(4)
        step = np.linalg.solve(hessian, gradient)
        solution -= step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    factors = solution[:3] / _SCALE
    return factors, float(solution[3] - solution[:3] @ middle)


def balanced_error(
    plane: tuple[NDArray[np.float64], float], inside: NDArray[np.float32], outside: NDArray[np.float32]
) -> float:
    """Mean of the shares on the wrong side, 0..1."""
    factors, offset = plane
    wrong_inside = float(np.mean(inside @ factors + offset > 0))
    wrong_outside = float(np.mean(outside @ factors + offset <= 0))
    return 0.5 * (wrong_inside + wrong_outside)


def half_space(plane: tuple[NDArray[np.float64], float], *, outside: bool, margin: float) -> HalfSpace:
    """One side of a plane as a restriction, `margin` (log odds) away from it, with numbers fit for reading."""
    factors, offset = plane
    sign = -1.0 if outside else 1.0
    largest = float(np.abs(factors).max())
    h, s, v = (round(sign * float(factor) / largest, 4) for factor in factors)
    return HalfSpace(h, s, v, round((-sign * offset - margin) / largest, 2))
