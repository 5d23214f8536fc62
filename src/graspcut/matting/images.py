"""Alpha mattes, trimaps and cut-outs as image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm")
BACKGROUND_BELOW = 50
FOREGROUND_ABOVE = 200


def read_alpha(path: str | Path) -> NDArray[np.float32]:
    """Reads an alpha matte; of a colour image with equal channels one, of RGBA the alpha channel.

    Returns:
        (H, W) float32 in 0..1; 8 and 16 bits are divided by their largest value.

    Raises:
        FrameError: If the file is missing, damaged or no matte.
    """
    values = _one_channel(read_image(path), path, "alpha matte", of_rgba=3)
    if values.dtype == np.float32:
        if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 1.0):
            raise FrameError(f"{path} holds float values outside 0..1; expected an alpha matte. Divide it first.")
        return values
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def read_trimap(path: str | Path) -> NDArray[np.uint8]:
    """Reads a trimap: below 50 is background, above 200 foreground, between them unknown.

    Returns:
        (H, W) uint8 of 0, 128 and 255.

    Raises:
        FrameError: If the file is missing, damaged or no 8-bit grey image.
    """
    return normalised_trimap(read_grey_trimap(path))


def read_grey_trimap(path: str | Path) -> NDArray[np.uint8]:
    """Reads a trimap with the grey values of the file; see `read_trimap`."""
    values = _one_channel(read_image(path), path, "trimap", of_rgba=0)
    if values.dtype != np.uint8:
        raise FrameError(f"{path} holds {values.dtype}; expected a trimap of 8 bits: 0, 128 and 255.")
    return values


def normalised_trimap(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8 of any grey values -> 0, 128 and 255 by the limits of `read_trimap`."""
    found = np.full(values.shape, 128, np.uint8)
    found[values < BACKGROUND_BELOW] = 0
    found[values > FOREGROUND_ABOVE] = 255
    return found


def image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by their name without ending, in order of names; hidden files are left out.

    Raises:
        FrameError: If it is no folder, or two files differ only in their ending.
    """
    if not folder.is_dir():
        raise FrameError(f"{folder} is no folder; expected one with images ({', '.join(IMAGE_SUFFIXES)}).")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise FrameError(f"{folder} holds {found[path.stem].name} and {path.name}; expected one image of a name.")
        found[path.stem] = path
    return found


def encode_rgba(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> bytes:
    """A PNG with transparency, not premultiplied.

    Args:
        colours: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Raises:
        FrameError: If the arrays do not fit together.
    """
    if colours.shape != (*alpha.shape, 3):
        raise FrameError(f"colours {colours.shape} and alpha {alpha.shape} do not fit; expected (H, W, 3) and (H, W).")
    done, data = cv2.imencode(".png", np.dstack((colours[..., ::-1], alpha)), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise FrameError(f"OpenCV could not encode colours {colours.shape} with alpha {alpha.shape}.")
    return data.tobytes()


def to_bytes(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Float in 0..1 to uint8, rounded to the nearest step; values outside are cut off."""
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _one_channel(image: NDArray[Any], path: str | Path, what: str, *, of_rgba: int) -> NDArray[Any]:
    if image.ndim == 2:
        return image
    if image.shape[2] == 4 and of_rgba == 3:
        return np.ascontiguousarray(image[..., 3])
    if not (np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 1], image[..., 2])):
        raise FrameError(f"{path} is a colour image; expected {what}: one channel, or three equal ones.")
    return np.ascontiguousarray(image[..., 0])
