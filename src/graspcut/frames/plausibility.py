"""Whether distances can be what a depth camera sees near a hand: the one check for every way into the program.

Depth files look alike in any unit. A wrong one gives wrong labels without a sign, so what no camera measures is
refused, and what a hand camera hardly measures is noted, both with the units that would make sense of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.notes import DOUBT, Note

# No depth camera sees a scene that ends here; decimals below this are metres.
_NO_SCENE_ENDS_AT_MM: Final = 20.0
_NO_SCENE_HAS_MEDIAN_MM: Final = 40.0
# The nearest that any depth camera measures is about 60 mm.
_NOTHING_IS_AS_NEAR_AS_MM: Final = 30.0
_HARDLY_ENDS_AT_MM: Final = 200.0
_HARDLY_BEGINS_AT_MM: Final = 1500.0
_NO_HAND_CAMERA_BEGINS_AT_MM: Final = 10_000.0
_NO_HAND_CAMERA_HAS_MEDIAN_MM: Final = 20_000.0
_NO_HAND_CAMERA_SEES_MM: Final = 30_000.0
_SAMPLE: Final = 4096
# Of fewer pixels than this no shares are told.
_FEW: Final = 64

# Units that files come in, and whose they are.
KNOWN_UNITS: Final = (
    (1.0, "millimetres"),
    (1000.0, "metres"),
    (0.1249866, "SR300"),
    (0.2, "5000 steps a metre, as TUM and SUN3D"),
    (0.25, "L515"),
    (0.1, "D405, tenths of a millimetre"),
    (10.0, "centimetres"),
    (0.001, "micrometres"),
)


@dataclass(frozen=True)
class DepthRange:
    """Where the distances of a frame lie, in the unit of the sampled numbers.

    Attributes:
        near, median, far: The 1st, 50th and 95th percentile.
        highest: The largest number.
        values: Sorted sample of the numbers above 0.
    """

    near: float
    median: float
    far: float
    highest: float
    values: NDArray[Any]


def depth_range(depth: NDArray[Any]) -> DepthRange | None:
    """Percentiles of the pixels with data, from some thousand of them; None if there are none."""
    flat = depth.reshape(-1)
    step = max(1, flat.size // _SAMPLE)
    # A step that divides the width would see a few columns only.
    while math.gcd(step, depth.shape[-1]) != 1:
        step += 1
    sample = flat[::step]
    values = sample[sample > 0]
    if values.size < 256 < flat.size:
        # Little of the frame has data, such as a hand that is cut out.
        values = flat[flat > 0]
        values = values[:: max(1, values.size // _SAMPLE)]
    if not values.size:
        return None
    values = np.sort(values)
    near, median, far = (float(values[int(share * (values.size - 1))]) for share in (0.01, 0.5, 0.95))
    return DepthRange(near, median, far, float(values[-1]), values)


def likely_units(found: DepthRange, unit_mm: float | None) -> list[tuple[float, str]]:
    """Known units in which a frame would show something within arm's reach, the most sensible first.

    Args:
        found: Range of the frame in millimetres.
        unit_mm: The unit that gave these millimetres, which is not proposed again; None if they are raw numbers.
    """
    scored = []
    for unit, name in KNOWN_UNITS:
        factor = unit / (unit_mm or 1.0)
        near, median, far = found.near * factor, found.median * factor, found.far * factor
        if (
            (unit_mm is None or abs(factor - 1) > 0.01)
            and 100 <= near <= 1500
            and 200 <= median <= 3500
            and far <= 8000
        ):
            scored.append((abs(math.log(median / 1000)) + abs(math.log(near / 500)), unit, name))
    return [(unit, name) for _, unit, name in sorted(scored)]


def check_plausible(
    depth_mm: NDArray[np.float32], unit_mm: float, *, raw_type: np.dtype[Any], reaches_maximum: bool = False
) -> list[Note]:
    """Refuses what no depth camera measures and notes what a hand camera hardly measures.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        unit_mm: The unit that gave them.
        raw_type: Type of the numbers before the unit was applied.
        reaches_maximum: Whether some of them were the highest number of their type.

    Returns:
        Notes of the kind `DOUBT`.

    Raises:
        FrameError: With the unit that is probably right.
    """
    found = depth_range(depth_mm)
    if found is None:
        return [Note("no data", "no pixel has data")]
    is_normalised = raw_type.kind == "f" and found.highest <= unit_mm and float(depth_mm.max()) == np.float32(unit_mm)
    _refuse_too_near(found, unit_mm, 0.005 if reaches_maximum else 0.2, is_normalised)
    _refuse_too_far(found, unit_mm, raw_type)
    texts = _doubts(found, unit_mm, raw_type)
    if is_normalised:
        texts.append(
            f"the highest number is exactly 1: a picture normalised to 0..1 or a network's relative depth has no unit, "
            f"and {unit_mm:g} mm is not it"
        )
    return [Note(DOUBT, text) for text in texts]


def _refuse_too_near(found: DepthRange, unit_mm: float, most_near: float, is_normalised: bool) -> None:
    if found.far >= _NO_SCENE_ENDS_AT_MM and found.median >= _NO_SCENE_HAS_MEDIAN_MM:
        near = _share(found, below=_NOTHING_IS_AS_NEAR_AS_MM)
        if near > most_near:
            raise FrameError(
                f"depth has {near:.1%} of its pixels nearer than {_NOTHING_IS_AS_NEAR_AS_MM:g} mm with a unit of "
                f"{unit_mm:g} mm, and others as far as {_length(found.highest)}; no camera measures that. It looks "
                "like a picture stretched over its type's range, a network's inverse depth, or numbers in another byte "
                "order. Give the camera's own 16-bit file."
            )
        return
    units = likely_units(found, unit_mm)
    if is_normalised:
        likely = (
            "its highest number is exactly 1, as in a picture normalised to 0..1 or a network's relative depth, which "
            "have no unit. If it is in metres all the same, give unit_mm=1000 (command line: --depth-unit-mm 1000)"
        )
    elif (units and units[0][0] == 1000) or (not units and unit_mm <= 1 and found.far < _NO_SCENE_ENDS_AT_MM):
        likely = (
            "that looks like metres. Give unit_mm=1000 (command line: --depth-unit-mm 1000), or multiply by 1000 where "
            "millimetres are expected"
        )
    else:
        likely = f"the unit is probably too small.{_proposal(units)}"
    raise FrameError(
        f"depth has hardly a value above {found.far:g} mm (median {found.median:.3g} mm) with a unit of {unit_mm:g} "
        f"mm, and no camera sees a scene that ends there; {likely}."
    )


def _refuse_too_far(found: DepthRange, unit_mm: float, raw_type: np.dtype[Any]) -> None:
    beyond = _share(found, above=_NO_HAND_CAMERA_SEES_MM)
    units = likely_units(found, unit_mm)
    if found.median > _NO_HAND_CAMERA_HAS_MEDIAN_MM or found.near > _NO_HAND_CAMERA_BEGINS_AT_MM:
        raise FrameError(
            f"depth is {_length(found.median)} on average with a unit of {unit_mm:g} mm; expected a hand within a few "
            f"metres. The unit is probably too large: it is millimetres per step.{_proposal(units)}"
        )
    is_stretched = raw_type.kind in "iu" and found.highest / unit_mm > 0.9 * min(np.iinfo(raw_type).max, 65535)
    if beyond > 0.25 or (beyond > 0.01 and is_stretched):
        raise FrameError(
            f"depth has {beyond:.0%} of its pixels farther than 30 m with a unit of {unit_mm:g} mm, up to "
            f"{_length(found.highest)}; no hand camera measures that. It looks like a picture stretched over its "
            f"type's range, a network's inverse depth, numbers in another byte order, or a unit that is too "
            f"large.{_proposal(units)}"
        )


def _doubts(found: DepthRange, unit_mm: float, raw_type: np.dtype[Any]) -> list[str]:
    units = _proposal(likely_units(found, unit_mm))
    texts = []
    if found.near > _HARDLY_BEGINS_AT_MM:
        texts.append(
            f"the nearest pixel is {_length(found.near)} away and the median {_length(found.median)}: no hand camera "
            f"sees that.{units}"
        )
    if found.far < _HARDLY_ENDS_AT_MM:
        texts.append(
            f"nothing is farther than {found.far:.0f} mm (median {found.median:.0f} mm): hardly a camera sees "
            f"that.{units}"
        )
    near, beyond = _share(found, below=_NOTHING_IS_AS_NEAR_AS_MM), _share(found, above=_NO_HAND_CAMERA_SEES_MM)
    if near > 0.01:
        texts.append(
            f"{near:.0%} of the pixels are nearer than {_NOTHING_IS_AS_NEAR_AS_MM:g} mm, which no camera measures: is "
            "it a picture stretched over its type's range, or a network's inverse depth?"
        )
    if beyond > 0.005:
        texts.append(f"{beyond:.1%} of the pixels are farther than 30 m, up to {_length(found.highest)}.{units}")
    if raw_type.kind in "iu":
        texts += _doubts_of_whole_numbers(found, unit_mm)
    return [text.rstrip(".") for text in texts]


def _doubts_of_whole_numbers(found: DepthRange, unit_mm: float) -> list[str]:
    highest = round(found.highest / unit_mm)
    if highest <= 255:
        return [f"no number is above {highest}: an 8-bit picture saved with 16 bits has such values, no depth camera"]
    bits = highest.bit_length()
    share = float(np.mean(found.values >= found.highest * 0.99999))
    if highest == 2**bits - 1 and bits < 16 and share > 0.01 and found.values.size >= _FEW:
        return [
            f"{share:.0%} of the pixels have exactly {highest}, the highest number of {bits} bits: it may mean no "
            "data, or the numbers may be a Kinect's raw disparity"
        ]
    return []


def _share(found: DepthRange, *, below: float | None = None, above: float | None = None) -> float:
    if found.values.size < _FEW:
        return 0.0
    if below is not None:
        return float(np.searchsorted(found.values, below)) / found.values.size
    assert above is not None
    return 1 - float(np.searchsorted(found.values, above, side="right")) / found.values.size


def _proposal(units: list[tuple[float, str]]) -> str:
    if not units:
        return ""
    return f" The right unit may be {' or '.join(f'{unit:.8g} ({name})' for unit, name in units[:3])}"


def _length(millimetres: float) -> str:
    """ "2.6 m", "450 mm", "600 m"."""
    if millimetres < 1000:
        return f"{millimetres:.0f} mm"
    return f"{millimetres / 1000:.1f} m" if millimetres < 100_000 else f"{millimetres / 1000:.0f} m"
