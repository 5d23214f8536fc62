"""Intrinsics as people have them: four numbers or a matrix, often without the size of the picture they belong to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError

# No lens of a depth camera sees more, and nobody crops more out of a picture.
_WIDEST_VIEW_DEG = 150.0
_NARROWEST_VIEW_DEG = 0.5
# Sizes of one camera at several resolutions agree to a row or two.
_SAME_SHAPE = 0.01


@dataclass(frozen=True)
class FocalLength:
    """A camera of which only the focal length is known; its axis goes through the middle of pictures of any size.

    Attributes:
        pixels: Focal length at the size of the pictures.
    """

    pixels: float

    def __post_init__(self) -> None:
        try:
            is_usable = math.isfinite(self.pixels) and self.pixels > 0
        except TypeError:
            is_usable = False
        if not is_usable:
            raise FrameError(
                f"the focal length is {self.pixels} pixels; expected more than 0, mostly about 0.75 times the width."
            )


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics of a pinhole camera, at a size or for whatever size comes.

    Attributes:
        fx, fy, cx, cy: Pixels.
        width, height: The size they belong to; None if it is not said.
        distortion: (k1, k2, k3, k4, k5) of the inverse Brown-Conrady model; see `Camera`.
        rotation: Row-major; see `Camera`.
        translation_mm: See `Camera`.
        origin: Where they come from, for errors.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int | None = None
    height: int | None = None
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    translation_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    origin: str = "the given intrinsics"

    def scale_to(self, width: int, height: int) -> tuple[float, float]:
        """Factors (across, down) that bring these to another size of the same picture.

        Raises:
            FrameError: If the size has another shape: then the picture was cropped, nobody knows where.
        """
        if self.width is None or self.height is None:
            self._check_centre(width, height)
            return 1.0, 1.0
        across, down = width / self.width, height / self.height
        if abs(across / down - 1) > _SAME_SHAPE:
            raise FrameError(
                f"the depth is {width}x{height} (width x height), but {self.origin} is for {self.width}x{self.height}, "
                "which has another shape; expected intrinsics of this stream, at its size or one of the same shape."
            )
        return across, down

    def _check_centre(self, width: int, height: int) -> None:
        # The axis of a real camera goes through the middle third of its picture.
        if not (0.2 * width < self.cx < 0.8 * width and 0.2 * height < self.cy < 0.8 * height):
            raise FrameError(
                f"the principal point of {self.origin} is ({self.cx:g}, {self.cy:g}), far from the middle of a picture "
                f"of {width}x{height}; expected intrinsics at the size of the depth pictures. Scale them, or say their "
                "width and height."
            )


def of_numbers(value: Any, *, origin: str = "the given intrinsics") -> Intrinsics:
    """Intrinsics from (fx, fy, cx, cy) or a matrix (3, 3), (3, 4) or (4, 4), also as lists, row- or column-major.

    Raises:
        FrameError: If the numbers are neither.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"{origin}: {_short(value)} is no list of numbers; expected {_EXPECTED}.") from error
    if numbers.shape in ((9,), (16,), (12,)):
        numbers = numbers.reshape({9: (3, 3), 16: (4, 4), 12: (3, 4)}[numbers.size])
    if not np.isfinite(numbers).all():
        raise FrameError(f"{origin}: {_short(value)} has NaN or infinity; expected {_EXPECTED}.")
    if numbers.shape == (4,):
        fx, fy, cx, cy = (float(number) for number in numbers)
        return Intrinsics(fx, fy, cx, cy, origin=origin)
    if numbers.shape not in ((3, 3), (3, 4), (4, 4)):
        raise FrameError(f"{origin}: shape {numbers.shape} came; expected {_EXPECTED}.")
    return Intrinsics(*_of_matrix(numbers[:3, :3], origin), origin=origin)


_EXPECTED = "(fx, fy, cx, cy) or a matrix K of 3x3 numbers"


def _of_matrix(matrix: NDArray[np.float64], origin: str) -> tuple[float, float, float, float]:
    if matrix[0, 2] == 0 and matrix[1, 2] == 0 and matrix[2, 0] != 0:
        # Open3D and ARKit write columns first.
        matrix = matrix.T
    scale = matrix[2, 2]
    is_camera = scale != 0 and abs(matrix[2, 0]) < 1e-9 and abs(matrix[2, 1]) < 1e-9 and abs(matrix[1, 0]) < 1e-6
    if not is_camera or matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or math.isclose(matrix[0, 0], scale):
        raise FrameError(
            f"{origin}: {matrix.tolist()} is no camera matrix; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in "
            "pixels."
        )
    matrix = matrix / scale
    return float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])


def check_field_of_view(width: int, height: int, fx: float, fy: float) -> None:
    """Refuses focal lengths that no camera has at this size; a network's working picture would grow without bound.

    Raises:
        FrameError: If the picture would span more than 150 degrees, or less than half a degree.
    """
    for size, focal, way in ((width, fx, "across"), (height, fy, "down")):
        view_deg = 2 * math.degrees(math.atan(size / (2 * focal)))
        too_narrow = view_deg < _NARROWEST_VIEW_DEG and size > 32
        if view_deg > _WIDEST_VIEW_DEG or too_narrow:
            raise FrameError(
                f"a focal length of {focal:g} pixels for a picture of {width}x{height} means a field of view of "
                f"{view_deg:.1f} degrees {way}; expected {_NARROWEST_VIEW_DEG:g} to {_WIDEST_VIEW_DEG:g}, mostly a "
                "focal length of about 0.75 times the width. Give it in pixels of this size (--focal-px)."
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
