"""From the labels of `graspcut segment` to one mask a hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.labels import HAND


@dataclass(frozen=True)
class HandMaskConfig:
    """Which pieces of the hand's label are hands.

    Attributes:
        least_area_mm2: Smallest hand, as seen by the camera; an open hand has some 12,000.
        whole_area_mm2: Pieces at least as large are hands of their own. Smaller ones, such as fingers behind what is
            held, belong to the nearest of those.
        reach_mm: How far from it such a piece may be.
        jump_mm: Neighbouring pixels that differ more in depth belong to different pieces.
    """

    least_area_mm2: float = 900.0
    whole_area_mm2: float = 3500.0
    reach_mm: float = 130.0
    jump_mm: float = 60.0


def find_hand_masks(
    labels: NDArray[np.uint8], depth_mm: NDArray[np.float32], camera: Camera, config: HandMaskConfig | None = None
) -> list[NDArray[np.bool_]]:
    """Masks of the hands of a frame, the largest first.

    Args:
        labels: (H, W) uint8 of `graspcut segment`; object pixels are in no mask.
        depth_mm: (H, W) millimetres, 0 = no data.
        camera: Of the frame.
        config: Which pieces count.

    Returns:
        (H, W) bool each. Pieces of one hand that what it holds cuts apart are in one mask.
    """
    config = config or HandMaskConfig()
    everywhere = (labels == HAND) & (depth_mm > 0)
    # Only the rectangle that has hands is looked at.
    left, top, width, height = cv2.boundingRect(everywhere.view(np.uint8))
    if width == 0:
        return []
    box = (slice(top, top + height), slice(left, left + width))
    hand, near_mm = everywhere[box], depth_mm[box]
    pieces = _pieces(hand, near_mm, config.jump_mm)
    count = int(pieces.max())
    ids = pieces[hand]
    depth = near_mm[hand].astype(np.float64)
    areas = np.bincount(ids, weights=np.square(depth) / (camera.fx * camera.fy), minlength=count + 1)
    points = camera.deproject_pixels(np.argwhere(hand)[:, ::-1] + [left, top], depth)
    found = [piece for piece in range(1, count + 1) if areas[piece] > 0]
    hands = grouped_pieces([points[ids == piece] for piece in found], np.asarray(areas[found], np.float64), config)
    masks = []
    for group in hands:
        mask, chosen = np.zeros(labels.shape, bool), np.zeros(count + 1, bool)
        chosen[[found[number] for number in group]] = True
        mask[box] = chosen[pieces] & hand
        masks.append(mask)
    return masks


def grouped_pieces(
    points_mm: Sequence[NDArray[np.float64]], areas_mm2: NDArray[np.float64], config: HandMaskConfig | None = None
) -> list[list[int]]:
    """Which pieces are of one hand.

    Args:
        points_mm: (n, 3) of each piece.
        areas_mm2: Of each, as seen by the camera.
        config: What belongs together.

    Returns:
        Numbers of pieces, one list a hand, the largest first; pieces that are too small and too far from any are left
        out.
    """
    config = config or HandMaskConfig()
    hands: list[list[int]] = []
    for piece in np.argsort(-areas_mm2, kind="stable").tolist():
        own = _thinned(points_mm[piece])
        near = [_gap(own, np.concatenate([_thinned(points_mm[other]) for other in group])) for group in hands]
        if hands and areas_mm2[piece] < config.whole_area_mm2 and min(near) <= config.reach_mm:
            hands[int(np.argmin(near))].append(piece)
        elif areas_mm2[piece] >= config.least_area_mm2:
            hands.append([piece])
    return hands


def _pieces(hand: NDArray[np.bool_], depth_mm: NDArray[np.float32], jump_mm: float) -> NDArray[np.int32]:
    """Connected pieces, cut where the depth jumps; pixels on a cut join the piece beside them."""
    span = np.zeros(hand.shape, np.float32)
    for axis in (0, 1):
        step = np.abs(np.diff(depth_mm, axis=axis))
        both = np.take(hand, range(1, hand.shape[axis]), axis) & np.take(hand, range(hand.shape[axis] - 1), axis)
        step = np.where(both, step, 0)
        first = [slice(None), slice(None)]
        first[axis] = slice(0, -1)
        # The farther side of a jump is cut: the nearer one keeps its outline.
        span[tuple(first)] = np.maximum(span[tuple(first)], step)
    inner = hand & (span <= jump_mm)
    pieces: NDArray[Any] = np.asarray(cv2.connectedComponents(inner.astype(np.uint8), connectivity=8)[1])
    lost = hand & (pieces == 0)
    if lost.any():
        spread = cv2.dilate(pieces.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        pieces = np.where(lost, spread, pieces)
        lost = hand & (pieces == 0)
        _, rest = cv2.connectedComponents(lost.astype(np.uint8), connectivity=8)
        pieces = np.where(lost, rest + int(pieces.max()), pieces).astype(np.int32)
    return np.asarray(pieces, np.int32)


def _thinned(points: NDArray[np.float64], most: int = 60) -> NDArray[np.float64]:
    return points[:: max(1, len(points) // most)]


def _gap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Least distance of two sets of points, mm."""
    return float(np.sqrt(np.square(first[:, None] - second[None]).sum(axis=2).min()))
