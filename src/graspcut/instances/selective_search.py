"""Selective search with masks: regions are joined by likeness until one is left, and each on the way is a proposal.

Source: Uijlings et al., "Selective Search for Object Recognition", 2013, section 3: regions of Felzenszwalb's method;
likeness = colour + texture + size + fill; several strategies side by side; the order of the proposals is the place in
the hierarchy, largest first, times a random number. OpenCV's implementation gives boxes only, which must not be scored
as masks, so this keeps every region.

Depth takes the place of colour: distance and the two slopes of the surface are the three channels (`depth_channels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.instances.felzenszwalb import felzenszwalb_segments

COLOUR_BINS = 25
TEXTURE_BINS = 10
DIRECTIONS = 8


@dataclass(frozen=True)
class Strategy:
    """One run of the grouping.

    Attributes:
        scale: k of Felzenszwalb's method.
        colour, texture, size, fill: which likenesses are added up.
    """

    scale: float
    colour: bool = True
    texture: bool = True
    size: bool = True
    fill: bool = True


# The paper's "fast" setting has two sets of likenesses and two initial segmentations.
FAST = tuple(Strategy(scale, colour=colour) for scale in (50.0, 100.0) for colour in (True, False))


def depth_channels(depth_mm: NDArray[np.float32], *, reach_mm: float = 600.0) -> NDArray[np.float32]:
    """Depth as three channels of 0..255: distance behind the nearest surface and both slopes.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        reach_mm: distance that takes the whole first channel.

    Returns:
        (H, W, 3) float32; pixels without data are 0 in all.
    """
    valid = depth_mm > 0
    nearest = float(np.percentile(depth_mm[valid], 1)) if valid.any() else 0.0
    distance = 255.0 * (1.0 - np.clip((depth_mm - nearest) / reach_mm, 0.0, 0.95))
    channels = [np.where(valid, distance, 0.0)]
    for axis in (0, 1):
        slope = np.gradient(cv2.medianBlur(depth_mm.astype(np.float32), 3), axis=axis)
        channels.append(np.where(valid, 127.5 + 127.5 * np.tanh(slope / 8.0), 0.0))
    return np.stack(channels, axis=2).astype(np.float32)


class _Regions:
    """Features of regions, added up when regions are joined."""

    def __init__(self, image: NDArray[np.float32], labels: NDArray[np.int64], strategy: Strategy) -> None:
        self.strategy = strategy
        self.pixels = labels.size
        count = int(labels.max()) + 1
        flat = labels.ravel()
        self.size = list(np.bincount(flat, minlength=count).astype(np.float64))
        self.colour = list(_histograms(_colour_values(image), flat, count, COLOUR_BINS))
        self.texture = list(_histograms(_texture_values(image), flat, count, TEXTURE_BINS))
        rows, columns = np.indices(labels.shape)
        self.box = list(_boxes(rows.ravel(), columns.ravel(), flat, count))

    def likeness(self, a: int, b: int) -> float:
        """How alike two regions are."""
        total = 0.0
        if self.strategy.colour:
            total += float(np.minimum(self.colour[a], self.colour[b]).sum())
        if self.strategy.texture:
            total += float(np.minimum(self.texture[a], self.texture[b]).sum())
        together = self.size[a] + self.size[b]
        if self.strategy.size:
            total += 1.0 - together / self.pixels
        if self.strategy.fill:
            box = _around(self.box[a], self.box[b])
            total += 1.0 - ((box[2] - box[0]) * (box[3] - box[1]) - together) / self.pixels
        return total

    def join(self, a: int, b: int) -> int:
        """A new region of two; returns its number."""
        together = self.size[a] + self.size[b]
        for features in (self.colour, self.texture):
            features.append((self.size[a] * features[a] + self.size[b] * features[b]) / together)
        self.size.append(together)
        self.box.append(_around(self.box[a], self.box[b]))
        return len(self.size) - 1


def _colour_values(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image.reshape(-1, image.shape[2]) / 256.0


def _texture_values(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gradient of every channel in eight directions, 0..1, (pixels, 8 channels)."""
    values = []
    for channel in range(image.shape[2]):
        across = cv2.Sobel(image[..., channel], cv2.CV_32F, 1, 0)
        down = cv2.Sobel(image[..., channel], cv2.CV_32F, 0, 1)
        for direction in range(DIRECTIONS):
            angle = 2 * np.pi * direction / DIRECTIONS
            along = np.clip(np.cos(angle) * across + np.sin(angle) * down, 0, None)
            values.append(np.clip(along / 255.0, 0, 0.999).ravel())
    return np.stack(values, axis=1).astype(np.float32)


def _histograms(values: NDArray[np.float32], labels: NDArray[np.int64], count: int, bins: int) -> NDArray[np.float64]:
    """Histogram of every channel for every region, each region's adding up to 1: (count, channels * bins)."""
    channels = values.shape[1]
    place = np.clip((values * bins).astype(np.int64), 0, bins - 1) + bins * np.arange(channels)
    flat = (labels[:, None] * (channels * bins) + place).ravel()
    found = np.bincount(flat, minlength=count * channels * bins).reshape(count, channels * bins).astype(np.float64)
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1.0))


def _boxes(
    rows: NDArray[np.int64], columns: NDArray[np.int64], labels: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    boxes = np.zeros((count, 4))
    boxes[:, :2] = np.inf
    np.minimum.at(boxes[:, 0], labels, columns)
    np.minimum.at(boxes[:, 1], labels, rows)
    np.maximum.at(boxes[:, 2], labels, columns + 1)
    np.maximum.at(boxes[:, 3], labels, rows + 1)
    return boxes


def _around(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])


def _neighbours(labels: NDArray[np.int64]) -> set[tuple[int, int]]:
    pairs = []
    for first, second in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differing = first != second
        pairs.append(np.stack([first[differing], second[differing]], axis=1))
    found = np.sort(np.concatenate(pairs), axis=1)
    return {(int(a), int(b)) for a, b in np.unique(found, axis=0)}


def hierarchy(image: NDArray[np.float32], labels: NDArray[np.int64], strategy: Strategy) -> list[tuple[int, ...]]:
    """Joins the two most alike neighbours again and again.

    Args:
        image: (H, W, C) float32 in 0..255.
        labels: (H, W) the first regions.
        strategy: which likenesses count.

    Returns:
        all regions, each as the numbers of the first regions in it: first these, then the joined ones in their order.
    """
    regions = _Regions(image, labels, strategy)
    members: list[tuple[int, ...]] = [(number,) for number in range(len(regions.size))]
    around: dict[int, set[int]] = {number: set() for number in range(len(members))}
    likeness: dict[tuple[int, int], float] = {}
    for a, b in _neighbours(labels):
        around[a].add(b)
        around[b].add(a)
        likeness[a, b] = regions.likeness(a, b)
    while likeness:
        a, b = max(likeness, key=lambda pair: (likeness[pair], pair))
        new = regions.join(a, b)
        members.append(members[a] + members[b])
        beside = (around.pop(a) | around.pop(b)) - {a, b}
        for old in (a, b):
            for other in beside:
                likeness.pop((min(old, other), max(old, other)), None)
        likeness.pop((min(a, b), max(a, b)), None)
        around[new] = beside
        for other in beside:
            around[other] -= {a, b}
            around[other].add(new)
            likeness[other, new] = regions.likeness(other, new)
    return members


def selective_search(
    image: NDArray[np.float32],
    *,
    strategies: Sequence[Strategy] = FAST,
    smallest_px: int = 20,
    seed: int = 0,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Mask proposals of one image.

    Args:
        image: (H, W, C) float32 in 0..255: colour, or `depth_channels`.
        strategies: their proposals are put together, equal ones once.
        smallest_px: least size of the first regions.
        seed: of the random numbers in the order.

    Returns:
        masks (N, H, W) bool, best first, and scores (N,) float64 in 0..1.
    """
    rng = np.random.default_rng(seed)
    masks: dict[bytes, tuple[float, NDArray[np.bool_]]] = {}
    for strategy in strategies:
        labels = felzenszwalb_segments(image, scale=strategy.scale, smallest_px=smallest_px)
        members = hierarchy(image, labels, strategy)
        draws = rng.random(len(members))
        for place, region in enumerate(reversed(members), start=1):
            mask = np.isin(labels, region)
            priority = float(place * draws[place - 1])
            key = np.packbits(mask).tobytes()
            if key not in masks or masks[key][0] > priority:
                masks[key] = (priority, mask)
    ordered = sorted(masks.values(), key=lambda entry: entry[0])
    scores = np.array([1.0 / (1.0 + priority) for priority, _ in ordered])
    return np.stack([mask for _, mask in ordered]), scores
