"""SAD, MSE, Grad and Conn: worked values, and slow versions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.matting import metrics

RAMP = np.tile(np.linspace(0.0, 1.0, 8), (8, 1))
SCALED = 0.7 * RAMP
WAVY = np.clip(RAMP + 0.1 * (-1.0) ** np.arange(8), 0.0, 1.0)
ALL_UNKNOWN = np.full((8, 8), 128, np.uint8)


def test_worked_values_of_a_scaled_ramp() -> None:
    arguments = (SCALED, RAMP, ALL_UNKNOWN)
    assert metrics.sum_of_absolute_differences(*arguments) * 1000 == pytest.approx(9.6)
    assert metrics.connectivity_error(*arguments) * 1000 == pytest.approx(10.62857, abs=1e-5)
    assert metrics.connectivity_error(*arguments, rule="skip") * 1000 == pytest.approx(8.22857, abs=1e-5)
    # Stretching takes the scale away; without it the 9x9 filter sees the difference.
    assert metrics.gradient_error(*arguments) == pytest.approx(0.0, abs=1e-12)
    difference = metrics.gradient_magnitude(SCALED) - metrics.gradient_magnitude(RAMP)
    assert (difference**2).sum() == pytest.approx(7.4574, abs=1e-4)


def test_worked_values_of_a_wavy_ramp() -> None:
    arguments = (WAVY, RAMP, ALL_UNKNOWN)
    assert metrics.sum_of_absolute_differences(*arguments) * 1000 == pytest.approx(6.4)
    assert metrics.mean_squared_error(*arguments) == pytest.approx(0.01)
    assert metrics.connectivity_error(*arguments) * 1000 == pytest.approx(4.11429, abs=1e-5)
    assert metrics.connectivity_error(*arguments, rule="skip") * 1000 == pytest.approx(4.11429, abs=1e-5)
    difference = metrics.gradient_magnitude(WAVY) - metrics.gradient_magnitude(RAMP)
    assert (difference**2).sum() == pytest.approx(2.44665, abs=1e-5)
    assert metrics.gradient_error(*arguments, mode="lsa") * 1000 == pytest.approx(2.27267, abs=1e-5)


@pytest.mark.parametrize(("radius", "peak", "energy"), [(4, 2.6620, 19.5907), (3, 2.5460, 17.5273)])
def test_response_to_a_step(radius: int, peak: float, energy: float) -> None:
    step = np.zeros((40, 40))
    step[:, 20:] = 1.0
    response = metrics.gradient_magnitude(step, radius)
    assert response.max() == pytest.approx(peak, abs=1e-4)
    assert (response[20] ** 2).sum() == pytest.approx(energy, abs=1e-4)
    assert metrics.gradient_radius_px() == 4


def slow_gradient(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """The filter as a sum over every offset."""
    sigma = 1.4

    def gauss(t: float) -> float:
        return math.exp(-t * t / (2 * sigma * sigma)) / (sigma * math.sqrt(2 * math.pi))

    def slope(t: float) -> float:
        return -t * gauss(t) / sigma**2

    span = range(-radius, radius + 1)
    energy = math.sqrt(sum((gauss(i) * slope(j)) ** 2 for i in span for j in span))
    height, width = values.shape
    found = np.zeros(values.shape)
    for y in range(height):
        for x in range(width):
            across = down = 0.0
            for i in span:
                for j in span:
                    value = values[min(max(y - i, 0), height - 1), min(max(x - j, 0), width - 1)]
                    across += gauss(i) * slope(j) / energy * value
                    down += slope(i) * gauss(j) / energy * value
            found[y, x] = math.hypot(across, down)
    return found


def slow_connectivity(p: NDArray[np.float64], g: NDArray[np.float64], unknown: NDArray[np.bool_]) -> float:
    """The definition with a flood fill; the first component in column order wins a tie."""
    height, width = p.shape
    level = np.full(p.shape, -1.0)
    for step in range(1, 11):
        both = (p >= step / 10) & (g >= step / 10)
        best: set[tuple[int, int]] = set()
        seen: set[tuple[int, int]] = set()
        for x in range(width):
            for y in range(height):
                if not both[y, x] or (y, x) in seen:
                    continue
                component, stack = set(), [(y, x)]
                while stack:
                    place = stack.pop()
                    v, u = place
                    inside = 0 <= v < height and 0 <= u < width
                    if place in component or not inside or not both[v, u]:
                        continue
                    component.add(place)
                    stack += [(v + 1, u), (v - 1, u), (v, u + 1), (v, u - 1)]
                seen |= component
                if len(component) > len(best):
                    best = component
        for y in range(height):
            for x in range(width):
                if level[y, x] < 0 and (y, x) not in best:
                    level[y, x] = (step - 1) / 10
    level[level < 0] = 1.0
    total = 0.0
    for y, x in zip(*np.nonzero(unknown), strict=True):
        phi = [1 - (v - level[y, x]) * (v - level[y, x] >= 0.15) for v in (p[y, x], g[y, x])]
        total += abs(phi[0] - phi[1])
    return total / 1000


@pytest.mark.parametrize("seed", range(4))
def test_equal_slow_versions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.random((14, 11)) * 1.5 - 0.25, 0, 1)
    predicted = np.clip(alpha + 0.3 * rng.standard_normal(alpha.shape), 0, 1)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), alpha.shape)
    unknown = trimap == 128
    scores = metrics.matting_scores(predicted, alpha, trimap)
    assert scores.sad == pytest.approx(sum(abs(predicted[unknown] - alpha[unknown])) / 1000)
    assert scores.mse == pytest.approx(((predicted - alpha)[unknown] ** 2).sum() / unknown.sum())
    assert scores.conn == pytest.approx(slow_connectivity(predicted, alpha, unknown))
    stretched = [(values - values.min()) / (values.max() - values.min()) for values in (predicted, alpha)]
    difference = slow_gradient(stretched[0], 4) - slow_gradient(stretched[1], 4)
    assert scores.grad == pytest.approx((difference[unknown] ** 2).sum() / 1000)


def test_errors_of_known_pixels_do_not_count() -> None:
    trimap = ALL_UNKNOWN.copy()
    trimap[:, :4] = 255
    changed = WAVY.copy()
    changed[:, 0] = 1.0
    assert metrics.mean_squared_error(changed, RAMP, trimap) == metrics.mean_squared_error(WAVY, RAMP, trimap)
    assert metrics.sum_of_absolute_differences(changed, RAMP, trimap) == pytest.approx(0.0032)
    assert math.isnan(metrics.mean_squared_error(WAVY, RAMP, np.zeros((8, 8), np.uint8)))


def test_regions_that_touch_at_a_corner_are_two() -> None:
    alpha = np.zeros((6, 6))
    alpha[:3, :3] = alpha[3:, 3:5] = 1.0
    # The smaller region belongs to no component at any threshold: its level is 0, its truth 1.
    predicted = alpha.copy()
    predicted[3:, 3:5] = 0.6
    error = metrics.connectivity_error(predicted, alpha, np.full((6, 6), 128, np.uint8))
    assert error * 1000 == pytest.approx(6 * 0.4)


def test_bytes_and_floats_are_the_same() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (9, 9), np.uint8) for _ in range(2))
    trimap = np.full((9, 9), 128, np.uint8)
    assert metrics.matting_scores(first, second, trimap) == metrics.matting_scores(
        first / 255.0, second / 255.0, trimap
    )


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        metrics.mean_squared_error(RAMP, RAMP[:4], ALL_UNKNOWN)
