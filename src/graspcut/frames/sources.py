"""Frames from whatever is on disk: a file, a folder of images, a recording, a dataset.

`open_source` opens one path, `find_frames` turns a command's inputs into one list whose frames are read when they are
needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, read_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth, check_unit
from graspcut.frames.images import read_colour
from graspcut.frames.recording import Recording

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".pgm")
ARRAY_SUFFIXES = (".npy", ".npz")
_COLOUR_NAMES = ("colour", "color", "rgb")


class Source(Protocol):
    """A sequence of frames with a name for each; frames are read when they are asked for."""

    @property
    def names(self) -> Sequence[str]:
        """One name a frame, in order, fit for file names."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Frame: ...

    def __iter__(self) -> Iterator[Frame]: ...


class ImageFiles(Sequence[Frame]):
    """Depth image files, with colour registered to depth where a file pairs up.

    Args:
        files: Depth files, in order.
        colours: One colour file or None for each.
        depth_unit_mm: Millimetres per step.
        camera: Intrinsics of the depth pixels, or None if unknown.
    """

    def __init__(
        self,
        files: Sequence[Path],
        colours: Sequence[Path | None],
        depth_unit_mm: float | None,
        camera: Camera | None,
    ) -> None:
        self._files = list(files)
        self._colours = list(colours)
        self._unit_mm = None if depth_unit_mm is None else check_unit(depth_unit_mm)
        self._camera = camera
        self.names = [path.stem for path in self._files]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        """Reads a frame; raises `FrameError` naming the file if it is missing, damaged or no depth image."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        path, colour_path = self._files[index], self._colours[index]
        depth = read_depth(path, self._unit_mm)
        colour = read_colour(colour_path) if colour_path else None
        return Frame(depth, self._camera, colour, name=self.names[index])


class ArrayFile(Sequence[Frame]):
    """A numpy file: one depth image (H, W) or a stack (n, H, W).

    A .npz file holds `depth` in steps of its own `depth_unit_mm` (or of the unit given), or `depth_mm`; optionally
    `colour`, uint8 RGB registered to depth, of the same leading shape.

    Args:
        path: The file.
        depth_unit_mm: Millimetres per step; needed for whole numbers without a unit in the file.
        camera: Intrinsics of the depth pixels, or None if unknown.

    Raises:
        FrameError: If the file is damaged, holds Python objects, or has no depth.
    """

    def __init__(self, path: Path, depth_unit_mm: float | None, camera: Camera | None) -> None:
        self._path = path
        self._camera = camera
        self._unit_mm = None if depth_unit_mm is None else check_unit(depth_unit_mm)
        self._colour: NDArray[Any] | None = None
        try:
            # Never unpickle: a file from elsewhere could run code.
            loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        except FileNotFoundError as error:
            raise FrameError(f"{path} does not exist; expected a numpy file. Check the path.") from error
        except Exception as error:
            raise FrameError(
                f"{path} cannot be read as a numpy file ({error}); expected a whole .npy or .npz file of plain "
                "numbers. Save it again with numpy.save."
            ) from error
        self._depth = loaded if isinstance(loaded, np.ndarray) else self._from_archive(loaded)
        # Three or four columns are a colour image, which check_depth names as such.
        self._is_stack = self._depth.ndim == 3 and self._depth.shape[2] > 4
        count = len(self._depth) if self._is_stack else 1
        self.names = [f"{path.stem}_{number:06d}" for number in range(count)] if self._is_stack else [path.stem]

    def _from_archive(self, archive: Any) -> NDArray[Any]:
        with archive:
            entries = list(archive.files)
            try:
                if "depth_mm" in entries:
                    self._unit_mm = 1.0
                    depth = archive["depth_mm"]
                elif "depth" in entries:
                    if "depth_unit_mm" in entries:
                        self._unit_mm = check_unit(float(archive["depth_unit_mm"]))
                    depth = archive["depth"]
                else:
                    raise FrameError(
                        f"{self._path} holds {', '.join(entries) or 'nothing'}; expected an array 'depth_mm', or "
                        "'depth' and 'depth_unit_mm'. Save it again under these names."
                    )
                if "colour" in entries:
                    self._colour = archive["colour"]
            except FrameError:
                raise
            except Exception as error:
                raise FrameError(
                    f"{self._path} is damaged ({error}); expected a whole .npz file. Save it again."
                ) from error
        return np.asarray(depth)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        """Checks and gives one frame; raises `FrameError` naming the file if it is no depth image."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        name = self.names[index]
        depth = np.array(self._depth[index] if self._is_stack else self._depth)
        colour = self._colour[index] if self._colour is not None and self._is_stack else self._colour
        try:
            return Frame(check_depth(depth, self._unit_mm), self._camera, colour, name=name)
        except FrameError as error:
            raise FrameError(f"{self._path}: {error}") from error


class DatasetFrames(Sequence[Frame]):
    """The frames of a dataset folder without their ground truth."""

    def __init__(self, reader: DatasetReader) -> None:
        self.reader = reader
        self.names = reader.names

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


def open_source(path: str | Path, *, depth_unit_mm: float | None = None, camera: Camera | None = None) -> Source:
    """Opens a depth image (PNG, TIFF, PGM), a numpy file, a folder of images, a recording or a dataset folder.

    In a folder of images where some names contain "depth", only those are depth images, and a file of the same name
    with "color", "colour" or "rgb" in place of "depth" is their registered colour.

    Args:
        path: File or folder.
        depth_unit_mm: Millimetres per step of whole numbers; recordings and datasets know their own.
        camera: Intrinsics of the depth pixels where the source has none.

    Raises:
        FrameError: If the path does not exist or holds nothing of the kind.
    """
    place = Path(path)
    if place.is_dir():
        return _open_folder(place, depth_unit_mm, camera)
    suffix = place.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        return ArrayFile(place, depth_unit_mm, camera)
    if not place.exists():
        raise FrameError(f"{place} does not exist; expected a depth image, numpy file, folder, recording or dataset.")
    if suffix not in IMAGE_SUFFIXES:
        raise FrameError(
            f"{place} ends in {suffix or 'nothing'}; expected {', '.join(IMAGE_SUFFIXES + ARRAY_SUFFIXES)} or a "
            "folder. JPEG and video files cannot hold depth; export 16-bit PNG."
        )
    return ImageFiles([place], [None], depth_unit_mm, camera)


def _open_folder(folder: Path, depth_unit_mm: float | None, camera: Camera | None) -> Source:
    if (folder / "recording.json").exists():
        return Recording(folder, depth_unit_mm=depth_unit_mm, camera=camera)
    if (folder / "dataset.json").exists() or (folder / "meta").is_dir():
        return DatasetFrames(DatasetReader(folder, depth_unit_mm=depth_unit_mm, camera=camera))
    files = sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )
    if not files and (folder / "depth").is_dir():
        if (folder / "label").is_dir():
            return DatasetFrames(DatasetReader(folder, depth_unit_mm=depth_unit_mm, camera=camera))
        return _open_folder(folder / "depth", depth_unit_mm, camera)
    if not files:
        raise FrameError(
            f"{folder} holds no depth images; expected {', '.join(IMAGE_SUFFIXES)} files, a recording (recording.json) "
            "or a dataset (dataset.json). Check the path; folders inside folders are not searched."
        )
    depth_files = [path for path in files if "depth" in path.stem.lower()] or files
    by_name = {path.stem: path for path in files}
    colours = [_colour_beside(path, by_name) for path in depth_files]
    return ImageFiles(depth_files, colours, depth_unit_mm, camera)


def _colour_beside(path: Path, by_name: dict[str, Path]) -> Path | None:
    if "depth" not in path.stem:
        return None
    for word in _COLOUR_NAMES:
        partner = by_name.get(path.stem.replace("depth", word))
        if partner is not None:
            return partner
    return None


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

    def load(self) -> Frame:
        """Reads the frame; raises `FrameError` if it is bad, so that a command can go on to the next."""
        return self.source[self.index]


class _Unreadable(Sequence[Frame]):
    """A file that could not be opened: one frame that raises the reason when it is read."""

    def __init__(self, name: str, error: FrameError) -> None:
        self.names = [name]
        self._error = error

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        raise self._error


def _open_or_postpone(path: Path, depth_unit_mm: float | None, camera: Camera | None) -> Source:
    """The source, or for a damaged numpy file one that raises when read, so that it does not stop the others."""
    try:
        return open_source(path, depth_unit_mm=depth_unit_mm, camera=camera)
    except FrameError as error:
        if path.is_file() and path.suffix.lower() in ARRAY_SUFFIXES:
            return _Unreadable(path.stem, error)
        raise


def find_frames(
    inputs: Iterable[str | Path], *, depth_unit_mm: float | None = None, camera: Camera | None = None
) -> list[FoundFrame]:
    """All frames of several files and folders, in the order given.

    Names are those of the sources; where two would be equal, the folder's name is put before them, then a number.

    Raises:
        FrameError: If an input does not exist or is nothing that holds frames, or there are none at all. A file that
            turns out bad when read raises in `FoundFrame.load`.
    """
    places = [Path(entry) for entry in inputs]
    sources = [_open_or_postpone(place, depth_unit_mm, camera) for place in places]
    counts = Counter(name for source in sources for name in source.names)
    found: list[FoundFrame] = []
    taken: set[str] = set()
    for place, source in zip(places, sources, strict=True):
        folder = place.resolve().name if place.is_dir() else place.resolve().parent.name
        for index, name in enumerate(source.names):
            unique = f"{folder}_{name}" if counts[name] > 1 else name
            number = 2
            while unique in taken:
                unique = f"{folder}_{name}_{number}"
                number += 1
            taken.add(unique)
            found.append(FoundFrame(unique, source, index, place))
    if not found:
        raise FrameError("no frames came; expected at least one depth image, numpy file, folder, recording or dataset.")
    return found
