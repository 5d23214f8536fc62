"""Published intrinsics of depth cameras, for files that come without any. A unit's own calibration is always better.

Values are for one size; other sizes of the same camera scale by width and are cropped or padded evenly at top and
bottom, unless the camera has a mode of that size with numbers of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from graspcut.frames.errors import FrameError
from graspcut.frames.intrinsics import Intrinsics


@dataclass(frozen=True)
class Mode:
    """A camera at one size.

    Attributes:
        width, height: Pixels.
        fx, fy: Focal lengths, pixels.
        cx, cy: Principal point; None for the middle.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float | None = None
    cy: float | None = None


# Sources: SR300 one unit's calibration in public code; Kinect: NYU hand pose. D400: data sheet 337029 (focal length
# over pixel size of the depth module: 1.93 mm / 3.0 um, for the D415 1.88 mm / 1.4 um); 848x480 and 640x480 of the D435
# and D455 use the sensor's full height. L515: 70 degrees across of data sheet 2.0. Kinect v2: libfreenect2's defaults.
# Azure Kinect: factory calibrations in the SDK's and public issues, to the pixel. Xtion: ROS openni_camera's default.
PRESETS: Final[dict[str, tuple[Mode, ...]]] = {
    "sr300": (Mode(640, 480, 475.96, 475.96, 321.29, 245.87),),
    "sr305": (Mode(640, 480, 475.96, 475.96, 321.29, 245.87),),
    "kinect": (Mode(640, 480, 588.03, 587.07, 320.0, 240.0),),
    "kinect_v2": (Mode(512, 424, 365.456, 365.456, 254.878, 205.395),),
    "azure_kinect": (
        Mode(640, 576, 504.0, 504.0),
        Mode(320, 288, 252.0, 252.0),
        Mode(512, 512, 252.0, 252.0),
        Mode(1024, 1024, 504.0, 504.0),
    ),
    "xtion": (Mode(640, 480, 570.34, 570.34),),
    "d405": (Mode(1280, 720, 643.3, 643.3), Mode(848, 480, 426.2, 426.2), Mode(640, 480, 386.0, 386.0)),
    "d415": (Mode(1280, 720, 895.2, 895.2), Mode(848, 480, 593.1, 593.1), Mode(640, 480, 596.8, 596.8)),
    "d435": (Mode(1280, 720, 643.3, 643.3), Mode(848, 480, 426.2, 426.2), Mode(640, 480, 386.0, 386.0)),
    "d455": (Mode(1280, 720, 643.3, 643.3), Mode(848, 480, 426.2, 426.2), Mode(640, 480, 386.0, 386.0)),
    "l515": (Mode(640, 480, 457.0, 457.0), Mode(1024, 768, 731.2, 731.2), Mode(320, 240, 228.5, 228.5)),
}


def preset_intrinsics(name: str, width: int | None = None, height: int | None = None) -> Intrinsics:
    """Published intrinsics of a camera.

    Args:
        name: A key of `PRESETS`.
        width, height: Size of the picture; by default the camera's usual one, and the usual height of a width.

    Raises:
        FrameError: If there is no such camera, or the size is not positive.
    """
    modes = PRESETS.get(name.lower().replace("-", "_"))
    if modes is None:
        raise FrameError(f"no camera {name!r} is known here; expected one of {', '.join(sorted(PRESETS))}.")
    for size in (width, height):
        if size is not None and size < 1:
            raise FrameError(f"a camera of {width}x{height} pixels was asked for; expected at least 1x1.")
    mode = min(modes, key=lambda mode: _mismatch(mode, width, height))
    width = mode.width if width is None else width
    scale = width / mode.width
    if height is None:
        height = round(mode.height * scale)
    middle = (mode.height - 1) / 2
    cx = (mode.width - 1) / 2 if mode.cx is None else mode.cx
    return Intrinsics(
        fx=mode.fx * scale,
        fy=mode.fy * scale,
        cx=(cx + 0.5) * scale - 0.5,
        cy=((middle if mode.cy is None else mode.cy) - middle) * scale + (height - 1) / 2,
        width=width,
        height=height,
        origin=f"the preset {name}",
    )


def _mismatch(mode: Mode, width: int | None, height: int | None) -> tuple[bool, bool, bool]:
    """How far a mode is from being the one, or a multiple of the one, that gave a picture of this size."""
    if width is None:
        return False, False, False
    other_shape = height is not None and abs(mode.width / mode.height * height / width - 1) > 0.01
    return other_shape, mode.width != width, mode.width % width != 0


def cameras_of_size(width: int, height: int) -> list[tuple[str, float]]:
    """(name, focal length) of the known cameras that have a mode of this size."""
    return [
        (name, mode.fx)
        for name, modes in PRESETS.items()
        for mode in modes
        if (mode.width, mode.height) == (width, height)
    ]
