"""The one reader of JSON files: whatever a file holds, the error names the file and the field.

    index = JsonObject.read("frames/dataset.json")
    count = index.whole("count", least=0)
    unit = index.number("depth_unit_mm")

Files may come from anywhere: sizes are limited, deep nesting and numbers that no float holds are refused, and a value
of another type than asked for is a `FrameError` rather than a surprise further on.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, overload

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.limits import MOST_JSON_BYTES
from graspcut.frames.opening import read_bytes

_REQUIRED: Any = object()


def parse_json(data: bytes | str, place: str) -> Any:
    """Any JSON value.

    Args:
        data: The text.
        place: The file, with the line where that helps, for errors.

    Raises:
        FrameError: If it is no JSON, nested too deeply, or not UTF-8.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise FrameError(
            f"{place} cannot be read as JSON (nested too deeply); restore it or make the folder again."
        ) from error
    except ValueError as error:
        raise FrameError(f"{place} cannot be read as JSON ({error}); restore it or make the folder again.") from error


def read_json_value(path: str | Path, *, most: int = MOST_JSON_BYTES) -> Any:
    """Any JSON value of a file; see `read_json`."""
    return parse_json(read_bytes(path, what="JSON file", most=most), str(path))


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        FrameError: If the file is missing, no regular file, too large, or holds no JSON object.
    """
    value = read_json_value(path)
    if not isinstance(value, dict):
        raise FrameError(f"{path} holds a JSON {type(value).__name__}; expected an object.")
    return value


def write_json_atomically(path: str | Path, value: Any, *, one_line: bool = False) -> None:
    """Writes JSON with sorted keys, so that equal values give equal bytes; one line is ten times as fast as many."""
    write_bytes_atomically(path, json_bytes(value, one_line=one_line))


def json_bytes(value: Any, *, one_line: bool = False) -> bytes:
    """What `write_json_atomically` writes."""
    text = json.dumps(value, sort_keys=True, indent=None if one_line else 1, allow_nan=False)
    return (text + "\n").encode()


class JsonObject:
    """A JSON object whose fields are checked when they are asked for.

    Args:
        value: The object.
        place: Where it stands: the file, with line or field.

    Raises:
        FrameError: If it is no object.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise FrameError(f"{place} holds {_described(value)}; expected an object.")
        self.value: dict[str, Any] = value
        self.place = place

    @classmethod
    def read(cls, path: str | Path) -> JsonObject:
        """The object of a file; see `read_json`."""
        return cls(read_json(path), str(path))

    def __contains__(self, name: str) -> bool:
        return name in self.value

    def get(self, name: str, default: Any = _REQUIRED) -> Any:
        """A field of any type; without a default it must be there."""
        if name in self.value:
            return self.value[name]
        if default is _REQUIRED:
            raise FrameError(f"{self.place} lacks the field {name!r}; restore it or make the folder again.")
        return default

    @overload
    def number(self, name: str, default: float = ..., *, above: float = ...) -> float: ...
    @overload
    def number(self, name: str, default: None, *, above: float = ...) -> float | None: ...
    def number(self, name: str, default: Any = _REQUIRED, *, above: float = -math.inf) -> float | None:
        """A finite number greater than `above`; null counts as missing."""
        value = self.get(name, default)
        if value is None and default is None:
            return None
        number = as_number(value)
        if number is None or not number > above:
            bound = "" if above == -math.inf else f" above {above:g}"
            raise self.wrong(name, f"a finite number{bound}")
        return number

    def whole(self, name: str, default: Any = _REQUIRED, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number of a range."""
        number = as_number(self.get(name, default))
        if number is None or number != int(number) or not least <= number <= most:
            raise self.wrong(name, f"a whole number of {least} to {most}")
        return int(number)

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """A text."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def array(self, name: str, default: Any = _REQUIRED) -> list[Any]:
        """A list of anything."""
        value = self.get(name, default)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def nested(self, name: str, default: Any = _REQUIRED) -> JsonObject:
        """An object."""
        return JsonObject(self.get(name, default), f"{self.place}, field {name!r}")

    def objects(self, name: str, default: Any = _REQUIRED) -> list[JsonObject]:
        """A list of objects."""
        return [
            JsonObject(value, f"{self.place}, field {name!r}, entry {number}")
            for number, value in enumerate(self.array(name, default))
        ]

    def shown(self, name: str) -> str:
        """A field as it may stand in a message, shortened."""
        return _described(self.value.get(name))

    def wrong(self, name: str, expected: str) -> FrameError:
        """The error for a field that is not what was expected."""
        came = _described(self.value.get(name))
        return FrameError(f"{self.place}: the field {name!r} is {came}; expected {expected}. Restore the file.")


def as_number(value: Any) -> float | None:
    """A finite number of a parsed JSON file as a float, or None for anything else; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _described(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)} entries"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
