"""What the shipped proposal network does beside recall: pairs that touch, ids over time, milliseconds.

    python -m benchmarks.instance_checks pairs --frames frames --count 100
    python -m benchmarks.instance_checks tracking --sequences 3 --length 100
    python -m benchmarks.instance_checks speed --threads 2

`pairs`: hands and objects of the test frames of `instance_tables.py frames` that lie within two pixels of each other. A
pair is separated when both are found at IoU 0.5: among 100 proposals, among the ids that `graspcut propose` writes, and
among those it would write if the labels of `graspcut segment` were the true ones.
`tracking`: two hands with an object each cross once; how often a hand or object gets another id, from what was found,
and from the true masks, which shows what following alone does. `speed`: assembling 1,000 windows beside a loop over
windows, and a 640x480 frame from millimetres to masks, all scales and one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.instance_tables import test_frames
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.instances.assembling import assemble, bins
from graspcut.instances.composing import ComposedConfig, ComposedFrames, Piece, instance_masks, laid_over
from graspcut.instances.predictor import InstanceProposer
from graspcut.scene.instances import SceneInstance, SceneInstances, join_instances
from graspcut.scene.tracking import TrackingState, id_switches, track
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.presets import sensor_preset

Scenes = Callable[[Frame], SceneInstances]


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def touching_pairs(frame: LabelledFrame, smallest_px: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Masks of the pairs of a frame that lie within two pixels along at least eight pixels."""
    assert frame.instances is not None
    masks, _ = instance_masks(frame.instances, frame.instance_table, smallest_px=smallest_px)
    kernel = np.ones((5, 5), np.uint8)
    for first in range(len(masks)):
        near = cv2.dilate(masks[first].astype(np.uint8), kernel) > 0
        for second in range(first + 1, len(masks)):
            if np.count_nonzero(near & masks[second]) >= 8:
                yield masks[first], masks[second]


def are_separated(pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], found: Iterable[NDArray[np.bool_]]) -> bool:
    """Whether both of a pair are found at IoU 0.5; one mask cannot be both."""
    every = list(found)
    return all(any(overlap(mask, other) >= 0.5 for other in every) for mask in pair)


def scenes_of(proposer: InstanceProposer, segmenter: Segmenter) -> Scenes:
    """What `graspcut propose` does with one frame."""
    return lambda frame: join_instances(proposer(frame), segmenter(frame).labels)


def pairs(proposer: InstanceProposer, scenes: Scenes, frames: Path, count: int) -> dict[str, Any]:
    """How many touching pairs are told apart."""
    total = by_proposals = by_ids = by_true_ids = by_labels = 0
    for frame in test_frames(frames, count, 320):
        wanted = list(touching_pairs(frame, 160))
        if not wanted:
            continue
        found, scene = proposer(frame.frame), scenes(frame.frame)
        known = join_instances(found, frame.labels)
        things = [scene.mask(thing.id) for thing in scene.instances]
        known_things = [known.mask(thing.id) for thing in known.instances]
        parts = cv2.connectedComponents((frame.labels > 0).astype(np.uint8), connectivity=4)[1]
        blobs = [parts == part for part in range(1, int(parts.max()) + 1)]
        for pair in wanted:
            total += 1
            by_proposals += are_separated(pair, found.masks)
            by_ids += are_separated(pair, things)
            by_true_ids += are_separated(pair, known_things)
            by_labels += are_separated(pair, blobs)
    share = {
        name: round(100 * value / max(total, 1), 1)
        for name, value in (
            ("100 proposals", by_proposals),
            ("ids", by_ids),
            ("ids with the true labels", by_true_ids),
            ("components of the true foreground", by_labels),
        )
    }
    return {"pairs": total, "separated_percent": share}


class CrossingFrames:
    """Two hands with an object each that cross once, seen by the sensor.

    Args:
        seed: of hands, objects and noise.
        length: frames.
    """

    def __init__(self, seed: int, length: int) -> None:
        config = ComposedConfig(width=320, height=240, sensor="ideal", held_out_kinds=True, hands=(0, 1, 0),
                                objects=(1, 0, 0, 0), background=0.0)  # fmt: skip
        frames = ComposedFrames(config, seed)
        self.length, self.seed = length, seed
        self.camera: Camera | None = None
        self.pieces: list[Piece] = []
        index = 0
        while len(self.pieces) < 2:
            frame = frames[index]
            index += 1
            if len(frame.instance_table) == 2 and frame.instances is not None:
                self.camera = frame.frame.camera
                depth = frame.frame.depth_mm
                middle = float(np.median(depth[depth > 0]))
                rows, columns = np.nonzero(depth)
                to_middle = (160 - round(float(columns.mean())), 120 - round(float(rows.mean())))
                away = (420.0 if not self.pieces else 560.0) - middle
                self.pieces.append(Piece(depth, frame.instances, frame.instance_table).moved(*to_middle, away))

    def __getitem__(self, index: int) -> LabelledFrame:
        part = index / (self.length - 1) - 0.5
        rng = np.random.default_rng([self.seed, index])
        first = self.pieces[0].moved(round(230 * part), round(8 * np.sin(9 * part)), 0.0)
        second = self.pieces[1].moved(round(-230 * part), round(25 + 6 * np.cos(7 * part)), 0.0)
        both = laid_over(first, second)
        assert self.camera is not None
        depth = np.where(both.depth_mm > 0, both.depth_mm, np.float32(900.0)).astype(np.float32)
        sensor = sensor_preset("sr300").config
        seen, source = simulate(depth, np.zeros_like(depth), self.camera.fx, sensor, int(rng.integers(2**31)))
        ids = np.where(source >= 0, both.instances.ravel()[np.maximum(source, 0)], 0).astype(np.uint8)
        label = np.zeros(256, np.uint8)
        for entry in both.table:
            label[entry.id] = entry.label
        return LabelledFrame(Frame(seen, camera=self.camera), label[ids], ids, instance_table=both.table)


def true_scene(frame: LabelledFrame) -> SceneInstances:
    """The true hands and objects of a frame as if they had been found."""
    assert frame.instances is not None
    counts = np.bincount(frame.instances.ravel(), minlength=256)
    seen = [entry for entry in frame.instance_table if counts[entry.id] >= 40]
    table = np.zeros(256, np.uint8)
    table[[entry.id for entry in seen]] = [entry.id for entry in seen]
    things = tuple(SceneInstance(entry.id, entry.label, 1.0, int(counts[entry.id])) for entry in seen)
    return SceneInstances(table[frame.instances], things, frame.frame.depth_mm)


def tracking(scenes: Scenes, sequences: int, length: int) -> dict[str, Any]:
    """Switches of ids over sequences in which everything crosses once."""
    switches, of_truth, found, shown = [], [], 0, 0
    for seed in range(sequences):
        frames, total, total_of_truth = CrossingFrames(5000 + seed, length), 0, 0
        last: dict[int, int] = {}
        last_of_truth: dict[int, int] = {}
        state: TrackingState | None = None
        state_of_truth: TrackingState | None = None
        for index in range(length):
            frame = frames[index]
            assert frame.instances is not None and frame.frame.camera is not None
            scene, state = track(scenes(frame.frame), state, focal_px=frame.frame.camera.fx)
            total += id_switches(frame.instances, scene.ids, last)
            truth, state_of_truth = track(true_scene(frame), state_of_truth, focal_px=frame.frame.camera.fx)
            total_of_truth += id_switches(frame.instances, truth.ids, last_of_truth)
            masks, _ = instance_masks(frame.instances, frame.instance_table, smallest_px=160)
            shown += len(masks)
            found += sum(any(overlap(mask, scene.mask(thing.id)) >= 0.5 for thing in scene.instances) for mask in masks)
        switches.append(round(100 * total / length, 2))
        of_truth.append(round(100 * total_of_truth / length, 2))
        print(f"sequence {seed}: {switches[-1]} id switches a hundred frames", flush=True)
    return {
        "sequences": sequences, "length": length, "switches_per_100_frames": switches,
        "mean": round(statistics.fmean(switches), 2), "switches_of_true_masks": of_truth,
        "found_at_iou_50_percent": round(100 * found / max(shown, 1), 1),
    }  # fmt: skip


def loop_assemble(maps: NDArray[np.float32], centres: NDArray[np.int64], cells: int = 21) -> NDArray[np.float32]:
    """A loop over windows and their parts, as one would write it first."""
    grid, (rows, columns) = round(len(maps) ** 0.5), maps.shape[1:]
    part, half = bins(cells, grid), cells // 2
    windows = np.full((len(centres), cells, cells), -np.inf, np.float32)
    for number, (y, x) in enumerate(centres):
        for v in range(cells):
            for u in range(cells):
                row, column = y - half + v, x - half + u
                if 0 <= row < rows and 0 <= column < columns:
                    windows[number, v, u] = maps[part[v] * grid + part[u], row, column]
    return windows


def milliseconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and least of some calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times), min(times)


def speed(proposer: InstanceProposer, model: str, threads: int, repeats: int) -> dict[str, Any]:
    """Assembling and whole frames."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(25, 75, 100)).astype(np.float32)
    centres = np.stack([rng.integers(75, size=1000), rng.integers(100, size=1000)], axis=1)
    assert np.array_equal(assemble(maps, centres), loop_assemble(maps, centres))
    fast, slow = (
        milliseconds(lambda: assemble(maps, centres), 10 * repeats),
        milliseconds(lambda: loop_assemble(maps, centres), 2),
    )
    frame = ComposedFrames(ComposedConfig(width=640, height=480, held_out_kinds=True), 77)[3].frame
    rows: dict[str, Any] = {
        "assembling 1,000 windows": {"median_ms": fast[0], "least_ms": fast[1], "loop_ms": slow[1],
                                     "ratio": slow[1] / fast[1]},
    }  # fmt: skip
    single = single_scale(model, threads, proposer.session.precision)
    calls = {"640x480, all scales": proposer, "640x480, one scale (200)": single}
    for each in calls.values():
        for _ in range(3):
            each(frame)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, each in calls.items():
            times[name].append(milliseconds(lambda each=each: each(frame), 1)[0])  # type: ignore[misc]
    for name, values in times.items():
        rows[name] = {"median_ms": statistics.median(values), "least_ms": min(values)}
    return rows


def single_scale(model: str, threads: int, precision: str) -> InstanceProposer:
    """The same network at one scale, as a graph of its own; int8 is calibrated with a few composed frames."""
    import tempfile

    from graspcut.instances.method import METHOD, calibration_inputs
    from graspcut.runtime.export import describe_graph, onnx_of_model
    from graspcut.runtime.graphs import quantized

    network: Any = InstanceProposer.load_network(model)
    network.config = replace(network.config, short_sides=(200,))
    description = describe_graph(METHOD, "one", precision)
    graph = onnx_of_model(METHOD, network, replace(description, precision="fp32"))
    if precision == "int8":
        frames = ComposedFrames(ComposedConfig(width=320, height=240), 78)
        graph = quantized(graph, (calibration_inputs(frames[index]) for index in range(8)), description)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.onnx"
        path.write_bytes(graph)
        return InstanceProposer.load(path, threads=threads)


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pairs", "tracking", "speed"))
    parser.add_argument("--frames", type=Path, default=Path("frames"))
    parser.add_argument("--model", default=InstanceProposer.default_model)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--sequences", type=int, default=3)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--save", type=Path, default=None)
    options = parser.parse_args(None if arguments is None else list(arguments))
    proposer = InstanceProposer.load(options.model, threads=options.threads)
    scenes = scenes_of(proposer, Segmenter.load(threads=options.threads))
    if options.what == "pairs":
        result = pairs(proposer, scenes, options.frames, options.count)
    elif options.what == "tracking":
        result = tracking(scenes, options.sequences, options.length)
    else:
        result = speed(proposer, options.model, options.threads, options.repeats)
    print(json.dumps(result, indent=1))
    if options.save is not None:
        write_json_atomically(options.save, result)


if __name__ == "__main__":
    main()
