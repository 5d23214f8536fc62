"""Pictures and arrays of several channels that hold one depth image all the same.

- Depth packed into 8-bit channels: NYU hand pose has its high byte in green and its low byte in blue, HO-3D its high
  byte in green and its low byte in red. The byte that varies smoothly is the high one.
- 16-bit grey with alpha, or three equal channels, as editors and some libraries save grey pictures.
- Point maps (H, W, 3): z is the distance.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.notes import Note

_NAMES: Final = ("red", "green", "blue", "alpha")
# How much rougher a packed image becomes when its bytes are taken in the wrong order.
_CLEARLY: Final = 3.0
_SAMPLED_ROWS: Final = 64


def one_channel(image: NDArray[Any]) -> tuple[NDArray[Any], list[Note]]:
    """The depth in a picture of one or more channels.

    Args:
        image: (H, W) or (H, W, n), as stored.

    Returns:
        (H, W) numbers and what was done; an image that holds no depth, such as colour, comes back as it is.
    """
    if image.ndim != 3:
        return image, []
    count = image.shape[2]
    if count == 1:
        return image[..., 0], []
    if count > 4:
        return image, []
    if image.dtype == np.uint8:
        return _unpacked(image)
    if image.dtype.kind == "f":
        return _of_points_or_grey(image)
    return _of_whole_numbers(image)


def is_packed(image: NDArray[Any]) -> bool:
    """Whether an 8-bit colour picture is really depth packed into its channels."""
    return image.ndim == 3 and image.dtype == np.uint8 and _packing(image) is not None


def _unpacked(image: NDArray[np.uint8]) -> tuple[NDArray[Any], list[Note]]:
    packing = _packing(image)
    if packing is None:
        return image, []
    high, low = packing
    depth = image[..., high].astype(np.uint16) << 8 | image[..., low]
    text = f"depth packed into 8-bit channels was put together: high byte {_NAMES[high]}, low byte {_NAMES[low]}"
    return depth, [Note("packed", text)]


def _packing(image: NDArray[np.uint8]) -> tuple[int, int] | None:
    """(high, low) channel, or None if it is a real picture."""
    channels = [number for number in range(min(image.shape[2], 3)) if image[..., number].any()]
    if image.shape[2] == 2:
        channels = [0, 1]
    if len(channels) != 2:
        # Exactly one of three colours is missing everywhere, which no camera's picture is.
        return None
    first, second = (image[..., number].astype(np.int32) for number in channels)
    first_high, second_high = first * 256 + second, second * 256 + first
    # Down too: rows of a tilted wall may be all equal.
    first_rough = _roughness(first_high) + _roughness(first_high.T)
    second_rough = _roughness(second_high) + _roughness(second_high.T)
    if min(first_rough, second_rough) * _CLEARLY >= max(first_rough, second_rough):
        return None
    return (channels[0], channels[1]) if first_rough < second_rough else (channels[1], channels[0])


def swapped_bytes(image: NDArray[Any]) -> NDArray[np.uint16] | None:
    """A 16-bit image with its bytes the other way round if they are clearly stored in the wrong order, else None.

    The low byte of distances jumps from pixel to pixel, the high one hardly changes.
    """
    if image.dtype.kind != "u" or image.dtype.itemsize != 2 or image.ndim != 2:
        return None
    rows = image[:: max(1, image.shape[0] // _SAMPLED_ROWS)].astype(np.uint16)
    other = rows.byteswap()
    # Multiples of 256 would seem smooth swapped, too: pictures of 8 bits moved up.
    if not (rows & 0xFF).any() or not (rows >> 8).any():
        return None
    if _roughness(other) * 10 >= _roughness(rows):
        return None
    return image.astype(np.uint16).byteswap()


def _roughness(rows: NDArray[Any]) -> float:
    """Mean step between horizontal neighbours that both have data."""
    values = rows.astype(np.int64)
    both = (values[:, 1:] > 0) & (values[:, :-1] > 0)
    steps = np.abs(np.diff(values, axis=1))[both]
    return float(steps.mean()) if steps.size else 0.0


def _of_whole_numbers(image: NDArray[Any]) -> tuple[NDArray[Any], list[Note]]:
    count = image.shape[2]
    colours = image[..., : 1 if count == 2 else 3]
    filled = [number for number in range(colours.shape[2]) if colours[..., number].any()]
    if len(filled) == 1 and colours.shape[2] == 3:
        depth, how = colours[..., filled[0]], f"the {_NAMES[filled[0]]} channel was taken, the others are empty"
    elif (colours == colours[..., :1]).all():
        depth, how = colours[..., 0], f"one of {count} equal channels was taken"
    else:
        return image, []
    if count in (2, 4):
        alpha = image[..., -1]
        how = "the channel beside alpha was taken"
        if alpha.any() and not alpha.all():
            depth = np.where(alpha == 0, depth.dtype.type(0), depth)
            how += f", {np.count_nonzero(alpha == 0)} transparent pixels counted as no data"
    return np.ascontiguousarray(depth), [Note("channels", how)]


def _of_points_or_grey(image: NDArray[Any]) -> tuple[NDArray[Any], list[Note]]:
    count = image.shape[2]
    if count >= 3 and is_point_map(image):
        return np.ascontiguousarray(image[..., 2]), [Note("channels", "a map of points (x, y, z): z was taken")]
    if count >= 3 and all(np.array_equal(image[..., 0], image[..., n], equal_nan=True) for n in (1, 2)):
        return np.ascontiguousarray(image[..., 0]), [Note("channels", f"one of {count} equal channels was taken")]
    return image, []


def is_point_map(image: NDArray[Any]) -> bool:
    """Whether (H, W, 3 or 4) floating-point numbers are points: x / z grows along rows, and y / z along columns."""
    step = max(1, image.shape[0] // _SAMPLED_ROWS), max(1, image.shape[1] // _SAMPLED_ROWS)
    with np.errstate(all="ignore"):
        points = image[:: step[0], :: step[1], :3].astype(np.float64)
        rows, columns = np.mgrid[: points.shape[0], : points.shape[1]]
        valid = np.isfinite(points).all(axis=2) & (points[..., 2] != 0)
        x, y = points[valid, 0] / points[valid, 2], points[valid, 1] / points[valid, 2]
    if x.size < 16 or x.std() == 0 or y.std() == 0:
        return False
    along = [(x, columns[valid]), (y, rows[valid])]
    return all(where.std() > 0 and abs(np.corrcoef(ratio, where)[0, 1]) > 0.95 for ratio, where in along)


def refuse_colour(image: NDArray[Any]) -> None:
    """Says what an array of several channels is that holds no depth.

    Raises:
        FrameError: Always for floating-point arrays of several channels.
    """
    if image.ndim == 3 and image.dtype.kind == "f":
        raise FrameError(
            f"an array of shape {image.shape} and {image.dtype} came as depth; expected (height, width), or a map of "
            "points (height, width, 3) with z last. Take the channel that holds the distance."
        )
