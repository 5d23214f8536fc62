"""Frames from whatever is on disk: a file, a folder of images, a recording, a dataset.

`open_source` opens one path, `find_frames` turns a command's inputs into one list whose frames are read when they are
needed.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, CameraLike
from graspcut.frames.dataset import FORMAT as DATASET_FORMAT
from graspcut.frames.dataset import DatasetReader, is_unfinished
from graspcut.frames.depth_values import check_unit, examine_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.folders import (
    DEPTH_SUFFIXES,
    Content,
    choose_frames,
    colours_beside,
    content_of,
    depth_folder_below,
    is_ours,
)
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_colour
from graspcut.frames.notes import Note
from graspcut.frames.readers.arrays import ARRAY_SUFFIXES, ArrayFile
from graspcut.frames.readers.foreign import how_to_convert
from graspcut.frames.readers.pictures import count_pages, read_picture
from graspcut.frames.readers.raw_depth import RawDepth
from graspcut.frames.recording import FORMAT as RECORDING_FORMAT
from graspcut.frames.recording import Recording

_LONGEST_FILE_NAME_BYTES = 255
# Of ".png", as results end.
_ENDING_BYTES = 4


class Source(Protocol):
    """A sequence of frames with a name for each; frames are read when they are asked for."""

    @property
    def names(self) -> Sequence[str]:
        """One name a frame, in order, fit for file names."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """The file that each frame's depth is read from."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Frame: ...

    def __iter__(self) -> Iterator[Frame]: ...


class DepthFiles(Sequence[Frame]):
    """Depth files, each of one frame or of several (pages of a TIFF file, a numpy stack), with registered colour.

    A numpy archive holds `depth` in steps of its own `depth_unit_mm` (or of the unit given), or `depth_mm`; optionally
    a matrix `K` and `colour`, uint8 RGB registered to depth, of the same leading shape.

    Args:
        files: In order.
        colours: One colour file or None for each.
        depth_unit_mm: Millimetres per step; needed for whole numbers without a unit in the file.
        camera: Intrinsics of the depth pixels where the file has none; None if unknown.
        left_out: What else lay in the folder, in one line.

    Attributes:
        names: One name a frame, in order.
        files: The file of each frame.
        colours: The colour file of each frame, or None.
        left_out: As given.

    A file that cannot be opened is one frame that raises when it is read.
    """

    def __init__(
        self,
        files: Sequence[Path],
        colours: Sequence[Path | None],
        depth_unit_mm: float | None,
        camera: CameraLike | None,
        left_out: str = "",
    ) -> None:
        self._unit_mm = None if depth_unit_mm is None else check_unit(depth_unit_mm)
        self._camera = camera
        self.left_out = left_out
        self.names: list[str] = []
        self.files: list[Path] = []
        self.colours: list[Path | None] = []
        self._places: list[tuple[Path, Path | None, int]] = []
        # The last numpy file stays open: reading the frames of a stack in turn opens it once.
        self._opened: tuple[Path, ArrayFile] | None = None
        owners: dict[str, Path] = {}
        for path in sorted(files, key=_by_kind):
            owners.setdefault(path.stem, path)
        for path, colour in zip(files, colours, strict=True):
            # x.pgm beside x.png: one of them keeps the stem, the other its whole name.
            stem = path.stem if owners[path.stem] == path else path.name
            count, is_stack = self._count(path)
            self.names += [f"{stem}_{number:06d}" for number in range(count)] if is_stack else [stem]
            self.files += [path] * count
            self.colours += [colour] * count
            self._places += [(path, colour, number) for number in range(count)]

    def _count(self, path: Path) -> tuple[int, bool]:
        try:
            if path.suffix.lower() in ARRAY_SUFFIXES:
                opened = self._array(path)
                return len(opened), opened.is_stack
            count = count_pages(path)
        except FrameError:
            return 1, False
        return count, count > 1

    def _array(self, path: Path) -> ArrayFile:
        opened = self._opened
        if opened is None or opened[0] != path:
            opened = (path, ArrayFile(path))
            self._opened = opened
        return opened[1]

    def __len__(self) -> int:
        return len(self._places)

    def raw(self, index: int) -> RawDepth:
        """Frame `index` as the file stores it, before any unit is applied.

        Raises:
            FrameError: If the file is missing, damaged or no depth image; it names the file.
        """
        path, _, number = self._places[index]
        try:
            if path.suffix.lower() in ARRAY_SUFFIXES:
                return self._array(path).read(number)
            return read_picture(path, number)
        except FrameError as error:
            raise _naming(path, error) from error

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        """Reads a frame; raises `FrameError` naming the file if it is missing, damaged or no depth image."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        path, colour_path, _ = self._places[index]
        raw = self.raw(index)
        try:
            unit = raw.unit_mm if raw.unit_mm is not None else self._unit_mm
            examined = examine_depth(raw.values, unit, no_data_from=raw.no_data_from)
            height, width = examined.depth_mm.shape
            camera = raw.camera if raw.camera is not None else self._camera
            colour, notes = raw.colour, [*raw.notes, *examined.notes]
            if colour is None and colour_path is not None:
                colour = _registered(colour_path, (height, width), notes)
            return Frame(
                examined.depth_mm,
                None if camera is None else Camera.of(camera, width, height),
                colour,
                name=self.names[index],
                notes=tuple(notes),
            )
        except FrameError as error:
            raise _naming(path, error) from error


def _by_kind(path: Path) -> int:
    suffix = path.suffix.lower()
    return DEPTH_SUFFIXES.index(suffix) if suffix in DEPTH_SUFFIXES else len(DEPTH_SUFFIXES)


def _naming(path: Path, error: FrameError) -> FrameError:
    return error if str(error).startswith(str(path)) else FrameError(f"{path}: {error}")


def _registered(path: Path, shape: tuple[int, int], notes: list[Note]) -> NDArray[np.uint8] | None:
    """Colour of the depth's own size; anything else is not registered to it, and not needed to read the depth."""
    try:
        colour = read_colour(path)
    except FrameError as error:
        notes.append(Note("colour", f"the colour was left out: {error}".rstrip(".")))
        return None
    if colour.shape[:2] == shape:
        return colour
    size = f"{colour.shape[1]}x{colour.shape[0]}"
    notes.append(Note("colour", f"the colour was left out: its {size} pixels are not those of the depth"))
    return None


class DatasetFrames(Sequence[Frame]):
    """The frames of a dataset folder without their ground truth."""

    def __init__(self, reader: DatasetReader) -> None:
        self.reader = reader
        self.names = reader.names
        self.files = [reader.directory / "depth" / f"{name}.png" for name in reader.names]

    def __len__(self) -> int:
        return len(self.reader)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        """The frame of entry `index`; raises `FrameError` if a file is damaged."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self.reader[index].frame


def open_source(path: str | Path, *, depth_unit_mm: float | None = None, camera: CameraLike | None = None) -> Source:
    """Opens a depth image (PNG, TIFF, PGM, PFM, EXR), a numpy file, a folder of these, a recording or a dataset folder.

    `folders.choose_frames` says which files of a folder are depth. Whatever else it holds is left out; the attribute
    `left_out` of the source says what. Names sort with their numbers as numbers.

    Args:
        path: File or folder.
        depth_unit_mm: Millimetres per step of whole numbers; recordings and datasets know their own.
        camera: Intrinsics of the depth pixels where the source has none: a Camera, (fx, fy, cx, cy), a matrix K.

    Raises:
        FrameError: If the path does not exist or holds nothing of the kind.
    """
    place = Path(path)
    if place.is_dir():
        return _open_folder(place, depth_unit_mm, camera)
    suffix = place.suffix.lower()
    if not place.exists():
        if place.is_symlink():
            raise FrameError(f"{place} is a link to a file that does not exist; expected a depth image or numpy file.")
        raise FrameError(f"{place} does not exist; expected a depth image, numpy file, folder, recording or dataset.")
    if suffix not in DEPTH_SUFFIXES and content_of(place) not in (Content.DEPTH, Content.COLOUR, Content.GREY):
        how = how_to_convert(place)
        raise FrameError(
            f"{place} ends in {suffix or 'nothing'}; expected {', '.join(DEPTH_SUFFIXES)} or a folder. "
            + (f"It seems to be {how}." if how else "Export 16-bit PNG from the camera's own program.")
        )
    if suffix in (".jpg", ".jpeg", ".bmp", ".ppm", ".webp"):
        raise FrameError(
            f"{place} ends in {suffix}; expected {', '.join(DEPTH_SUFFIXES)}. It is {how_to_convert(place)}."
        )
    if suffix in ARRAY_SUFFIXES:
        ArrayFile(place)
    return DepthFiles([place], [None], depth_unit_mm, camera)


def _open_folder(folder: Path, depth_unit_mm: float | None, camera: CameraLike | None) -> Source:
    if is_ours(folder / "recording.json", RECORDING_FORMAT):
        return Recording(folder, depth_unit_mm=depth_unit_mm, camera=camera)
    if is_ours(folder / "dataset.json", DATASET_FORMAT) or is_unfinished(folder):
        return DatasetFrames(DatasetReader(folder, depth_unit_mm=depth_unit_mm, camera=camera))
    found = choose_frames(folder)
    if not any(content_of(path) is Content.DEPTH for path in found.files[:50]):
        below = depth_folder_below(folder)
        if below is not None:
            inner = choose_frames(below)
            if inner.files:
                beside = colours_beside(inner.files, folder)
                colours = [own or other for own, other in zip(inner.colours, beside, strict=True)]
                return DepthFiles(inner.files, colours, depth_unit_mm, camera, inner.left_out)
    if not found.files:
        hint = f" What is there was {found.left_out}; if it is depth, give the files themselves."
        raise FrameError(
            f"{folder} holds no depth images; expected {', '.join(DEPTH_SUFFIXES)} files, a recording (recording.json) "
            "or a dataset (dataset.json). Check the path; folders inside folders are not searched, except depth/."
            + (hint if found.left_out else "")
        )
    return DepthFiles(found.files, found.colours, depth_unit_mm, camera, found.left_out)


@dataclass(frozen=True)
class FoundFrame:
    """One frame of a command's inputs, not read yet.

    Attributes:
        name: Unique among the found frames, fit for file names.
        source: Where it comes from.
        index: Its number in the source.
        origin: The file or folder that was given.
    """

    name: str
    source: Source
    index: int
    origin: Path

    @property
    def file(self) -> Path:
        """The file that the frame's depth is read from."""
        return self.source.files[self.index]

    def load(self) -> Frame:
        """Reads the frame.

        Raises:
            FrameError: If it is bad, whatever its reader made of it, so that a command can go on to the next.
        """
        try:
            return self.source[self.index]
        except ValueError:  # a FrameError among others
            raise
        except Exception as error:
            raise FrameError(f"{self.name}: {type(error).__name__}: {error}") from error


def _open_or_postpone(path: Path, depth_unit_mm: float | None, camera: CameraLike | None) -> Source:
    """The source, or for a damaged numpy file one that raises when read, so that it does not stop the others."""
    try:
        return open_source(path, depth_unit_mm=depth_unit_mm, camera=camera)
    except FrameError:
        if path.is_file() and path.suffix.lower() in ARRAY_SUFFIXES:
            return DepthFiles([path], [None], depth_unit_mm, camera)
        raise


def _short_enough(name: str, most_bytes: int) -> str:
    """The name, or a shortened one that still is unique: file names have at most 255 bytes, endings included."""
    data = os.fsencode(name)
    if len(data) <= most_bytes:
        return name
    kept = data[: most_bytes - 9].decode("utf-8", "ignore")
    return f"{kept}-{zlib.crc32(data):08x}"


def find_frames(
    inputs: Iterable[str | Path],
    *,
    depth_unit_mm: float | None = None,
    camera: CameraLike | None = None,
    ending_bytes: int = _ENDING_BYTES,
) -> list[FoundFrame]:
    """All frames of several files and folders, in the order given.

    Names are those of the sources; where two would be equal, the folder's name is put before them, then a number.

    Args:
        inputs: Whatever `open_source` opens.
        depth_unit_mm, camera: As for `open_source`.
        ending_bytes: What results add to a name: names that would become too long for a file are shortened.

    Raises:
        FrameError: If an input does not exist or is nothing that holds frames, or there are none at all. A file that
            turns out bad when read raises in `FoundFrame.load`.
    """
    most_bytes = _LONGEST_FILE_NAME_BYTES - ending_bytes
    places = [Path(entry) for entry in inputs]
    sources = [_open_or_postpone(place, depth_unit_mm, camera) for place in places]
    counts = Counter(name for source in sources for name in source.names)
    found: list[FoundFrame] = []
    taken: set[str] = set()
    for place, source in zip(places, sources, strict=True):
        folder = place.resolve().name if place.is_dir() else place.resolve().parent.name
        for index, name in enumerate(source.names):
            unique = _short_enough(f"{folder}_{name}" if counts[name] > 1 else name, most_bytes)
            number = 2
            while unique in taken:
                unique = _short_enough(f"{folder}_{name}_{number}", most_bytes)
                number += 1
            taken.add(unique)
            found.append(FoundFrame(unique, source, index, place))
    if not found:
        raise FrameError("no frames came; expected at least one depth image, numpy file, folder, recording or dataset.")
    return found
