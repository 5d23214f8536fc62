"""Numbers of depth files to millimetres: which of them mean "no data", and whether the unit can be right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.notes import Note
from graspcut.frames.plausibility import check_plausible

# The largest number of 16 bits, integer and floating point; files that were converted to other types keep them.
_TYPE_MAXIMA: Final = (65504.0, 65535.0)
# Renderers write 1e10 or the largest float for "nothing there".
_INFINITY_BY_ANOTHER_NAME: Final = 1e8
# Far constants that data sets use for "background": nothing lies between the scene and them.
_FAR_CONSTANT_MM: Final = 10_000.0
_FAR_CONSTANT_SHARE: Final = 0.01
_FAR_CONSTANT_PIXELS: Final = 64


@dataclass(frozen=True, eq=False)
class ExaminedDepth:
    """A checked depth image.

    Attributes:
        depth_mm: (H, W) float32 millimetres, 0 = no data.
        notes: What was assumed, counted as no data, or is doubtful.
    """

    depth_mm: NDArray[np.float32]
    notes: tuple[Note, ...]


def check_unit(unit_mm: float) -> float:
    """The unit of raw depth numbers, mm per step, or a `FrameError` if it is not a positive finite number."""
    try:
        unit = float(unit_mm)
    except (TypeError, ValueError, OverflowError):
        unit = math.nan
    if not math.isfinite(unit) or unit <= 0:
        raise FrameError(
            f"the depth unit is {unit_mm}; expected millimetres per step, above 0. Kinect, D400 and Azure files mostly "
            "have 1, an SR300 has 0.1249866, files in metres have 1000."
        )
    return unit


def check_depth(array: NDArray[Any], unit_mm: float | None) -> NDArray[np.float32]:
    """Checks a depth image and gives it in millimetres; `examine_depth` also says what was mended or is doubtful.

    Args:
        array: (H, W) numbers, 0 = no data: integers of at least 16 bits in steps of `unit_mm`, or floating point.
        unit_mm: Millimetres per step. May be None for floating-point arrays, which are then millimetres already.

    Returns:
        (H, W) float32, millimetres; a float32 array with unit None or 1 in which all is well is returned as it is,
        without a copy.

    Raises:
        FrameError: For 8-bit and colour images, other shapes, negative values, integers without a unit, and values that
            no depth camera gives in this unit.
    """
    return examine_depth(array, unit_mm).depth_mm


def examine_depth(array: NDArray[Any], unit_mm: float | None, *, no_data_from: float | None = None) -> ExaminedDepth:
    """Checks a depth image, gives it in millimetres, and notes what is not as it should be.

    NaN, infinity, the largest number of a type and far constants that stand for the background are no data and become
    0. An image whose numbers are all negative has its axis the other way round (OpenGL, Isaac Gym) and is turned.

    Args:
        array, unit_mm: As `check_depth`.
        no_data_from: Raw numbers of at least this are no data (a PGM file's highest value).

    Raises:
        FrameError: As `check_depth`.
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
    raw_type = array.dtype
    notes: list[Note] = []
    array, low, high = _without_missing(array, no_data_from, notes)
    reaches_maximum = raw_type.kind in "iu" and bool(notes)
    if low < 0:
        array, high = _turned(array, low, high, notes)
    if high * unit >= _FAR_CONSTANT_MM:
        array = _without_far_constant(array, high, unit, notes)
    with np.errstate(over="ignore", invalid="ignore"):
        depth = array.astype(np.float32, copy=False) if unit == 1.0 else np.multiply(array, unit, dtype=np.float32)
    doubts = check_plausible(depth, unit, raw_type=raw_type, reaches_maximum=reaches_maximum)
    if unit_mm is None:
        notes.append(Note("unit", "floating-point depth without a unit was taken as millimetres"))
    return ExaminedDepth(depth, (*notes, *doubts))


def _without_missing(
    array: NDArray[Any], no_data_from: float | None, notes: list[Note]
) -> tuple[NDArray[Any], float, float]:
    """The image with 0 for what is known to mean "no data"; its lowest and highest number."""
    # A sum over NaN is NaN, and minimum and maximum find infinity: three quick passes that find nothing wrong mostly.
    low, high = float(array.min()), float(array.max())
    is_float = array.dtype.kind == "f"
    if not (math.isfinite(low) and math.isfinite(high)):
        missing = ~np.isfinite(array)
        if missing.all():
            raise FrameError(
                f"depth has nothing but NaN or infinite pixels ({array.size} of them); expected distances, with 0, NaN "
                "or infinity where there is no data."
            )
        array = np.where(missing, array.dtype.type(0), array)
        notes.append(Note("no data", f"{_pixels(missing)} with NaN or infinity counted as no data"))
        low, high = float(array.min()), float(array.max())
    limit = no_data_from if no_data_from is not None else math.inf
    if is_float:
        if high >= _INFINITY_BY_ANOTHER_NAME:
            limit = min(limit, _INFINITY_BY_ANOTHER_NAME)
        elif high in _TYPE_MAXIMA:
            limit = min(limit, high)
    else:
        largest = np.iinfo(array.dtype).max
        if high in (65535.0, float(largest)):
            limit = min(limit, high)
    if high >= limit:
        missing = array >= limit
        if missing.all():
            # Then they mean something else, such as a wrong unit, which is for the check that follows to say.
            return array, low, high
        array = np.where(missing, array.dtype.type(0), array)
        notes.append(Note("no data", f"{_pixels(missing)} with the highest number {high:g} counted as no data"))
        low, high = min(low, 0.0), float(array.max())
    return array, low, high


def _turned(array: NDArray[Any], low: float, high: float, notes: list[Note]) -> tuple[NDArray[Any], float]:
    if high <= 0 and array.dtype.kind == "f":
        notes.append(Note("turned", "all distances are negative, as in OpenGL and Isaac Gym; their sign was turned"))
        return -array, -low
    raise FrameError(
        f"depth has {int((array < 0).sum())} negative pixel(s), lowest {low:g}; expected distances above 0 with 0 "
        "for no data. If the file was read as signed 16 bit, view it as uint16; if negative marks no data, set "
        "those pixels to 0."
    )


def _without_far_constant(array: NDArray[Any], high: float, unit: float, notes: list[Note]) -> NDArray[Any]:
    constant = array == high
    rest = array[~constant]
    count = constant.size - rest.size
    if (
        not rest.size
        or count < max(_FAR_CONSTANT_PIXELS, _FAR_CONSTANT_SHARE * constant.size)
        or not 0 < float(rest.max()) < high / 2
    ):
        return array
    notes.append(
        Note(
            "no data",
            f"{_pixels(constant)} with exactly {high:g}, {high * unit / 1000:.0f} m and far behind everything else, "
            "counted as no data",
        )
    )
    return np.where(constant, array.dtype.type(0), array)


def _pixels(mask: NDArray[np.bool_]) -> str:
    count = int(np.count_nonzero(mask))
    return f"{count} pixel{'s' if count != 1 else ''} ({count / mask.size:.1%})"


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
