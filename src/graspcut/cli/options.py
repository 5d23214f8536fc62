"""Options that several verbs share, and how their text becomes values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from cyclopts import Parameter

if TYPE_CHECKING:
    from graspcut.frames.intrinsics import Intrinsics


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


@dataclass(frozen=True)
class InputOptions:
    """What the inputs of a verb do not say themselves.

    Attributes:
        depth_unit_mm: Millimetres per step of 16-bit files that do not say it: 1 for most, 0.1249866 for an SR300,
            1000 for metres.
        focal_px: Focal length in pixels of frames without a camera; 0.745 times the width if not given.
        camera: File with the intrinsics of frames without a camera (JSON, ROS or OpenCV YAML, K as text or .npy), or
            the name of a camera: azure_kinect, d405, d415, d435, d455, kinect, kinect_v2, l515, sr300, xtion.
        max_megapixels: Largest picture that is opened; 32 if not given.
    """

    depth_unit_mm: float | None = None
    focal_px: float | None = None
    camera: str | None = None
    max_megapixels: float | None = None

    def use(self) -> KnownOfInputs:
        """Checks the options, opens the camera file and sets the limit on pictures.

        Raises:
            UsageError: If camera and focal length are given.
            FrameError: If a value is out of range or the camera cannot be read.
        """
        from graspcut.cli import UsageError
        from graspcut.frames.camera import given_camera
        from graspcut.frames.camera_files import find_camera
        from graspcut.frames.limits import set_largest_picture

        if self.camera is not None and self.focal_px is not None:
            raise UsageError("--camera and --focal-px both say the focal length; give one of them")
        if self.max_megapixels is not None:
            set_largest_picture(self.max_megapixels)
        given_camera(None, self.focal_px)
        return {
            "depth_unit_mm": self.depth_unit_mm,
            "focal_px": self.focal_px,
            "camera": None if self.camera is None else find_camera(self.camera),
        }


class KnownOfInputs(TypedDict):
    """Arguments of the functions that open frames."""

    depth_unit_mm: float | None
    focal_px: float | None
    camera: Intrinsics | str | None


Input = Annotated[InputOptions, Parameter(name="*", group="What the input does not say")]
"""The options that every verb on depth frames has."""

NOTHING_SAID = InputOptions()
"""Default of `Input`."""
