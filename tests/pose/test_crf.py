"""Message passing against Viterbi and brute force, and the CRF's limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.pose.crf import CrfConfig, energy, grid_edges, minimise, pairwise_costs, restore_with_crf
from graspcut.pose.patches import PatchDictionary, SearchConfig, restore
from tests.pose.test_patches import blobs


def viterbi(unary: NDArray[np.float64], pairwise: NDArray[np.float64]) -> float:
    """Least energy of a chain."""
    cost = unary[0]
    for step in range(1, len(unary)):
        cost = (cost[:, None] + pairwise[step - 1]).min(axis=0) + unary[step]
    return float(cost.min())


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_chains_equal_viterbi(seed: int, length: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    unary, pairwise = rng.uniform(0, 10, (length, labels)), rng.uniform(0, 10, (length - 1, labels, labels))
    edges = np.stack([np.arange(length - 1), np.arange(1, length)], axis=1)
    choice = minimise(unary, edges, pairwise, iterations=length, damping=0.0)
    assert energy(choice, unary, edges, pairwise) == pytest.approx(viterbi(unary, pairwise))


@pytest.mark.parametrize("seed", range(12))
def test_two_by_two_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges, _ = grid_edges(np.arange(4).reshape(2, 2))
    assert sorted(map(tuple, edges.tolist())) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    unary, pairwise = rng.uniform(0, 10, (4, 3)), np.where(rng.random((4, 3, 3)) < 0.6, 4.0, 0.0)
    least = min(energy(np.array(x), unary, edges, pairwise) for x in itertools.product(range(3), repeat=4))
    assert energy(minimise(unary, edges, pairwise, iterations=50), unary, edges, pairwise) == pytest.approx(least)


def test_limits() -> None:
    """Without pairwise terms, or with one candidate, it is the nearest neighbour's centre."""
    dictionary = PatchDictionary(blobs(0, 4, labels=5), SearchConfig(threads=1))
    parts = blobs(1, 1, labels=5)[0]
    matches = dictionary.nearest_exactly(parts, 4)
    nearest = restore(parts, dictionary, matches, window=1)
    for pairwise in ("potts", "overlap"):
        config = CrfConfig(pairwise, alpha=0.0)
        np.testing.assert_array_equal(restore_with_crf(parts, dictionary, config, matches), nearest)
        single = dictionary.nearest_exactly(parts, 1)
        np.testing.assert_array_equal(
            restore_with_crf(parts, dictionary, CrfConfig(pairwise, alpha=9.0), single), nearest
        )
    smooth = restore_with_crf(parts, dictionary, CrfConfig("potts", alpha=200.0), matches)
    edges, _ = grid_edges(matches.index())
    labels = [image[tuple(matches.pixels.T)] for image in (nearest, smooth)]
    assert (labels[1][edges[:, 0]] != labels[1][edges[:, 1]]).sum() <= (
        labels[0][edges[:, 0]] != labels[0][edges[:, 1]]
    ).sum()


def test_overlap_costs_equal_the_slow_version() -> None:
    images = blobs(2, 2)
    dictionary = PatchDictionary(images, SearchConfig(threads=1))
    matches = dictionary.nearest_exactly(blobs(3, 1)[0][:8, :8], 3)
    edges, costs = pairwise_costs(matches, dictionary, "overlap")
    places = np.argwhere(images > 0)
    padded = np.pad(images, ((0, 0), (40, 40), (40, 40)))
    rng = np.random.default_rng(0)
    for e in rng.choice(len(edges), min(6, len(edges)), replace=False):
        a, b = edges[e]
        step = matches.pixels[b] - matches.pixels[a]
        for i, j in itertools.product(range(3), repeat=2):
            canvas = np.full((2, 29, 29), -1)
            for layer, pixel, k in ((0, a, i), (1, b, j)):
                image, row, column = places[matches.patches[pixel, k]]
                patch = padded[image, row + 27 : row + 54, column + 27 : column + 54]
                down, right = step if layer else (0, 0)
                canvas[layer, down : down + 27, right : right + 27] = patch
            both = (canvas >= 0).all(axis=0)
            assert both.sum() == 702
            assert costs[e, i, j] == (canvas[0] != canvas[1])[both].sum()


def test_bad_configuration() -> None:
    with pytest.raises(ValueError, match="potts or overlap"):
        CrfConfig(pairwise="ising")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="damping"):
        CrfConfig(damping=1.0)
