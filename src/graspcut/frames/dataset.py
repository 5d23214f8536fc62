"""Labelled dataset folders: what the generator and the annotation write and what training reads.

Layout: `dataset.json` (written last, so its presence means complete), `depth/000000.png` (uint16 in steps of the stated
unit), `label/`, `instance/`, `part/`, `colour/` (PNG) and `meta/000000.json` (cameras, joints, instances). Any number
of processes may write different frames. Equal frames give equal bytes, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, CameraLike, given_camera
from graspcut.frames.dataset_writing import FORMAT as FORMAT
from graspcut.frames.dataset_writing import VERSION, some, stems
from graspcut.frames.dataset_writing import DatasetWriter as DatasetWriter
from graspcut.frames.dataset_writing import raw_depth as raw_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.folders import natural_order
from graspcut.frames.frame import Frame, check_depth, check_unit
from graspcut.frames.images import read_colour, read_image, read_single_channel
from graspcut.frames.json_files import JsonObject, read_json
from graspcut.frames.labelled import Instance, LabelledFrame, check_labels
from graspcut.frames.opening import read_bytes
from graspcut.frames.readers.channels import one_channel
from graspcut.frames.readers.headers import header_of_file
from graspcut.labels import JOINT_NAMES

# Names under which other people's plain folders hold colour registered to depth.
_PLAIN_COLOUR_FOLDERS = ("colour", "color_on_depth")


class DatasetReader(Sequence[LabelledFrame]):
    """Reads a dataset folder, or a plain folder with `depth/` and `label/`. Can be sent to worker processes.

    Args:
        directory: The folder.
        depth_unit_mm: Needed for a plain folder; for a dataset it may be left out and must otherwise agree.
        camera: Intrinsics for frames that have none of their own, such as those of a plain folder.

    Attributes:
        names: One name a frame, in order.
        description: What the writer was told, empty for a plain folder.
        given_camera: As given.

    Raises:
        FrameError: If the folder is no dataset, is unfinished, has missing files, or its unit is unknown.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        depth_unit_mm: float | None = None,
        camera: CameraLike | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.description: dict[str, Any] = {}
        self.given_camera = camera
        self._plain_colour: str | None = None
        if not self.directory.is_dir():
            raise FrameError(f"{self.directory} is no folder; expected a dataset folder. Check the path.")
        self.is_plain = not (self.directory / "dataset.json").exists()
        if self.is_plain:
            self.names = self._open_plain(depth_unit_mm)
            self.depth_unit_mm = check_unit(depth_unit_mm if depth_unit_mm is not None else 0.0)
        else:
            self.names, self.depth_unit_mm = self._open_dataset(depth_unit_mm)

    def _open_dataset(self, depth_unit_mm: float | None) -> tuple[list[str], float]:
        index = JsonObject.read(self.directory / "dataset.json")
        if index.get("format", None) != FORMAT or index.get("version", None) != VERSION:
            raise FrameError(
                f"{index.place} has format {index.shown('format')} version {index.shown('version')}; "
                f"expected {FORMAT!r} version {VERSION}. Make the dataset again with this version of GraspCut."
            )
        unit = index.number("depth_unit_mm", above=0)
        if depth_unit_mm is not None and abs(depth_unit_mm - unit) > 1e-6 * unit:
            raise FrameError(
                f"{self.directory} states a depth unit of {unit:g} mm, but {depth_unit_mm:g} mm came. Leave the unit "
                "out."
            )
        count = index.whole("count")
        absent = {number for number in index.array("absent", []) if isinstance(number, int)}
        # Before the names are listed: a damaged count may be any number.
        present = len(stems(self.directory / "depth", ".png")) + len(absent)
        if count > present:
            raise FrameError(
                f"{index.place} counts {count} frames, and {self.directory / 'depth'} has {present} files; expected "
                "one for every frame. Copy the folder again whole, or make the dataset again."
            )
        names = [f"{number:06d}" for number in range(count) if number not in absent]
        for folder, suffix in (("meta", ".json"), ("depth", ".png"), ("label", ".png")):
            self._require(names, folder, suffix)
        self.description = index.nested("description", {}).value
        return names, unit

    def _open_plain(self, depth_unit_mm: float | None) -> list[str]:
        if is_unfinished(self.directory):
            raise FrameError(
                f"{self.directory} has frames but no dataset.json, so its writer was stopped; expected a finished "
                "dataset. Start the same command again: it continues."
            )
        if not ((self.directory / "depth").is_dir() and (self.directory / "label").is_dir()):
            raise FrameError(
                f"{self.directory} is no dataset; expected dataset.json, or the folders depth/ and label/ with PNG "
                "files of equal names. Check the path."
            )
        if depth_unit_mm is None:
            raise FrameError(
                f"{self.directory} does not state its depth unit; expected millimetres per step. Give depth_unit_mm "
                "(command line: --depth-unit-mm): 1 for millimetres, 0.1249866 for an SR300."
            )
        names = sorted(stems(self.directory / "depth", ".png"), key=natural_order)
        if not names:
            raise FrameError(f"{self.directory}/depth has no PNG files; expected 16-bit depth images.")
        self._require(names, "label", ".png")
        for folder in _PLAIN_COLOUR_FOLDERS:
            if (self.directory / folder).is_dir():
                self._plain_colour = folder
                break
        return names

    def _require(self, names: list[str], folder: str, suffix: str) -> None:
        missing = sorted(set(names) - stems(self.directory / folder, suffix))
        if missing:
            raise FrameError(
                f"{self.directory}/{folder} lacks {some(missing)} of {len(names)} files; expected one for every "
                "frame. Copy the folder again whole, or make the dataset again."
            )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> LabelledFrame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LabelledFrame]: ...
    def __getitem__(self, index: int | slice) -> LabelledFrame | Sequence[LabelledFrame]:
        """Frame `index`; a slice reads all of its frames at once.

        Raises:
            FrameError: If a file is damaged or does not fit the others.
        """
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        name = self._name(index)
        depth, labels = self.read_depth_and_labels(index)
        if self.is_plain:
            colour = read_colour(self._path(self._plain_colour, name)) if self._plain_colour else None
            return LabelledFrame(Frame(depth, self._given_camera(depth.shape), colour, name=name), labels)
        meta = JsonObject.read(self.directory / "meta" / f"{name}.json")
        try:
            return self._assemble(name, depth, labels, meta)
        except FrameError as error:
            if str(self.directory) in str(error):
                raise
            raise FrameError(f"{meta.place} does not fit frame {name}: {error}") from error

    def _assemble(
        self, name: str, depth: NDArray[np.float32], labels: NDArray[np.uint8], meta: JsonObject
    ) -> LabelledFrame:
        files = meta.array("files")
        frame = Frame(
            depth,
            _camera_of(meta, "camera") or self._given_camera(depth.shape),
            read_colour(self._path("colour", name)) if "colour" in files else None,
            _camera_of(meta, "colour_camera"),
            meta.number("timestamp_s", None),
            meta.text("name") or name,
        )
        joints = len(JOINT_NAMES)
        return LabelledFrame(
            frame,
            labels,
            read_single_channel(self._path("instance", name), what="instance map") if "instance" in files else None,
            read_single_channel(self._path("part", name), what="part map") if "part" in files else None,
            _table(meta, "joints_mm", np.float32, (-1, joints, 3)),
            _table(meta, "joints_visible", np.bool_, (-1, joints)),
            tuple(
                Instance(entry.whole("id"), entry.whole("label"), entry.text("name"))
                for entry in meta.objects("instances")
            ),
        )

    def read_depth_and_labels(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The fast path for training: no colour, maps or JSON.

        Returns:
            Depth (H, W) float32 mm with 0 = no data, and labels (H, W) uint8.

        Raises:
            FrameError: If a file is damaged or is not what it should be.
        """
        depth = read_depth(self._path("depth", self._name(index)), self.depth_unit_mm)
        return depth, self.read_labels(index, depth.shape)

    def read_labels(self, index: int, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
        """The label map of frame `index` alone, (H, W) uint8; of `shape`, if one is given.

        Raises:
            FrameError: If the file is damaged or is no label map.
        """
        path = self._path("label", self._name(index))
        labels = read_single_channel(path, what="label map")
        try:
            check_labels(labels, labels.shape if shape is None else shape)
        except FrameError as error:
            raise FrameError(f"{path}: {error}") from error
        return labels

    def depth_size(self, index: int) -> tuple[int, int]:
        """(height, width) of the depth image of frame `index`, from its header alone.

        Raises:
            FrameError: If the file has no readable header.
        """
        path = self._path("depth", self._name(index))
        header = header_of_file(path)
        if header is None:
            raise FrameError(f"{path} is no picture; copy it again, or make the frame again.")
        return header.height, header.width

    def camera(self, index: int) -> Camera | None:
        """The depth camera of frame `index`, or None if unknown, without reading images."""
        if self.is_plain:
            return self._given_camera(self._shape(index))
        meta = JsonObject.read(self.directory / "meta" / f"{self._name(index)}.json")
        return _camera_of(meta, "camera") or self._given_camera(self._shape(index))

    def _shape(self, index: int) -> tuple[int, ...]:
        """(H, W) of a depth image, from its header; nothing where no camera was given that could need it."""
        if self.given_camera is None or isinstance(self.given_camera, Camera):
            return ()
        header = header_of_file(self._path("depth", self._name(index)))
        return () if header is None else (header.height, header.width)

    def _given_camera(self, shape: tuple[int, ...]) -> Camera | None:
        if self.given_camera is None or isinstance(self.given_camera, Camera):
            return self.given_camera
        return Camera.of(self.given_camera, shape[1], shape[0]) if shape else None

    def meta(self, index: int) -> dict[str, Any]:
        """What the meta file of frame `index` says; empty for a plain folder."""
        name = self._name(index)
        return {} if self.is_plain else read_json(self.directory / "meta" / f"{name}.json")

    def encoded_images(self, index: int) -> dict[str, bytes]:
        """The PNG files of depth and colour of frame `index` as they are, for copying."""
        name = self._name(index)
        folders = {"depth": "depth", "colour": self._plain_colour if self.is_plain else "colour"}
        paths = {kind: Path(self._path(folder, name)) for kind, folder in folders.items() if folder}
        return {kind: path.read_bytes() for kind, path in paths.items() if path.is_file()}

    def encoded_label(self, index: int) -> bytes:
        """The PNG file of the label map of frame `index` as it is."""
        return read_bytes(self._path("label", self._name(index)), what="label map")

    def check(self, progress: Callable[[int], None] | None = None) -> list[str]:
        """Reads every file of every frame and returns one line for each bad frame; empty = whole.

        Args:
            progress: Called with the number of frames read so far.
        """
        faults = []
        for index, name in enumerate(self.names):
            try:
                self[index]
            except FrameError as error:
                faults.append(f"frame {name}: {error}")
            if progress is not None:
                progress(index + 1)
        return faults

    def _name(self, index: int) -> str:
        if not -len(self.names) <= index < len(self.names):
            raise IndexError(f"frame {index} was asked for; {self.directory} has {len(self.names)} frames")
        return self.names[index]

    def _path(self, folder: str, name: str) -> str:
        # A plain string: building a Path costs as much as decoding a small label map.
        return f"{self.directory}/{folder}/{name}.png"


def is_unfinished(directory: Path) -> bool:
    """Whether a folder has frames of `DatasetWriter` and no dataset.json; other programs have a folder meta/, too."""
    if (directory / "dataset.json").exists() or not (directory / "meta").is_dir():
        return False
    return any(name.isdigit() and len(name) >= 6 for name in stems(directory / "meta", ".json"))


def open_dataset(
    directory: str | Path,
    *,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera: CameraLike | None = None,
) -> DatasetReader:
    """Opens a dataset folder or a plain folder of which only unit and focal length are known.

    Args:
        directory: The folder.
        depth_unit_mm: For a plain folder; see `DatasetReader`.
        focal_px: Focal length of frames that have no camera.
        camera: Intrinsics of these frames instead; whatever `Camera.of` takes.

    Raises:
        FrameError: As `DatasetReader`, or if the focal length is not positive.
    """
    return DatasetReader(directory, depth_unit_mm=depth_unit_mm, camera=given_camera(camera, focal_px))


def read_depth(path: str | Path, unit_mm: float | None) -> NDArray[np.float32]:
    """Reads a depth image file, (H, W) float32 mm; see `check_depth`. Errors name the file."""
    # NYU and HO-3D pack their depth into the channels of a colour picture.
    image, _ = one_channel(read_image(path))
    try:
        return check_depth(image, unit_mm)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def _camera_of(meta: JsonObject, name: str) -> Camera | None:
    value = meta.get(name, None)
    if value is None:
        return None
    try:
        return Camera.from_dict(value)
    except FrameError as error:
        raise FrameError(f"{meta.place}: the field {name!r}: {error}") from error


def _table(meta: JsonObject, name: str, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A list of lists of numbers as an array."""
    try:
        return np.array(meta.array(name), dtype=dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise meta.wrong(name, f"numbers of shape {shape}") from error
