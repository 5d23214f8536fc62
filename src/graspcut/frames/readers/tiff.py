"""TIFF files: how many pages there are and how large they unpack, without decoding, and single pages.

Source: TIFF 6.0, section 2 (image file directories); BigTIFF has the same with eight-byte offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graspcut.frames.errors import FrameError

_MOST_PAGES: Final = 100_000
_MOST_TAGS: Final = 4096
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _CHANNELS, _FORMAT, _SUBFILE = 256, 257, 258, 262, 277, 339, 254
_INDEXED, _FLOAT, _REDUCED = 3, 3, 1
# Bytes of a value of each TIFF type that sizes are given in: BYTE, SHORT, LONG, LONG8.
_TYPE_FORMATS: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Page:
    """One page of a TIFF file.

    Attributes:
        offset: Where its directory lies.
        width, height: Pixels.
        channels: Samples a pixel.
        bits: Of one sample.
        is_float, is_indexed: How samples are to be read.
        is_preview: A smaller picture of another page.
    """

    offset: int
    width: int
    height: int
    channels: int
    bits: int
    is_float: bool
    is_indexed: bool
    is_preview: bool


def read_pages(window: Callable[[int, int], bytes], size: int, *, most: int = _MOST_PAGES) -> list[Page]:
    """The pages of a file, previews included.

    Args:
        window: (offset, length) -> bytes of the file.
        size: Of the file, bytes.
        most: Stop after so many.

    Raises:
        FrameError: If the chain of directories is damaged.
    """
    start = window(0, 16)
    if len(start) < 8:
        raise FrameError(f"it ends after {size} bytes in the middle of the header")
    order = "<" if start.startswith(b"II") else ">"
    is_big = start[2:4] in (b"+\0", b"\0+")
    if is_big and len(start) < 16:
        raise FrameError(f"it ends after {size} bytes in the middle of the header")
    offset = struct.unpack_from(f"{order}Q", start, 8)[0] if is_big else struct.unpack_from(f"{order}I", start, 4)[0]
    pages: list[Page] = []
    seen: set[int] = set()
    while offset and len(pages) < most:
        if offset in seen or offset >= size or len(seen) >= _MOST_PAGES:
            raise FrameError(f"its page {len(pages) + 1} is said to lie at byte {offset}, which is not possible")
        seen.add(offset)
        page, offset = _read_directory(window, offset, order, is_big)
        pages.append(page)
    if not pages:
        raise FrameError("it has no page")
    return pages


def _read_directory(window: Callable[[int, int], bytes], offset: int, order: str, is_big: bool) -> tuple[Page, int]:
    count_format, entry_bytes, next_format = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    head = window(offset, struct.calcsize(count_format))
    count = struct.unpack(order + count_format, head)[0] if len(head) == struct.calcsize(count_format) else _MOST_TAGS
    position = offset + len(head)
    data = window(position, min(count, _MOST_TAGS) * entry_bytes + 8)
    if count >= _MOST_TAGS or len(data) < count * entry_bytes + struct.calcsize(next_format):
        raise FrameError(f"its directory at byte {offset} is cut short")
    values = {_CHANNELS: 1, _BITS: 1, _FORMAT: 1, _SUBFILE: 0, _PHOTOMETRIC: 1, _WIDTH: 0, _HEIGHT: 0}
    for number in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", data, number * entry_bytes)
        if tag in values and kind in _TYPE_FORMATS:
            values[tag] = _value(window, data, number * entry_bytes, order, _TYPE_FORMATS[kind], is_big)
    page = Page(
        offset,
        values[_WIDTH],
        values[_HEIGHT],
        values[_CHANNELS],
        values[_BITS],
        is_float=values[_FORMAT] == _FLOAT,
        is_indexed=values[_PHOTOMETRIC] == _INDEXED,
        is_preview=bool(values[_SUBFILE] & _REDUCED),
    )
    following = struct.unpack_from(order + next_format, data, count * entry_bytes)[0]
    return page, int(following)


def _value(
    window: Callable[[int, int], bytes], data: bytes, entry: int, order: str, value_format: str, is_big: bool
) -> int:
    """The first value of an entry: in the entry itself if all fit there, else where it points."""
    length_format, value_at, room = ("Q", 12, 8) if is_big else ("I", 8, 4)
    length = struct.unpack_from(order + length_format, data, entry + 4)[0]
    size = struct.calcsize(value_format)
    raw = data[entry + value_at : entry + value_at + size]
    if length * size > room:
        pointer_format = "Q" if is_big else "I"
        raw = window(struct.unpack_from(order + pointer_format, data, entry + value_at)[0], size)
    return int(struct.unpack(order + value_format, raw)[0]) if len(raw) == size else 0


def with_first_page(data: bytes, page: Page) -> bytes:
    """The same file with `page` as its first one, which is the one that decoders read."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    start, value_format = (8, "Q") if is_big else (4, "I")
    pointer = struct.pack(order + value_format, page.offset)
    return data[:start] + pointer + data[start + len(pointer) :]
