"""Errors that a segmentation makes at hands, added to crops with perfect masks, so that networks learn to bear them.

What `graspcut segment` calls hand lacks pixels at its edges and whole pieces beside held objects, and takes in a few of
the object or of what lies behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.pose.preprocessing import BACKGROUND_DEPTH

if TYPE_CHECKING:
    from graspcut.pose.data import PoseBatch

_EDGE = np.ones((3, 3), np.uint8)


def with_mask_errors(batch: PoseBatch, rng: np.random.Generator, share: float) -> PoseBatch:
    """A batch with errors in some of its crops.

    Args:
        batch: Crops and parts; neither is changed.
        rng: Source of all choices.
        share: Share of the crops that are given errors.

    Returns:
        The batch with new crops and parts. Pixels that are no hand have part 0 but are not background: they are looked
        at, and no part of theirs is learned.
    """
    crop, parts = batch.crop.copy(), batch.parts.copy()
    for number in np.flatnonzero(rng.random(len(crop)) < share):
        _spoil(crop[number], parts[number], rng)
    return batch._replace(crop=crop, parts=parts)


def _spoil(crop: NDArray[np.float32], parts: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Change one crop and its parts in place."""
    hand = (crop < BACKGROUND_DEPTH).astype(np.uint8)
    if not hand.any():
        return
    lost = np.zeros(hand.shape, bool)
    if rng.random() < 0.6:
        # Edges are lost where smooth noise says so.
        edge = (hand - cv2.erode(hand, _EDGE)) > 0
        lost |= edge & (_smooth_noise(rng, hand.shape) < rng.uniform(0.2, 0.6))
    rows, columns = np.nonzero(hand)
    for _ in range(rng.integers(0, 3)):
        middle = rng.integers(len(rows))
        radius = rng.uniform(1.0, 4.0)
        v, u = np.ogrid[: hand.shape[0], : hand.shape[1]]
        lost |= np.square(v - rows[middle]) + np.square(u - columns[middle]) <= radius * radius
    crop[lost] = BACKGROUND_DEPTH
    parts[lost] = 0
    if rng.random() < 0.5:
        # A rim of what touches the hand: as deep as the hand beside it, or a little deeper.
        near = cv2.erode(crop, _EDGE)
        rim = (crop >= BACKGROUND_DEPTH) & (near < BACKGROUND_DEPTH) & ~lost
        rim &= _smooth_noise(rng, hand.shape) < rng.uniform(0.05, 0.3)
        crop[rim] = np.minimum(near[rim] + np.float32(rng.uniform(-0.05, 0.25)), np.float32(0.99))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values between 0 and 1 that change over some 6 pixels."""
    coarse = rng.random((shape[0] // 6 + 1, shape[1] // 6 + 1)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)
