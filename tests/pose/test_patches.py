"""Restoration by patches against slow versions, and its worked cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.pose.patches import PatchDictionary, SearchConfig, code_table, restore

CONFIG = SearchConfig(lists=4, probes=4, threads=1)


def blobs(seed: int, count: int, size: int = 20, labels: int = 20) -> NDArray[np.uint8]:
    """Maps of rectangles of labels on background: not symmetric in any direction."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, size, size), np.uint8)
    for image in images:
        for _ in range(6):
            row, column = rng.integers(0, size - 4, 2)
            height, width = rng.integers(3, 9, 2)
            image[row : row + height, column : column + width] = rng.integers(1, labels + 1)
    return images


def slow_patches(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Every hand-centred patch, and (image, row, column) of each."""
    padded = np.pad(images, ((0, 0), (13, 13), (13, 13)))
    places = np.argwhere(images > 0)
    return np.stack([padded[i, r : r + 27, c : c + 27] for i, r, c in places]), places


def slow_restore(parts: NDArray[np.uint8], images: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """Equations 1 and 2, written out."""
    patches, _ = slow_patches(images)
    queries, places = slow_patches(parts[None])
    nearest = [int(np.argmin((patches != query).sum(axis=(1, 2)))) for query in queries]
    out = np.zeros_like(parts)
    for _, row, column in places:
        votes = np.zeros(21, int)
        for (_, i, j), patch in zip(places, nearest, strict=True):
            if abs(row - i) <= window // 2 and abs(column - j) <= window // 2:
                votes[patches[patch, 13 + row - i, 13 + column - j]] += 1
        votes[0] = 0
        out[row, column] = votes.argmax() if votes.any() else parts[row, column]
    return out


def test_exact_search_equals_one_hot_products() -> None:
    """Hamming distance is half the squared distance of one-hot vectors, so labels 1 and 2 are as far as 1 and 20."""
    images, parts = blobs(0, 3), blobs(1, 1)[0]
    dictionary = PatchDictionary(images, CONFIG)
    patches, places = slow_patches(images)
    queries, _ = slow_patches(parts[None])
    one_hot = np.eye(21, dtype=np.float32)
    products = one_hot[queries].reshape(len(queries), -1) @ one_hot[patches].reshape(len(patches), -1).T
    distances = 729 - products
    order = np.argsort(distances, axis=1, kind="stable")[:, :5]
    found = dictionary.nearest_exactly(parts, 5)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(distances, order, axis=1))
    np.testing.assert_array_equal(found.patches, order)
    np.testing.assert_array_equal(dictionary.centre_labels(found.patches)[:, 0], images[tuple(places[order[:, 0]].T)])


@pytest.mark.parametrize("window", [1, 5, 17])
def test_restoration_equals_the_slow_version(window: int) -> None:
    images, parts = blobs(2, 2, labels=4), blobs(3, 1, labels=4)[0]
    dictionary = PatchDictionary(images, CONFIG)
    restored = restore(parts, dictionary, dictionary.nearest_exactly(parts), window)
    np.testing.assert_array_equal(restored, slow_restore(parts, images, window))
    np.testing.assert_array_equal(restored > 0, parts > 0)  # background votes do not leak


@pytest.mark.parametrize("window", [1, 17])
def test_own_patches_restore_the_map_itself(window: int) -> None:
    """An asymmetric map: a wrong sign of the offset would not give it back."""
    images = blobs(4, 3)
    dictionary = PatchDictionary(images, CONFIG)
    for image in images:
        np.testing.assert_array_equal(restore(image, dictionary, window=window), image)


def test_voting_removes_a_flipped_pixel() -> None:
    image = np.zeros((24, 24), np.uint8)
    image[4:20, 4:20], image[4:8, 4:8] = 9, 3
    dictionary = PatchDictionary(image[None], CONFIG)
    noisy = image.copy()
    noisy[12, 13] = 5
    np.testing.assert_array_equal(restore(noisy, dictionary), image)


def test_search_by_the_index_is_near_the_exact_one() -> None:
    images, parts = blobs(5, 40, size=32), blobs(6, 1, size=32)[0]
    dictionary = PatchDictionary(images, SearchConfig(lists=16, probes=4, threads=2))
    exact, found = dictionary.nearest_exactly(parts, 3), dictionary.nearest(parts, 3)
    np.testing.assert_array_equal(found.pixels, exact.pixels)
    assert (found.distances >= exact.distances).all() and (np.diff(found.distances, axis=1) >= 0).all()
    assert found.distances[:, 0].mean() <= 1.05 * exact.distances[:, 0].mean()
    assert all(len(set(row)) == 3 for row in found.patches)
    patches, _ = slow_patches(images)
    queries, _ = slow_patches(parts[None])
    np.testing.assert_array_equal(found.distances[:, 0], (patches[found.patches[:, 0]] != queries).sum(axis=(1, 2)))


def test_codes_tell_labels_apart_evenly() -> None:
    words = code_table()
    assert len(words) == len(set(words.tolist())) == 21
    bits = np.unpackbits(words[:, None] ^ words[None, :], axis=-1).reshape(21, 21, 8).sum(axis=2)
    apart = bits[~np.eye(21, dtype=bool)]
    assert apart.min() >= 2 and apart.max() <= 6 and apart.std() < 1.3


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.\.20"):
        PatchDictionary(np.full((1, 8, 8), 21, np.uint8))
    with pytest.raises(ValueError, match="has a hand"):
        PatchDictionary(np.zeros((1, 8, 8), np.uint8))
    dictionary = PatchDictionary(blobs(7, 2), CONFIG)
    with pytest.raises(ValueError, match="odd"):
        restore(blobs(7, 1)[0], dictionary, window=4)
    dictionary.save(tmp_path / "patches.npz")
    np.testing.assert_array_equal(PatchDictionary.load(tmp_path / "patches.npz").images, dictionary.images)
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="no dictionary"):
        PatchDictionary.load(tmp_path / "other.npz")
    assert restore(np.zeros((20, 20), np.uint8), dictionary).max() == 0
