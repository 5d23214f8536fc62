"""`graspcut synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.options import NOTHING_SAID, InputOptions, Size, parse_size
from graspcut.cli.verbs import family
from graspcut.synth.scenes.config import ProfileName
from graspcut.synth.sensors.names import SensorName


def synth(
    *,
    count: int,
    out: Path,
    size: Size | None = None,
    seed: int = 0,
    workers: int = 0,
    sensor: SensorName | None = None,
    profile: ProfileName = "v2",
    scene: Path | None = None,
    given: Annotated[InputOptions, Parameter(name="*", group="What --scene does not say")] = NOTHING_SAID,
    objects: Annotated[tuple[Path, ...], Parameter(name="--object", negative="")] = (),
    object_unit_mm: float | None = None,
    hand_mesh: Path | None = None,
    video: Annotated[bool, Parameter(negative="")] = False,
    clip_frames: int = 90,
    held_out: Annotated[bool, Parameter(negative="")] = False,
    colour: bool = True,
) -> None:
    """Renders a dataset folder.

    Args:
        count: Number of frames.
        out: The dataset folder.
        size: Width and height in pixels, by default 320x240, and for --scene that of its frames.
        seed: The same seed gives the same frames; frames 0 to 99 are those of a run of 100.
        workers: Processes that render; 0 for one on each core. The frames do not depend on it.
        profile: v2 shows close-ups, people at tables and rooms; v1 makes the frames of the first version again.
        sensor: Whose camera and errors the depth has: mix (the default; sr300 for profile v1) draws one for each frame,
            ideal has none.
        scene: Recording, dataset or folder of depth images of an empty place: hands and objects are put into its
            frames. Its own pixels stay as they are, all of them background; --sensor is that of what is rendered.
        given: What the frames of --scene do not say.
        objects: Triangle mesh (STL, OBJ, GLB, PLY, OFF) of an object of your own, to be held and to lie about; may be
            given several times. Needs the extra mesh. Or a Python file with a kind of it, see docs/add-a-network.md.
        object_unit_mm: Millimetres per unit of the meshes: 1 for most STL files, 1000 for metres, which GLB always has.
        hand_mesh: Skinned hand (.glb) with the 25 joint names of WebXR, or a folder of several: more than half of the
            hands are drawn with it, the others with cones.
        video: Clips of moving hands instead of single pictures: in each, frames are 1/30 s apart and ids stay.
        clip_frames: Frames of one clip of --video.
        held_out: Only kinds of objects that are kept out of training, for testing.
        colour: Render the colour camera's picture too.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.synth.dataset import generate_dataset
    from graspcut.synth.hands.skinned import read_skinned_hands
    from graspcut.synth.objects.files import ObjectFile, read_own
    from graspcut.synth.place import PlaceConfig, open_place
    from graspcut.synth.settings import SynthConfig

    width, height = parse_size(size or "320x240")
    place, known = None, given.use()
    if scene is not None:
        place = PlaceConfig(str(scene), **known)
        if size is None:
            height, width = open_place(place)[0].depth_mm.shape
    own = tuple(ObjectFile(str(path), object_unit_mm) for path in objects)
    for file in own:
        read_own(file)  # what is wrong with it is said before a folder is made
    if hand_mesh is not None:
        read_skinned_hands(str(hand_mesh))
    config = SynthConfig(
        width=width,
        height=height,
        profile=profile,
        sensor=sensor,
        held_out_kinds=held_out,
        colour=colour,
        place=place,
        objects=own,
        clip_frames=clip_frames if video else 1,
        hand_mesh=None if hand_mesh is None else str(hand_mesh),
    )
    with frame_progress("rendering") as progress:
        generate_dataset(config, seed=seed, count=count, out=out, workers=workers, progress=progress)
    print(f"{count} frame(s): {out}")


APP = family("synth", synth)
