"""From the scores of all windows at all scales to proposals: binarised, suppressed, pasted back (no torch here).

Source: Dai et al. 2016, section 3.3, "Inference": windows of all scales are pooled, each with its score; masks are
binarised; non-maximum suppression at 0.8 on the tight boxes of the masks; the N best are the result.

Dense assembling is not needed for that: windows are assembled in the order of their scores, some hundred at a time,
until N have survived. The result is the same as if all had been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.assembling import assemble
from graspcut.instances.pasting import box_iou, paste_along_depth, paste_window, window_boxes, window_corner_px
from graspcut.instances.windows import Scale, WindowGeometry

_CHUNK = 256


@dataclass(frozen=True)
class ProposalConfig:
    """How windows become proposals.

    Attributes:
        most: N, proposals an image.
        suppression_iou: of boxes, above which the worse of two goes.
        mask_probability: above which a pixel belongs to the mask (the paper says "truncate"; MNC and FCIS take 0.4).
        least_score: windows below this objectness are not looked at.
        inclusive_boxes: see `box_iou`.
    """

    most: int = 100
    suppression_iou: float = 0.8
    mask_probability: float = 0.5
    least_score: float = 0.0
    inclusive_boxes: bool = False

    def __post_init__(self) -> None:
        if self.most < 1 or not 0 < self.mask_probability < 1 or not 0 <= self.suppression_iou <= 1:
            raise ValueError(
                f"most {self.most}, mask probability {self.mask_probability}, suppression IoU {self.suppression_iou}: "
                "expected at least 1, a number between 0 and 1, and one from 0 to 1"
            )


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
    maps = score_maps[:, :rows, :columns]
    return ScaleWindows(
        scale, objectness[:rows, :columns], lambda centres: assemble(maps, centres, cells=geometry.cells)
    )


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

    def mask(
        self, number: int, depth_mm: NDArray[np.float32] | None = None, out: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """(H, W) bool: one mask in the image's own pixels.

        Args:
            number: of the proposal.
            depth_mm: (H, W) of the image, if it is a depth frame: masks end where surfaces end, see
                `paste_along_depth`.
            out: (H, W) bool of False that a depth frame's mask is written to.
        """
        window, centre, scale = self.windows[number], self.centres[number], self.scales[number]
        if depth_mm is None:
            return paste_window(window, centre, scale, self.geometry, self.mask_probability)
        cell = self.geometry.window_px / window.shape[0]
        corner = window_corner_px(centre[None], scale, self.geometry)[0]
        cell_px = (cell / scale.horizontal, cell / scale.vertical)
        return paste_along_depth(window, corner, cell_px, depth_mm, self.mask_probability, out=out)

    def masks(self, depth_mm: NDArray[np.float32] | None = None) -> NDArray[np.bool_]:
        """(N, H, W) bool: all masks, see `mask`; 0 for height and width where there is none."""
        if not len(self):
            return np.zeros((0, 0, 0), bool)
        if depth_mm is None:
            return np.stack([self.mask(number) for number in range(len(self))])
        masks = np.zeros((len(self), *depth_mm.shape), bool)
        for number, mask in enumerate(masks):
            self.mask(number, depth_mm, mask)
        return masks


def propose(
    pyramid: Sequence[ScaleWindows], geometry: WindowGeometry, config: ProposalConfig | None = None
) -> Proposals:
    """The best proposals of an image.

    Args:
        pyramid: the windows of all scales.
        geometry: of the network.
        config: how many, and thresholds.
    """
    config = config if config is not None else ProposalConfig()
    levels = np.concatenate([np.full(level.objectness.size, number) for number, level in enumerate(pyramid)])
    places = np.concatenate([np.arange(level.objectness.size) for level in pyramid])
    scores = np.concatenate([level.objectness.ravel() for level in pyramid]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    if config.least_score > 0:
        order = order[: int(np.count_nonzero(probability(scores) >= config.least_score))]
    kept: list[_Chosen] = []
    boxes = np.zeros((0, 4))
    for first in range(0, len(order), _CHUNK):
        chunk = order[first : first + _CHUNK]
        chosen = _made(pyramid, levels[chunk], places[chunk], scores[chunk], geometry, config)
        for new in _survivors(chosen, boxes, config):
            kept.append(chosen[new])
            boxes = np.concatenate([boxes, chosen[new].box[None]])
            if len(kept) == config.most:
                return _proposals(kept, pyramid, geometry, config)
    return _proposals(kept, pyramid, geometry, config)


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A window that was made."""

    level: int
    centre: NDArray[np.int64]
    score: float
    window: NDArray[np.float32]
    box: NDArray[np.float64]


def _made(
    pyramid: Sequence[ScaleWindows],
    levels: NDArray[np.int64],
    places: NDArray[np.int64],
    scores: NDArray[np.float32],
    geometry: WindowGeometry,
    config: ProposalConfig,
) -> list[_Chosen]:
    """Assembles windows, in the order given; those without a pixel are left out."""
    found: list[_Chosen | None] = [None] * len(levels)
    for level in np.unique(levels):
        numbers = np.flatnonzero(levels == level)
        windows = pyramid[level]
        centres = np.stack(np.unravel_index(places[numbers], windows.objectness.shape), axis=1).astype(np.int64)
        probabilities = probability(windows.masks_at(centres))
        boxes = window_boxes(probabilities > config.mask_probability, centres, windows.scale, geometry)
        for row, number in enumerate(numbers):
            if (boxes[row, 2:] > boxes[row, :2]).all():
                found[number] = _Chosen(int(level), centres[row], float(scores[number]), probabilities[row], boxes[row])
    return [entry for entry in found if entry is not None]


def _survivors(chosen: Sequence[_Chosen], boxes: NDArray[np.float64], config: ProposalConfig) -> list[int]:
    """Which of some windows, best first, overlap no better one too much."""
    if not chosen:
        return []
    own = np.stack([entry.box for entry in chosen])
    alive = np.ones(len(own), bool)
    if len(boxes):
        overlaps = box_iou(boxes, own, inclusive=config.inclusive_boxes)
        alive = np.asarray((overlaps <= config.suppression_iou).all(axis=0))
    among = box_iou(own, own, inclusive=config.inclusive_boxes) > config.suppression_iou
    survivors = []
    for number in range(len(own)):
        if alive[number]:
            survivors.append(number)
            alive &= ~among[number]
    return survivors


def _proposals(
    kept: Sequence[_Chosen], pyramid: Sequence[ScaleWindows], geometry: WindowGeometry, config: ProposalConfig
) -> Proposals:
    cells = kept[0].window.shape[0] if kept else geometry.cells
    return Proposals(
        probability(np.array([entry.score for entry in kept], np.float32)),
        np.array([entry.box for entry in kept], np.float64).reshape(-1, 4),
        np.array([entry.window for entry in kept], np.float32).reshape(-1, cells, cells),
        tuple(pyramid[entry.level].scale for entry in kept),
        np.array([entry.centre for entry in kept], np.int64).reshape(-1, 2),
        geometry,
        config.mask_probability,
    )
