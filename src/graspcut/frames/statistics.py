"""What a labelled data set holds, in the figures of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.label_shares import LabelShares
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import HAND, OBJECT, UNKNOWN


@dataclass
class DatasetStatistics:
    """Counts over frames; `facts` says them.

    Attributes:
        frames, with_hand, interacting: Frames, those with a hand, and those with hand and object.
        hand_px: Hand pixels of each frame with a hand.
        hand_heights_px: Longer side of the hand's bounding box, of each frame with a hand.
        unknown_share: Unknown pixels over labelled ones, of each frame.
        objects: Names of the objects, or of the recordings where objects have none.
        sizes: Sizes of the frames.
    """

    frames: int = 0
    with_hand: int = 0
    interacting: int = 0

    def __post_init__(self) -> None:
        self.hand_px: list[int] = []
        self.hand_heights_px: list[int] = []
        self.unknown_share: list[float] = []
        self._label_counts = np.zeros(256, dtype=np.int64)
        self.objects: set[str] = set()
        self.sizes: set[str] = set()

    def add(self, labelled: LabelledFrame, recording: str) -> None:
        """Counts a frame."""
        self._label_counts += np.bincount(labelled.labels.reshape(-1), minlength=256)
        hand = labelled.labels == HAND
        thing = bool((labelled.labels == OBJECT).any())
        self.frames += 1
        self.sizes.add(f"{labelled.frame.width}x{labelled.frame.height}")
        if hand.any():
            rows, columns = np.flatnonzero(hand.any(axis=1)), np.flatnonzero(hand.any(axis=0))
            self.with_hand += 1
            self.hand_px.append(int(np.count_nonzero(hand)))
            self.hand_heights_px.append(int(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1)
        self.interacting += bool(hand.any() and thing)
        unknown, labelled_px = np.count_nonzero(labelled.labels == UNKNOWN), np.count_nonzero(labelled.labels)
        self.unknown_share.append(float(unknown / labelled_px) if labelled_px else 0.0)
        names = {entry.name for entry in labelled.instance_table if entry.label == OBJECT}
        self.objects |= names or ({f"of {recording or 'this folder'}"} if thing else set())

    def label_shares(self) -> LabelShares:
        """How the pixels' labels are shared out."""
        total = max(int(self._label_counts.sum()), 1)
        return LabelShares(
            self.frames, *(float(self._label_counts[label] / total) for label in (HAND, OBJECT, UNKNOWN))
        )

    def facts(self) -> list[tuple[str, str]]:
        """(what, value) to print."""
        if not self.frames:
            return []
        facts = [("size", ", ".join(sorted(self.sizes))), ("objects", str(len(self.objects)))]
        if self.hand_px:
            facts.append(
                (
                    "hand resolution",
                    f"{np.median(self.hand_px):.0f} px, {np.median(self.hand_heights_px):.0f} px long (medians)",
                )
            )
        facts.append(("frames with a hand", f"{self.with_hand / self.frames:.1%}"))
        facts.append(("object interaction", f"{self.interacting / self.frames:.1%} of the frames"))
        facts.append(("unknown", f"{np.mean(self.unknown_share):.2%} of the labelled pixels"))
        return facts


def read_statistics(
    reader: DatasetReader, progress: Callable[[int], None] | None = None
) -> tuple[DatasetStatistics, list[str]]:
    """Reads every frame once: the statistics, and one line for each bad frame.

    Args:
        reader: The dataset folder.
        progress: Called with the number of frames read so far.
    """
    statistics, faults = DatasetStatistics(), []
    for index, name in enumerate(reader.names):
        try:
            statistics.add(reader[index], str(reader.meta(index).get("recording", "")))
        except FrameError as error:
            faults.append(f"frame {name}: {error}")
        if progress is not None:
            progress(index + 1)
    return statistics, faults
