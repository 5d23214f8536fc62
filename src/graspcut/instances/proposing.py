"""From the scores of all windows at all scales to proposals: binarised, suppressed, pasted back (no torch here).

Source: Dai et al. 2016, section 3.3, "Inference": windows of all scales are pooled, each with its score; masks are
binarised; non-maximum suppression at 0.8 on the tight boxes of the masks; the N best are the result.

Dense assembling is not needed for that: windows are assembled in the order of their scores, some hundred at a time,
until N have survived. The result is the same as if all had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.assembling import PaddedMaps
from graspcut.instances.pasting import paste_along_depth, paste_window, window_boxes, window_corner_px
from graspcut.instances.windows import Scale, WindowGeometry

_CHUNK = 256
_SORTED_AT_ONCE = 4096


@dataclass(frozen=True)
class ProposalConfig:
    """How windows become proposals.

    Attributes:
        most: N, proposals an image.
        suppression_iou: of boxes, above which the worse of two goes.
        mask_probability: above which a pixel belongs to the mask (the paper says "truncate"; MNC and FCIS take 0.4).
        least_score: windows below this objectness are not looked at.
        inclusive_boxes: see `box_iou`.
        rescoring_width: what is left is put in another order, so that proposals of one thing do not fill the first
            places: each lowers the scores of those that overlap it, by exp(-IoU^2 / width) (soft suppression, Bodla et
            al. 2017). 0 leaves scores and order as they are, as in the paper.
    """

    most: int = 100
    suppression_iou: float = 0.8
    mask_probability: float = 0.5
    least_score: float = 0.0
    inclusive_boxes: bool = False
    rescoring_width: float = 0.0

    def __post_init__(self) -> None:
        if self.most < 1 or not 0 < self.mask_probability < 1 or not 0 <= self.suppression_iou <= 1:
            raise ValueError(
                f"most {self.most}, mask probability {self.mask_probability}, suppression IoU {self.suppression_iou}: "
                "expected at least 1, a number between 0 and 1, and one from 0 to 1"
            )
        if not self.rescoring_width >= 0:
            raise ValueError(f"rescoring width {self.rescoring_width}, expected 0 or more")


@dataclass(frozen=True, eq=False)
class ScaleWindows:
    """All windows of one resized image.

    Attributes:
        scale: of the resized image.
        objectness: (rows, columns) float32 logits.
        masks_at: (N, 2) int64 centres -> (N, m, m) float32 mask logits.
    """

    scale: Scale
    objectness: NDArray[np.float32]
    masks_at: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def assembled_windows(
    scale: Scale, score_maps: NDArray[np.float32], objectness: NDArray[np.float32], geometry: WindowGeometry
) -> ScaleWindows:
    """The windows of an InstanceFCN.

    Args:
        scale: of the resized image.
        score_maps: (k^2, rows, columns) logits; further rows and columns, made on padding, are cut off.
        objectness: (rows, columns) logits.
        geometry: of the network.
    """
    rows, columns = geometry.map_size(scale.resized_height, scale.resized_width)
    maps = lru_cache(maxsize=1)(lambda: PaddedMaps(score_maps[:, :rows, :columns], geometry.cells))
    return ScaleWindows(scale, objectness[:rows, :columns], lambda centres: maps().windows(centres))


def probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logistic function; minus infinity gives 0."""
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Proposals:
    """Proposals of one image, best first.

    Attributes:
        scores: (N,) float32 objectness, 0..1.
        boxes: (N, 4) float64 x0, y0, x1, y1 of the windows' masks in pixels.
        windows: (N, m, m) float32 probabilities of each window's cells.
        scales: N scales, of the image each window was made on.
        centres: (N, 2) int64 row and column of the windows.
        geometry: of the network.
        mask_probability: above which a pixel belongs to a mask.
    """

    scores: NDArray[np.float32]
    boxes: NDArray[np.float64]
    windows: NDArray[np.float32]
    scales: tuple[Scale, ...]
    centres: NDArray[np.int64]
    geometry: WindowGeometry
    mask_probability: float = 0.5

    def __len__(self) -> int:
        return len(self.scores)

    def mask(self, number: int) -> NDArray[np.bool_]:
        """(H, W) bool: one mask in the image's own pixels, resized bilinearly."""
        scale = self.scales[number]
        return paste_window(self.windows[number], self.centres[number], scale, self.geometry, self.mask_probability)

    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) bool: all masks, see `mask`; 0 for height and width where there is none."""
        if not len(self):
            return np.zeros((0, 0, 0), bool)
        return np.stack([self.mask(number) for number in range(len(self))])

    def masks_along_depth(
        self, depth_mm: NDArray[np.float32], *, threads: int = 1
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """All masks of a depth frame, which end where surfaces end; see `paste_along_depth`.

        Args:
            depth_mm: (H, W) of the image.
            threads: that share the work.

        Returns:
            masks (N, H, W) bool, and (N,) int64 how many pixels each has.
        """
        cell = self.geometry.window_px / self.windows.shape[1]
        corners, cells_px = np.empty((len(self), 2)), np.empty((len(self), 2))
        for scale in set(self.scales):
            own = np.array([other == scale for other in self.scales])
            corners[own] = window_corner_px(self.centres[own], scale, self.geometry)
            cells_px[own] = cell / scale.horizontal, cell / scale.vertical
        return paste_along_depth(self.windows, corners, cells_px, depth_mm, self.mask_probability, threads=threads)


def propose(
    pyramid: Sequence[ScaleWindows], geometry: WindowGeometry, config: ProposalConfig | None = None
) -> Proposals:
    """The best proposals of an image.

    Args:
        pyramid: the windows of all scales.
        geometry: of the network.
        config: how many, and thresholds.
    """
    from graspcut.instances.pasting_kernel import suppress_kernel  # compiled by what the renderer is compiled by

    config = config if config is not None else ProposalConfig()
    scores = np.concatenate([level.objectness.ravel() for level in pyramid]).astype(np.float32)
    first_of_level = np.cumsum([0, *(level.objectness.size for level in pyramid)])
    # There are never more than all windows.
    boxes = np.empty((min(config.most, len(scores)), 4))
    kept: list[_Windows] = []
    count, chosen = 0, np.empty(_CHUNK, np.int64)
    for chunk in _best_first(scores, config.least_score):
        levels = np.searchsorted(first_of_level, chunk, side="right") - 1
        made = _made(pyramid, levels, chunk - first_of_level[levels], geometry, config.mask_probability)
        more = 1.0 if config.inclusive_boxes else 0.0
        new = suppress_kernel(made.boxes, config.suppression_iou, more, boxes, count, chosen)
        count += new
        kept.append(made.only(chosen[:new], scores[chunk[chosen[:new]]]))
        if count == len(boxes):
            break
    return _proposals(kept, boxes[:count], pyramid, geometry, config)


def _best_first(scores: NDArray[np.float32], least_score: float) -> Iterator[NDArray[np.int64]]:
    """Numbers of the windows by falling score, some at a time; equal scores in their given order."""
    if not len(scores):
        return
    taken, ceiling = 0, np.inf
    while taken < len(scores):
        # Most images need the first thousands only: the others are not sorted.
        last = min(max(_SORTED_AT_ONCE, 4 * taken), len(scores)) - 1
        floor = -np.partition(-scores, last)[last]
        numbers = np.flatnonzero((scores >= floor) & (scores < ceiling))
        order = numbers[np.argsort(-scores[numbers], kind="stable")]
        if least_score > 0:
            order = order[probability(scores[order]) >= least_score]
        for first in range(0, len(order), _CHUNK):
            yield order[first : first + _CHUNK]
        if len(order) < len(numbers):
            return
        taken, ceiling = taken + len(numbers), floor


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows that were made.

    Attributes:
        levels: (N,) int64.
        centres: (N, 2) int64.
        logits: (N, m, m) float32.
        boxes: (N, 4) float64; empty where there is no mask.
        scores: (N,) float32 logits; empty where they are not known yet.
    """

    levels: NDArray[np.int64]
    centres: NDArray[np.int64]
    logits: NDArray[np.float32]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]

    def only(self, numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> _Windows:
        """Some of them, with their scores."""
        return _Windows(self.levels[numbers], self.centres[numbers], self.logits[numbers], self.boxes[numbers], scores)


def _made(
    pyramid: Sequence[ScaleWindows],
    levels: NDArray[np.int64],
    places: NDArray[np.int64],
    geometry: WindowGeometry,
    mask_probability: float,
) -> _Windows:
    """Assembles windows, in the order given."""
    count = len(levels)
    logits = np.empty((count, geometry.cells, geometry.cells), np.float32)
    centres, boxes = np.empty((count, 2), np.int64), np.empty((count, 4))
    least = np.log(mask_probability / (1 - mask_probability))
    for level in np.unique(levels):
        numbers = np.flatnonzero(levels == level)
        windows = pyramid[level]
        columns = windows.objectness.shape[1]
        own = np.stack([places[numbers] // columns, places[numbers] % columns], axis=1)
        found = windows.masks_at(own)
        logits[numbers], centres[numbers] = found, own
        boxes[numbers] = window_boxes(found > least, own, windows.scale, geometry)
    return _Windows(levels, centres, logits, boxes, np.empty(0, np.float32))


def _proposals(
    kept: Sequence[_Windows],
    boxes: NDArray[np.float64],
    pyramid: Sequence[ScaleWindows],
    geometry: WindowGeometry,
    config: ProposalConfig,
) -> Proposals:
    if not kept:
        empty = np.zeros((0, geometry.cells, geometry.cells), np.float32)
        return Proposals(np.zeros(0, np.float32), boxes, empty, (), np.zeros((0, 2), np.int64), geometry)
    scores, order = probability(np.concatenate([windows.scores for windows in kept])), np.arange(len(boxes))
    if config.rescoring_width:
        scores, order = _rescored(scores, boxes, config)
    scales = [pyramid[level].scale for windows in kept for level in windows.levels.tolist()]
    return Proposals(
        scores,
        boxes[order],
        probability(np.concatenate([windows.logits for windows in kept]))[order],
        tuple(scales[number] for number in order),
        np.concatenate([windows.centres for windows in kept])[order],
        geometry,
        config.mask_probability,
    )


def _rescored(
    scores: NDArray[np.float32], boxes: NDArray[np.float64], config: ProposalConfig
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """New scores, best first, and which proposals they belong to."""
    from graspcut.instances.pasting_kernel import rescore_kernel

    lowered, order = scores.astype(np.float64), np.arange(len(boxes))
    more = 1.0 if config.inclusive_boxes else 0.0
    rescore_kernel(np.ascontiguousarray(boxes), lowered, config.rescoring_width, more, order)
    return lowered[order].astype(np.float32), order
