"""A segmentation problem small enough to compare networks on two cores: one hand, one plain thing, nothing behind.

    python benchmarks/small_problem.py --out runs/small
    graspcut benchmark segmentation --out runs/table2 --data runs/small/training --test-data runs/small/test \\
        --width 128 --height 96 --precision bf16-mixed --encoding geometry \\
        --images 16000 --contour-images 1600

Rendered close-ups of 640x480 by cameras like the SR300, in windows of 128x96 around the hand, half a metre away or
more. It holds a box or a ball, large enough to be seen and too short to be taken for an arm, or nothing; there is no
table, no wall and nobody behind it. Hands, grasps, sleeves and the errors of the camera are those of profile v2.
Networks learn this in some ten thousand pictures, where the renderer's whole world takes millions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress, TaskID

from graspcut.synth.dataset import generate_dataset
from graspcut.synth.generator import SynthConfig
from graspcut.synth.objects.building_blocks import Draws, Shape, ball, box
from graspcut.synth.objects.files import ObjectFile
from graspcut.synth.objects.own_kinds import register_object_kind
from graspcut.synth.scenes.config import SceneConfig

SETS = {"training": (64_001, 16_000), "test": (64_002, 300)}
SCENE = SceneConfig(
    room=0.0,
    people_at_table=0.0,
    own_objects=1.0,
    nothing=0.0,
    object_only=0.0,
    hand_only=0.05,
    two_hands=0.0,
    nearest_mm=500.0,
    farthest_mm=800.0,
    background_none=1.0,
)


def plain_box(draws: Draws) -> Shape:
    """A box, at most about twice as long as wide: a longer one cut off by the window could be an arm."""
    x, y, z = draws.between(25, 45), draws.between(30, 60), draws.between(20, 40)
    return Shape([box(x, y, z, rounding=1.0)], (-0.8 * y, 0.8 * y), gloss=0.7)


def plain_ball(draws: Draws) -> Shape:
    """A ball."""
    radius = draws.between(25, 50)
    return Shape([ball(radius)], (-0.3 * radius, 0.3 * radius), gloss=0.5)


for _name, _build in (("plain_box", plain_box), ("plain_ball", plain_ball)):
    register_object_kind(_name, _build)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of both dataset folders; continued")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    synth = SynthConfig(
        640, 480, sensor="sr300", colour=False, window=(128, 96), objects=(ObjectFile(__file__),), scene=SCENE
    )
    with Progress() as shown:
        for name, (seed, count) in SETS.items():
            bar = shown.add_task(name, total=count)

            def progress(done: int, _count: int, bar: TaskID = bar) -> None:
                shown.update(bar, completed=done)

            generate_dataset(
                synth, seed=seed, count=count, out=options.out / name, workers=options.workers, progress=progress
            )


if __name__ == "__main__":
    main()
