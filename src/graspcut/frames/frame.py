"""One depth frame, checked when it is made, so that everything above can trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError

# Farther than any depth camera sees: a mean depth above this means that the unit is wrong.
_FARTHEST_MEAN_MM = 50_000.0
# Nearer than any depth camera sees: decimals below this are metres.
_NEAREST_FAR_MM = 20.0


def check_unit(unit_mm: float) -> float:
    """The unit of raw depth numbers, mm per step, or a `FrameError` if it is not a positive finite number."""
    unit = float(unit_mm)
    if not math.isfinite(unit) or unit <= 0:
        raise FrameError(
            f"the depth unit is {unit_mm}; expected millimetres per step, above 0. Kinect, D400 and Azure files mostly "
            "have 1, an SR300 has 0.1249866, files in metres have 1000."
        )
    return unit


def check_depth(array: NDArray[Any], unit_mm: float | None) -> NDArray[np.float32]:
    """Checks a depth image and gives it in millimetres.

    Args:
        array: (H, W) numbers, 0 = no data: integers of at least 16 bits in steps of `unit_mm`, or floating point.
        unit_mm: Millimetres per step. May be None for floating-point arrays, which are then millimetres already.

    Returns:
        (H, W) float32, millimetres; a float32 array with unit None or 1 is returned as it is, without a copy.

    Raises:
        FrameError: For 8-bit and colour images, other shapes, NaN or infinity, negative values, integers without a
            unit, and values that no depth camera gives in this unit.
    """
    if not isinstance(array, np.ndarray):
        raise FrameError(f"depth came as {type(array).__name__}; expected a numpy array of shape (height, width).")
    _check_kind(array)
    if array.dtype.kind in "iu" and unit_mm is None:
        raise FrameError(
            f"depth came as {array.dtype} without a unit; expected the number of millimetres per step, because files "
            "look alike in any unit. Give unit_mm (command line: --depth-unit-mm): 1 for millimetres, 0.1249866 for an "
            "SR300."
        )
    unit = 1.0 if unit_mm is None else check_unit(unit_mm)
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        count = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise FrameError(
            f"depth has {count} NaN or infinite pixel(s); expected finite numbers with 0 for no data. "
            "Mend it with numpy.nan_to_num(depth, nan=0, posinf=0, neginf=0)."
        )
    if low < 0:
        raise FrameError(
            f"depth has {int((array < 0).sum())} negative pixel(s), lowest {low:g}; expected distances above 0 with 0 "
            "for no data. If the file was read as signed 16 bit, view it as uint16; if negative marks no data, set "
            "those pixels to 0."
        )
    if unit_mm is None and 0 < high < _NEAREST_FAR_MM:
        raise FrameError(
            f"depth has no value above {high:g} and came without a unit, so as millimetres; that looks like metres. "
            "Give unit_mm=1000 (command line: --depth-unit-mm 1000)."
        )
    depth = array.astype(np.float32, copy=False) if unit == 1.0 else np.multiply(array, unit, dtype=np.float32)
    valid = np.count_nonzero(depth)
    if valid and float(depth.sum(dtype=np.float64)) / valid > _FARTHEST_MEAN_MM:
        raise FrameError(
            f"depth is {float(depth.sum(dtype=np.float64)) / valid / 1000:.0f} m on average with a unit of {unit:g} "
            "mm; expected a hand within a few metres. The unit is probably too large: it is millimetres per step."
        )
    return depth


def _check_kind(array: NDArray[Any]) -> None:
    if array.ndim == 3 and array.shape[2] in (3, 4):
        raise FrameError(
            f"a colour image came as depth (shape {array.shape}, {array.dtype}); expected one channel of shape "
            "(height, width). Give the camera's 16-bit depth file, not its coloured picture."
        )
    if array.ndim != 2 or array.size == 0:
        raise FrameError(
            f"depth came with shape {array.shape}; expected (height, width). Take one frame of a stack, or drop axes "
            "of size 1 with numpy.squeeze."
        )
    if array.dtype.kind not in "iuf":
        raise FrameError(f"depth came as {array.dtype}; expected uint16 or floating point.")
    if array.dtype.itemsize == 1:
        raise FrameError(
            f"depth came as {array.dtype}, whose 256 steps are too coarse; expected 16-bit integers or floating point. "
            "Most viewers save 8-bit pictures: export the raw 16-bit depth instead."
        )


@dataclass(frozen=True, eq=False)
class Frame:
    """A depth image in millimetres with what is known about it.

    Attributes:
        depth_mm: (H, W) float32, millimetres along z, 0 = no data.
        camera: Intrinsics of the depth pixels, or None if unknown.
        colour: (H', W', 3) uint8 RGB, or None.
        colour_camera: The colour image's own camera; None means that colour is registered to the depth pixels.
        timestamp_s: Seconds, from any fixed origin, or None.
        name: For messages and file names.

    Raises:
        FrameError: If an array has another type or shape than stated here, or sizes do not agree.
    """

    depth_mm: NDArray[np.float32]
    camera: Camera | None = None
    colour: NDArray[np.uint8] | None = None
    colour_camera: Camera | None = None
    timestamp_s: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "depth_mm", self._checked_depth())
            self._check_colour()
        except FrameError as error:
            raise FrameError(f"frame {self.name}: {error}" if self.name else str(error)) from error
        if self.timestamp_s is not None and not math.isfinite(self.timestamp_s):
            raise FrameError(f"frame {self.name}: timestamp is {self.timestamp_s}; expected seconds or None.")

    def _checked_depth(self) -> NDArray[np.float32]:
        if isinstance(self.depth_mm, np.ndarray) and self.depth_mm.dtype.kind == "f":
            # A unit of 1 says "these are millimetres", which the field's name already promises.
            depth = check_depth(self.depth_mm, 1.0)
        else:
            depth = check_depth(self.depth_mm, None)
        if self.camera is not None and (self.camera.height, self.camera.width) != depth.shape:
            raise FrameError(
                f"depth has shape {depth.shape} but its camera is {self.camera.width}x{self.camera.height} (width x "
                "height); expected the same size. Use camera.resized(width, height) if the image was resized."
            )
        return depth

    def _check_colour(self) -> None:
        if self.colour is None:
            return
        colour = self.colour
        if not isinstance(colour, np.ndarray) or colour.ndim != 3 or colour.shape[2] != 3 or colour.dtype != np.uint8:
            came = f"{colour.shape} {colour.dtype}" if isinstance(colour, np.ndarray) else type(colour).__name__
            raise FrameError(f"colour came as {came}; expected (height, width, 3) uint8 in RGB order.")
        if self.colour_camera is None:
            expected, reason = self.depth_mm.shape, "colour without its own camera is registered to the depth pixels"
        else:
            expected, reason = (self.colour_camera.height, self.colour_camera.width), "its camera has this size"
        if colour.shape[:2] != expected:
            raise FrameError(
                f"colour has {colour.shape[1]}x{colour.shape[0]} pixels; expected {expected[1]}x{expected[0]}, because "
                f"{reason}. Give the colour camera, or the registered image."
            )

    @property
    def height(self) -> int:
        """Rows of the depth image."""
        return int(self.depth_mm.shape[0])

    @property
    def width(self) -> int:
        """Columns of the depth image."""
        return int(self.depth_mm.shape[1])

    def points_mm(self) -> NDArray[np.float64]:
        """(H, W, 3) points in the depth camera's frame, mm; (0, 0, 0) where there is no data.

        Raises:
            FrameError: If the camera is unknown.
        """
        if self.camera is None:
            raise FrameError(
                f"frame {self.name} has no camera; expected intrinsics to compute points. Give fx, fy, cx, cy."
            )
        return self.camera.deproject(self.depth_mm)
