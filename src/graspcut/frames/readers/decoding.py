"""Picture files to arrays as they are stored: RGB order, own bit depth, own channels. Nothing is interpreted here."""

from __future__ import annotations

import struct
import threading
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.limits import check_picture_size
from graspcut.frames.readers import exr, portable
from graspcut.frames.readers.headers import PNG_SIGNATURE, ROS_PREFIX_BYTES, PictureHeader, header_of_bytes

_EXPECTED = "PNG, TIFF, PGM or JPEG"


def decode_image(data: bytes, name: str) -> NDArray[Any]:
    """Decodes the bytes of an image file.

    Args:
        data: The file.
        name: Used in errors.

    Returns:
        (H, W), or (H, W, 3) or (H, W, 4) in RGB order; uint8, uint16 or floating point as stored.

    Raises:
        FrameError: If it is damaged, cut short, no image, or larger than `frames.limits` allows.
    """
    if data.startswith(PNG_SIGNATURE):
        fault = png_fault(data)
        if fault:
            raise FrameError(
                f"{name} is damaged: {fault}. Expected a whole PNG file; copy or record it again, or leave it out."
            )
    elif data[ROS_PREFIX_BYTES : ROS_PREFIX_BYTES + 8] == PNG_SIGNATURE:
        return decode_image(data[ROS_PREFIX_BYTES:], name)
    header = header_of_bytes(data)
    if header is None:
        raise FrameError(
            f"{name} is not an image that can be decoded (first bytes {data[:8]!r}, {len(data)} bytes); "
            f"expected a whole {_EXPECTED} file."
        )
    if header.kind == "exr":
        return exr.decode_exr(data, name)
    check_picture_size(header.width, header.height, header.bytes_a_pixel, name)
    if header.kind in ("pnm", "pfm"):
        return portable.decode_portable(data, name)
    return _decode(data, header, name)


def _decode(data: bytes, header: PictureHeader, name: str) -> NDArray[Any]:
    try:
        with _quiet:
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameError(f"{name} cannot be decoded ({error.err}); expected a {_EXPECTED} image.") from error
    if image is None:
        raise FrameError(
            f"{name} is damaged: a {header.kind.upper()} file of {len(data)} bytes that cannot be decoded; expected a "
            f"whole {_EXPECTED} file."
        )
    if image.ndim == 3 and image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return np.asarray(image)


class _Quiet:
    """OpenCV prints several lines of its own about damaged files; ours says what matters. Its level of logging is one
    for all threads, so the first to enter lowers it and the last to leave gives it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2.utils.logging.setLogLevel(self._before)


_quiet = _Quiet()


def decode_numbers(data: bytes, name: str) -> NDArray[Any]:
    """As `decode_image`, but an indexed picture, and one of 2 or 4 bits, gives its stored numbers, not the colours or
    greys that a viewer shows for them: what label maps need. A grey picture of 1 bit is a mask, black and white, whose
    white names no label, so it stays 0 and 255.
    """
    header = header_of_bytes(data)
    if header is None or header.kind != "png" or header.channels != 1:
        return decode_image(data, name)
    if not header.is_indexed and header.bits not in (2, 4):
        return decode_image(data, name)
    fault = png_fault(data)
    if fault:
        raise FrameError(f"{name} is damaged: {fault}. Expected a whole PNG file; copy or make it again.")
    image = decode_image(_as_grey(data), name)
    # Decoders spread fewer than 8 bits over the whole range: 255, 85 and 17 are the steps of 1, 2 and 4 bits.
    return image // np.uint8(255 // (2**header.bits - 1)) if header.bits < 8 else image


def _as_grey(data: bytes) -> bytes:
    """A one-channel PNG whose numbers are greys instead of entries of a colour table."""
    kept = []
    position = len(PNG_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            # Width, height and bits stay; colour type 0 is grey.
            content = content[:9] + b"\0" + content[10:]
        if kind not in (b"PLTE", b"tRNS", b"gAMA", b"sBIT", b"bKGD", b"hIST"):
            kept.append(struct.pack(">I", length) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
        position += length + 12
    return PNG_SIGNATURE + b"".join(kept)


def png_fault(data: bytes) -> str | None:
    """What is wrong with a PNG file's chunks (length, checksum, end), or None. Costs a hundredth of decoding."""
    position = len(PNG_SIGNATURE)
    view = memoryview(data)
    while True:
        if position + 12 > len(data):
            return f"it ends after {len(data)} bytes in the middle of the image"
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return f"it ends after {len(data)} bytes in the middle of the image"
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return f"the checksum of its part {kind.decode('latin-1')!r} at byte {position} is wrong"
        if kind == b"IEND":
            return None
        position = end + 4
