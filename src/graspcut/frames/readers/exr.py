"""OpenEXR files as renderers write depth: scan lines, uncompressed or with RLE, ZIPS or ZIP, half, float or uint.

OpenCV's own reader is off by default and knows only colour channels, while depth is mostly a channel "Z", "V" or
"ViewLayer.Depth.Z". Source: "OpenEXR File Layout" and "Technical Introduction to OpenEXR" (openexr.com).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.limits import check_picture_size

_KINDS: Final[dict[int, np.dtype[Any]]] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
_LINES: Final = {0: 1, 1: 1, 2: 1, 3: 16}
_COMPRESSION_NAMES: Final = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
_DEPTH_NAMES: Final = ("Z", "DEPTH", "V", "Y", "R", "X")
_SPECIAL: Final = {0x200: "tiled", 0x800: "deep", 0x1000: "multi-part"}


@dataclass(frozen=True)
class _Channel:
    name: str
    kind: np.dtype[Any]


@dataclass(frozen=True)
class _Header:
    channels: tuple[_Channel, ...]
    compression: int
    window: tuple[int, int, int, int]
    end: int


def decode_exr(data: bytes, name: str) -> NDArray[Any]:
    """The depth channel of an EXR file: "Z" or "depth" before "V", "Y", "R"; or the only channel there is.

    Returns:
        (H, W) float16, float32 or uint32, as stored.

    Raises:
        FrameError: If the file is damaged, too large, or of a kind that is not read here.
    """
    try:
        header = _read_header(data, name)
        return _read_lines(data, header, _depth_channel(header, name), name)
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError, zlib.error, ValueError) as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError(f"{name} is damaged ({error}); expected a whole EXR file. Write it again.") from error


def _read_header(data: bytes, name: str) -> _Header:
    flags = struct.unpack_from("<I", data, 4)[0]
    for bit, word in _SPECIAL.items():
        if flags & bit:
            raise FrameError(f"{name} is a {word} EXR file; expected scan lines of one part. Save it so, or as .npy.")
    position = 8
    found: dict[str, bytes] = {}
    while data[position] != 0:
        attribute, position = _text(data, position)
        _, position = _text(data, position)
        size = struct.unpack_from("<I", data, position)[0]
        found[attribute] = data[position + 4 : position + 4 + size]
        position += 4 + size
    lacking = {"channels", "compression", "dataWindow"} - found.keys()
    if lacking:
        raise FrameError(f"{name} is damaged: its header lacks {', '.join(sorted(lacking))}. Write it again.")
    compression = found["compression"][0]
    if compression not in _LINES:
        word = _COMPRESSION_NAMES[compression] if compression < len(_COMPRESSION_NAMES) else str(compression)
        raise FrameError(f"{name} is compressed with {word}; expected none, RLE, ZIPS or ZIP. Save it so, or as .npy.")
    left, top, right, bottom = struct.unpack("<iiii", found["dataWindow"])
    return _Header(_channels(found["channels"], name), compression, (left, top, right, bottom), position + 1)


def _channels(data: bytes, name: str) -> tuple[_Channel, ...]:
    channels = []
    position = 0
    while data[position] != 0:
        channel, position = _text(data, position)
        kind, _, across, down = struct.unpack_from("<IIII", data, position)
        if kind not in _KINDS or (across, down) != (1, 1):
            raise FrameError(f"{name} has a channel {channel!r} of an unknown kind; expected half, float or uint.")
        channels.append(_Channel(channel, _KINDS[kind]))
        position += 16
    return tuple(channels)


def _depth_channel(header: _Header, name: str) -> int:
    last = [channel.name.rpartition(".")[2].upper() for channel in header.channels]
    whole = [channel.name.upper() for channel in header.channels]
    for wanted in _DEPTH_NAMES:
        matching = [number for number, word in enumerate(last) if word == wanted]
        if wanted in ("R", "Y") and len(matching) > 1:
            matching = [number for number in matching if "DEPTH" in whole[number]] or matching
        if matching:
            return matching[0]
    if len(header.channels) == 1:
        return 0
    raise FrameError(f"{name} has the channels {', '.join(whole) or 'none'}; expected one named Z or depth.")


def _read_lines(data: bytes, header: _Header, chosen: int, name: str) -> NDArray[Any]:
    left, top, right, bottom = header.window
    width, height = right - left + 1, bottom - top + 1
    pixel = sum(channel.kind.itemsize for channel in header.channels)
    check_picture_size(width, height, pixel, name)
    before = sum(channel.kind.itemsize for channel in header.channels[:chosen]) * width
    kind = header.channels[chosen].kind
    image = np.zeros((height, width), dtype=kind)
    lines = _LINES[header.compression]
    blocks = -(-height // lines)
    for offset in struct.unpack_from(f"<{blocks}Q", data, header.end):
        first, size = struct.unpack_from("<iI", data, offset)
        row = first - top
        count = min(lines, height - row)
        if not 0 <= row < height:
            raise FrameError(f"{name} is damaged: a block belongs to row {row} of {height}. Write it again.")
        block = _unpacked(data[offset + 8 : offset + 8 + size], header.compression, count * width * pixel)
        values = np.frombuffer(block, np.uint8).reshape(count, width * pixel)[
            :, before : before + width * kind.itemsize
        ]
        image[row : row + count] = np.ascontiguousarray(values).view(kind)
    return image.astype(kind.newbyteorder("="))


def _unpacked(block: bytes, compression: int, size: int) -> bytes:
    # A block that did not become smaller is stored as it is.
    if compression == 0 or len(block) == size:
        return block
    if compression == 1:
        raw = _run_lengths(block, size)
    else:
        decoder = zlib.decompressobj()
        raw = decoder.decompress(block, size)
    values = np.frombuffer(raw, np.uint8)
    if len(values) != size:
        raise ValueError(f"a block unpacks to {len(values)} bytes, not {size}")
    # Differences of neighbours, and even bytes before odd ones.
    summed = (np.cumsum(values.astype(np.int64)) - 128 * np.arange(size)).astype(np.uint8)
    out = np.empty(size, np.uint8)
    half = (size + 1) // 2
    out[0::2], out[1::2] = summed[:half], summed[half:]
    return out.tobytes()


def _run_lengths(block: bytes, size: int) -> bytes:
    out = bytearray()
    position = 0
    while position < len(block) and len(out) <= size:
        count = struct.unpack_from("b", block, position)[0]
        if count < 0:
            out += block[position + 1 : position + 1 - count]
            position += 1 - count
        else:
            out += block[position + 1 : position + 2] * (count + 1)
            position += 2
    return bytes(out)


def _text(data: bytes, position: int) -> tuple[str, int]:
    end = data.index(b"\0", position, position + 256)
    return data[position:end].decode(), end + 1
