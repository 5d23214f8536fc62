"""One depth image as a file stores it, with what the file says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from graspcut.frames.notes import Note


@dataclass(frozen=True, eq=False)
class RawDepth:
    """Numbers of a file before any unit is applied.

    Attributes:
        values: (H, W) numbers as stored.
        unit_mm: Millimetres per step if the file says it.
        no_data_from: Numbers of at least this are no data, by the file's own word.
        camera: Intrinsics if the file has them: (fx, fy, cx, cy), a K matrix, or the entries of a camera file.
        colour: Registered colour if the file has it, unchecked.
        notes: What was done to get the numbers.
    """

    values: NDArray[Any]
    unit_mm: float | None = None
    no_data_from: float | None = None
    camera: Any = None
    colour: NDArray[Any] | None = None
    notes: tuple[Note, ...] = ()
