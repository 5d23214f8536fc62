"""Restored maps that teach: what weak supervision makes of hands whose joints alone are known (section 3.1)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.opening import read_bytes
from graspcut.pose.anatomy import JOINTS, NYU_JOINT_PARTS, PARTS, part_anchors
from graspcut.pose.patches import PatchDictionary, restore
from graspcut.pose.weak_supervision import Quality, compare_quality


@dataclass(frozen=True, eq=False)
class WeakTargets:
    """Accepted restorations.

    Attributes:
        crop: (n, 48, 48) float32.
        parts: (n, 48, 48) uint8, the restored maps.
        index: (n,) which of the given hands they are.
        hands: How many hands were given.
        quality: (hands, 2) Q of the predicted and of the restored map.
    """

    crop: NDArray[np.float32]
    parts: NDArray[np.uint8]
    index: NDArray[np.int64]
    hands: int
    quality: NDArray[np.float64]

    @property
    def rejected(self) -> float:
        """Share of the hands whose restoration was rejected."""
        return 1.0 - len(self.index) / self.hands if self.hands else 0.0

    def report(self) -> dict[str, Any]:
        """For people."""
        mean = self.quality.mean(axis=0) if len(self.quality) else np.zeros(2)
        return {
            "hands": self.hands,
            "accepted": len(self.index),
            "rejected_share": self.rejected,
            "mean_quality_predicted_px": float(mean[0]),
            "mean_quality_restored_px": float(mean[1]),
        }

    def save(self, path: str | Path) -> None:
        """Write one .npz, under a temporary name first."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, crop=self.crop, parts=self.parts, index=self.index, quality=self.quality, hands=np.array(self.hands)
        )
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> WeakTargets:
        """Read what `save` wrote; never unpickles.

        Raises:
            FrameError: If the file is missing or something else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as stored:
                return cls(stored["crop"], stored["parts"], stored["index"], int(stored["hands"]), stored["quality"])
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise FrameError(f"{path} holds no weak targets ({error}); delete it to make them again.") from error


def anchors_of(joints: NDArray[np.floating], size_px: int) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Where parts are expected, (n, 2) in crop pixels, and the part of each, from joints (joints, 3) of a crop.

    All 21 joints give an anchor for every part; NYU's 14 give the joint of its part, as the paper does.
    """
    pixels = ((np.asarray(joints, np.float64)[:, :2] + 1.0) * size_px - 1.0) / 2.0
    if len(pixels) == JOINTS:
        return part_anchors(pixels), tuple(range(1, PARTS + 1))
    if len(pixels) == len(NYU_JOINT_PARTS):
        return pixels, NYU_JOINT_PARTS
    raise ValueError(f"{len(pixels)} joints came; expected {JOINTS}, or NYU's {len(NYU_JOINT_PARTS)}.")


def make_weak_targets(
    crops: NDArray[np.float32],
    predicted: NDArray[np.uint8],
    joints: NDArray[np.float32],
    dictionary: PatchDictionary,
    progress: Callable[[int, int], None] | None = None,
) -> WeakTargets:
    """Restore every predicted map and keep those that come nearer to the joints.

    Args:
        crops: (n, 48, 48).
        predicted: (n, 48, 48) part maps of the network.
        joints: (n, joints, 3) u v d of the crops.
        dictionary: Synthetic patches.
        progress: Called with (hands done, n).
    """
    parts, index, quality = [], [], []
    for number, image in enumerate(predicted):
        parts_only = np.where(image > PARTS, 0, image).astype(np.uint8)
        restored = restore(parts_only, dictionary)
        found: Quality = compare_quality(parts_only, restored, *anchors_of(joints[number], image.shape[0]))
        quality.append((found.predicted, found.restored))
        if found.accepted:
            parts.append(restored)
            index.append(number)
        if progress is not None:
            progress(number + 1, len(predicted))
    chosen = np.array(index, np.int64)
    kept = np.stack(parts) if parts else np.zeros((0, *crops.shape[1:]), np.uint8)
    return WeakTargets(crops[chosen], kept, chosen, len(predicted), np.array(quality).reshape(-1, 2))
