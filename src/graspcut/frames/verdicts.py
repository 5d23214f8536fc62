"""What reviewers said about the frames of a dataset folder: one SQLite file in it, `review.sqlite`.

Every verdict is on the disk when `add` returns. A verdict carries an id of its own, made by the page that sends it:
sent twice, because an answer was lost, it counts once. The last verdict on a frame is the one that holds.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graspcut.frames.errors import FrameError

VERDICTS_NAME = "review.sqlite"
VERDICTS = ("accept", "discard")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    frame TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'discard')),
    reviewer TEXT NOT NULL,
    time_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS verdicts_by_frame ON verdicts (frame);
"""


@dataclass(frozen=True)
class Verdict:
    """One verdict: frame, "accept" or "discard", reviewer, and when (seconds since 1970)."""

    id: str
    frame: str
    verdict: str
    reviewer: str
    time_s: float


class VerdictStore:
    """The verdicts of one dataset folder; may be used from several threads and processes.

    Args:
        folder: The dataset folder.

    Raises:
        FrameError: If the file is there and is no such store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / VERDICTS_NAME
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(self.path, timeout=20, check_same_thread=False)
            # A verdict that was answered must survive a power cut.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise FrameError(
                f"{self.path} cannot be opened as review database ({error}); restore it or move it."
            ) from error

    def add(self, identity: str, frame: str, verdict: str, reviewer: str) -> bool:
        """Stores a verdict; returns False if one of this id is stored already.

        Raises:
            FrameError: If the verdict is none, or names are empty.
        """
        if verdict not in VERDICTS or not identity or not frame:
            raise FrameError(f"verdict {verdict!r} on frame {frame!r} came; expected one of {', '.join(VERDICTS)}.")
        with self._lock, self._connection:
            found = self._connection.execute(
                "INSERT OR IGNORE INTO verdicts (id, frame, verdict, reviewer, time_s) VALUES (?, ?, ?, ?, ?)",
                (identity, frame, verdict, reviewer, time.time()),
            )
            return found.rowcount == 1

    def remove(self, identity: str) -> bool:
        """Takes a verdict back (undo); False if there is none of this id."""
        with self._lock, self._connection:
            return self._connection.execute("DELETE FROM verdicts WHERE id = ?", (identity,)).rowcount == 1

    def all(self) -> list[Verdict]:
        """Every verdict ever given and not taken back, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, frame, verdict, reviewer, time_s FROM verdicts ORDER BY number"
            ).fetchall()
        return [Verdict(*row) for row in rows]

    def current(self) -> dict[str, Verdict]:
        """The verdict that holds for each frame: the last one."""
        return {verdict.frame: verdict for verdict in self.all()}

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


def accepted_frames(folder: str | Path, names: Sequence[str]) -> list[str] | None:
    """The accepted ones of the named frames, in their order; None if nobody reviewed the folder."""
    if not (Path(folder) / VERDICTS_NAME).exists():
        return None
    store = VerdictStore(folder)
    try:
        current = store.current()
    finally:
        store.close()
    if not current:
        return None
    return [name for name in names if name in current and current[name].verdict == "accept"]
