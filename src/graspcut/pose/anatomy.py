"""Which parts belong to which joints: the 21 joints of `graspcut.labels` and the 14 evaluated ones of NYU."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graspcut.labels import FOREARM_PART, JOINT_NAMES, PART_NAMES

JOINTS: Final = len(JOINT_NAMES)
PARTS: Final = len(PART_NAMES)
PALM_PART: Final = PARTS

# Parts "naturally closest" to each joint (section 4), whose regions are united to the joint's mask.
JOINT_PARTS: Final[tuple[tuple[int, ...], ...]] = (
    (PALM_PART,),
    (1, PALM_PART),
    (1, 2),
    (2, 3),
    (3,),
    *(
        parts
        for knuckle in (4, 8, 12, 16)
        for parts in ((knuckle, knuckle + 1), (knuckle + 1, knuckle + 2), (knuckle + 2, knuckle + 3), (knuckle + 3,))
    ),
)

# A part lies between these joints, so their mean is where its barycentre is expected. The palm's are the wrist and the
# four knuckles.
PART_JOINTS: Final[tuple[tuple[int, ...], ...]] = (
    (1, 2),
    (2, 3),
    (3, 4),
    *(
        joints
        for first in (5, 9, 13, 17)
        for joints in ((first,), (first, first + 1), (first + 1, first + 2), (first + 2, first + 3))
    ),
    (0, 5, 9, 13, 17),
)

# NYU: the evaluated 14 of its 36 joints, their names, the part of each, and our nearest joint (None: none of ours).
NYU_JOINTS: Final = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
NYU_JOINT_NAMES: Final = (
    "little tip", "little middle", "ring tip", "ring middle", "middle tip", "middle middle", "index tip",
    "index middle", "thumb tip", "thumb distal", "thumb proximal", "wrist little side", "wrist thumb side", "palm",
)  # fmt: skip
# 0 for the two sides of the wrist, which no part stands for: they are left out of the quality of a restoration.
NYU_JOINT_PARTS: Final = (19, 18, 15, 14, 11, 10, 7, 6, 3, 2, 1, 0, 0, PALM_PART)
NYU_NEAREST_JOINTS: Final = (20, 18, 16, 14, 12, 10, 8, 6, 4, 3, 2, None, None, None)


def part_anchors(joints: ArrayLike) -> NDArray[np.float64]:
    """Where the barycentre of every part is expected: the mean of the joints it lies between.

    Args:
        joints: (21, k) or (n, 21, k) coordinates.

    Returns:
        (20, k) or (n, 20, k); NaN where one of the joints is.
    """
    values = np.asarray(joints, np.float64)
    return np.stack([values[..., list(indices), :].mean(axis=-2) for indices in PART_JOINTS], axis=-2)


def joint_part_matrix(joint_parts: tuple[tuple[int, ...], ...] = JOINT_PARTS) -> NDArray[np.float32]:
    """(joints, 20) float32, 1 where a part belongs to a joint's mask."""
    matrix = np.zeros((len(joint_parts), PARTS), np.float32)
    for joint, parts in enumerate(joint_parts):
        for part in parts:
            if not 1 <= part <= PARTS:
                raise ValueError(f"joint {joint} names part {part}; expected 1..{PARTS} ({FOREARM_PART} is no part).")
            matrix[joint, part - 1] = 1.0
    return matrix
