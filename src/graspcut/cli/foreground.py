"""`graspcut foreground`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def foreground(
    image: Path,
    alpha: Path,
    /,
    *,
    out: Path,
    separate: Annotated[bool, Parameter(negative="")] = False,
    kappa: float = 1.0,
) -> None:
    """Writes the foreground's colours.

    Args:
        image: Colours of the foreground; with --separate the whole picture.
        alpha: Its matte, as large.
        out: The file to write, .png or .jpg.
        separate: The image is a photograph: half-transparent pixels also hold background, which is taken out.
        kappa: Weight of smoothness.
    """
    from graspcut.frames.images import read_colour, write_image_atomically
    from graspcut.matting.classical import separate_foreground
    from graspcut.matting.foreground import estimate_foreground
    from graspcut.matting.images import read_alpha, to_bytes

    colours, opacity = read_colour(image), read_alpha(alpha)
    found = separate_foreground(colours, opacity) if separate else estimate_foreground(colours, opacity, kappa=kappa)
    write_image_atomically(out, to_bytes(found))
    print(f"foreground: {out}")
