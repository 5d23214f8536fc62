"""Compiled loops over label patches (see `pose.patches`). Every array comes from the caller; no lock is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from graspcut.kernel_cache import compiled

PATCH = 27
REACH = PATCH // 2
# Images are stored with this much background around them, so that no patch needs bounds.
MARGIN = REACH
# The order in which rows of two patches are compared: spread out, so that different ones are soon known to be.
_ROWS = (13, 7, 19, 10, 16, 4, 22, 1, 25, 12, 14, 8, 18, 5, 21, 11, 15, 9, 17, 6, 20, 3, 23, 2, 24, 0, 26)

Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    return compiled(nogil=True, error_model="numpy")(function)


@_compiled
def patch_distance(
    query: np.ndarray, row: int, column: int, images: np.ndarray, image: int, other_row: int, other_column: int,
    limit: int,
) -> int:  # fmt: skip
    """Hamming distance of two 27x27 patches given by their first row and column; stops soon after passing `limit`."""
    distance = 0
    # Unsigned columns and a small counter: the compiler then compares many labels at a time.
    for k in range(PATCH):
        i, other_i = np.uint32(row + _ROWS[k]), np.uint32(other_row + _ROWS[k])
        different = np.int32(0)
        for j in range(np.uint32(PATCH)):
            different += np.int32(
                query[i, np.uint32(column) + j] != images[np.uint32(image), other_i, np.uint32(other_column) + j]
            )
        distance += int(different)
        if distance > limit:
            return distance
    return distance


@_compiled
def insert_match(ids: np.ndarray, distances: np.ndarray, patch: int, distance: int) -> None:
    """Keep the best matches in order of (distance, id); a patch that is there already is not taken twice."""
    count = ids.shape[0]
    last = count - 1
    if distance > distances[last] or (distance == distances[last] and patch >= ids[last] >= 0):
        return
    for k in range(count):
        if ids[k] == patch:
            return
    k = last
    while k > 0 and (
        ids[k - 1] < 0 or distances[k - 1] > distance or (distances[k - 1] == distance and ids[k - 1] > patch)
    ):
        ids[k] = ids[k - 1]
        distances[k] = distances[k - 1]
        k -= 1
    ids[k] = patch
    distances[k] = distance


@_compiled
def search_exactly(
    query: np.ndarray, pixels: np.ndarray, images: np.ndarray, image_of: np.ndarray, cell_of: np.ndarray, width: int,
    ids: np.ndarray, distances: np.ndarray,
) -> None:  # fmt: skip
    """Compare every query patch with every patch of the dictionary.

    Args:
        query: (H + 26, W + 26) uint8 with its margin.
        pixels: (m, 2) int64 rows and columns without margin.
        images: (n, h + 26, w + 26) uint8.
        image_of: (N,) image of each patch.
        cell_of: (N,) row * width + column of each patch's centre.
        width: w.
        ids: (m, count) int64, written; must be -1.
        distances: (m, count) int64, written; must be large.
    """
    last = ids.shape[1] - 1
    for m in range(pixels.shape[0]):
        for patch in range(image_of.shape[0]):
            cell = cell_of[patch]
            distance = patch_distance(
                query,
                pixels[m, 0],
                pixels[m, 1],
                images,
                image_of[patch],
                cell // width,
                cell % width,
                distances[m, last],
            )
            insert_match(ids[m], distances[m], patch, distance)


@_compiled
def rerank(
    query: np.ndarray, pixels: np.ndarray, images: np.ndarray, image_of: np.ndarray, cell_of: np.ndarray, width: int,
    candidates: np.ndarray, ids: np.ndarray, distances: np.ndarray,
) -> None:  # fmt: skip
    """Exact distances of each pixel's candidates (m, c), -1 for none; arguments as in `search_exactly`."""
    last = ids.shape[1] - 1
    for m in range(pixels.shape[0]):
        for c in range(candidates.shape[1]):
            patch = candidates[m, c]
            if patch >= 0:
                cell = cell_of[patch]
                distance = patch_distance(
                    query, pixels[m, 0], pixels[m, 1], images, image_of[patch], cell // width, cell % width,
                    distances[m, last],
                )  # fmt: skip
                insert_match(ids[m], distances[m], patch, distance)


@_compiled
def propagate(
    query: np.ndarray, pixels: np.ndarray, pixel_index: np.ndarray, images: np.ndarray, image_of: np.ndarray,
    cell_of: np.ndarray, patch_index: np.ndarray, first_patch: np.ndarray, width: int, backwards: bool,
    ids: np.ndarray, distances: np.ndarray,
) -> None:  # fmt: skip
    """Offer every pixel what its neighbours found, moved by one: overlapping patches have overlapping matches.

    Args:
        pixel_index: (H, W) int64, index into `pixels`, -1 where there is none.
        patch_index: (n, h * w) int16: how many patches of its image come before that cell, -1 if it is none.
        first_patch: (n + 1,) id of each image's first patch.
        backwards: From the last pixel to the first.
    """
    height, columns = pixel_index.shape
    rows_of_images = (images.shape[1] - 2 * MARGIN, width)
    last = ids.shape[1] - 1
    for step in range(pixels.shape[0]):
        m = pixels.shape[0] - 1 - step if backwards else step
        row, column = pixels[m, 0], pixels[m, 1]
        for direction in range(8):
            down = (-1, -1, -1, 0, 0, 1, 1, 1)[direction]
            right = (-1, 0, 1, -1, 1, -1, 0, 1)[direction]
            i, j = row + down, column + right
            if i < 0 or j < 0 or i >= height or j >= columns or pixel_index[i, j] < 0:
                continue
            other = pixel_index[i, j]
            for k in range(min(ids.shape[1], 3)):
                found = ids[other, k]
                if found < 0:
                    continue
                image = image_of[found]
                r = cell_of[found] // width - down
                c = cell_of[found] % width - right
                if r < 0 or c < 0 or r >= rows_of_images[0] or c >= rows_of_images[1]:
                    continue
                offset = patch_index[image, r * width + c]
                if offset >= 0:
                    distance = patch_distance(query, row, column, images, image, r, c, distances[m, last])
                    insert_match(ids[m], distances[m], first_patch[image] + offset, distance)


@_compiled
def sample_codes(
    images: np.ndarray, image_of: np.ndarray, cell_of: np.ndarray, width: int, offsets: np.ndarray,
    codewords: np.ndarray, codes: np.ndarray,
) -> None:  # fmt: skip
    """Write the codewords of the labels at some offsets of each patch, (N, offsets) uint8."""
    for patch in range(image_of.shape[0]):
        row, column = cell_of[patch] // width, cell_of[patch] % width
        for k in range(offsets.shape[0]):
            codes[patch, k] = codewords[images[image_of[patch], row + offsets[k, 0], column + offsets[k, 1]]]


@_compiled
def count_votes(
    pixels: np.ndarray, pixel_index: np.ndarray, images: np.ndarray, image_of: np.ndarray, cell_of: np.ndarray,
    width: int, reach: int, matches: np.ndarray, labels: np.ndarray,
) -> None:  # fmt: skip
    """Equation 2: every pixel takes the label that most patches around it put there.

    Args:
        reach: 8 for windows of 17x17.
        matches: (m,) id of the patch chosen for each pixel.
        labels: (m,) uint8: written where any patch votes; ties go to the lower label.
    """
    height, columns = pixel_index.shape
    votes = np.zeros(256, np.int64)
    for m in range(pixels.shape[0]):
        row, column = pixels[m, 0], pixels[m, 1]
        votes[:] = 0
        for i in range(max(0, row - reach), min(height, row + reach + 1)):
            for j in range(max(0, column - reach), min(columns, column + reach + 1)):
                k = pixel_index[i, j]
                if k >= 0:
                    cell = cell_of[matches[k]]
                    # The patch is centred on k: this pixel lies (row - i, column - j) from its centre.
                    label = images[
                        image_of[matches[k]], cell // width + REACH + row - i, cell % width + REACH + column - j
                    ]
                    votes[label] += 1
        best, most = 0, 0
        for label in range(1, 256):
            if votes[label] > most:
                best, most = label, votes[label]
        if best > 0:
            labels[m] = best


@_compiled
def overlap_costs(
    images: np.ndarray, image_of: np.ndarray, cell_of: np.ndarray, width: int, edges: np.ndarray, steps: np.ndarray,
    candidates: np.ndarray, costs: np.ndarray,
) -> None:  # fmt: skip
    """Hamming distance of two placed patches where they overlap, for every pair of candidates of every edge.

    Args:
        edges: (e, 2) pixels.
        steps: (e, 2) rows and columns from the first pixel to the second.
        candidates: (m, N) patch ids.
        costs: (e, N, N) float32, written.
    """
    for e in range(edges.shape[0]):
        down, right = steps[e, 0], steps[e, 1]
        for a in range(candidates.shape[1]):
            first = candidates[edges[e, 0], a]
            row, column = cell_of[first] // width, cell_of[first] % width
            for b in range(candidates.shape[1]):
                second = candidates[edges[e, 1], b]
                other_row, other_column = cell_of[second] // width - down, cell_of[second] % width - right
                different = 0
                for i in range(max(0, down), PATCH + min(0, down)):
                    for j in range(max(0, right), PATCH + min(0, right)):
                        different += (
                            images[image_of[first], row + i, column + j]
                            != images[image_of[second], other_row + i, other_column + j]
                        )
                costs[e, a, b] = different
