"""The paper's numbers on plain arrays: joint errors (table 4, figure 8) and part accuracy (tables 2 and 3, figure 6).

Joints of any number; those that are NaN in the truth do not count. A prediction that is missing (NaN) where the truth
knows the joint makes its frame a failure at every distance, and is left out of the means, which say how many were
counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graspcut.frames.camera import Camera
from graspcut.labels import PART_NAMES

DEFAULT_DISTANCES_MM = tuple(float(distance) for distance in range(0, 81))


@dataclass(frozen=True, eq=False)
class JointErrors:
    """Errors of joints over frames.

    Attributes:
        error_3d_mm: (frames, joints) float64 Euclidean distance in the camera frame; NaN where the truth is unknown or
            nothing was predicted.
        error_2d_mm: (frames, joints) the same in (x, y) alone: both sides with their own depth.
        missing: (frames, joints) bool: known joints that were not predicted.
    """

    error_3d_mm: NDArray[np.float64]
    error_2d_mm: NDArray[np.float64]
    missing: NDArray[np.bool_]

    @property
    def mean_3d_mm(self) -> float:
        """Mean over frames and joints; NaN if there is none."""
        return _mean(self.error_3d_mm)

    @property
    def mean_2d_mm(self) -> float:
        """Mean over frames and joints of the error in (x, y)."""
        return _mean(self.error_2d_mm)

    def fraction_within(self, distances_mm: ArrayLike) -> NDArray[np.float64]:
        """Figure 8: the fraction of frames of which every known joint is within each distance.

        Args:
            distances_mm: (n,) millimetres.

        Returns:
            (n,) from 0 to 1. The worst joint of a frame decides; frames without any known joint do not count.
        """
        known = np.isfinite(self.error_3d_mm) | self.missing
        worst = np.where(np.isfinite(self.error_3d_mm), self.error_3d_mm, -np.inf).max(axis=1, initial=-np.inf)
        worst[self.missing.any(axis=1)] = np.inf
        worst = worst[known.any(axis=1)]
        distances = np.asarray(distances_mm, np.float64)
        if len(worst) == 0:
            return np.full(distances.shape, np.nan)
        return np.asarray((worst[None, :] <= distances[:, None]).mean(axis=1))


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def joint_errors(predicted_mm: ArrayLike, truth_mm: ArrayLike) -> JointErrors:
    """Compare joints in camera millimetres.

    Args:
        predicted_mm: (frames, joints, 3); NaN where nothing was predicted.
        truth_mm: The same shape; NaN where not annotated.

    Raises:
        ValueError: If the shapes differ.
    """
    predicted, truth = np.asarray(predicted_mm, np.float64), np.asarray(truth_mm, np.float64)
    if predicted.shape != truth.shape or truth.ndim != 3 or truth.shape[2] != 3:
        raise ValueError(
            f"predictions are {predicted.shape}, the truth is {truth.shape}; expected both (frames, joints, 3). "
            "Compare files with the same frames and joints."
        )
    difference = predicted - truth
    known = np.isfinite(truth).all(axis=2)
    missing = np.asarray(known & ~np.isfinite(predicted).all(axis=2))
    return JointErrors(
        np.sqrt(np.square(difference).sum(axis=2)), np.sqrt(np.square(difference[..., :2]).sum(axis=2)), missing
    )


def joints_from_uvd(uvd: ArrayLike, camera: Camera) -> NDArray[np.float64]:
    """(..., 3) of column, row (pixels) and depth (mm) as camera mm: x right, y down, z forward."""
    values = np.asarray(uvd, np.float64)
    return camera.deproject_pixels(values[..., :2], values[..., 2])


def add_depth_from_frame(
    uv_px: ArrayLike, depth_mm: NDArray[np.floating], hand: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Give 2D predictions a depth as section 5.2 does: that of the pixel, or the hand's median where it hits
    background.

    Args:
        uv_px: (joints, 2) column and row.
        depth_mm: (H, W), 0 = no data.
        hand: (H, W) bool.

    Returns:
        (joints, 3) of u, v, d.
    """
    uv = np.asarray(uv_px, np.float64)
    height, width = depth_mm.shape
    on_hand = hand & (depth_mm > 0)
    if not on_hand.any():
        raise ValueError("no pixel of the hand has depth; expected at least one to take the median from.")
    column, row = np.rint(uv).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    depth = np.where(inside & on_hand[row, column], depth_mm[row, column], np.median(depth_mm[on_hand]))
    return np.concatenate([uv, depth[:, None]], axis=1)


@dataclass(frozen=True, eq=False)
class PartCounts:
    """Counts of part pixels that can be added up over frames.

    Attributes:
        confusion: (20, 21) int64: row = true part, column = predicted part, the last column anything else.
    """

    confusion: NDArray[np.int64]

    def __add__(self, other: PartCounts) -> PartCounts:
        return PartCounts(self.confusion + other.confusion)

    @property
    def per_pixel(self) -> float:
        """Right hand pixels over hand pixels; NaN without any."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion[:, :-1]) / total) if total else float("nan")

    @property
    def recall(self) -> NDArray[np.float64]:
        """(20,) recall of every part; NaN where it never occurs."""
        totals = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.diagonal(self.confusion) / totals)

    @property
    def per_class(self) -> float:
        """Mean recall over the parts that occur."""
        return _mean(self.recall)


def part_counts(predicted: NDArray[np.uint8], parts: NDArray[np.uint8]) -> PartCounts:
    """Count part pixels; only pixels whose true part is 1..20 count.

    Args:
        predicted: (..., H, W) uint8, 1..20 a part, anything else is wrong on a hand pixel.
        parts: The same shape, the truth.
    """
    if predicted.shape != parts.shape:
        raise ValueError(f"predicted parts are {predicted.shape}, the truth is {parts.shape}; expected the same shape.")
    classes = len(PART_NAMES)
    counted = (parts >= 1) & (parts <= classes)
    column = np.where((predicted >= 1) & (predicted <= classes), predicted.astype(np.int64) - 1, classes)
    index = (parts.astype(np.int64) - 1) * (classes + 1) + column
    counts = np.bincount(index[counted], minlength=classes * (classes + 1))
    return PartCounts(counts.reshape(classes, classes + 1).astype(np.int64))
