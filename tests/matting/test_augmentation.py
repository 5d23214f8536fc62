"""The augmentation chain: what each step promises, and the chain as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.matting.augmentation import (
    MattingAugmentation,
    colour_augmented,
    composite,
    gamma_changed,
    training_example,
)

PLAIN = MattingAugmentation(
    size=64, crop=(1.0, 1.0), rotate=0, flip=0, gamma_chance=0, colour="none", invert=0, permute=0
)


def picture(size: int = 96) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Foreground, alpha and background."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size]
    alpha = np.clip(20 - np.hypot(y - size / 2, x - size / 2), 0, 4).astype(np.float32) / 4
    return (
        rng.random((size, size, 3), dtype=np.float32),
        alpha,
        rng.random((size // 2, size, 3), dtype=np.float32),
    )


def test_without_changes_it_is_a_crop() -> None:
    foreground, alpha, background = picture()
    found = training_example(foreground, alpha, background, PLAIN, np.random.default_rng(1))
    places = [
        (y, x)
        for y in range(33)
        for x in range(33)
        if np.allclose(alpha[y : y + 64, x : x + 64], found.alpha[:64, :64], atol=1e-5)
    ]
    # Half a pixel lies between the centre of 64 pixels and a pixel.
    assert found.alpha.max() == 1.0 and found.image.shape == (64, 64, 3)
    assert len(places) <= 1
    assert (found.alpha[found.trimap == 255] == 1).all() and (found.alpha[found.trimap == 0] == 0).all()


def test_what_is_opaque_is_marked_as_foreground_after_any_resampling() -> None:
    y, x = np.mgrid[0:128, 0:128]
    alpha = (np.hypot(y - 64, x - 64) < 40).astype(np.float32)
    colours, behind = np.full((128, 128, 3), 0.7, np.float32), np.zeros((128, 128, 3), np.float32)
    chain = MattingAugmentation(size=96, crop=(0.8, 1.2), rotate=1.0)
    for seed in range(12):
        found = training_example(colours, alpha, behind, chain, np.random.default_rng(seed))
        # Cubic weights add up to 0.9999999: such pixels are as opaque as 8 bits can say.
        assert (found.alpha == 1).mean() > 0.2
        assert (found.trimap == 255).any()
        assert (found.alpha[found.trimap == 255] == 1).all() and (found.alpha[found.trimap == 0] == 0).all()


def test_image_is_composed_of_what_comes_out() -> None:
    _, alpha, _ = picture()
    white, black = np.ones((96, 96, 3), np.float32), np.zeros((40, 50, 3), np.float32)
    for seed in range(4):
        chain = MattingAugmentation(size=64, crop=(0.6, 1.4), colour="none", invert=0, permute=0)
        found = training_example(white, alpha, black, chain, np.random.default_rng(seed))
        np.testing.assert_allclose(found.image, np.repeat(found.alpha[..., None], 3, axis=2), atol=1e-6)


def test_same_generator_same_example_and_other_seeds_differ() -> None:
    foreground, alpha, background = picture()
    chain = MattingAugmentation(size=64, blur=0.5, jitter=0.2)
    first, again, other = (
        training_example(foreground, alpha, background, chain, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert first.image.tobytes() == again.image.tobytes() and first.trimap.tobytes() == again.trimap.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    for values in (first.image, first.alpha):
        assert values.min() >= 0 and values.max() <= 1 and values.dtype == np.float32


def test_colour_augmentation_is_a_mixture_with_a_constant() -> None:
    rng = np.random.default_rng(0)
    foreground = rng.random((9, 7, 3), dtype=np.float32)
    for mode, weights in (("channel", 3), ("whole", 1)):
        found = colour_augmented(foreground, mode, np.random.default_rng(5))  # type: ignore[arg-type]
        slopes, constants = [], []
        for channel in range(3):
            slope, constant = np.polyfit(foreground[..., channel].ravel(), found[..., channel].ravel(), 1)
            np.testing.assert_allclose(found[..., channel], slope * foreground[..., channel] + constant, atol=1e-5)
            slopes.append(slope)
            constants.append(constant)
        assert len({round(slope, 4) for slope in slopes}) == weights
        assert all(0 <= slope < 1 for slope in slopes)
        assert all(-1e-5 <= c <= 1 - s + 1e-5 for c, s in zip(constants, slopes, strict=True))


def test_gamma_keeps_both_ends_and_the_order() -> None:
    alpha = np.linspace(0, 1, 50, dtype=np.float32)[None]
    seen = []
    for seed in range(60):
        found = gamma_changed(alpha, "code", np.random.default_rng(seed))
        assert found[0, 0] == 0 and found[0, -1] == 1 and (np.diff(found) >= 0).all()
        seen.append(float(found[0, 25] - alpha[0, 25]))
    assert min(seen) < -0.1 and max(seen) > 0.1


def test_inversion_and_permutation_change_the_foreground_alone() -> None:
    foreground, alpha, background = picture()
    foreground[:] = (0.1, 0.5, 0.8)
    black = np.zeros_like(background)
    inverted = training_example(foreground, alpha, black, replace(PLAIN, invert=1.0), np.random.default_rng(0))
    assert np.abs(inverted.image[inverted.alpha == 1] - np.array([0.9, 0.5, 0.2])).max() < 1e-3
    assert inverted.image[inverted.alpha == 0].max() == 0
    permuted = training_example(foreground, alpha, black, replace(PLAIN, permute=1.0), np.random.default_rng(0))
    assert sorted(permuted.image[permuted.alpha == 1][0].tolist()) == pytest.approx([0.1, 0.5, 0.8], abs=1e-3)


def test_compositing_equation() -> None:
    rng = np.random.default_rng(0)
    f, b, a = rng.random((5, 4, 3)), rng.random((5, 4, 3)), rng.random((5, 4))
    found = composite(f, a, b)
    for y in range(5):
        for x in range(4):
            np.testing.assert_allclose(found[y, x], a[y, x] * f[y, x] + (1 - a[y, x]) * b[y, x], rtol=1e-6)


def test_wrong_arguments_are_refused() -> None:
    foreground, alpha, background = picture()
    with pytest.raises(ValueError, match="do not fit"):
        training_example(foreground, alpha[:5], background, PLAIN, np.random.default_rng(0))
    with pytest.raises(ValueError, match="colour"):
        replace(PLAIN, colour="some")  # type: ignore[arg-type]
