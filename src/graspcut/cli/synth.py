"""`graspcut synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.options import Size, parse_size
from graspcut.cli.verbs import family
from graspcut.synth.scenes.config import ProfileName
from graspcut.synth.sensors.names import SensorName


def synth(
    *,
    count: int,
    out: Path,
    size: Size = "320x240",
    seed: int = 0,
    workers: int = 0,
    sensor: SensorName | None = None,
    profile: ProfileName = "v2",
    held_out: Annotated[bool, Parameter(negative="")] = False,
    colour: bool = True,
) -> None:
    """Renders a dataset folder.

    Args:
        count: Number of frames.
        out: The dataset folder.
        size: Width and height in pixels.
        seed: The same seed gives the same frames; frames 0 to 99 are those of a run of 100.
        workers: Processes that render; 0 for one on each core. The frames do not depend on it.
        profile: v2 shows close-ups, people at tables and rooms; v1 makes the frames of the first version again.
        sensor: Whose camera and errors the depth has: mix (the default; sr300 for profile v1) draws one for each frame,
            ideal has none.
        held_out: Only kinds of objects that are kept out of training, for testing.
        colour: Render the colour camera's picture too.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.synth.dataset import generate_dataset
    from graspcut.synth.generator import SynthConfig

    width, height = parse_size(size)
    config = SynthConfig(
        width=width, height=height, profile=profile, sensor=sensor, held_out_kinds=held_out, colour=colour
    )
    with frame_progress("rendering") as progress:
        generate_dataset(config, seed=seed, count=count, out=out, workers=workers, progress=progress)
    print(f"{count} frame(s): {out}")


APP = family("synth", synth)
