"""Which colours are skin: linear restrictions in HSV (section 3), a small JSON file.

A colour is (h, s, v): h is the hue less `hue_centre`, wrapped into [-90, 90), so that the cut of the circle lies
opposite to skin; s and v are 0..255. Hue is in OpenCV's half degrees (0..179). A restriction
`{"h": a, "s": b, "v": c, "max": d}` is the half-space a h + b s + c v <= d; left-out factors are 0. A class is a list
of alternatives, each a list of restrictions that must all hold.

    {"hue_centre": 8, "skin": [[{"h": 1, "max": 17}, {"h": -1, "max": 25}, {"s": -1, "max": -28}]],
     "object": [], "sleeve": [[{"h": -1, "max": -70}]]}

Without alternatives for the object, the object is what is neither skin nor sleeve. Where it has some, colours that are
none of the three are unknown. Skin comes first, then sleeve, then object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.labels import BACKGROUND, HAND, OBJECT, UNKNOWN

_FACTORS = ("h", "s", "v")
_CLASSES = ("skin", "object", "sleeve")
SLEEVE_LABELS = {"hand": HAND, "background": BACKGROUND, "unknown": UNKNOWN}


@dataclass(frozen=True)
class HalfSpace:
    """The colours with h * hue + s * saturation + v * value <= max.

    Attributes:
        h, s, v: Factors.
        max: The limit.
    """

    h: float = 0.0
    s: float = 0.0
    v: float = 0.0
    max: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.h, self.s, self.v, self.max)
        if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
            raise FrameError(f"a restriction has {numbers}; expected finite numbers for h, s, v and max.")
        if not any(numbers[:3]):
            raise FrameError("a restriction has no factor; expected at least one of h, s and v that is not 0.")


Alternatives = tuple[tuple[HalfSpace, ...], ...]


@dataclass(frozen=True)
class ColourRules:
    """What colours skin, object and sleeve have.

    Attributes:
        skin: Alternatives; each is a list of half-spaces that must all hold.
        object: The same for the object; empty = everything that is neither skin nor sleeve.
        sleeve: The same for the sleeve; may be empty.
        hue_centre: The hue that h counts from, 0..180.
        sleeve_label: What a sleeve is: "hand" (the label table's hand reaches over the forearm), "background" or
            "unknown".
    """

    skin: Alternatives
    object: Alternatives = ()
    sleeve: Alternatives = ()
    hue_centre: float = 8.0
    sleeve_label: str = "hand"

    def __post_init__(self) -> None:
        if not self.skin or not all(self.skin):
            raise FrameError("the colour rules have no restriction for skin; expected at least one.")
        if not 0 <= self.hue_centre <= 180:
            raise FrameError(f"hue_centre is {self.hue_centre}; expected 0..180 (OpenCV's half degrees).")
        if self.sleeve_label not in SLEEVE_LABELS:
            raise FrameError(f"sleeve_label is {self.sleeve_label!r}; expected one of {', '.join(SLEEVE_LABELS)}.")

    def classify(self, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels of colours.

        Args:
            colours: (n, 3) uint8 RGB.

        Returns:
            (n,) uint8: 1 hand, 2 object, 255 unknown, and for sleeves the label of `sleeve_label`.
        """
        hsv = hue_saturation_value(colours, self.hue_centre)
        labels = np.full(len(colours), UNKNOWN if self.object else OBJECT, dtype=np.uint8)
        if self.object:
            labels[_any_holds(self.object, hsv)] = OBJECT
        if self.sleeve:
            labels[_any_holds(self.sleeve, hsv)] = SLEEVE_LABELS[self.sleeve_label]
        labels[_any_holds(self.skin, hsv)] = HAND
        return labels

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        classes = {
            name: [
                [{key: value for key, value in vars(space).items() if value or key == "max"} for space in alternative]
                for alternative in getattr(self, name)
            ]
            for name in _CLASSES
        }
        return {"hue_centre": self.hue_centre, "sleeve_label": self.sleeve_label, **classes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ColourRules:
        """Reads what `to_dict` wrote; a single alternative may be written without its own brackets.

        Raises:
            FrameError: If an entry is missing, unknown or of the wrong kind.
        """
        known = {"hue_centre", "sleeve_label", *_CLASSES}
        if not isinstance(values, Mapping) or "skin" not in values or set(values) - known:
            came = sorted(values) if isinstance(values, Mapping) else type(values).__name__
            raise FrameError(
                f"colour rules came with {came}; expected an object with 'skin' and perhaps {', '.join(sorted(known))}."
            )
        try:
            return cls(
                **{name: _alternatives(values.get(name, [])) for name in _CLASSES},
                hue_centre=float(values.get("hue_centre", 8.0)),
                sleeve_label=str(values.get("sleeve_label", "hand")),
            )
        except (TypeError, ValueError) as error:
            raise FrameError(
                f'colour rules are garbled: {error} Expected, for each class, lists of {{"h": 1, "max": 17}}.'
            ) from error


# Rules that nothing fulfils, for annotations without colour.
NO_COLOUR = ColourRules(skin=((HalfSpace(v=1, max=-1),),), object=((HalfSpace(v=1, max=-1),),))


def load_rules(path: str | Path) -> ColourRules:
    """Reads a rules file.

    Raises:
        FrameError: If it is missing, no JSON or holds no rules; the file is named.
    """
    try:
        return ColourRules.from_dict(read_json(path))
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def save_rules(path: str | Path, rules: ColourRules) -> None:
    """Writes a rules file."""
    write_json_atomically(path, rules.to_dict())


def hue_saturation_value(colours: NDArray[np.uint8], hue_centre: float) -> NDArray[np.float32]:
    """(n, 3) float32: hue from `hue_centre` in [-90, 90), saturation and value 0..255, of (n, 3) uint8 RGB."""
    if len(colours) == 0:
        return np.zeros((0, 3), dtype=np.float32)
    hsv = cv2.cvtColor(np.ascontiguousarray(colours)[None], cv2.COLOR_RGB2HSV)[0].astype(np.float32)
    hsv[:, 0] = np.mod(hsv[:, 0] - np.float32(hue_centre) + 90, 180) - 90
    return np.asarray(hsv, dtype=np.float32)


def _any_holds(alternatives: Alternatives, hsv: NDArray[np.float32]) -> NDArray[np.bool_]:
    result = np.zeros(len(hsv), dtype=bool)
    for alternative in alternatives:
        holds = np.ones(len(hsv), dtype=bool)
        for space in alternative:
            holds &= hsv @ np.array([space.h, space.s, space.v], dtype=np.float32) <= np.float32(space.max)
        result |= holds
    return result


def _alternatives(entries: Sequence[Any]) -> Alternatives:
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise TypeError(f"{entries!r} is no list.")
    if entries and isinstance(entries[0], Mapping):
        entries = [entries]
    alternatives = []
    for entry in entries:
        for restriction in entry:
            unknown = set(restriction) - {*_FACTORS, "max"}
            if unknown or "max" not in restriction:
                raise TypeError(f"the restriction {dict(restriction)} needs 'max' and may have h, s and v.")
        alternatives.append(tuple(HalfSpace(**restriction) for restriction in entry))
    return tuple(alternatives)
