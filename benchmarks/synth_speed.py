"""Speed of the synthetic frames: CPU and wall milliseconds of each stage in one process, then whole dataset folders.

    python benchmarks/synth_speed.py [--frames 60] [--folder-frames 120] [--workers 2]

CPU time is what counts on a busy machine; frames a second of a folder are wall time with all workers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from graspcut.frames.dataset import DatasetWriter
from graspcut.synth import generator
from graspcut.synth.dataset import DEPTH_UNIT_MM, generate_dataset
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.rendering import colour_camera as colour
from graspcut.synth.scenes.config import SceneConfig

SIZES = ((320, 240), (640, 480))
# The first version's frames, then each kind of scene of the second with the same sensor, then its default.
KINDS: dict[str, dict[str, Any]] = {
    "profile v1": {"profile": "v1"},
    "v2 close-ups, sr300": {"sensor": "sr300", "scene": SceneConfig(room=0.0, people_at_table=0.0)},
    "v2 rooms, sr300": {"sensor": "sr300", "scene": SceneConfig(room=1.0)},
    "v2 people at a table, sr300": {"sensor": "sr300", "scene": SceneConfig(room=0.0, people_at_table=1.0)},
    "v2 as it comes": {},
}
STAGES = {
    "scene": (generator, "sample_scene"),
    "cast rays (depth and colour camera)": (generator, "render"),
    "folds of cloth": (generator, "add_folds"),
    "sensor": (generator, "simulate"),
    "labels": (generator, "look_up"),
    "shade colour": (colour, "shade"),
    "check the frame": (generator, "LabelledFrame"),
}


class Stages:
    """CPU and wall seconds spent in functions of the generator, which are wrapped while it is open."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.wall: dict[str, float] = defaultdict(float)
        self._originals: list[tuple[Any, str, Any]] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.cpu[name] += time.process_time() - cpu
                self.wall[name] += time.perf_counter() - wall

        return call

    def __enter__(self) -> Stages:
        for name, (module, attribute) in STAGES.items():
            original = getattr(module, attribute)
            self._originals.append((module, attribute, original))
            setattr(module, attribute, self.timed(name, original))
        return self

    def __exit__(self, *_: object) -> None:
        for module, attribute, original in self._originals:
            setattr(module, attribute, original)


def stages(config: SynthConfig, frames: int) -> None:
    """Print milliseconds a frame of every stage."""
    frame_generator = FrameGenerator(config, seed=1)
    for index in range(10):
        frame_generator[index]  # compile, or read what is compiled
    each: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Stages() as clock:
        writer = DatasetWriter(folder, depth_unit_mm=DEPTH_UNIT_MM, description={})
        write = clock.timed("write PNG files", writer.write)
        began = time.perf_counter()
        for index in range(frames):
            cpu = time.process_time()
            write(index, frame_generator[index + 10])
            each.append(time.process_time() - cpu)
        wall = time.perf_counter() - began
    total = sum(each)
    print(f"{config.width}x{config.height}, one process, {frames} frames, ms a frame: CPU (wall)")
    for name in [*STAGES, "write PNG files"]:
        print(f"  {name:38s} {1e3 * clock.cpu[name] / frames:7.2f} ({1e3 * clock.wall[name] / frames:.2f})")
    rest = total - sum(clock.cpu.values())
    print(f"  {'everything else':38s} {1e3 * rest / frames:7.2f}")
    median = 1e3 * statistics.median(each)
    print(f"  {'all':38s} {1e3 * total / frames:7.2f} ({1e3 * wall / frames:.2f}); median frame {median:.2f}")
    print(f"  {frames / total:.0f} frames a CPU second")


def whole_folder(config: SynthConfig, frames: int, workers: int) -> None:
    """Print frames a second of `generate_dataset`, the start of the workers left out."""
    marks: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        generate_dataset(
            config,
            seed=1,
            count=frames,
            out=Path(folder) / "set",
            workers=workers,
            progress=lambda done, _: marks.append((time.perf_counter(), done)),
        )
    # The first mark is before the workers start, the second when the first of them has delivered.
    (begin, first), (end, last) = marks[1], marks[-1]
    speed = (last - first) / max(end - begin, 1e-9)
    print(f"{config.width}x{config.height}, generate_dataset, {workers} workers: {speed:.1f} frames a second (wall)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60, help="frames timed stage by stage")
    parser.add_argument("--folder-frames", type=int, default=120, help="frames of the written folder; 0 for none")
    parser.add_argument("--workers", type=int, default=2, help="processes that write the folder")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for width, height in SIZES:
        for name, changes in KINDS.items():
            print(f"{name}:")
            stages(SynthConfig(width=width, height=height, **changes), options.frames)
        if options.folder_frames == 0:
            continue
        config = SynthConfig(width=width, height=height, profile="v1")
        whole_folder(config, options.folder_frames, options.workers)


if __name__ == "__main__":
    main()
