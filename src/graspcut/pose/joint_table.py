"""Joints of a recording as CSV: what `graspcut pose` writes, and what annotations of one's own may come as.

One row a joint: `frame,hand,handedness,joint,x_mm,y_mm,z_mm,confidence,visible`. Empty coordinates are a joint that is
not there. Reading needs `frame`, `joint`, `x_mm`, `y_mm` and `z_mm`; without `hand` there is one hand a frame.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.opening import read_bytes
from graspcut.labels import JOINT_NAMES

COLUMNS = ("frame", "hand", "handedness", "joint", "x_mm", "y_mm", "z_mm", "confidence", "visible")


@dataclass(frozen=True, eq=False)
class HandRow:
    """All joints of one hand in one frame.

    Attributes:
        frame: Name of the frame.
        hand: Number of the hand in it, from 0.
        handedness: "left", "right" or "" for unknown.
        joints_mm: (21, 3) float64, camera mm; NaN for joints that are not there.
        confidence: (21,) from 0 to 1.
        visible: (21,) bool.
    """

    frame: str
    hand: int
    handedness: str
    joints_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    visible: NDArray[np.bool_]


def write_joint_table(path: str | Path, hands: Iterable[HandRow]) -> None:
    """Write one CSV, under a temporary name first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for hand in hands:
        for joint, name in enumerate(JOINT_NAMES):
            x, y, z = hand.joints_mm[joint]
            place = [f"{value:.2f}" for value in (x, y, z)] if math.isfinite(x + y + z) else ["", "", ""]
            writer.writerow(
                [hand.frame, hand.hand, hand.handedness, name, *place, f"{hand.confidence[joint]:.3f}",
                 int(hand.visible[joint])]
            )  # fmt: skip
    write_bytes_atomically(path, buffer.getvalue().encode())


def read_joint_table(path: str | Path) -> list[HandRow]:
    """Read such a CSV, in the order of its first rows of each hand.

    Raises:
        FrameError: If columns are missing, a joint has another name, or a coordinate is no number.
    """
    reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig", errors="replace")))
    missing = [name for name in ("frame", "joint", "x_mm", "y_mm", "z_mm") if name not in (reader.fieldnames or [])]
    if missing:
        raise FrameError(
            f"{path} has the columns {reader.fieldnames}; expected at least frame, joint, x_mm, y_mm and z_mm, so "
            f"{', '.join(missing)} is missing."
        )
    hands: dict[tuple[str, int], HandRow] = {}
    for number, row in enumerate(reader, 2):
        try:
            key = (str(row["frame"]), int(row.get("hand") or 0))
            texts = [row[name] or "nan" for name in ("x_mm", "y_mm", "z_mm")]
            place = [float(text) for text in texts]
            confidence = float(row.get("confidence") or 1.0)
            visible = bool(int(row.get("visible") or 1))
        except (ValueError, TypeError) as error:
            raise FrameError(f"{path}, line {number}: {error}; expected numbers for hand and coordinates.") from error
        if row["joint"] not in JOINT_NAMES:
            raise FrameError(
                f"{path}, line {number}: joint {row['joint']!r} is unknown; expected one of {', '.join(JOINT_NAMES)}."
            )
        if key not in hands:
            count = len(JOINT_NAMES)
            hands[key] = HandRow(
                *key, row.get("handedness") or "", np.full((count, 3), np.nan), np.zeros(count), np.zeros(count, bool)
            )
        joint = JOINT_NAMES.index(row["joint"])
        hands[key].joints_mm[joint] = place
        hands[key].confidence[joint] = confidence
        hands[key].visible[joint] = visible
    return list(hands.values())
