"""How far the labels of a frame can be trusted: figures from the steps and from the neighbouring frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.pipeline import Annotation
from graspcut.labels import HAND, OBJECT, UNKNOWN

# What each figure may be in a frame that a reviewer would pass without a second look. A doubt of 1 is one figure at
# its limit.
UNKNOWN_LIMIT = 0.04
REMOVED_LIMIT = 0.08
FLICKER_LIMIT = 0.03
JUMP_LIMIT = 0.35
DISAGREEMENT_LIMIT = 0.08


@dataclass(frozen=True)
class FrameQuality:
    """Figures of one frame; shares are of its foreground.

    Attributes:
        hand_px, object_px, unknown_px: Areas of the labels.
        foreground_px: Pixels in the depth band.
        unseen_share: Pixels that the colour camera does not see.
        removed_share: Pixels that the contour filter removed from the masks.
        flicker: Pixels whose class is another one than in both neighbouring frames, which agree.
        jump: How much hand and object areas differ from the mean of the neighbours', relative.
        disagreement: Pixels where a network and the colours say different things; 0 without a network.
    """

    hand_px: int
    object_px: int
    unknown_px: int
    foreground_px: int
    unseen_share: float
    removed_share: float
    flicker: float = 0.0
    jump: float = 0.0
    disagreement: float = 0.0

    @property
    def unknown_share(self) -> float:
        """Unknown pixels over the foreground."""
        return self.unknown_px / max(self.foreground_px, 1)

    @property
    def doubt(self) -> float:
        """0 = nothing speaks against the labels; sorts the review queue."""
        nothing = 2.0 if self.hand_px == 0 and self.foreground_px > 0 else 0.0
        return round(
            self.unknown_share / UNKNOWN_LIMIT
            + self.removed_share / REMOVED_LIMIT
            + self.flicker / FLICKER_LIMIT
            + self.jump / JUMP_LIMIT
            + self.disagreement / DISAGREEMENT_LIMIT
            + nothing,
            4,
        )

    @property
    def within_limits(self) -> bool:
        """Whether every figure is within its limit."""
        return (
            self.hand_px > 0
            and self.unknown_share <= UNKNOWN_LIMIT
            and self.removed_share <= REMOVED_LIMIT
            and self.flicker <= FLICKER_LIMIT
            and self.jump <= JUMP_LIMIT
            and self.disagreement <= DISAGREEMENT_LIMIT
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the figures that follow from the others."""
        return {
            name: round(value, 5) if isinstance(value, float) else value for name, value in asdict(self).items()
        } | {"unknown_share": round(self.unknown_share, 5), "doubt": self.doubt, "within_limits": self.within_limits}


def quality_of(annotation: Annotation, disagreement: float = 0.0) -> FrameQuality:
    """The figures of one frame by itself; flicker and jump need the neighbours."""
    counts = np.bincount(annotation.labels.ravel(), minlength=256)
    foreground = max(annotation.foreground_px, 1)
    return FrameQuality(
        hand_px=int(counts[HAND]),
        object_px=int(counts[OBJECT]),
        unknown_px=int(counts[UNKNOWN]),
        foreground_px=annotation.foreground_px,
        unseen_share=annotation.unseen_px / foreground,
        removed_share=(annotation.removed_hand_px + annotation.removed_object_px) / foreground,
        disagreement=disagreement,
    )


def flicker(before: NDArray[np.uint8], labels: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Share of the hand and object pixels that change their class for this one frame.

    Args:
        before, labels, after: (H, W) uint8 label maps of three frames in a row.

    Returns:
        Pixels that are hand or object in all three frames, agree before and after and differ in between, over the
        frame's hand and object pixels; 0 if sizes differ or there are none.
    """
    if not before.shape == labels.shape == after.shape:
        return 0.0
    inside = (labels == HAND) | (labels == OBJECT)
    settled = (before == after) & ((before == HAND) | (before == OBJECT))
    total = int(np.count_nonzero(inside))
    return float(np.count_nonzero(settled & inside & (labels != before))) / total if total else 0.0


def jump(before: FrameQuality, quality: FrameQuality, after: FrameQuality) -> float:
    """Largest relative change of the hand's or object's area against the mean of both neighbours, 0..1."""
    changes = []
    for name in ("hand_px", "object_px"):
        expected = 0.5 * (getattr(before, name) + getattr(after, name))
        own = getattr(quality, name)
        scale = max(expected, own, 0.05 * max(quality.foreground_px, 1))
        changes.append(abs(own - expected) / scale)
    return float(max(changes))


def summarise(rows: Sequence[FrameQuality]) -> dict[str, Any]:
    """Means over frames, and the share within the limits (compare the paper's "over 88 %" that people accepted)."""
    if not rows:
        return {"frames": 0}
    means = {
        name: round(float(np.mean([getattr(row, name) for row in rows])), 5)
        for name in ("unknown_share", "unseen_share", "removed_share", "flicker", "jump", "disagreement", "doubt")
    }
    return {
        "frames": len(rows),
        "within_limits": round(float(np.mean([row.within_limits for row in rows])), 5),
        "with_object": round(float(np.mean([row.object_px > 0 for row in rows])), 5),
        **means,
    }
