"""Depth in picture files: PNG, also behind the header of ROS's compressedDepth; TIFF with its pages; PGM, PFM, EXR."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.notes import Note
from graspcut.frames.opening import open_regular, read_bytes
from graspcut.frames.readers.channels import one_channel, refuse_colour, swapped_bytes
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.readers.headers import PNG_SIGNATURE, ROS_PREFIX_BYTES, TIFF_SIGNATURES
from graspcut.frames.readers.portable import highest_value
from graspcut.frames.readers.raw_depth import RawDepth
from graspcut.frames.readers.tiff import Page, read_pages, with_first_page

PICTURE_SUFFIXES: Final = (".png", ".tif", ".tiff", ".pgm", ".pfm", ".exr")


def count_pages(path: Path) -> int:
    """How many frames a picture file has: the pages of a TIFF file without its previews, else 1.

    Raises:
        FrameError: If the file cannot be opened; a damaged one counts as one frame, which fails when it is read.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    with open_regular(path, what="image file") as file:

        def window(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        try:
            if not window(0, 4).startswith(TIFF_SIGNATURES):
                return 1
            return max(1, len(_frames(read_pages(window, os.fstat(file.fileno()).st_size))))
        except (FrameError, OSError, OverflowError, struct.error):
            return 1


def read_picture(path: Path, page: int = 0) -> RawDepth:
    """Reads a depth picture.

    Args:
        path: The file.
        page: Of a TIFF file, previews not counted.

    Raises:
        FrameError: If the file is missing, damaged, too large or no image.
    """
    data = read_bytes(path)
    name = str(path)
    if data[ROS_PREFIX_BYTES : ROS_PREFIX_BYTES + 8] == PNG_SIGNATURE:
        return _ros_depth(data, name)
    if data.startswith(TIFF_SIGNATURES):
        data = _page(data, page, name)
    values, notes = one_channel(decode_image(data, name))
    refuse_colour(values)
    swapped = swapped_bytes(values)
    if swapped is not None:
        values = swapped
        notes.append(Note("byte order", "numbers were stored with their bytes in the wrong order; read the other way"))
    highest = highest_value(data)
    if highest is not None and swapped is not None:
        highest = (highest & 0xFF) << 8 | highest >> 8
    # A highest value that the distances go beyond once their bytes are in order says nothing.
    if highest is not None and highest <= 255:
        highest = None
    return RawDepth(values, no_data_from=highest, notes=tuple(notes))


def _frames(pages: list[Page]) -> list[Page]:
    return [page for page in pages if not page.is_preview] or pages[:1]


def _page(data: bytes, number: int, name: str) -> bytes:
    def window(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    try:
        pages = _frames(read_pages(window, len(data)))
    except (FrameError, OverflowError, struct.error) as error:
        raise FrameError(f"{name} is damaged: {error}. Expected a whole TIFF file; copy or save it again.") from error
    if number >= len(pages):
        raise FrameError(f"{name} has {len(pages)} page(s); page {number + 1} was asked for.")
    return with_first_page(data, pages[number])


def _ros_depth(data: bytes, name: str) -> RawDepth:
    """The data of a ROS message `compressedDepth`: for floating-point depth it holds a / (metres) + b as 16 bits.

    Source: `compressed_depth_image_transport`, codec.cpp (ConfigHeader, RVL left out).
    """
    quantised: NDArray[Any] = decode_image(data[ROS_PREFIX_BYTES:], name)
    _, scale, offset = struct.unpack_from("<iff", data)
    notes = (Note("container", "a ROS compressedDepth message; its header was taken off"),)
    values, more = one_channel(quantised)
    if not (np.isfinite([scale, offset]).all() and scale > 0 and values.dtype == np.uint16):
        return RawDepth(values, notes=(*notes, *more))
    with np.errstate(divide="ignore"):
        metres = np.where(values > 0, np.float32(scale) / (values.astype(np.float32) - np.float32(offset)), 0)
    return RawDepth(metres.astype(np.float32), unit_mm=1000.0, notes=(*notes, *more))
