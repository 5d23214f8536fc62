"""Writes a set of composites with everything they are made of; an interrupted run goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from graspcut.cores import usable_cores
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.matting.images import to_bytes
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.trimap import random_trimap
from graspcut.worker_processes import map_in_processes

PARTS = ("foreground", "background", "alpha", "trimap", "image")
_SETTINGS_FILE = "matting.json"
_TRIMAP_STREAM = 13


def generate_mattes(
    source: ProceduralMattes,
    *,
    count: int,
    out: str | Path,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes `count` numbered PNG files into each of foreground/, background/, alpha/, trimap/ and image/.

    The image is the composite of the 8-bit foreground, alpha and background, rounded once: what the files hold fits
    together. Picture i depends on (source, i) alone, for any number of workers.

    Args:
        source: what to draw.
        count: how many, at least 1.
        out: the folder; new, empty or of an earlier run with the same settings.
        workers: processes; 0 for one a core.
        progress: called with (pictures done, count).

    Raises:
        ValueError: if count or workers are out of range.
        FrameError: if the folder holds something else.
    """
    if count < 1 or workers < 0:
        raise ValueError(f"count {count}, workers {workers}: expected at least 1 picture and 0 or more workers")
    folder = Path(out)
    _claim(folder, source)
    # The image is written last: where it is, the rest is there.
    missing = [index for index in range(count) if not (folder / "image" / f"{index:06d}.png").exists()]
    done = count - len(missing)
    processes = min(workers or usable_cores(), len(missing))
    if progress is not None:
        progress(done, count)
    if processes <= 1:
        for index in missing:
            write_matte(source, index, folder)
            done += 1
            if progress is not None:
                progress(done, count)
        return
    write = partial(write_matte, source, folder=folder)
    for _ in map_in_processes(write, missing, processes, "cv2:setNumThreads", (1,)):
        done += 1
        if progress is not None:
            progress(done, count)


def write_matte(source: ProceduralMattes, index: int, folder: Path) -> None:
    """Draws and writes picture number `index`."""
    foreground, behind = source.foreground(index), to_bytes(source.background(index))
    colours, alpha = to_bytes(foreground.colours), to_bytes(foreground.alpha)
    weight = alpha[..., None].astype(np.float32) / 255.0
    image = np.rint(weight * colours + (1.0 - weight) * behind).astype(np.uint8)
    trimap = random_trimap(alpha, np.random.default_rng([_TRIMAP_STREAM, source.seed, index]))
    for part, picture in zip(PARTS, (colours, behind, alpha, trimap, image), strict=True):
        write_image_atomically(folder / part / f"{index:06d}.png", picture)


def _claim(folder: Path, source: ProceduralMattes) -> None:
    """Makes the folder ours, or checks that it is already."""
    settings = folder / _SETTINGS_FILE
    description = json.loads(json.dumps({"matting": dataclasses.asdict(source)}))
    if settings.exists():
        if read_json(settings) != description:
            raise FrameError(
                f"{folder} holds pictures of other settings or another seed; expected the same. Choose another folder "
                "for --out."
            )
    elif make_output_folder(folder) and any(folder.iterdir()):
        raise FrameError(
            f"{folder} is not empty and was not made by this command; expected a new folder. Choose another one for "
            "--out."
        )
    for part in PARTS:
        make_output_folder(folder / part)
    write_json_atomically(settings, description)
