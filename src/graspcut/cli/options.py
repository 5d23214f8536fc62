"""Options that several verbs share, and how their text becomes values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter


def parse_size(text: str) -> tuple[int, int]:
    """ "640x480" -> (640, 480).

    Raises:
        ValueError: If the text is no WIDTHxHEIGHT of positive whole numbers.
    """
    match = re.fullmatch(r"\s*([1-9]\d*)\s*[xX]\s*([1-9]\d*)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no size; expected WIDTHxHEIGHT in pixels, such as 640x480")
    return int(match[1]), int(match[2])


def _check_size(_type: object, text: str | None) -> None:
    if text is not None:
        parse_size(text)


Size = Annotated[str, Parameter(validator=_check_size)]
"""Width and height in pixels, typed as 640x480; see `parse_size`."""

Backend = Literal["auto", "openvino", "onnxruntime", "pytorch"]
"""Inference engine; auto takes the fastest that is there and can run the model."""

Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
"""How convolutions are computed; auto takes what the model ships for the engine."""


def parse_camera(text: str) -> Any:
    """A camera file's intrinsics, or the name of a known camera as it is; both are what `Camera.of` takes.

    Raises:
        ValueError: If it is neither.
    """
    from graspcut.frames.camera_files import read_intrinsics
    from graspcut.frames.camera_presets import PRESETS

    name = text.lower().replace("-", "_")
    if name in PRESETS and not Path(text).exists():
        return name
    if not Path(text).exists():
        raise ValueError(
            f"--camera {text}: there is no such file, and no camera of this name; expected a file with intrinsics, or "
            f"one of {', '.join(sorted(PRESETS))}"
        )
    return read_intrinsics(text)
