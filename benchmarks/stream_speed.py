"""What a step of a stream costs beside the frame's own time, and whether memory stays flat over many frames.

    python benchmarks/stream_speed.py --threads 2 --save docs/results/stream_speed.json
    python benchmarks/stream_speed.py --soak 20000

Rendered frames of a moving hand that holds something, 640x480. Each frame is segmented on its own and as a step, in
turn, so that what else the machine does falls on both; the filter alone is timed too, on results made before, with the
processor time that its threads took together, which other processes hardly change. The soak sends small frames, whose
results were made before, through a stream and through the smoothing of past and future, and reads the memory of the
process.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graspcut import Segmenter
from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream
from graspcut.synth.generator import FrameGenerator, SynthConfig

SEED = 880_101


def clip(width: int, height: int, frames: int, seed: int = SEED) -> list[Frame]:
    """Frames of a moving hand that holds something, in front of a room, from an SR300."""
    config = SynthConfig(
        width=width, height=height, sensor="sr300", held_out_kinds=True, colour=False, clip_frames=frames
    )
    generator = FrameGenerator(config, seed)
    number = 0
    while True:
        labels = generator[number * frames].labels
        if (labels == HAND).mean() > 0.05 and (labels == OBJECT).mean() > 0.02:
            return [generator[number * frames + step].frame for step in range(frames)]
        number += 1


class Known:
    """Gives results that were made before, in turn."""

    def __init__(self, results: list[Segmentation]) -> None:
        self.results = results
        self.position = 0

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        """The next result."""
        self.position += 1
        return self.results[(self.position - 1) % len(self.results)]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what came."""
    started = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - started), result


def speed(segmenter: Segmenter, repeats: int) -> dict[str, Any]:
    """Medians in milliseconds."""
    frames = clip(640, 480, 30)
    stream = segmenter.stream()
    state = None
    alone, steps, filters, busy = [], [], [], []
    results = [segmenter(frame) for frame in frames]
    filtering, known_state = SegmentationStream(Known(results)), None
    for repeat in range(repeats + 1):
        for frame in frames:
            spent, _ = timed(lambda frame=frame: segmenter(frame))  # type: ignore[misc]
            step_ms, (_, state) = timed(lambda frame=frame, state=state: stream.step(frame, state))  # type: ignore[misc]
            cpu_before = time.process_time()
            filter_ms, (_, known_state) = timed(
                lambda frame=frame, state=known_state: filtering.step(frame, state)  # type: ignore[misc]
            )
            cpu_ms = 1000 * (time.process_time() - cpu_before)
            if repeat:  # the first round compiles
                alone.append(spent)
                steps.append(step_ms)
                filters.append(filter_ms)
                busy.append(cpu_ms)
    return {
        "engine": segmenter.description,
        "frames": len(alone),
        "frame_alone_ms": float(np.median(alone)),
        "step_ms": float(np.median(steps)),
        "beside_ms": float(np.median(np.subtract(steps, alone))),
        "filter_alone_ms": float(np.median(filters)),
        "filter_alone_cpu_ms": float(np.median(busy)),
        "filter_alone_quartiles_ms": [float(value) for value in np.percentile(filters, (25, 75))],
    }


def resident_mb() -> float:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def soak(segmenter: Segmenter, count: int) -> dict[str, Any]:
    """Memory in MB at every twentieth of the way."""
    frames = [
        Frame(
            np.ascontiguousarray(frame.depth_mm[60:180, 80:240]),
            camera=Camera.from_focal_length(160, 120, 240.0),
            name=frame.name,
        )
        for frame in clip(320, 240, 60)
    ]
    stream, state = SegmentationStream(Known([segmenter(frame) for frame in frames])), None
    past: list[float] = []
    for number in range(count):
        _, state = stream.step(frames[number % len(frames)], state)
        if (number + 1) % max(1, count // 20) == 0:
            past.append(round(resident_mb(), 1))
            print(f"past only, {number + 1} frames: {past[-1]} MB", flush=True)
    both: list[float] = []

    def endless() -> Iterator[Frame]:
        for number in range(count):
            yield frames[number % len(frames)]

    for number, _ in enumerate(stream.smooth(endless())):
        if (number + 1) % max(1, count // 20) == 0:
            both.append(round(resident_mb(), 1))
            print(f"past and future, {number + 1} frames: {both[-1]} MB", flush=True)
    return {"frames": count, "past_only_mb": past, "past_and_future_mb": both}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense-attention-small")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--soak", type=int, metavar="FRAMES", help="instead of the speed")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(given.threads)
    segmenter = Segmenter.load(given.model, backend=given.backend, threads=given.threads)
    report = soak(segmenter, given.soak) if given.soak else speed(segmenter, given.repeats)
    for name, value in report.items():
        print(name, value)
    if given.save is not None:
        write_json_atomically(given.save, report)


if __name__ == "__main__":
    main()
