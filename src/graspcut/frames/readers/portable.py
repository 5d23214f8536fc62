"""PGM, PBM, PPM and PFM files ("portable any map"), read here because decoders differ in byte order and range.

Sources: the Netpbm manual pages `pgm(5)` and `pfm(5)`. Numbers of two bytes have the most significant byte first; a PFM
file's rows run from bottom to top and a negative scale means the least significant byte first.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.limits import check_picture_size

_SPACE = rb"(?:\s|#[^\n]*\n)"
_HEADER = re.compile(rb"P([1-6])" + _SPACE + rb"+(\d{1,9})" + _SPACE + rb"+(\d{1,9})(?:" + _SPACE + rb"+(\d{1,9}))?")
_FLOAT_HEADER = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+0-9.eE]{1,40})(?:\r\n|\s)")


def decode_portable(data: bytes, name: str) -> NDArray[Any]:
    """(H, W) or (H, W, 3): uint8, uint16, or float32 of a PFM file times its scale, as stored.

    Raises:
        FrameError: If the file is cut short or its header is damaged.
    """
    if data[1:2] in b"Ff":
        return _decode_float(data, name)
    match = _HEADER.match(data)
    number = int(data[1:2])
    if match is None or (number not in (1, 4) and match[4] is None):
        raise FrameError(f"{name} has a damaged header {data[:24]!r}; expected P5, width, height and highest value.")
    # A bit map has no highest value: what matched there is its first number.
    end = match.end() if number not in (1, 4) else match.end(3)
    width, height = int(match[2]), int(match[3])
    highest = 1 if number in (1, 4) else int(match[4])
    if not 1 <= highest <= 65535:
        raise FrameError(f"{name} has the highest value {highest}; expected 1 .. 65535.")
    channels = 3 if number in (3, 6) else 1
    check_picture_size(width, height, 2 * channels, name)
    if number == 4:
        return _decode_bits(data, end + 1, width, height, name)
    count = width * height * channels
    if number in (1, 2, 3):
        values = _decode_text(data[end:], count, name)
    else:
        # Exactly one space character parts the header from the numbers.
        values = _numbers(data, end + 1, np.dtype(np.uint8) if highest < 256 else np.dtype(">u2"), count, name)
    if values.size and int(values.max()) > highest and number in (2, 3):
        raise FrameError(f"{name} has the value {int(values.max())}; expected at most {highest}, as its header says.")
    image = values.astype(np.uint8 if highest < 256 else np.uint16, copy=False)
    return image.reshape((height, width) if channels == 1 else (height, width, channels))


def highest_value(data: bytes) -> int | None:
    """The highest value that a PGM file's header states, or None for other files."""
    match = _HEADER.match(data)
    return int(match[4]) if match is not None and match[1] in b"25" and match[4] is not None else None


def _decode_float(data: bytes, name: str) -> NDArray[Any]:
    match = _FLOAT_HEADER.match(data)
    try:
        scale = float(match[4]) if match is not None else math.nan
    except ValueError:
        scale = math.nan
    if match is None or not math.isfinite(scale) or scale == 0:
        raise FrameError(f"{name} has a damaged header {data[:24]!r}; expected Pf, width, height and scale.")
    width, height, channels = int(match[2]), int(match[3]), 3 if match[1] == b"F" else 1
    check_picture_size(width, height, 4 * channels, name)
    values = _numbers(data, match.end(), np.dtype("<f4" if scale < 0 else ">f4"), width * height * channels, name)
    image = values.astype(np.float32).reshape((height, width) if channels == 1 else (height, width, channels))[::-1]
    # Nearly every writer stores 1; others mean a factor.
    if abs(scale) != 1:
        with np.errstate(all="ignore"):
            image = image * np.float32(abs(scale))
    return np.ascontiguousarray(image)


def _numbers(data: bytes, start: int, kind: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    present = max(0, len(data) - start) // kind.itemsize
    if present < count:
        raise FrameError(
            f"{name} is damaged: it ends after {len(data)} bytes, with {present} of {count} numbers. Expected a whole "
            "file; copy or record it again, or leave it out."
        )
    return np.frombuffer(data, kind, count, start)


def _decode_bits(data: bytes, start: int, width: int, height: int, name: str) -> NDArray[np.uint8]:
    row = (width + 7) // 8
    bits = np.unpackbits(_numbers(data, start, np.dtype(np.uint8), row * height, name).reshape(height, row), axis=1)
    # In a bit map 1 is black.
    return np.ascontiguousarray((1 - bits[:, :width]) * np.uint8(255))


def _decode_text(text: bytes, count: int, name: str) -> NDArray[np.int64]:
    words = re.sub(rb"#[^\n]*", b"", text).split(None, count)[:count]
    try:
        values = np.array(words, dtype="S10").astype(np.int64)
    except ValueError as error:
        raise FrameError(f"{name} is damaged: {error}; expected whole numbers.") from error
    if len(values) < count or (values < 0).any():
        raise FrameError(f"{name} is damaged: it has {len(values)} of {count} numbers. Expected a whole file.")
    return values
