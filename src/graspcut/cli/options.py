"""Options that several verbs share, and how their text becomes values."""

from __future__ import annotations

import re
from typing import Annotated, Literal

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
