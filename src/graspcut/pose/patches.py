"""Restoring part maps from a dictionary of synthetic label patches: section 3.2 of Neverova et al. (2017).

Every 27x27 patch of a predicted part map is replaced by its nearest neighbour in Hamming distance among all
hand-centred patches of synthetic maps (equation 1), and every pixel takes the label that the patches around it agree on
(equation 2).

The paper's 36 million patches are windows into 56,991 images: 26 GB as patches, 131 MB as images. The images are kept,
and every patch has a code of 40 bytes for FAISS's inverted lists: the labels at 40 places, as 8-bit words that differ
in about four bits. Candidates are compared exactly. As neighbouring patches overlap, the index is asked at every second
row and column, and what it finds is offered, moved by one pixel, to the neighbours.

Deviations: FAISS instead of FLANN's KD-trees. Background is a 21st label inside patches; only hand pixels vote, and
votes for background do not count.
"""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.opening import read_bytes
from graspcut.pose import patch_kernels as kernels
from graspcut.pose.anatomy import PARTS
from graspcut.pose.patch_kernels import MARGIN, PATCH
from graspcut.runtime.engines import extra_hint

WINDOW = 17
SAMPLED = 40
_FAR = PATCH * PATCH + 1
_CODE_SEED = 20170625


@dataclass(frozen=True)
class SearchConfig:
    """How the approximate search works.

    Attributes:
        lists: Inverted lists of the index; 0 takes the square root of the number of patches, at most 2048.
        probes: Lists that are looked through for a query.
        candidates: Patches a query that are compared exactly.
        stride: The index is asked at every stride-th row and column; the pixels between take their neighbours' finds.
        sweeps: How often finds are handed to the neighbours, each time from first to last and back.
        training: Codes that the lists' centres are learned from.
        threads: Threads of the search.
    """

    lists: int = 0
    probes: int = 4
    candidates: int = 100
    stride: int = 2
    sweeps: int = 2
    training: int = 100_000
    threads: int = 2


@dataclass(frozen=True, eq=False)
class Matches:
    """The nearest patches of every hand pixel of a map.

    Attributes:
        pixels: (m, 2) int64, row and column of each hand pixel.
        patches: (m, count) int64, ids in order of (distance, id).
        distances: (m, count) int64, of 729 cells how many differ.
        shape: Size of the map.
    """

    pixels: NDArray[np.int64]
    patches: NDArray[np.int64]
    distances: NDArray[np.int64]
    shape: tuple[int, int]

    def index(self) -> NDArray[np.int64]:
        """(H, W), each pixel's row in the arrays, -1 where there is no hand."""
        table = np.full(self.shape, -1, np.int64)
        table[tuple(self.pixels.T)] = np.arange(len(self.pixels))
        return table


def code_table() -> NDArray[np.uint8]:
    """An 8-bit word for each label 0..20; any two differ by 3 to 5 bits, or by 2 to 6 where words run out.

    Equal labels agree, different ones differ by nearly the same amount whichever they are: the numbers of labels mean
    nothing.
    """
    words: list[int] = []
    for least in (3, 2):
        for word in range(256):
            distances = [bin(word ^ other).count("1") for other in words]
            if len(words) <= PARTS and all(least <= distance <= 8 - least for distance in distances):
                words.append(word)
    return np.array(words[: PARTS + 1], np.uint8)


def sampled_offsets(count: int = SAMPLED) -> NDArray[np.int64]:
    """(count, 2) places in a patch, spread evenly: always the centre, then each as far from the others as possible."""
    rng = np.random.default_rng(_CODE_SEED)
    grid = np.stack(np.meshgrid(np.arange(PATCH), np.arange(PATCH), indexing="ij"), axis=-1).reshape(-1, 2)
    chosen = [np.array([PATCH // 2, PATCH // 2])]
    nearest = np.full(len(grid), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(grid - chosen[-1], axis=1))
        chosen.append(grid[int(np.argmax(nearest + rng.uniform(0, 1e-3, len(grid))))])
    return np.stack(chosen).astype(np.int64)


class PatchDictionary:
    """All hand-centred patches of synthetic part maps.

    Args:
        images: (n, H, W) uint8, 0 background, 1..20 parts; a patch is centred on each pixel that is not background.
        config: How the approximate search works.

    Raises:
        ValueError: If the images are no part maps or have no hand.
    """

    def __init__(self, images: NDArray[np.uint8], config: SearchConfig | None = None) -> None:
        if images.ndim != 3 or images.dtype != np.uint8 or len(images) == 0 or int(images.max()) > PARTS:
            raise ValueError(
                f"the dictionary's images are {images.shape} {images.dtype} with values up to "
                f"{images.max(initial=0)}; expected (n, H, W) uint8 part maps of 0..{PARTS}, forearms set to 0."
            )
        self.config = config or SearchConfig()
        self.width = images.shape[2]
        self.images = np.ascontiguousarray(np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))))
        flat = images.reshape(len(images), -1) > 0
        counts = flat.sum(axis=1)
        self.first_patch = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if self.first_patch[-1] == 0:
            raise ValueError("none of the dictionary's images has a hand; expected part maps with values above 0.")
        self.image_of = np.repeat(np.arange(len(images), dtype=np.int32), counts)
        self.cell_of = np.nonzero(flat)[1].astype(np.int32)
        self._patch_index: NDArray[np.int16] | None = None
        self._index: Any = None

    def __len__(self) -> int:
        return len(self.image_of)

    @property
    def patch_index(self) -> NDArray[np.int16]:
        """(n, H * W): how many patches of its image come before each cell, -1 for background."""
        if self._patch_index is None:
            inner = self.images[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
            flat = inner.reshape(len(self.images), -1) > 0
            self._patch_index = np.where(flat, np.cumsum(flat, axis=1, dtype=np.int16) - 1, -1).astype(np.int16)
        return self._patch_index

    def build_index(self, *, chunk: int = 1_000_000) -> None:
        """Make FAISS's inverted lists of the codes of all patches; `nearest` does it when it is first asked.

        Raises:
            ModuleNotFoundError: If FAISS is missing.
        """
        faiss = _faiss()
        lists = self.config.lists or max(1, min(2048, round(len(self) ** 0.5)))
        bits = 8 * SAMPLED
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, lists)
        index.own_fields = False
        self._quantizer = index.quantizer  # kept alive: the index does not own it
        index.cp.niter = 8
        faiss.omp_set_num_threads(self.config.threads)
        rng = np.random.default_rng(_CODE_SEED)
        count = min(len(self), max(self.config.training, 4 * lists))
        index.train(self.codes(np.sort(rng.choice(len(self), count, replace=False))))
        for first in range(0, len(self), chunk):
            index.add(self.codes(np.arange(first, min(first + chunk, len(self)))))
        index.nprobe = self.config.probes
        self._index = index

    def codes(self, patches: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(k, 40) uint8 codes of some patches."""
        codes = np.empty((len(patches), SAMPLED), np.uint8)
        kernels.sample_codes(
            self.images,
            self.image_of[patches],
            self.cell_of[patches],
            self.width,
            sampled_offsets(),
            code_table(),
            codes,
        )
        return codes

    def nearest_exactly(self, parts: NDArray[np.uint8], count: int = 1) -> Matches:
        """The `count` nearest patches of every hand pixel, compared with every patch (equation 1)."""
        _, pixels, ids, distances = self._start(parts, count)
        self.search_pixels_exactly(parts, pixels, ids, distances)
        return Matches(pixels, ids, distances, (parts.shape[0], parts.shape[1]))

    def search_pixels_exactly(
        self, parts: NDArray[np.uint8], pixels: NDArray[np.int64], ids: NDArray[np.int64], distances: NDArray[np.int64]
    ) -> None:
        """Write the nearest patches of some pixels (m, 2) to `ids` and `distances` (m, count), which "
        "begin as -1 and 730."""
        query = np.pad(parts, MARGIN)

        def search(some: slice) -> None:
            kernels.search_exactly(
                query, pixels[some], self.images, self.image_of, self.cell_of, self.width, ids[some], distances[some]
            )

        self._in_threads(search, len(pixels))

    def set_probes(self, probes: int) -> None:
        """Look through another number of lists from now on."""
        if self._index is None:
            self.build_index()
        self._index.nprobe = probes

    def nearest(self, parts: NDArray[np.uint8], count: int = 1) -> Matches:
        """The same by the index: every patch that is returned has its exact distance, but a nearer one may exist."""
        if self._index is None:
            self.build_index()
        config = self.config
        query, pixels, ids, distances = self._start(parts, count)
        matches = Matches(pixels, ids, distances, (parts.shape[0], parts.shape[1]))
        if len(pixels) == 0:
            return matches
        asked = np.flatnonzero((pixels % config.stride == 0).all(axis=1))
        if len(asked):
            self._ask_index(query, pixels, asked, ids, distances)
        table = matches.index()
        for sweep in range(2 * config.sweeps):
            kernels.propagate(
                query, pixels, table, self.images, self.image_of, self.cell_of, self.patch_index, self.first_patch,
                self.width, sweep % 2 == 1, ids, distances,
            )  # fmt: skip
        # Islands between the asked pixels, and pixels whose neighbours found too little.
        lost = np.flatnonzero(ids[:, -1] < 0)
        if len(lost):
            self._ask_index(query, pixels, lost, ids, distances)
        return matches

    def _ask_index(
        self, query: NDArray[np.uint8], pixels: NDArray[np.int64], asked: NDArray[np.int64], ids: NDArray[np.int64],
        distances: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Write the exact distances of what the index offers for some pixels to `ids` and `distances`."""
        width = query.shape[1] - 2 * MARGIN
        codes = np.empty((len(asked), SAMPLED), np.uint8)
        cells = (pixels[asked, 0] * width + pixels[asked, 1]).astype(np.int32)
        zeros = np.zeros(len(asked), np.int32)
        kernels.sample_codes(query[None], zeros, cells, width, sampled_offsets(), code_table(), codes)
        _faiss().omp_set_num_threads(self.config.threads)
        _, candidates = self._index.search(codes, min(self.config.candidates, len(self)))
        # In the order of their places in memory.
        candidates = np.sort(np.asarray(candidates, np.int64), axis=1)
        found, near = ids[asked], distances[asked]

        def compare(some: slice) -> None:
            kernels.rerank(
                query, pixels[asked[some]], self.images, self.image_of, self.cell_of, self.width, candidates[some],
                found[some], near[some],
            )  # fmt: skip

        self._in_threads(compare, len(asked))
        ids[asked], distances[asked] = found, near

    def centre_labels(self, patches: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The label in the middle of each patch, of the shape of `patches`."""
        cells = self.cell_of[patches]
        rows, columns = cells // self.width + MARGIN, cells % self.width + MARGIN
        return np.asarray(self.images[self.image_of[patches], rows, columns])

    def _start(
        self, parts: NDArray[np.uint8], count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        if parts.ndim != 2 or parts.dtype != np.uint8 or int(parts.max(initial=0)) > PARTS:
            raise ValueError(f"a map of {parts.shape} {parts.dtype} came; expected (H, W) uint8 of 0..{PARTS}.")
        if not 1 <= count <= len(self):
            raise ValueError(f"{count} neighbours of {len(self)} patches were asked for; expected 1..{len(self)}.")
        pixels = np.argwhere(parts > 0)
        query = np.pad(parts, MARGIN)
        return query, pixels, np.full((len(pixels), count), -1, np.int64), np.full((len(pixels), count), _FAR, np.int64)

    def _in_threads(self, work: Any, count: int) -> None:
        threads = max(1, min(self.config.threads, count))
        parts = [slice(count * i // threads, count * (i + 1) // threads) for i in range(threads)]
        if threads == 1:
            work(parts[0])
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))

    def save(self, path: str | Path) -> None:
        """Write the images; the index is made again from them."""
        buffer = io.BytesIO()
        inner = self.images[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        np.savez_compressed(buffer, images=inner, kind=np.array(json.dumps("part patches")))
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path, config: SearchConfig | None = None) -> PatchDictionary:
        """Read what `save` wrote; never unpickles.

        Raises:
            FrameError: If the file is missing or something else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as stored:
                return cls(stored["images"], config)
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise FrameError(f"{path} is no dictionary of part patches ({error}); make it again.") from error


def restore(
    parts: NDArray[np.uint8], dictionary: PatchDictionary, matches: Matches | None = None, window: int = WINDOW
) -> NDArray[np.uint8]:
    """Restore a part map by its nearest patches and their votes (equation 2).

    Args:
        parts: (H, W) uint8, 0 background, 1..20 parts.
        dictionary: Patches.
        matches: Of this map, if they are known; the best of each pixel counts.
        window: Edge of the square of neighbours that vote, odd, at most 27; 1 takes the centre of the nearest patch,
            which is no integration.

    Returns:
        (H, W) uint8. Background stays background, and the hand stays hand.
    """
    if window % 2 == 0 or not 1 <= window <= PATCH:
        raise ValueError(f"a voting window of {window} came; expected an odd number of 1..{PATCH}.")
    found = matches if matches is not None else dictionary.nearest(parts)
    labels = parts[tuple(found.pixels.T)].copy()
    kernels.count_votes(
        found.pixels, found.index(), dictionary.images, dictionary.image_of, dictionary.cell_of, dictionary.width,
        window // 2, np.ascontiguousarray(found.patches[:, 0]), labels,
    )  # fmt: skip
    restored = np.zeros_like(parts)
    restored[tuple(found.pixels.T)] = labels
    return restored


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"searching label patches needs FAISS, which is not installed; expected: {extra_hint('pose')}. "
            "PatchDictionary.nearest_exactly works without it, slowly."
        ) from error
    return faiss
