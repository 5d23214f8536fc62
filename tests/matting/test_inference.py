"""Any size: padding, tiles, test-time augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.matting.inference import MARGIN_PX, PADDING_MULTIPLE, augmented, padded, windowed

Picture = NDArray[np.uint8]


def brightness(image: Picture, trimap: Picture) -> NDArray[np.float32]:
    """An estimate that looks at each pixel alone."""
    return np.asarray(image.mean(axis=2) / 255.0, dtype=np.float32)


def sloped(image: Picture, trimap: Picture) -> NDArray[np.float32]:
    """An estimate that looks to the right: turning the image changes it."""
    grey = image.mean(axis=2) / 255.0
    return np.asarray(0.5 * grey + 0.5 * np.roll(grey, 1, axis=1), dtype=np.float32)


def example(height: int, width: int) -> tuple[Picture, Picture]:
    """Image and trimap with a known rim."""
    rng = np.random.default_rng(0)
    trimap = np.full((height, width), 128, np.uint8)
    trimap[: height // 4], trimap[-height // 4 :] = 0, 255
    return rng.integers(0, 256, (height, width, 3), np.uint8), trimap


@pytest.mark.parametrize(("height", "width"), [(1, 1), (100, 128), (130, 257), (128, 256)])
def test_padding_gives_sides_that_fit_and_is_cut_off(height: int, width: int) -> None:
    seen = []

    def estimate(image: Picture, trimap: Picture) -> NDArray[np.float32]:
        seen.append(trimap.shape)
        return brightness(image, trimap)

    image, trimap = example(height, width)
    np.testing.assert_allclose(padded(estimate)(image, trimap), brightness(image, trimap))
    assert all(side % PADDING_MULTIPLE == 0 for side in seen[0])


@pytest.mark.parametrize("most_pixels", [10**9, 300 * 300, 1])
def test_tiles_give_what_the_whole_gives(most_pixels: int) -> None:
    image, trimap = example(700, 900)
    sizes = []

    def estimate(part: Picture, marked: Picture) -> NDArray[np.float32]:
        sizes.append(marked.size)
        return brightness(part, marked)

    found = windowed(estimate, most_pixels)(image, trimap)
    unknown = trimap == 128
    np.testing.assert_allclose(found[unknown], brightness(image, trimap)[unknown], atol=1e-5)
    np.testing.assert_array_equal(found[~unknown], (trimap[~unknown] == 255).astype(np.float32))
    if most_pixels == 300 * 300:
        assert len(sizes) > 4 and max(sizes) <= most_pixels


def test_only_unknown_parts_are_worked_on() -> None:
    image, trimap = example(600, 600)
    trimap[:] = 0
    trimap[280:300, 100:130] = 128
    seen = []

    def estimate(part: Picture, marked: Picture) -> NDArray[np.float32]:
        seen.append(marked.shape)
        return brightness(part, marked)

    windowed(estimate, 10**9)(image, trimap)
    assert seen == [(20 + 2 * MARGIN_PX, 30 + 2 * MARGIN_PX)]
    trimap[:] = 255
    assert windowed(estimate, 10**9)(image, trimap).min() == 1.0 and len(seen) == 1


def test_augmentation_at_one_scale_commutes_with_the_symmetries() -> None:
    image, trimap = example(50, 70)
    mean = augmented(sloped, scales=(1.0,))
    plain = mean(image, trimap)
    for turns, flipped in ((1, False), (0, True), (3, True)):

        def turn(values: NDArray[Any], turns: int = turns, flipped: bool = flipped) -> NDArray[Any]:
            turned = np.rot90(values, turns)
            return np.ascontiguousarray(turned[:, ::-1] if flipped else turned)

        np.testing.assert_allclose(mean(turn(image), turn(trimap)), turn(plain), atol=1e-6)
    assert np.abs(plain - sloped(image, trimap))[trimap == 128].max() > 0.05


def test_augmentation_counts_its_calls_and_keeps_sizes() -> None:
    sizes = []

    def estimate(image: Picture, trimap: Picture) -> NDArray[np.float32]:
        sizes.append(trimap.shape)
        return np.full(trimap.shape, 0.25, np.float32)

    image, trimap = example(5, 7)
    found = augmented(estimate)(image, trimap)
    assert len(sizes) == 24 and sizes.count((5, 7)) == sizes.count((7, 5)) == 4
    assert found.shape == (5, 7)
    np.testing.assert_allclose(found[trimap == 128], 0.25, atol=1e-6)
