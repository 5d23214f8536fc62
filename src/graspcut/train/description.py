"""What a run folder records of the objects that a training is made of, and what differs between two records."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_CHECKED_VALUES = 4096


def described(value: Any) -> Any:
    """A JSON-able description of a value, such that equal descriptions mean equal training.

    Objects with `describe()` are described by that, dataclasses by their fields, functions by their name and
    `functools.partial` also by its arguments, arrays by shape, type and a checksum of some values, folder readers by
    folder, number of frames and unit, objects with a `config` and a `seed`, such as a frame generator, by these.
    Anything else is described by its type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, np.ndarray):
        some = np.ascontiguousarray(value.reshape(-1)[:: max(1, value.size // _CHECKED_VALUES)])
        return f"array {value.shape} {value.dtype} {zlib.crc32(some.tobytes()):08x}"
    if isinstance(value, Mapping):
        return {str(key): described(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [described(entry) for entry in value]
    own = getattr(value, "describe", None)
    if own is not None:
        return own()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return described_fields(value)
    if isinstance(value, functools.partial):
        return {"function": described(value.func), "arguments": described([*value.args, value.keywords])}
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    return _of_object(value)


def described_fields(value: Any) -> dict[str, Any]:
    """The class and the public fields of a dataclass instance; fields that its `repr` leaves out are left out."""
    shown = [field.name for field in dataclasses.fields(value) if field.repr and not field.name.startswith("_")]
    return {"class": type(value).__qualname__, **{field: described(getattr(value, field)) for field in shown}}


def _of_object(value: Any) -> Any:
    shown = ("directory", "depth_unit_mm", "given_camera", "config", "seed")
    parts = {name: described(found) for name in shown if (found := getattr(value, name, None)) is not None}
    if hasattr(value, "names"):
        parts["frames"] = len(value.names)
    return {"class": type(value).__qualname__, **parts} if parts else type(value).__qualname__


def differences(recorded: Any, now: Any, where: str = "") -> list[str]:
    """Lines "name: old -> new" for every leaf in which two descriptions differ, in the order of the new one.

    Args:
        recorded: the old description.
        now: the new one.
        where: name of both, for the lines.
    """
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        keys = [*now, *(key for key in recorded if key not in now)]
        return [
            line
            for key in keys
            for line in differences(
                recorded.get(key, _ABSENT), now.get(key, _ABSENT), f"{where}.{key}" if where else str(key)
            )
        ]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        return [
            line
            for number, (old, new) in enumerate(zip(recorded, now, strict=True))
            for line in differences(old, new, f"{where}[{number}]")
        ]
    return [] if recorded == now else [f"{where}: {_short(recorded)} -> {_short(now)}"]


class _Absent:
    def __str__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
