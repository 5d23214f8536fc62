"""Renders a dataset folder with several processes; an interrupted run goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from graspcut.cores import usable_cores
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.own_files import OwnFile
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.worker_processes import map_in_processes

# The SR300's 1/8 mm keeps every preset's own steps exactly and reaches 8.19 m in 16 bits.
DEPTH_UNIT_MM = 0.125
_FRAMES_A_TASK = 8
_SETTINGS_FILE = "synth.json"

_generator: FrameGenerator | None = None
_writer: DatasetWriter | None = None


def _prepare_worker(config: SynthConfig, seed: int, out: str, description: dict[str, Any]) -> None:
    """Make the generator and the writer of a worker process once."""
    global _generator, _writer
    cv2.setNumThreads(1)
    _generator = FrameGenerator(config, seed)
    _writer = DatasetWriter(out, depth_unit_mm=DEPTH_UNIT_MM, description=description, batched=True)


def _render(indices: list[int]) -> int:
    """Render and write some frames in a worker process; returns how many."""
    assert _generator is not None and _writer is not None
    for index in indices:
        _writer.write(index, _generator[index])
    return len(indices)


def generate_dataset(
    config: SynthConfig,
    *,
    seed: int,
    count: int,
    out: str | Path,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render `count` labelled frames into a dataset folder (see `frames.dataset`).

    Frame i depends on (config, seed, i) alone: the bytes are the same for any number of workers, and a longer run
    begins with the frames of a shorter one. Frames that an interrupted run has written are kept.

    Args:
        config: What frames to make.
        seed: Seed of all frames, 0 or more.
        count: Number of frames.
        out: The folder; it must be new, empty, or hold an earlier run with the same configuration and seed.
        workers: Rendering processes; 0 for one a core, 1 renders in this process.
        progress: Called with (frames done, count).

    Raises:
        ValueError: If count, seed or workers are out of range.
        FrameError: If the folder holds something else.
        OSError: If it cannot be written.
    """
    if count < 1 or seed < 0 or workers < 0:
        raise ValueError(
            f"count {count}, seed {seed}, workers {workers}: expected at least 1 frame, a seed of 0 or more and "
            "0 or more workers"
        )
    out = Path(out)
    # Through JSON, so that it compares equal to what the file of an earlier run says.
    description = json.loads(json.dumps({"synth": dataclasses.asdict(config), "seed": seed}))
    kinds = [file.path for file in config.objects if file.path.endswith(".py")]
    if kinds:  # a path says little of what such a file draws
        description["own_files"] = [dataclasses.asdict(OwnFile.of(path)) for path in kinds]
    _claim(out, description)
    writer = DatasetWriter(out, depth_unit_mm=DEPTH_UNIT_MM, description=description, batched=True)
    missing = [index for index in range(count) if not writer.has(index)]
    tasks = [missing[first : first + _FRAMES_A_TASK] for first in range(0, len(missing), _FRAMES_A_TASK)]
    done = count - len(missing)
    if progress is not None:
        progress(done, count)
    processes = min(workers or usable_cores(), len(tasks))
    if processes <= 1:
        generator = FrameGenerator(config, seed)
        for index in missing:
            writer.write(index, generator[index])
            done += 1
            if progress is not None:
                progress(done, count)
    else:
        prepared = (config, seed, str(out), description)
        prepare = "graspcut.synth.dataset:_prepare_worker"
        for finished in map_in_processes(_render, tasks, processes, prepare, prepared):
            done += finished
            if progress is not None:
                progress(done, count)
    writer.finish(count)


def _claim(out: Path, description: dict[str, Any]) -> None:
    """Make the folder ours, or check that it is already."""
    settings = out / _SETTINGS_FILE
    if settings.exists():
        if read_json(settings) != description:
            raise FrameError(
                f"{out} holds frames of other settings or another seed; expected the same. Choose another folder "
                "for --out."
            )
        return
    make_output_folder(out)
    if any(out.iterdir()):
        raise FrameError(
            f"{out} is not empty and was not made by this command; expected a new folder. Choose another one for --out."
        )
    write_json_atomically(settings, description)
