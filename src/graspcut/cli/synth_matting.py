"""`graspcut synth matting`."""

from __future__ import annotations

from pathlib import Path

from graspcut.cli.options import Size, parse_size


def matting(*, count: int, out: Path, size: Size = "512x512", seed: int = 0, workers: int = 0) -> None:
    """Draws a set for training and scoring mattes.

    Args:
        count: Number of pictures.
        out: Folder; foreground, background, alpha, trimap and image are written below it.
        size: Width and height in pixels.
        seed: The same seed gives the same pictures; pictures 0 to 99 are those of a run of 100.
        workers: Processes that draw; 0 for one on each core. The pictures do not depend on it.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.matting.procedural.dataset import generate_mattes
    from graspcut.matting.procedural.source import ProceduralMattes

    width, height = parse_size(size)
    with frame_progress("drawing") as progress:
        generate_mattes(ProceduralMattes(width, height, seed), count=count, out=out, workers=workers, progress=progress)
    print(f"{count} picture(s): {out}")
