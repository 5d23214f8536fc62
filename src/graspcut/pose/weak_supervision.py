"""Which restored part maps may teach: section 3.1 of Neverova et al. (2017).

On frames whose joints are known but whose parts are not, the network's own map and its restoration are both compared
with the joints. Where restoring brings the barycentres of the parts nearer to them, the restored map becomes the
target.

Deviations. The paper compares a part's barycentre with one joint of it. Where all 21 joints are known, the expected
place is the mean of the joints that the part lies between (`anatomy.part_anchors`): a bone's middle is not at its end.
A part that is lost costs the diagonal of the crop, otherwise removing it would look like an improvement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graspcut.pose.anatomy import PARTS


def barycentres(parts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(20, 2) mean (column, row) of every part's pixels of a map (H, W); NaN for a part that is not there."""
    rows, columns = np.meshgrid(np.arange(parts.shape[0]), np.arange(parts.shape[1]), indexing="ij")
    inside = (parts >= 1) & (parts <= PARTS)
    index = parts[inside].astype(np.int64) - 1
    counts = np.bincount(index, minlength=PARTS).astype(np.float64)
    counts[counts == 0] = np.nan
    sums = [np.bincount(index, weights=values[inside], minlength=PARTS) for values in (columns, rows)]
    return np.asarray(np.stack(sums, axis=1) / counts[:, None])


@dataclass(frozen=True)
class Quality:
    """How far two maps of one frame are from its joints.

    Attributes:
        predicted: Q of the network's map: the sum over anchors of the distance to their part's barycentre, pixels.
        restored: Q of the restored map.
    """

    predicted: float
    restored: float

    @property
    def accepted(self) -> bool:
        """Restoring brought the parts nearer to the joints, so the restored map is a target."""
        return self.restored < self.predicted


def compare_quality(
    predicted: NDArray[np.uint8],
    restored: NDArray[np.uint8],
    anchors: ArrayLike,
    parts_of_anchors: ArrayLike | None = None,
) -> Quality:
    """Q of a prediction and of its restoration.

    Args:
        predicted: (H, W) part map.
        restored: (H, W) part map.
        anchors: (n, 2) where parts are expected, (column, row) in pixels; NaN where not known.
        parts_of_anchors: (n,) part of each, 1..20, or 0 for an anchor that does not count; by default anchor i belongs
            to part i + 1.

    Returns:
        Both sums. An anchor whose part is in neither map (it is hidden) adds nothing to either; one that is lost in one
        of them costs the diagonal there.
    """
    places = np.asarray(anchors, np.float64)
    parts = np.arange(1, PARTS + 1) if parts_of_anchors is None else np.asarray(parts_of_anchors)
    if places.shape != (len(parts), 2):
        raise ValueError(f"anchors are {places.shape} for {len(parts)} parts; expected ({len(parts)}, 2).")
    counted = (parts > 0) & np.isfinite(places).all(axis=1)
    places, parts = places[counted], parts[counted]
    diagonal = float(np.hypot(*predicted.shape))
    distances = [np.linalg.norm(barycentres(image)[parts - 1] - places, axis=1) for image in (predicted, restored)]
    seen = np.isfinite(distances[0]) | np.isfinite(distances[1])
    costs = [np.where(np.isfinite(d), d, diagonal)[seen].sum() for d in distances]
    return Quality(float(costs[0]), float(costs[1]))


def mixed_order(
    rng: np.random.Generator, synthetic: int, restored: int, count: int, ratio: int = 9
) -> list[tuple[bool, int]]:
    """A training order of synthetic and restored maps, `ratio` to 1 in every run of ratio + 1 (section 5).

    Args:
        rng: Source of the order.
        synthetic: Number of synthetic samples.
        restored: Number of accepted restored ones; 0 gives synthetic ones only.
        count: Length of the order.
        ratio: Synthetic samples for a restored one.

    Returns:
        (is restored, index) of each step.
    """
    order = []
    for step in range(count):
        if step % (ratio + 1) == 0:
            place = int(rng.integers(ratio + 1))
        is_restored = restored > 0 and step % (ratio + 1) == place
        order.append((is_restored, int(rng.integers(restored if is_restored else synthetic))))
    return order
