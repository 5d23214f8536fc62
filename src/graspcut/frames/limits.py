"""How large things in files may be. Headers are compared with these before anything is allocated.

A file of a few hundred kilobytes can unpack to gigabytes, and a header of a hundred bytes can promise a million frames.
The limit on pictures is far above any depth camera and can be raised, by `set_largest_picture` or the environment
variable `GRASPCUT_MAX_MEGAPIXELS`, which worker processes inherit.
"""

from __future__ import annotations

import math
import os
from typing import Final

from graspcut.frames.errors import FrameError

DEFAULT_MEGAPIXELS: Final = 32.0
ENVIRONMENT_VARIABLE: Final = "GRASPCUT_MAX_MEGAPIXELS"
MOST_FILE_BYTES: Final = 1 << 30
MOST_JSON_BYTES: Final = 256 << 20
# Frames of one file: an hour at 90 frames a second.
MOST_FRAMES_IN_A_FILE: Final = 1_000_000

# Eight bytes a pixel hold 16-bit colour with alpha, or a number of double precision.
_BYTES_A_PIXEL = 8


def largest_picture() -> int:
    """Pixels that one picture may have.

    Raises:
        FrameError: If the environment variable is no number above 0.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if text is None:
        return int(DEFAULT_MEGAPIXELS * 1e6)
    return int(_checked(text, f"the environment variable {ENVIRONMENT_VARIABLE}") * 1e6)


def set_largest_picture(megapixels: float) -> None:
    """Changes the limit for this process and the processes that it starts.

    Args:
        megapixels: Million pixels.

    Raises:
        FrameError: If it is no number above 0.
    """
    os.environ[ENVIRONMENT_VARIABLE] = repr(_checked(megapixels, "the largest picture"))


def check_picture_size(width: int, height: int, bytes_a_pixel: int, name: str) -> None:
    """Refuses a picture before it is decoded.

    Args:
        width, height: As its header says, pixels.
        bytes_a_pixel: As decoded.
        name: The file, for the error.

    Raises:
        FrameError: If it is empty or larger than the limit.
    """
    if width < 1 or height < 1:
        raise FrameError(f"{name} says that it has {width}x{height} pixels; expected at least 1x1. Save it again.")
    most = largest_picture()
    if width * height > most or width * height * bytes_a_pixel > most * _BYTES_A_PIXEL:
        raise FrameError(
            f"{name} would unpack to {width}x{height} pixels, {width * height * bytes_a_pixel / 1e6:.0f} MB; expected "
            f"at most {most / 1e6:g} million pixels. If it really is that large, give --max-megapixels or set "
            f"{ENVIRONMENT_VARIABLE}."
        )


def _checked(value: float | str, what: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise FrameError(f"{what} is {value!r}; expected a number of megapixels above 0, such as 50.")
    return number
