"""What a picture file says about itself before it is decoded: kind, size, channels, bits.

Used to refuse what would not fit into memory, and to tell depth from colour in a folder without decoding it.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from graspcut.frames.errors import FrameError
from graspcut.frames.opening import open_regular
from graspcut.frames.readers.tiff import read_pages

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
EXR_SIGNATURE: Final = b"\x76\x2f\x31\x01"
JPEG_SIGNATURE: Final = b"\xff\xd8\xff"
# ROS's compressedDepth puts its header of an integer and two floats before a PNG file.
ROS_PREFIX_BYTES: Final = 12

PictureKind = Literal["png", "tiff", "pnm", "pfm", "jpeg", "bmp", "exr"]
Window = Callable[[int, int], bytes]
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNM_HEADER = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)")
_PFM_HEADER = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s")


@dataclass(frozen=True)
class PictureHeader:
    """What the first bytes of a picture say.

    Attributes:
        kind: Its container.
        width, height: Pixels of its first page; 0 where only decoding tells.
        channels: As stored; an indexed picture has 1.
        bits: Of one channel.
        is_float: Whether values are floating point.
        is_indexed: Whether values are numbers of a colour table.
    """

    kind: PictureKind
    width: int
    height: int
    channels: int
    bits: int
    is_float: bool = False
    is_indexed: bool = False

    @property
    def bytes_a_pixel(self) -> int:
        """Of the decoded picture; OpenCV turns grey with alpha and colour tables into four channels."""
        channels = 4 if self.channels == 2 or self.is_indexed else self.channels
        return channels * max(self.bits, 8) // 8


def header_of_bytes(data: bytes) -> PictureHeader | None:
    """The header of a picture in memory, or None if it is none that is known here."""
    return _parse(lambda offset, length: data[offset : offset + length], len(data))


def header_of_file(path: str | Path) -> PictureHeader | None:
    """The header of a file; reads a few kilobytes.

    Raises:
        FrameError: If it is no regular file that can be read.
    """
    with open_regular(path, what="image file") as file:

        def window(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        try:
            return _parse(window, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise FrameError(f"{path} cannot be read ({error.strerror}); expected a readable image file.") from error


def _parse(window: Window, size: int) -> PictureHeader | None:
    start = window(0, 512)
    if start[ROS_PREFIX_BYTES : ROS_PREFIX_BYTES + 8] == PNG_SIGNATURE:
        start = start[ROS_PREFIX_BYTES:]
    if start.startswith(PNG_SIGNATURE):
        return _png(start)
    if start.startswith(TIFF_SIGNATURES):
        return _tiff(window, size)
    if start.startswith(EXR_SIGNATURE):
        return PictureHeader("exr", 0, 0, 1, 32, is_float=True)
    if start.startswith(JPEG_SIGNATURE):
        return _jpeg(window, size)
    if match := _PFM_HEADER.match(start):
        return PictureHeader("pfm", int(match[2]), int(match[3]), 3 if match[1] == b"F" else 1, 32, is_float=True)
    if match := _PNM_HEADER.match(start):
        return _pnm(start, match)
    if start.startswith(b"BM") and len(start) >= 30:
        width, height, _, bits = struct.unpack_from("<iiHH", start, 18)
        return PictureHeader("bmp", abs(width), abs(height), max(bits // 8, 3), 8)
    return None


def _png(start: bytes) -> PictureHeader | None:
    if len(start) < 26 or start[12:16] != b"IHDR":
        return None
    width, height, bits, colour = struct.unpack_from(">IIBB", start, 16)
    return PictureHeader("png", width, height, _PNG_CHANNELS.get(colour, 4), bits, is_indexed=colour == 3)


def _pnm(start: bytes, match: re.Match[bytes]) -> PictureHeader:
    number = int(match[1])
    bits = 1
    if number not in (1, 4):
        rest = re.match(rb"(?:\s|#[^\n]*\n)*(\d{1,9})", start[match.end() :])
        bits = 16 if rest is not None and int(rest[1]) > 255 else 8
    return PictureHeader("pnm", int(match[2]), int(match[3]), 3 if number in (3, 6) else 1, bits)


def _tiff(window: Window, size: int) -> PictureHeader | None:
    try:
        page = read_pages(window, size, most=1)[0]
    except FrameError:
        return None
    return PictureHeader(
        "tiff", page.width, page.height, page.channels, page.bits, is_float=page.is_float, is_indexed=page.is_indexed
    )


def _jpeg(window: Window, size: int) -> PictureHeader | None:
    position = 2
    for _ in range(1000):
        start = window(position, 10)
        if len(start) < 10 or start[0] != 0xFF:
            return None
        marker, length = start[1], int.from_bytes(start[2:4], "big")
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", start, 5)
            return PictureHeader("jpeg", width, height, start[9], 8)
        # Fill bytes before a marker are allowed.
        position += 1 if marker == 0xFF else 2 + length
        if position >= size:
            return None
    return None
