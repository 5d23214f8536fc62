"""Makes the recording that `graspcut demo` segments: rendered frames with their true labels beside them.

    python benchmarks/make_demo_recording.py

The objects are of kinds that are never trained on. The frames are separate scenes, shown one after the other.
Running it again gives the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from graspcut.frames.dataset import raw_depth
from graspcut.frames.images import write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.demo import demo_recording_folder
from graspcut.synth.generator import FrameGenerator, SynthConfig

UNIT_MM = 0.125
FRAMES_PER_SECOND = 30.0
LEAST_PIXELS = 300  # of the hand and of the object, so that every frame shows a grasp


def make_demo_recording(folder: Path, *, count: int, seed: int, width: int, height: int) -> int:
    """Writes the recording.

    Args:
        folder: Is emptied first.
        count: Number of frames.
        seed: Seed of the renderer.
        width, height: Size of the frames in pixels.

    Returns:
        Number of rendered frames that were looked at to find `count` with a hand and an object.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "label").mkdir(parents=True)
    config = SynthConfig(width=width, height=height, profile="v1", held_out_kinds=True, colour=False)
    generator = FrameGenerator(config, seed)
    index = 0
    with RecordingWriter(folder, config.camera(), UNIT_MM) as writer:
        while len(writer) < count:
            labelled = generator[index]
            index += 1
            if min(np.count_nonzero(labelled.labels == label) for label in (HAND, OBJECT)) < LEAST_PIXELS:
                continue
            number = len(writer)
            write_image_atomically(folder / "label" / f"{number:06d}.png", labelled.labels)
            writer.append(raw_depth(labelled.frame.depth_mm, UNIT_MM), None, round(number / FRAMES_PER_SECOND, 4))
    return index


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=demo_recording_folder())
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=2_000_000)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    width, height = options.size
    looked_at = make_demo_recording(options.out, count=options.count, seed=options.seed, width=width, height=height)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.count} of {looked_at} rendered frames, {size / 2**20:.1f} MiB: {options.out}")


if __name__ == "__main__":
    main()
