"""Image files: read from bytes with clear errors, written atomically. Arrays are RGB, files are what OpenCV expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically as write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json as read_json
from graspcut.frames.json_files import write_json_atomically as write_json_atomically
from graspcut.frames.opening import read_bytes as read_bytes
from graspcut.frames.readers.decoding import decode_image, decode_numbers

# The fastest settings of libpng that are also among the smallest on depth, labels and colour (half the time of OpenCV's
# level 1 alone). All fixed, so that equal arrays give equal bytes. OpenCV before 4.12 has no choice of filter.
_PNG_PARAMETERS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_PNG_FILTER = getattr(cv2, "IMWRITE_PNG_FILTER", None)


def read_image(path: str | Path) -> NDArray[Any]:
    """Reads an image file with its own depth and channels.

    Returns:
        (H, W), or (H, W, 3) or (H, W, 4) in RGB order; uint8, uint16 or float32 as stored.

    Raises:
        FrameError: If the file is missing, empty, damaged, cut short or no image.
    """
    return decode_image(read_bytes(path), str(path))


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
    image = decode_numbers(read_bytes(path), str(path))
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
        image: (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, or for .png (H, W, 4) uint8 RGBA.
        suffix: ".png" or ".jpg".
        name: Used in errors.

    Raises:
        FrameError: If the array cannot be stored in such a file without loss of depth.
    """
    kinds = {".png": (np.uint8, np.uint16), ".jpg": (np.uint8,)}
    channels = (3, 4) if suffix == ".png" else (3,)
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in channels and image.dtype == np.uint8)
    if suffix not in kinds or not shaped or image.dtype not in kinds[suffix] or image.size == 0:
        raise FrameError(
            f"{name}: an array of shape {image.shape} and {image.dtype} cannot be written as {suffix}; "
            "expected (H, W) uint8 or uint16, or (H, W, 3) uint8 in RGB order, to .png (or 8 bits to .jpg)."
        )
    stored = np.ascontiguousarray(image)
    if image.ndim == 3:
        stored = cv2.cvtColor(stored, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
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
