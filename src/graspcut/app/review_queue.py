"""Which frame a reviewer sees next, and what is done to its labels. All of it is on the disk when a call returns."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.carrying import ORIGINALS_FOLDER, carried_labels
from graspcut.frames.alignment import registered
from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image
from graspcut.frames.json_files import read_json
from graspcut.frames.labelled import check_labels
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.verdicts import Verdict, VerdictStore

_LEASE_S = 600.0
_KEPT_CARRIES = 20
_SPEED_WINDOW_S = 600.0


class ReviewQueue:
    """The frames of a dataset folder under review; may be called from several threads.

    Args:
        folder: The dataset folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.reader = DatasetReader(folder)
        if self.reader.is_plain:
            raise FrameError(f"{folder} is a plain folder of images; expected a dataset folder (dataset.json).")
        self.positions = {name: index for index, name in enumerate(self.reader.names)}
        self.quality = _quality(self.reader)
        self.order = sorted(self.reader.names, key=lambda name: (-self.doubt(name), name))
        self.store = VerdictStore(folder)
        self._current = self.store.current()
        self._leases: dict[str, tuple[str, float]] = {}
        self._carries: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def doubt(self, name: str) -> float:
        """How doubtful the annotation was of this frame; 0 without figures."""
        return float(self.quality.get(name, {}).get("doubt", 0.0))

    def next_frame(self, reviewer: str, skip: str | None = None) -> str | None:
        """The most doubtful frame without verdict that no other reviewer has before them.

        Args:
            reviewer: Who asks.
            skip: Comes last: the frame that the reviewer does not want now.
        """
        now = time.monotonic()
        with self._lock:
            free = None
            start = self.order.index(skip) + 1 if skip in self.positions and skip is not None else 0
            for name in [*self.order[start:], *self.order[:start]]:
                owner, since = self._leases.get(name, (reviewer, now))
                taken = owner != reviewer and now - since < _LEASE_S
                if name not in self._current and not taken:
                    free = name
                    break
            # A reviewer holds one frame and the one that is fetched ahead.
            mine = [name for name, (owner, _) in self._leases.items() if owner == reviewer]
            for name in mine[:-2]:
                del self._leases[name]
            if free is not None:
                self._leases[free] = (reviewer, now)
            return free

    def judge(self, identity: str, frame: str, verdict: str, reviewer: str) -> bool:
        """Stores a verdict; False if this very one is stored already."""
        self._index(frame)
        with self._lock:
            is_new = self.store.add(identity, frame, verdict, reviewer)
            self._current[frame] = Verdict(identity, frame, verdict, reviewer, time.time())
            self._leases.pop(frame, None)
            return is_new

    def take_back(self, identity: str) -> bool:
        """Undoes a verdict; False if there is none of this id."""
        with self._lock:
            removed = self.store.remove(identity)
            self._current = self.store.current()
            return removed

    def progress(self) -> dict[str, Any]:
        """Counts and the speed of the last ten minutes, over all reviewers."""
        with self._lock:
            verdicts = list(self._current.values())
        recent = [verdict.time_s for verdict in verdicts if time.time() - verdict.time_s < _SPEED_WINDOW_S]
        minutes = max(time.time() - min(recent), 5.0) / 60 if recent else 1.0
        return {
            "frames": len(self.reader),
            "reviewed": len(verdicts),
            "accepted": sum(verdict.verdict == "accept" for verdict in verdicts),
            "frames_per_minute": round(len(recent) / minutes, 1),
            "reviewers": sorted({verdict.reviewer for verdict in verdicts}),
        }

    def describe(self, name: str) -> dict[str, Any]:
        """What the page says about a frame."""
        depth, labels = self.reader.read_depth_and_labels(self._index(name))
        verdict = self._current.get(name)
        meta = self.reader.meta(self.positions[name])
        return {
            "frame": name,
            "width": labels.shape[1],
            "height": labels.shape[0],
            "has_colour": "colour" in meta.get("files", []),
            "farthest_mm": float(depth.max()),
            "doubt": self.doubt(name),
            "quality": self.quality.get(name, {}),
            "verdict": None if verdict is None else verdict.verdict,
            "position": self.order.index(name),
        }

    def depth_bytes(self, name: str) -> bytes:
        """Tenths of a millimetre, uint16 little-endian, row after row; 6.5 m and more become the largest number."""
        depth, _ = self.reader.read_depth_and_labels(self._index(name))
        return np.clip(np.rint(depth * 10), 0, 65535).astype("<u2").tobytes()

    def label_bytes(self, name: str) -> bytes:
        """The label map, a byte a pixel, row after row."""
        return self.reader.read_labels(self._index(name)).tobytes()

    def colour_bytes(self, name: str) -> bytes | None:
        """Colour at the depth pixels as JPEG; None without colour."""
        frame = self.reader[self._index(name)].frame
        if frame.colour is None:
            return None
        colour = registered(frame).colour
        assert colour is not None
        return encode_image(colour, ".jpg", name=name)

    def save_labels(self, name: str, data: bytes) -> None:
        """Replaces a label map; the one before the review is kept aside the first time.

        Raises:
            FrameError: If it has another size or other values than labels have.
        """
        index = self._index(name)
        shape = self.reader.read_labels(index).shape
        if len(data) != shape[0] * shape[1]:
            raise FrameError(
                f"a mask of {len(data)} bytes came for {shape[1]}x{shape[0]} pixels; expected a byte a pixel."
            )
        labels = np.frombuffer(data, dtype=np.uint8).reshape(shape)
        check_labels(labels, shape)
        with self._lock:
            self._write(name, labels)

    def carry(self, identity: str, name: str, count: int) -> list[str]:
        """Applies this frame's corrections to the following frames of its recording, along the flow.

        Args:
            identity: To undo it by; one that was used already does nothing.
            name: The corrected frame.
            count: At most so many frames.

        Returns:
            The frames that changed.
        """
        index = self._index(name)
        with self._lock:
            if identity in self._carries:
                return sorted(self._carries[identity])
            before = self._original(name)
            changed = carried_labels(self.reader, index, before, count)
            self._carries[identity] = {
                self.reader.names[number]: self.reader.encoded_label(number) for number in changed
            }
            while len(self._carries) > _KEPT_CARRIES:
                self._carries.popitem(last=False)
            for number, labels in changed.items():
                self._write(self.reader.names[number], labels)
            return [self.reader.names[number] for number in changed]

    def carry_back(self, identity: str) -> bool:
        """Undoes `carry`; False if it is too long ago."""
        with self._lock:
            labels = self._carries.pop(identity, {})
            for name, data in labels.items():
                write_bytes_atomically(self._label_path(name), data)
            return bool(labels)

    def _original(self, name: str) -> NDArray[np.uint8]:
        path = self.reader.directory / ORIGINALS_FOLDER / f"{name}.png"
        if not path.exists():
            return self.reader.read_labels(self.positions[name])
        return np.asarray(decode_image(path.read_bytes(), str(path)), dtype=np.uint8)

    def _write(self, name: str, labels: NDArray[np.uint8]) -> None:
        originals = self.reader.directory / ORIGINALS_FOLDER
        originals.mkdir(exist_ok=True)
        if not (originals / f"{name}.png").exists():
            write_bytes_atomically(originals / f"{name}.png", self.reader.encoded_label(self.positions[name]))
        write_bytes_atomically(self._label_path(name), encode_image(labels, ".png", name=name))

    def _label_path(self, name: str) -> Path:
        return self.reader.directory / "label" / f"{name}.png"

    def _index(self, name: str) -> int:
        if name not in self.positions:
            raise KeyError(name)
        return self.positions[name]


def _quality(reader: DatasetReader) -> dict[str, dict[str, Any]]:
    path = reader.directory / "quality.json"
    if not path.exists():
        return {}
    frames = read_json(path).get("frames", [])
    return {str(row["name"]): row for row in frames if isinstance(row, dict) and "name" in row}
