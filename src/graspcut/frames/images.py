"""Image files: read from bytes with clear errors, written atomically. Arrays are RGB, files are what OpenCV expects."""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The fastest settings of libpng that are also among the smallest on depth, labels and colour (half the time of OpenCV's
# level 1 alone). All fixed, so that equal arrays give equal bytes. OpenCV before 4.12 has no choice of filter.
_PNG_PARAMETERS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_PNG_FILTER = getattr(cv2, "IMWRITE_PNG_FILTER", None)


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        FrameError: If it does not exist, is a folder or cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FrameError(f"{path} does not exist; expected an image file. Check the path.") from error
    except OSError as error:
        raise FrameError(f"{path} cannot be read ({error.strerror}); expected a readable image file.") from error
    if not data:
        raise FrameError(
            f"{path} is empty (0 bytes); expected an image. Its writer was probably stopped: make it again."
        )
    return data


def read_image(path: str | Path) -> NDArray[Any]:
    """Reads an image file with its own depth and channels.

    Returns:
        (H, W), or (H, W, 3) or (H, W, 4) in RGB order; uint8, uint16 or float32 as stored.

    Raises:
        FrameError: If the file is missing, empty, damaged, cut short or no image.
    """
    return decode_image(read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> NDArray[Any]:
    """Decodes the bytes of an image file; see `read_image`. `name` is used in errors."""
    if data.startswith(_PNG_SIGNATURE):
        fault = png_fault(data)
        if fault:
            raise FrameError(
                f"{name} is damaged: {fault}. Expected a whole PNG file; copy or record it again, or leave it out."
            )
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameError(f"{name} cannot be decoded ({error.err}); expected a PNG, TIFF, PGM or JPEG image.") from error
    if image is None:
        raise FrameError(
            f"{name} is not an image that can be decoded (first bytes {data[:8]!r}, {len(data)} bytes); "
            "expected a whole PNG, TIFF, PGM or JPEG file."
        )
    if image.ndim == 3 and image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return np.asarray(image)


def png_fault(data: bytes) -> str | None:
    """What is wrong with a PNG file's chunks (length, checksum, end), or None. Costs a hundredth of decoding."""
    position = len(_PNG_SIGNATURE)
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


def read_single_channel(path: str | Path, *, what: str) -> NDArray[np.uint8]:
    """Reads an 8-bit image with one channel, such as a label map.

    Args:
        path: The file.
        what: What it should be, for errors ("label map").

    Returns:
        (H, W) uint8.

    Raises:
        FrameError: If the file is no such image.
    """
    image = read_image(path)
    if image.ndim != 2 or image.dtype != np.uint8:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise FrameError(
            f"{path} has {channels} channel(s) of {image.dtype}; expected a {what}: one channel of uint8. "
            "Save label numbers, not the colours that a viewer shows for them."
        )
    return image


def read_colour(path: str | Path) -> NDArray[np.uint8]:
    """Reads an 8-bit colour image, (H, W, 3) uint8 RGB; an alpha channel is dropped, grey is repeated."""
    image = read_image(path)
    if image.dtype != np.uint8:
        raise FrameError(
            f"{path} holds {image.dtype}; expected an 8-bit colour image. A 16-bit file is probably the depth image."
        )
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def encode_image(image: NDArray[Any], suffix: str, *, name: str = "image") -> bytes:
    """Encodes an RGB or single-channel image; the same array always gives the same bytes.

    Args:
        image: (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB.
        suffix: ".png" or ".jpg".
        name: Used in errors.

    Raises:
        FrameError: If the array cannot be stored in such a file without loss of depth.
    """
    kinds = {".png": (np.uint8, np.uint16), ".jpg": (np.uint8,)}
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8)
    if suffix not in kinds or not shaped or image.dtype not in kinds[suffix] or image.size == 0:
        raise FrameError(
            f"{name}: an array of shape {image.shape} and {image.dtype} cannot be written as {suffix}; "
            "expected (H, W) uint8 or uint16, or (H, W, 3) uint8 in RGB order, to .png (or 8 bits to .jpg)."
        )
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else np.ascontiguousarray(image)
    parameters = _png_parameters(image) if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    done, data = cv2.imencode(suffix, stored, parameters)
    if not done:
        raise FrameError(f"{name}: OpenCV could not encode an array of shape {image.shape} and {image.dtype}.")
    return data.tobytes()


def _png_parameters(image: NDArray[Any]) -> list[int]:
    if _PNG_FILTER is None:
        return _PNG_PARAMETERS
    if image.ndim == 3:
        return [*_PNG_PARAMETERS, _PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    # Labels are runs of equal values already; neighbouring depths differ by little.
    kind = cv2.IMWRITE_PNG_FILTER_NONE if image.dtype == np.uint8 else cv2.IMWRITE_PNG_FILTER_SUB
    return [*_PNG_PARAMETERS, _PNG_FILTER, kind]


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Writes under a temporary name in the same folder and renames: readers see the old file, the new file or none."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_image_atomically(path: str | Path, image: NDArray[Any]) -> None:
    """Writes an image as PNG or JPEG by the name's ending, under a temporary name first.

    Args:
        path: Ends in .png, .jpg or .jpeg; its folder must exist.
        image: (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB.

    Raises:
        FrameError: If the array does not fit the format.
        OSError: If the folder does not exist or the disk is full.
    """
    suffix = Path(path).suffix.lower()
    write_bytes_atomically(path, encode_image(image, ".jpg" if suffix == ".jpeg" else suffix, name=str(path)))


def write_json_atomically(path: str | Path, value: Any, *, one_line: bool = False) -> None:
    """Writes JSON with sorted keys, so that equal values give equal bytes; one line is ten times as fast as many."""
    text = json.dumps(value, sort_keys=True, indent=None if one_line else 1, allow_nan=False)
    write_bytes_atomically(path, (text + "\n").encode())


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        FrameError: If the file is missing or holds no JSON object.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise FrameError(f"{path} does not exist; expected a JSON file. Check the folder.") from error
    except (OSError, ValueError) as error:
        raise FrameError(f"{path} cannot be read as JSON ({error}); restore it or make the folder again.") from error
    if not isinstance(value, dict):
        raise FrameError(f"{path} holds a JSON {type(value).__name__}; expected an object.")
    return value
