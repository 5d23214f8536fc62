"""What the frames before and after bring: real sequences frame by frame, past only, past and future, shuffled.

    python benchmarks/streams.py --save docs/results/streams.json

Real sequences are looked for in ../shared/data/hand-object or the folder that GRASPCUT_DATA names. Each frame's network
is run once; the ways differ in what is done with its probabilities. All pixels count, labels of 255 do not. The time is
that of the filter alone, on this machine, median over the frames.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut import Segmenter
from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_image, read_single_channel
from graspcut.frames.json_files import write_json_atomically
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream, Smoother, StreamConfig

SEQUENCES = ("bar_red", "cube_white")
CAMERA = Camera(width=320, height=240, fx=238.95, fy=238.95, cx=160.0, cy=120.0)
_STAYS_MM = 10.0


class Known:
    """Gives the results that were computed before, by the frame's name."""

    def __init__(self, results: dict[str, Segmentation]) -> None:
        self.results = results

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        """The result of a `Frame`."""
        return self.results[depth_mm.name]


def read_sequence(folder: Path) -> tuple[list[Frame], list[NDArray[np.uint8]]]:
    """Frames and labels of one sequence, in order."""
    frames, labels = [], []
    for path in sorted((folder / "depth").glob("*.png")):
        depth = read_image(path).astype(np.float32)
        frames.append(Frame(depth, camera=CAMERA, name=path.stem))
        labels.append(read_single_channel(folder / "label" / path.name, what="label map"))
    return frames, labels


def past_only(stream: SegmentationStream, frames: Sequence[Frame]) -> tuple[list[Segmentation], list[float]]:
    """Results of a camera's stream, and the seconds of each step."""
    state, results, seconds = None, [], []
    for frame in frames:
        started = time.perf_counter()
        result, state = stream.step(frame, state)
        seconds.append(time.perf_counter() - started)
        results.append(result)
    return results, seconds


def both_ways(known: Known, frames: Sequence[Frame]) -> list[Segmentation]:
    """Results of a recording."""
    smoother = Smoother(StreamConfig())
    settled: dict[int, Segmentation] = {}
    for position, frame in enumerate(frames):
        settled |= dict(smoother.push(position, known(frame)))
    settled |= dict(smoother.finish())
    return [settled[position] for position in range(len(frames))]


def score(labels: Sequence[NDArray[np.uint8]], results: Sequence[Segmentation]) -> dict[str, float]:
    """Percent IOU over the whole sequence, and flips: labels that change although the depth stays."""
    counts = ConfusionCounts()
    flips = possible = 0
    for number, (truth, result) in enumerate(zip(labels, results, strict=True)):
        counts.add(truth, result.labels)
        if number:
            before = results[number - 1]
            stays = (result.depth_mm > 0) & (np.abs(result.depth_mm - before.depth_mm) < _STAYS_MM)
            stays &= (result.labels > 0) | (before.labels > 0)
            possible += int(stays.sum())
            flips += int((stays & (result.labels != before.labels)).sum())
    scores = counts.scores()
    return {
        "mean_iou": 100 * scores.mean_iou,
        "hand_iou": 100 * scores.hand_iou,
        "object_iou": 100 * scores.object_iou,
        "flips_percent": 100 * flips / max(1, possible),
    }


def measure(frames: Sequence[Frame], labels: Sequence[NDArray[np.uint8]], known: Known) -> dict[str, Any]:
    """All ways of one sequence."""
    stream = SegmentationStream(known)
    past, seconds = past_only(stream, frames)
    order = np.random.default_rng(0).permutation(len(frames))
    shuffled = [frames[index] for index in order]
    shuffled_labels = [labels[index] for index in order]
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "frame by frame": lambda: score(labels, [known(frame) for frame in frames]),
        "past only": lambda: score(labels, past),
        "past and future": lambda: score(labels, both_ways(known, frames)),
        "shuffled, past only": lambda: score(shuffled_labels, past_only(stream, shuffled)[0]),
        "shuffled, past and future": lambda: score(shuffled_labels, both_ways(known, shuffled)),
    }
    found: dict[str, Any] = {name: make() for name, make in ways.items()}
    found["step_ms"] = 1000 * float(np.median(seconds))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense-attention-small")
    parser.add_argument("--backend", default="pytorch")
    parser.add_argument("--careful", action="store_true", help="look at each frame mirrored and from nearer too")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    data = Path(os.environ.get("GRASPCUT_DATA", "../shared/data")) / "hand-object"
    segmenter = Segmenter.load(options.model, backend=options.backend)
    report: dict[str, Any] = {"model": options.model, "engine": segmenter.description}
    report["careful"] = options.careful
    look = segmenter.careful() if options.careful else segmenter
    for name in SEQUENCES:
        if not (data / name).is_dir():
            raise SystemExit(f"{data / name} is not there; set GRASPCUT_DATA to the folder that holds hand-object")
        frames, labels = read_sequence(data / name)
        known = Known({frame.name: look(frame) for frame in frames})
        report[name] = measure(frames, labels, known)
        for way, scores in report[name].items():
            print(name, way, scores if isinstance(scores, float) else {k: round(v, 2) for k, v in scores.items()})
    if options.save is not None:
        write_json_atomically(options.save, report)


if __name__ == "__main__":
    main()
