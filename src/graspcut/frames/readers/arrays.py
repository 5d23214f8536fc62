"""Depth in numpy files: single images, stacks, archives with camera and colour; what they are is told by headers alone.

A header of a hundred bytes can promise anything, so counts and sizes are checked before memory is taken. Python objects
(pickles) are never loaded: they could run code.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.limits import MOST_FRAMES_IN_A_FILE, check_picture_size, largest_picture
from graspcut.frames.notes import Note
from graspcut.frames.opening import open_regular
from graspcut.frames.readers.channels import is_point_map, one_channel, refuse_colour
from graspcut.frames.readers.raw_depth import RawDepth

ARRAY_SUFFIXES: Final = (".npy", ".npz")
_DEPTH_NAMES: Final = ("depth_mm", "depth", "depths", "depth_image", "depth_map", "depth_raw", "dpt", "z")
_CAMERA_NAMES: Final = (
    "K",
    "camera",
    "intrinsics",
    "intrinsic",
    "camera_matrix",
    "intrinsic_matrix",
    "cam_K",
    "depth_K",
)
_COLOUR_NAMES: Final = ("colour", "color", "rgb")
_MOST_MEMBERS: Final = 10_000
_LONGEST_HEADER: Final = 10_000
# A stack in a compressed archive is unpacked whole.
_MOST_UNPACKED_PICTURES: Final = 2
_CAMERA_SHAPES: Final = ((3, 3), (3, 4), (4, 4), (4,))
# (height, width) of what depth cameras give.
_PICTURES: Final = ((480, 640), (240, 320), (120, 160), (720, 1280), (480, 848), (424, 512), (576, 640), (768, 1024))
# The widest picture of a camera is 16:9; stacks are told from pictures by being narrower than this.
_MOST_STRETCHED: Final = 3.0


@dataclass(frozen=True)
class ArrayHeader:
    """What a numpy header says.

    Attributes:
        shape: Of the array.
        dtype: Of its numbers.
        fortran: Whether columns come first.
        offset: Bytes before the numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile:
    """A .npy or .npz file of depth.

    Args:
        path: The file.

    Raises:
        FrameError: If it is damaged, too large, or holds no depth.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit_mm: float | None = None
        self._camera: Any = None
        self._colour: NDArray[Any] | None = None
        values = self._archive() if path.suffix.lower() == ".npz" else _mapped(path)
        if values.dtype.names is not None:
            if "z" not in values.dtype.names:
                raise FrameError(f"{path} has the fields {values.dtype.names}; expected numbers, or a field z.")
            values = values["z"]
        self._notes: tuple[Note, ...] = ()
        if _frames_come_last(values.shape):
            height, width, count = values.shape
            text = f"an array of shape {values.shape} was taken as {count} frames of {width}x{height}"
            values, self._notes = np.moveaxis(values, -1, 0), (Note("layout", text),)
        self._values, self.is_stack = _layout(values, path)

    def __len__(self) -> int:
        return len(self._values) if self.is_stack else 1

    def read(self, index: int) -> RawDepth:
        """Frame `index` as stored.

        Raises:
            FrameError: If it is no depth image.
        """
        values = self._values[index] if self.is_stack else self._values
        if values.ndim == 3 and values.shape[0] in (3, 4) and values.shape[2] > 4:
            values = np.moveaxis(values, 0, -1)
        height, width = values.shape[:2] if values.ndim >= 2 else (1, max(values.size, 1))
        check_picture_size(width, height, max(1, values.nbytes // (width * height)), str(self.path))
        depth, notes = one_channel(np.array(values))
        refuse_colour(depth)
        if depth.dtype.kind not in "iufb":
            raise FrameError(f"an array of {depth.dtype} came as depth; expected whole or floating-point numbers.")
        notes = [*self._notes, *notes]
        colour = self._colour
        if colour is not None and self.is_stack:
            if colour.ndim != 4 or len(colour) != len(self):
                raise FrameError(f"the array of colour has shape {colour.shape}; expected one picture for every frame.")
            colour = colour[index]
        camera = self._camera
        if isinstance(camera, np.ndarray) and camera.ndim == 3:
            camera = camera[min(index, len(camera) - 1)]
        return RawDepth(depth, self.unit_mm, camera=camera, colour=colour, notes=tuple(notes))

    def _archive(self) -> NDArray[Any]:
        with open_regular(self.path, what="numpy file") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    return self._from_archive(archive, file)
            except FrameError:
                raise
            except Exception as error:
                # zipfile and zlib raise half a dozen kinds for damaged files.
                raise FrameError(
                    f"{self.path} cannot be read as a numpy file ({str(error)[:120]!r}); expected a whole .npz file of "
                    "plain numbers. Save it again with numpy.savez."
                ) from error

    def _from_archive(self, archive: zipfile.ZipFile, file: BinaryIO) -> NDArray[Any]:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()[:_MOST_MEMBERS]}
        headers: dict[str, ArrayHeader] = {}
        for name, info in members.items():
            with archive.open(info) as member:
                headers[name] = _header(member, f"{self.path}, array {name!r}")
        chosen = _depth_name(headers, self.path)

        def load(name: str) -> NDArray[Any]:
            return _member(archive, members[name], headers[name], file, f"{self.path}, array {name!r}")

        if chosen == "depth_mm":
            self.unit_mm = 1.0
        elif "depth_unit_mm" in headers:
            self.unit_mm = _scalar(load("depth_unit_mm"), f"{self.path}: depth_unit_mm")
        elif "depth_scale" in headers:
            self.unit_mm = unit_of_scale(_scalar(load("depth_scale"), f"{self.path}: depth_scale"))
        for name in _CAMERA_NAMES:
            if name in headers and headers[name].shape[-2:] in _CAMERA_SHAPES and headers[name].dtype.kind in "iuf":
                self._camera = load(name)
                break
        for name in _COLOUR_NAMES:
            if name in headers and name != chosen:
                self._colour = load(name)
                break
        return load(chosen)


def unit_of_scale(scale: float) -> float | None:
    """Millimetres per step of a "depth scale": metres per step where it is below 1, steps per metre where it is above;
    None for 1, which may mean either.
    """
    if scale == 1:
        return None
    return scale * 1000 if scale < 1 else 1000 / scale


def array_header(path: Path) -> ArrayHeader:
    """The header of a .npy file.

    Raises:
        FrameError: If there is none, it promises more than the file has, or the array is empty.
    """
    with open_regular(path, what="numpy file") as file:
        header = _header(file, str(path))
        present = os.fstat(file.fileno()).st_size - header.offset
    if header.size > present:
        raise FrameError(
            f"{path} is damaged: its header promises {header.size} bytes of shape {header.shape}, and {present} "
            "follow. Expected a whole .npy file; save it again with numpy.save."
        )
    return header


def _header(file: Any, name: str) -> ArrayHeader:
    start = file.read(_LONGEST_HEADER + 16)
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream, max_header_size=_LONGEST_HEADER)
    except Exception as error:
        # The header is a Python literal; what can be wrong with one has no end.
        raise FrameError(
            f"{name} cannot be read as a numpy file ({str(error)[:200]}); expected a whole .npy or .npz file of plain "
            "numbers. Save it again with numpy.save."
        ) from error
    if dtype.hasobject:
        raise FrameError(
            f"{name} holds pickled Python objects, such as a dictionary given to numpy.save; expected plain numbers. "
            "Loading them can run code. Where you trust the file: d = numpy.load(path, allow_pickle=True).item(), then "
            "numpy.savez(path, depth=d['depth'], K=d['K'])."
        )
    if any(not 0 <= length <= 2**40 for length in shape):
        raise FrameError(f"{name} has shape {shape}; expected the height and width of an image.")
    return ArrayHeader(tuple(shape), dtype, fortran, stream.tell())


def _mapped(path: Path) -> NDArray[Any]:
    header = array_header(path)
    if header.size == 0:
        raise FrameError(f"{path} has shape {header.shape}, so no numbers; expected (height, width). Save it again.")
    if header.shape == ():
        raise FrameError(f"{path} holds a single number; expected an image of shape (height, width).")
    return _memmap(path, header, header.offset)


def _memmap(file: Path | BinaryIO, header: ArrayHeader, offset: int) -> NDArray[Any]:
    mapped: Any = np.memmap
    values: NDArray[Any] = mapped(file, header.dtype, "r", offset, header.shape, "F" if header.fortran else "C")
    return values


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: ArrayHeader, file: BinaryIO, name: str
) -> NDArray[Any]:
    """An array of an archive; one that is stored without compression is mapped, not loaded."""
    if header.size + header.offset > info.file_size:
        raise FrameError(f"{name} is damaged: its header promises {header.size} bytes, and {info.file_size} are there.")
    if header.size == 0 and header.shape:
        raise FrameError(f"{name} has shape {header.shape}, so no numbers; expected an array. Save it again.")
    if info.compress_type == zipfile.ZIP_STORED and header.size > 1 << 20:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
        start = info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        return _memmap(file, header, start + header.offset)
    most = _MOST_UNPACKED_PICTURES * largest_picture() * 8
    if header.size > most:
        raise FrameError(
            f"{name} would unpack to {header.size / 1e6:.0f} MB; expected at most {most / 1e6:.0f} MB. Save it as .npy "
            "or with numpy.savez, which are read frame by frame, or give --max-megapixels."
        )
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _depth_name(headers: dict[str, ArrayHeader], path: Path) -> str:
    for name in _DEPTH_NAMES:
        if name in headers:
            return name
    pictures = [
        name
        for name, header in headers.items()
        if len(header.shape) >= 2
        and header.shape[-2:] not in _CAMERA_SHAPES[:3]
        and (header.dtype.itemsize > 1 or header.dtype.names)
        and name not in _COLOUR_NAMES
    ]
    named = [name for name in pictures if "depth" in name.lower()] or [name for name in pictures if name == "arr_0"]
    if named or (len(pictures) == 1 and pictures[0].startswith("arr_")):
        return (named or pictures)[0]
    raise FrameError(
        f"{path} holds {', '.join(headers) or 'nothing'}; expected an array 'depth_mm', or 'depth' and "
        "'depth_unit_mm'. Save it again under these names."
    )


def _scalar(values: NDArray[Any], name: str) -> float:
    if values.size != 1 or values.dtype.kind not in "iuf":
        raise FrameError(f"{name} has shape {values.shape} and {values.dtype}; expected one number.")
    return float(values.reshape(-1)[0])


def _layout(values: NDArray[Any], path: Path) -> tuple[NDArray[Any], bool]:
    """The array with axes of one element taken out where that settles what it is, and whether it is a stack."""
    shape = values.shape
    if values.ndim == 4 and 1 in (shape[1], shape[3]):
        values = values[:, 0] if shape[1] == 1 else values[..., 0]
    elif values.ndim == 3 and shape[2] == 1:
        values = values[..., 0]
    elif values.ndim == 3 and 2 <= shape[2] <= 4:
        # Channels; check_depth says so if they are colours.
        return values, False
    elif values.ndim == 3 and shape[0] in (3, 4) and values.dtype.kind == "f":
        return values, not is_point_map(np.moveaxis(values[:3], 0, -1))
    if values.ndim == 1 or (values.ndim == 2 and shape[1] == 3 and shape[0] > 64):
        what = "a list of points" if values.ndim == 2 else f"a flat list of {values.size} numbers"
        raise FrameError(
            f"{path} has shape {shape}: {what}, without rows and columns of pixels; expected (height, width). If it is "
            f"an image, give it its shape again: depth.reshape({_likely_size(shape[0])})."
        )
    if values.ndim > 4 or values.ndim < 2 or (values.ndim == 4 and not 2 <= values.shape[3] <= 4):
        raise FrameError(f"{path} has shape {shape}; expected (height, width), or (n, height, width) for n frames.")
    is_stack = values.ndim >= 3
    if is_stack and len(values) > MOST_FRAMES_IN_A_FILE:
        raise FrameError(f"{path} has {len(values)} frames of {shape[1:]}; expected at most {MOST_FRAMES_IN_A_FILE}.")
    return values, is_stack


def _frames_come_last(shape: tuple[int, ...]) -> bool:
    """Whether (H, W, n) is more likely than (n, H, W): only then are the first two a picture's height and width."""
    if len(shape) != 3 or not 4 < shape[2] < min(shape[:2]):
        return False
    first, last = shape[:2], shape[1:]
    if (first in _PICTURES) != (last in _PICTURES):
        return first in _PICTURES
    return _stretch(first) <= _MOST_STRETCHED < _stretch(last)


def _stretch(size: tuple[int, ...]) -> float:
    return max(size) / min(size)


def _likely_size(count: int) -> str:
    for height, width in _PICTURES:
        if width * height == count:
            return f"{height}, {width}"
    return "height, width"
