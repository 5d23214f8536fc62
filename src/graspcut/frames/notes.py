"""What was assumed, mended or is doubtful about a frame, so that a command can say it in one line for all frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

DOUBT: Final = "doubt"
"""Kind of notes that say that a frame's numbers are probably not what they were taken for."""


@dataclass(frozen=True)
class Note:
    """One thing to know about one frame.

    Attributes:
        kind: Notes of one kind are said together: "no data", "unit", "doubt", "byte order", ...
        text: A sentence without a full stop, without the file's name.
    """

    kind: str
    text: str


def summarised(notes: Iterable[Note]) -> list[str]:
    """One line for each kind of note, in the order in which the kinds appeared: the first text, and how many frames had
    a note of its kind.

    Args:
        notes: Of any number of frames.
    """
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for note in notes:
        first.setdefault(note.kind, note.text)
        counts[note.kind] = counts.get(note.kind, 0) + 1
    return [
        text if counts[kind] == 1 else f"{text} (the first of {counts[kind]} frames of this kind)"
        for kind, text in first.items()
    ]
