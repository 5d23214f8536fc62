"""RF: the worked values, the direct solution, and what must hold for any image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.matting.foreground import (
    DEFAULT_TOLERANCE,
    closed_form_foreground,
    estimate_foreground,
    multi_scale_refine,
    simple_refine,
    solve_foreground,
)

ALPHA = np.array([[1, 1, 0.5], [1, 0.5, 0], [0.5, 0, 0]])
COLOURS = np.array([[1, 0.8, 0.2], [0.8, 0.3, 0.9], [0.1, 0.6, 0.4]])
EXACT = np.array([[1, 0.696706, 0.476728], [0.693645, 0.503509, 0.488077], [0.458360, 0.482975, 0.485526]])
REFLECT = np.array([[1, 0.690678, 0.540385], [0.689322, 0.547179, 0.544365], [0.530897, 0.542302, 0.543333]])


def direct_solution(image: NDArray[np.float64], alpha: NDArray[np.float64], kappa: float = 1.0) -> NDArray[np.float64]:
    """The minimiser of C by a dense linear system, pixel by pixel."""
    height, width = alpha.shape
    matrix, side = np.zeros((alpha.size,) * 2), np.zeros((alpha.size, 3))
    for y in range(height):
        for x in range(width):
            i = y * width + x
            matrix[i, i] += alpha[y, x] ** 2
            side[i] = alpha[y, x] ** 2 * image[y, x]
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < height and 0 <= u < width:
                    q = kappa * ((1 - alpha[y, x]) ** 2 + (1 - alpha[v, u]) ** 2)
                    matrix[i, i] += q
                    matrix[i, v * width + u] -= q
    return np.asarray(np.linalg.solve(matrix, side).reshape(height, width, 3), dtype=np.float64)


def soft_disc(height: int, width: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noisy colours and a disc with a soft, frayed rim."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(y - height / 2, x - width / 2) - 0.3 * min(height, width)
    alpha = np.clip(0.5 - distance / 4 + 0.3 * rng.standard_normal((height, width)) * (np.abs(distance) < 4), 0, 1)
    return rng.random((height, width, 3)), alpha


@pytest.mark.parametrize(("borders", "expected"), [("exact", EXACT), ("reflect", REFLECT)])
def test_worked_values(borders: str, expected: NDArray[np.float64]) -> None:
    image = np.repeat(COLOURS[..., None], 3, axis=2)
    found = estimate_foreground(image, ALPHA, borders=borders, tolerance=1e-7)  # type: ignore[arg-type]
    swept = simple_refine(image * ALPHA[..., None], ALPHA, image, sweeps=600, borders=borders)  # type: ignore[arg-type]
    for result in (found, swept):
        np.testing.assert_allclose(result, np.repeat(expected[..., None], 3, axis=2), atol=2e-6)


def test_worked_chain() -> None:
    image = np.repeat(np.array([[1.0, 0.0, 0.0]])[..., None], 3, axis=2)
    found = estimate_foreground(image, np.array([[1.0, 0.5, 0.0]]))
    np.testing.assert_allclose(found[0, :, 1], (8 / 9, 4 / 9, 4 / 9), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(40, 33), (17, 61), (1, 50), (50, 1), (5, 5)])
@pytest.mark.parametrize("kappa", [1.0, 0.2])
def test_is_the_direct_solution(height: int, width: int, kappa: float) -> None:
    image, alpha = soft_disc(height, width)
    if not alpha.any():
        alpha[height // 2, width // 2] = 1.0
    solution = solve_foreground(image, alpha, kappa=kappa)
    error = np.abs(solution.colours - direct_solution(image, alpha, kappa))
    assert error[alpha > 0].max() <= 0.4 / 255
    assert solution.error <= DEFAULT_TOLERANCE
    exact = estimate_foreground(image, alpha, kappa=kappa, tolerance=1e-6)
    error = np.abs(exact - direct_solution(image, alpha, kappa))
    # Far from everything visible the coarser grids speak for the pixels.
    assert error[alpha > 0].max() <= 0.1 / 255 and error.max() <= 3.0 / 255


def test_threads_give_the_same_bytes() -> None:
    image, alpha = soft_disc(230, 210)
    one = estimate_foreground(image, alpha, threads=1)
    assert estimate_foreground(image, alpha, threads=2).tobytes() == one.tobytes()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_stays_between_the_colours_and_keeps_a_constant(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.random(size) * 1.6 - 0.3, 0, 1)
    image = rng.random((*size, 3))
    found = estimate_foreground(image, alpha, tolerance=1e-6)
    if alpha.any():
        seen = image[alpha > 0]
        assert (found >= seen.min(axis=0) - 1e-4).all() and (found <= seen.max(axis=0) + 1e-4).all()
        constant = estimate_foreground(np.full((*size, 3), 0.3), alpha, tolerance=1e-6)
        np.testing.assert_allclose(constant, 0.3, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, image.astype(np.float32))


def test_opaque_among_opaque_keeps_its_colours_exactly() -> None:
    image, alpha = soft_disc(40, 40)
    found = estimate_foreground(image, alpha)
    padded = np.pad(alpha, 1, mode="edge")
    inner = (alpha == 1) & (padded[:-2, 1:-1] == 1) & (padded[2:, 1:-1] == 1)
    inner &= (padded[1:-1, :-2] == 1) & (padded[1:-1, 2:] == 1)
    assert inner.sum() > 50
    np.testing.assert_array_equal(found[inner], image.astype(np.float32)[inner])
    rim = (alpha == 1) & ~inner
    assert np.abs(found - image)[rim].max() > 0.01


def test_colours_of_invisible_pixels_do_not_reach_visible_ones() -> None:
    image, alpha = soft_disc(48, 40)
    other = image.copy()
    other[alpha == 0] = 1.0 - other[alpha == 0]
    for refine in (estimate_foreground, multi_scale_refine):
        np.testing.assert_array_equal(refine(image, alpha)[alpha > 0.02], refine(other, alpha)[alpha > 0.02])


def test_algorithm_2_goes_to_the_same_minimum() -> None:
    image, alpha = soft_disc(24, 20)
    expected = direct_solution(image, alpha)
    found = multi_scale_refine(image, alpha, borders="exact", sweeps=400)
    # Sweeps hardly damp a checkerboard where alpha is 0, and neighbours of such pixels see it.
    assert np.abs(found - expected)[alpha > 0.3].max() < 0.02
    longer = multi_scale_refine(image, alpha, borders="exact", sweeps=6000)
    assert np.abs(longer - expected).max() < 1e-3


def test_closed_form_row_keeps_opaque_colours() -> None:
    pytest.importorskip("pymatting")
    image, alpha = soft_disc(24, 20)
    found = closed_form_foreground(image, alpha)
    np.testing.assert_allclose(found[alpha == 1], image[alpha == 1], atol=1e-6)
    assert np.abs(found - image)[alpha < 0.5].max() > 0.05


def test_eight_bits_and_floats_are_the_same() -> None:
    rng = np.random.default_rng(3)
    image, alpha = rng.integers(0, 256, (12, 9, 3), np.uint8), rng.integers(0, 256, (12, 9), np.uint8)
    np.testing.assert_allclose(
        estimate_foreground(image, alpha), estimate_foreground(image / 255.0, alpha / 255.0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("image", "alpha", "message"),
    [
        (np.zeros((4, 4)), np.zeros((4, 4)), "expected"),
        (np.zeros((4, 4, 3)), np.zeros((4, 5)), r"\(4, 5\)"),
        (np.zeros((4, 4, 3)), np.full((4, 4), 255.0), "Divide"),
        (np.full((4, 4, 3), np.nan), np.ones((4, 4)), "finite"),
        (np.zeros((4, 4, 3), np.int32), np.ones((4, 4)), "int32"),
    ],
)
def test_what_is_no_image_is_refused(image: NDArray[np.float64], alpha: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_foreground(image, alpha)
