"""What it costs when cameras or sizes of frames change with every frame, beside one camera, on every engine.

    python benchmarks/many_cameras.py --save docs/results/many_cameras.json

Ten cameras of one size with other focal lengths, and ten sizes, in turn; for the sizes, one camera is the mean of each
size alone. Rounds over all rows, so that a slow minute of the machine hits all alike; medians. Compilations come before
the clock starts: `first` is the time of the first turn.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.frames.json_files import write_json_atomically
from graspcut.runtime.engines import installed_backends
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

COUNT = 10
Frame = tuple[np.ndarray[Any, np.dtype[np.float32]], Camera]


def frames_of(kind: str) -> list[Frame]:
    """Ten frames: of other focal lengths, or of other sizes."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(COUNT):
        width, height = (320, 240) if kind == "focal lengths" else (320 + 32 * number, 240 + 24 * number)
        focal = 0.745 * width + (3.0 * number if kind == "focal lengths" else 0.0)
        depth = generator.uniform(600, 620, (height, width)).astype(np.float32)
        depth[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 450.0
        found.append((depth, Camera.from_focal_length(width, height, focal)))
    return found


def milliseconds(segmenter: Segmenter, frames: list[Frame]) -> float:
    """A frame, on average over one turn."""
    started = time.perf_counter()
    for depth, camera in frames:
        segmenter(depth, camera)
    return (time.perf_counter() - started) / len(frames) * 1000


def measured(model: str, backend: str, kind: str, threads: int, rounds: int) -> dict[str, Any]:
    """One row."""
    frames = frames_of(kind)
    alone = [Segmenter.load(model, "cpu", threads, backend=backend) for _ in frames[: 1 if "focal" in kind else None]]
    in_turn = Segmenter.load(model, "cpu", threads, backend=backend)
    first = milliseconds(in_turn, frames)
    for segmenter, frame in zip(alone, frames, strict=False):
        milliseconds(segmenter, [frame])
    own, turns = [], []
    for _ in range(rounds):
        each = [milliseconds(segmenter, [frame]) for segmenter, frame in zip(alone, frames, strict=False)]
        own.append(float(np.mean(each)))
        turns.append(milliseconds(in_turn, frames))
    one, many = float(np.median(own)), float(np.median(turns))
    return {"backend": backend, "kind": kind, "one_ms": one, "many_ms": many, "ratio": many / one, "first_ms": first}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()
    rows = [
        measured(options.model, backend, kind, options.threads, options.rounds)
        for backend in installed_backends()
        if backend != "pytorch"
        for kind in ("focal lengths", "sizes")
    ]
    print("| engine | what changes | one camera, ms | ten in turn, ms | ratio | first turn, ms a frame |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        numbers = f"{row['one_ms']:.1f} | {row['many_ms']:.1f} | {row['ratio']:.2f} | {row['first_ms']:.0f}"
        print(f"| {row['backend']} | {row['kind']} | {numbers} |")
    if options.save is not None:
        write_json_atomically(options.save, json.loads(json.dumps(rows)))


if __name__ == "__main__":
    main()
