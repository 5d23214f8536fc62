"""Label, part and joint tables with their colours. Every array of labels in GraspCut uses these values.

Label maps are uint8: `BACKGROUND`, `HAND` (hand, wrist and forearm), `OBJECT`, and `UNKNOWN` in ground truth only.
Part maps are uint8: 0 is no hand, 1..20 name a part (`PART_NAMES[value - 1]`), `FOREARM_PART` is the forearm.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BACKGROUND: Final = 0
HAND: Final = 1
OBJECT: Final = 2
UNKNOWN: Final = 255

LABEL_NAMES: Final = ("background", "hand", "object")

_FINGERS: Final = ("thumb", "index", "middle", "ring", "little")

PART_NAMES: Final = (
    "thumb metacarpal",
    "thumb proximal",
    "thumb distal",
    *(f"{finger} {bone}" for finger in _FINGERS[1:] for bone in ("knuckle", "proximal", "middle", "distal")),
    "palm",
)
FOREARM_PART: Final = 21

JOINT_NAMES: Final = (
    "wrist",
    "thumb_cmc",
    "thumb_mcp",
    "thumb_ip",
    "thumb_tip",
    *(f"{finger}_{joint}" for finger in _FINGERS[1:] for joint in ("mcp", "pip", "dip", "tip")),
)


def _constant(rows: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    table = np.array(rows, dtype=np.uint8)
    table.setflags(write=False)
    return table


# Warm hand against a teal object: they differ in hue, in lightness and for the common kinds of colour blindness.
LABEL_COLOURS: Final[NDArray[np.uint8]] = _constant([(0, 0, 0), (244, 146, 66), (38, 166, 190)])
UNKNOWN_COLOUR: Final = (122, 104, 142)


def _part_colours() -> NDArray[np.uint8]:
    """One hue a finger, darker at the knuckle and lighter at the tip; row = value of the part map."""
    rows: list[tuple[int, int, int]] = [(0, 0, 0)]
    fingers = ((229, 57, 53), (251, 140, 0), (67, 160, 71), (30, 136, 229), (142, 36, 170))
    for finger, colour in enumerate(fingers):
        lightness = (0.0, 0.3, 0.6) if finger == 0 else (-0.25, 0.0, 0.3, 0.6)
        for step in lightness:
            target, amount = (255.0, step) if step >= 0 else (0.0, -step)
            red, green, blue = (round(channel + (target - channel) * amount) for channel in colour)
            rows.append((red, green, blue))
    rows.append((214, 186, 140))
    rows.append((146, 108, 78))
    return _constant(rows)


PART_COLOURS: Final[NDArray[np.uint8]] = _part_colours()
