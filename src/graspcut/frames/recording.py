"""Recordings on disk: the raw streams of a camera, its calibration, unit and timestamps.

Layout: `recording.json` (calibration; written first), `depth/000000.png` (uint16, exactly what the camera gave),
`colour/000000.png` or `.jpg`, and `frames.jsonl` with one line a frame, appended after the frame's files are in place.
A killed recorder therefore leaves every appended frame readable; at most one unfinished line or unlisted file follows,
which reading ignores and `Recording.check` reports.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import make_output_folder, sync_folder, write_bytes_atomically
from graspcut.frames.camera import Camera, CameraLike
from graspcut.frames.depth_values import check_unit, examine_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image
from graspcut.frames.json_files import JsonObject, parse_json, read_json, write_json_atomically
from graspcut.frames.limits import MOST_JSON_BYTES
from graspcut.frames.opening import inside, read_bytes
from graspcut.frames.readers.decoding import decode_image

FORMAT = "graspcut-recording"
VERSION = 1


class RecordingWriter:
    """Appends frames to a new recording; use it as a context manager.

    Args:
        directory: Is made if missing; must not hold a recording unless `resume`.
        camera: Intrinsics of the depth stream; None if unknown.
        depth_unit_mm: Millimetres per step of the raw depth.
        colour_camera: Intrinsics of the colour stream and its place beside the depth camera; None means that colour
            comes registered to the depth pixels.
        colour_format: "png" keeps colour exactly; "jpeg" is several times faster and smaller, for large colour streams.
        resume: Go on after the last whole frame of a recording that was stopped.

    Raises:
        FrameError: If the folder holds a recording already, or one of another camera or unit when resuming.
    """

    def __init__(
        self,
        directory: str | Path,
        camera: Camera | None,
        depth_unit_mm: float,
        colour_camera: Camera | None = None,
        *,
        colour_format: Literal["png", "jpeg"] = "png",
        resume: bool = False,
    ) -> None:
        self.directory = Path(directory)
        self.camera = camera
        self.colour_camera = colour_camera
        self.depth_unit_mm = check_unit(depth_unit_mm)
        self._colour_suffix = {"png": ".png", "jpeg": ".jpg"}[colour_format]
        self._count = 0
        header = {
            "format": FORMAT,
            "version": VERSION,
            "depth_unit_mm": self.depth_unit_mm,
            "camera": camera.to_dict() if camera else None,
            "colour_camera": colour_camera.to_dict() if colour_camera else None,
        }
        if (self.directory / "recording.json").exists():
            self._count = self._continue(header, resume)
        for place in (self.directory, self.directory / "depth", self.directory / "colour"):
            make_output_folder(place)
        write_json_atomically(self.directory / "recording.json", header)
        self._index: BinaryIO | None = (self.directory / "frames.jsonl").open("ab")

    def _continue(self, header: dict[str, Any], resume: bool) -> int:
        if not resume:
            raise FrameError(
                f"{self.directory} already holds a recording; expected a new folder. Give another name, or resume=True "
                "to append."
            )
        present = read_json(self.directory / "recording.json")
        different = sorted(name for name in header if present.get(name) != header[name])
        if different:
            raise FrameError(
                f"{self.directory} was recorded with another {', '.join(different)}; expected the same to append to "
                "it. Record into a new folder."
            )
        entries, rest = _read_index(self.directory)
        damaged = next((entry for entry in entries if isinstance(entry, FrameError)), None)
        if damaged is not None:
            raise damaged
        if rest:
            path = self.directory / "frames.jsonl"
            write_bytes_atomically(path, path.read_bytes()[: -len(rest)])
        return len(entries)

    def __len__(self) -> int:
        return self._count

    def append(
        self,
        depth_raw: NDArray[np.uint16],
        colour: NDArray[np.uint8] | None = None,
        timestamp_s: float | None = None,
    ) -> None:
        """Adds one frame; when it returns, the frame survives the end of this process.

        Args:
            depth_raw: (H, W) uint16 as the camera gave it, in steps of the recording's unit, 0 = no data.
            colour: (H', W', 3) uint8 RGB, or None.
            timestamp_s: Seconds, from any fixed origin, or None.

        Raises:
            FrameError: If the arrays are not what the recording's cameras give.
            OSError: If the disk is full.
        """
        if self._index is None:
            raise FrameError(
                f"the recording {self.directory} is closed; append before close() or inside the with block."
            )
        if not isinstance(depth_raw, np.ndarray) or depth_raw.dtype != np.uint16:
            came = depth_raw.dtype if isinstance(depth_raw, np.ndarray) else type(depth_raw).__name__
            raise FrameError(
                f"raw depth came as {came}; expected uint16 exactly as the camera gives it. Do not convert to "
                "millimetres before recording; the unit is stored beside the frames."
            )
        # Making a frame checks shapes and cameras. Whether the distances are plausible is for the reader to say: a hand
        # over the lens must not end a recording.
        Frame(depth_raw.astype(np.float32), self.camera, colour, self.colour_camera, timestamp_s, notes=())
        name = f"{self._count:06d}"
        entry: dict[str, Any] = {"timestamp_s": timestamp_s}
        entry["depth"] = self._write("depth", name, ".png", depth_raw)
        if colour is not None:
            entry["colour"] = self._write("colour", name, self._colour_suffix, colour)
        self._index.write((json.dumps(entry) + "\n").encode())
        self._index.flush()
        self._count += 1

    def _write(self, folder: str, name: str, suffix: str, image: NDArray[Any]) -> dict[str, Any]:
        data = encode_image(image, suffix, name=f"{folder} {name}")
        # Waiting for the disk at every frame is slower than cameras are; the checksum tells what a power cut took.
        write_bytes_atomically(self.directory / folder / f"{name}{suffix}", data, sync=False)
        return {"file": f"{folder}/{name}{suffix}", "bytes": len(data), "crc32": zlib.crc32(data)}

    def close(self) -> None:
        """Closes the index; further `append` calls fail. Safe to call twice."""
        if self._index is not None:
            os.fsync(self._index.fileno())
            self._index.close()
            self._index = None
            for folder in (self.directory / "depth", self.directory / "colour", self.directory):
                sync_folder(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Recording(Sequence[Frame]):
    """Reads a recording, also one whose recorder was killed or is still running.

    Args:
        directory: The folder.
        depth_unit_mm: May be left out; must otherwise be the recorded unit.
        camera: Intrinsics of the depth stream for a recording that has none.

    Attributes:
        names: One name a frame, in order.
        timestamps_s: One number or None a frame.

    Raises:
        FrameError: If the folder is no recording, or was recorded in another unit.
    """

    def __init__(
        self, directory: str | Path, *, depth_unit_mm: float | None = None, camera: CameraLike | None = None
    ) -> None:
        self.directory = Path(directory)
        header = JsonObject.read(self.directory / "recording.json")
        if header.get("format", None) != FORMAT or header.get("version", None) != VERSION:
            raise FrameError(
                f"{header.place} has format {header.shown('format')} version {header.shown('version')}; "
                f"expected {FORMAT!r} version {VERSION}. Open it with the version of GraspCut that recorded it."
            )
        self.depth_unit_mm = header.number("depth_unit_mm", above=0)
        recorded = _camera_of(header, "camera")
        self.colour_camera = _camera_of(header, "colour_camera")
        if depth_unit_mm is not None and abs(depth_unit_mm - self.depth_unit_mm) > 1e-6 * self.depth_unit_mm:
            raise FrameError(
                f"{self.directory} was recorded with a depth unit of {self.depth_unit_mm:g} mm, but {depth_unit_mm:g} "
                "mm came. Leave the unit out."
            )
        self._entries, self._rest = _read_index(self.directory)
        self.camera = recorded or (camera if isinstance(camera, Camera) else None)
        self._given_camera = camera
        self.names = [f"{number:06d}" for number in range(len(self._entries))]
        self.timestamps_s: list[float | None] = [
            None if isinstance(entry, FrameError) else entry.timestamp_s for entry in self._entries
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        """Frame `index` in millimetres; a slice reads all of its frames at once.

        Raises:
            FrameError: If its files are missing or damaged.
        """
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        raw = self.read_raw_depth(index)
        entry = self._entry(index)
        colour = self._read(entry.colour) if entry.colour is not None else None
        camera = self.camera
        if camera is None and self._given_camera is not None:
            camera = Camera.of(self._given_camera, raw.shape[1], raw.shape[0])
        examined = examine_depth(raw, self.depth_unit_mm)
        return Frame(
            examined.depth_mm,
            camera,
            colour,
            self.colour_camera if colour is not None else None,
            entry.timestamp_s,
            self.names[index],
            examined.notes,
        )

    @cached_property
    def files(self) -> list[Path]:
        """The depth file of each frame; the index where an entry is damaged or names a file outside."""
        return [self._depth_file(entry) for entry in self._entries]

    def _depth_file(self, entry: _Entry | FrameError) -> Path:
        try:
            if isinstance(entry, FrameError):
                raise entry
            return inside(self.directory, entry.depth.file, named_by=entry.depth.named_by)
        except FrameError:
            return self.directory / "frames.jsonl"

    def read_raw_depth(self, index: int) -> NDArray[np.uint16]:
        """(H, W) uint16 exactly as appended, in steps of `depth_unit_mm`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} was asked for; {self.directory} has {len(self)} frames")
        image = self._read(self._entry(index).depth)
        if image.dtype != np.uint16:
            raise FrameError(f"{self.directory}, frame {index}: depth is {image.dtype}; expected the recorded uint16.")
        return image

    def encoded_images(self, index: int) -> dict[str, bytes]:
        """The PNG files of depth and colour of frame `index` as they are, for copying; other formats are left out."""
        entry = self._entry(index)
        files = {"depth": entry.depth, "colour": entry.colour}
        return {
            kind: read_bytes(inside(self.directory, stored.file, named_by=stored.named_by))
            for kind, stored in files.items()
            if stored is not None and stored.file.endswith(".png")
        }

    def _entry(self, index: int) -> _Entry:
        entry = self._entries[index]
        if isinstance(entry, FrameError):
            raise entry
        return entry

    def _read(self, stored: _StoredFile) -> NDArray[Any]:
        path = inside(self.directory, stored.file, named_by=stored.named_by)
        data = read_bytes(path)
        if len(data) != stored.size or zlib.crc32(data) != stored.crc32:
            raise FrameError(
                f"{path} has {len(data)} bytes that are not those recorded ({stored.size} bytes, checksum "
                f"{stored.crc32:08x}); expected the unchanged file. Restore it from a copy or leave the frame out."
            )
        return decode_image(data, str(path))

    def check(self) -> list[str]:
        """Reads every file and returns one line for each fault; empty = whole and nothing left over."""
        faults = []
        if self._rest:
            faults.append(
                f"frames.jsonl ends with {len(self._rest)} bytes of an unfinished line: the recorder was stopped"
            )
        last = -math.inf
        for index in range(len(self)):
            try:
                frame = self[index]
            except FrameError as error:
                faults.append(f"frame {self.names[index]}: {error}")
                continue
            if frame.timestamp_s is not None:
                if frame.timestamp_s < last:
                    faults.append(f"frame {self.names[index]}: time runs back from {last} to {frame.timestamp_s} s")
                last = frame.timestamp_s
        listed = {
            stored.file
            for entry in self._entries
            if isinstance(entry, _Entry)
            for stored in (entry.depth, entry.colour)
            if stored is not None
        }
        for folder in ("depth", "colour"):
            for path in sorted((self.directory / folder).glob("*")):
                if f"{folder}/{path.name}" not in listed:
                    faults.append(f"{folder}/{path.name} is not in the index: the recorder was stopped too early")
        return faults


@dataclass(frozen=True)
class _StoredFile:
    """A file that the index names: its content is checked when it is read."""

    file: str
    size: int
    crc32: int
    named_by: str


@dataclass(frozen=True)
class _Entry:
    """One line of the index."""

    depth: _StoredFile
    colour: _StoredFile | None
    timestamp_s: float | None


def _read_index(directory: Path) -> tuple[list[_Entry | FrameError], bytes]:
    """The whole lines of frames.jsonl, with the reason in place of a bad one, and what follows them."""
    path = directory / "frames.jsonl"
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        # Stopped between writing the header and the first frame: a recording of no frames.
        return [], b""
    data = read_bytes(path, what="index of frames", most=MOST_JSON_BYTES)
    whole, newline, rest = data.rpartition(b"\n")
    entries: list[_Entry | FrameError] = []
    for number, line in enumerate(whole.split(b"\n") if newline else [], 1):
        place = f"{path}, line {number}"
        try:
            entries.append(_entry(JsonObject(parse_json(line, place), place)))
        except FrameError as error:
            reason = str(error).removeprefix(place).lstrip(": ")
            entries.append(
                FrameError(
                    f"{place} is damaged ({reason}); expected one JSON object a frame. Restore the file from a copy, "
                    "or leave the frame out."
                )
            )
    return entries, rest


def _entry(line: JsonObject) -> _Entry:
    colour = _stored(line, "colour") if "colour" in line else None
    return _Entry(_stored(line, "depth"), colour, line.number("timestamp_s", None))


def _stored(line: JsonObject, kind: str) -> _StoredFile:
    stored = line.nested(kind)
    return _StoredFile(stored.text("file"), stored.whole("bytes"), stored.whole("crc32", most=2**32 - 1), stored.place)


def _camera_of(header: JsonObject, name: str) -> Camera | None:
    if header.get(name) is None:
        return None
    try:
        return Camera.from_dict(header.get(name))
    except FrameError as error:
        raise FrameError(f"{header.place}: the field {name!r}: {error}") from error
