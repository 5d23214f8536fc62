"""Assembling against a slow loop, and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graspcut.instances.assembling import assemble, assemble_tensor, bins, inside_map


def slow(maps: NDArray[np.float32], centre: tuple[int, int], cells: int, outside: float) -> NDArray[np.float32]:
    """The definition, cell by cell."""
    count, rows, columns = maps.shape
    k = int(count**0.5)
    window = np.full((cells, cells), outside, np.float32)
    for v in range(cells):
        for u in range(cells):
            row, column = centre[0] - cells // 2 + v, centre[1] - cells // 2 + u
            part = int((v + 0.5) * k / cells) * k + int((u + 0.5) * k / cells)
            if 0 <= row < rows and 0 <= column < columns:
                window[v, u] = maps[part, row, column]
    return window


def random_case(seed: int, k: int, rows: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(k * k, rows, columns)).astype(np.float32)
    return maps, np.stack([rng.integers(rows, size=7), rng.integers(columns, size=7)], axis=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.sampled_from([1, 3, 5, 7]), rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_equals_the_slow_loop(seed: int, k: int, rows: int, columns: int) -> None:
    maps, centres = random_case(seed, k, rows, columns)
    expected = np.stack([slow(maps, (int(y), int(x)), 21, -np.inf) for y, x in centres])
    found = assemble(maps, centres)
    np.testing.assert_array_equal(found, expected)
    both = torch.from_numpy(np.stack([maps, -maps]))
    images, places = torch.tensor([0, 1] * 7), torch.from_numpy(np.repeat(centres, 2, axis=0))
    tensor, negative = (assemble_tensor(both, images, places).numpy()[first::2] for first in (0, 1))
    np.testing.assert_array_equal(tensor, -negative)
    inside = inside_map(centres, rows, columns)
    np.testing.assert_array_equal(np.isfinite(expected), inside)
    np.testing.assert_array_equal(tensor, np.where(inside, expected, 0.0))


@pytest.mark.parametrize("k, sizes", [(3, [7, 7, 7]), (5, [4, 4, 5, 4, 4]), (7, [3] * 7)])
def test_bins_are_even_and_symmetric(k: int, sizes: list[int]) -> None:
    assert np.bincount(bins(21, k)).tolist() == sizes


@pytest.mark.parametrize("k", [3, 5, 7])
def test_commutes_with_mirroring_and_transposing(k: int) -> None:
    maps, centres = random_case(1, k, 24, 31)
    grid = maps.reshape(k, k, 24, 31)
    mirrored = np.ascontiguousarray(grid[:, ::-1, :, ::-1]).reshape(k * k, 24, 31)
    moved = np.stack([centres[:, 0], 30 - centres[:, 1]], axis=1)
    np.testing.assert_array_equal(assemble(mirrored, moved), assemble(maps, centres)[:, :, ::-1])
    turned = np.ascontiguousarray(grid.transpose(1, 0, 3, 2)).reshape(k * k, 31, 24)
    np.testing.assert_array_equal(assemble(turned, centres[:, ::-1]), assemble(maps, centres).transpose(0, 2, 1))


def test_equal_maps_give_a_plain_crop() -> None:
    image = np.random.default_rng(2).normal(size=(40, 40)).astype(np.float32)
    found = assemble(np.repeat(image[None], 25, axis=0), np.array([[15, 20]]))
    np.testing.assert_array_equal(found[0], image[5:26, 10:31])


@pytest.mark.parametrize("k", [3, 5, 7])
def test_neighbouring_windows_differ_at_the_borders_of_parts_only(k: int) -> None:
    maps, _ = random_case(3, k, 40, 40)
    left, right = assemble(maps, np.array([[20, 19], [20, 20]]))
    # Window column u of the left one and u - 1 of the right one lie on the same cells of the map.
    differing = (left[:, 1:] != right[:, :-1]).any(axis=0)
    assert int(differing.sum()) == k - 1


def test_gradient_goes_to_the_copied_cells() -> None:
    maps = torch.zeros(1, 9, 25, 25, requires_grad=True)
    total = assemble_tensor(maps, torch.tensor([0, 0]), torch.tensor([[12, 12], [12, 12]])).sum()
    torch.autograd.backward(total)
    assert maps.grad is not None
    assert float(maps.grad.sum()) == 2 * 21 * 21 and float(maps.grad.max()) == 2.0


def test_refuses_what_it_cannot_assemble() -> None:
    with pytest.raises(ValueError, match="square"):
        assemble(np.zeros((8, 5, 5), np.float32), np.array([[0, 0]]))
    with pytest.raises(ValueError, match="outside"):
        assemble(np.zeros((9, 5, 5), np.float32), np.array([[5, 0]]))
    with pytest.raises(ValueError, match="odd"):
        assemble(np.zeros((9, 5, 5), np.float32), np.array([[1, 0]]), cells=20)
