"""What each step of the renderer and of the recipe brings alone: one start, one budget, two seeds.

    python -m benchmarks.recipe_steps train --out /tmp/recipe-steps --start src/graspcut/weights/dense-attention-small
    python -m benchmarks.recipe_steps real --out /tmp/recipe-steps --save docs/results/recipe-steps.json

Every variant is trained on from the same weights, for equally many batches, and differs from another one in one thing:
`AGAINST` says from which. Its batch-norm statistics are then taken anew over whole frames of its own renderer, but in
the row that is about that. `train` scores each on rendered frames whose objects are of unseen kinds; `real` looks at
real frames with all of them once, at the end. Starting again continues; finished variants are not repeated. One thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from benchmarks.evaluate_shipped import (
    CHECKOUT,
    NO_HAND_CAMERA,
    SEQUENCE_FOCAL_PX,
    SEQUENCES,
    SR305_CAMERA,
    SR305_UNIT_MM,
    measure_areas,
    real_data_folder,
)
from benchmarks.train_shipped_weights import NETWORK, grown

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import open_dataset
from graspcut.frames.json_files import write_json_atomically
from graspcut.nn.normalisation import recompute_batch_norms
from graspcut.runtime.model_folder import fill_network, find_model_folder, load_model_folder, save_model_folder
from graspcut.segmentation.data import WorkingTarget
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import TrainingData, View, as_tensors, stacked
from graspcut.train.trainer import RunConfig, prepare_run, run_training

SEEDS = (0, 1)
BATCH = 8
TEST_SEED, STATISTICS_SEED = 71_001, 72_001
SMALL_OBJECT_PX = 600  # at 320x240
CLOSE_UPS = SceneConfig(room=0.0, people_at_table=0.0)
FIRST = SynthConfig(profile="v1", colour=False, focal_jitter=0.1)
SECOND = SynthConfig(colour=False)


@dataclass(frozen=True)
class Variant:
    """What is trained on and how.

    Attributes:
        synth: frames of 320x240; half of the frames are drawn at 640x480 where `neighbours` or the cameras matter.
        whole_share: share of the batches with whole frames; the others are windows around a hand.
        neighbours: the network sees the pixels that its sampling passes over.
        shadows_known: pixels without depth keep their label where the renderer knows it.
        statistics: batch-norm statistics anew over whole frames afterwards.
        recipe: fields of `TaskConfig` that differ.
    """

    synth: SynthConfig = SECOND
    whole_share: float = 0.4
    neighbours: bool = False
    shadows_known: bool = True
    statistics: bool = True
    recipe: dict[str, Any] = field(default_factory=dict)


VARIANTS = {
    "first renderer": Variant(FIRST, shadows_known=False),
    "hands of the second": Variant(
        dataclasses.replace(SECOND, sensor="sr300", scene=CLOSE_UPS, cut_background=0.0), shadows_known=False
    ),
    "labels in shadows": Variant(dataclasses.replace(SECOND, sensor="sr300", scene=CLOSE_UPS, cut_background=0.0)),
    "all cameras": Variant(dataclasses.replace(SECOND, scene=CLOSE_UPS)),
    "rooms without a hand": Variant(
        dataclasses.replace(SECOND, scene=dataclasses.replace(CLOSE_UPS, room=SceneConfig.room))
    ),
    "people at tables": Variant(),
    "neighbours": Variant(neighbours=True),
    "windows alone": Variant(whole_share=0.0),
    "whole frames alone": Variant(whole_share=1.0),
    "statistics of training": Variant(statistics=False),
    "equal class weights": Variant(recipe={"class_weights": (1.0, 1.0, 1.0)}),
    "contour loss": Variant(recipe={"contour_part": 1.0}),
}
AGAINST = {
    "hands of the second": "first renderer",
    "labels in shadows": "hands of the second",
    "all cameras": "labels in shadows",
    "rooms without a hand": "all cameras",
    "people at tables": "rooms without a hand",
    **dict.fromkeys(list(VARIANTS)[6:], "people at tables"),
}


def views_of(variant: Variant, seed: int) -> list[View]:
    """Whole frames and windows of both sizes, as the network meets them in use."""
    # (frame, window, item at the scale of the network, items of a batch, share)
    kinds = (
        ((320, 240), None, (320, 240), BATCH // 4, variant.whole_share / 2),
        ((640, 480), None, (320, 240), BATCH // 4, variant.whole_share / 2),
        ((320, 240), (128, 128), (128, 128), BATCH, (1 - variant.whole_share) / 2),
        ((640, 480), (256, 256), (128, 128), BATCH, (1 - variant.whole_share) / 2),
    )
    return [
        View(
            RenderedSamples(
                FrameGenerator(
                    dataclasses.replace(variant.synth, width=size[0], height=size[1], window=window),
                    100 + 10 * seed + n,
                )
            ),
            WorkingTarget(NETWORK.working_focal_px, item, variant.neighbours),
            probability=share,
            batch_size=count,
            augmentation=AugmentationConfig(flip=0.5),
            missing_depth_label=None if variant.shadows_known else 255,
        )
        for n, (size, window, item, count, share) in enumerate(kinds)
        if share > 0
    ]


def trained(name: str, seed: int, start: Path, steps: int, out: Path) -> Path:
    """The model folder of a variant, trained if it is not there yet."""
    variant, folder = VARIANTS[name], out / f"{name.replace(' ', '-')}-{seed}"
    final = folder / "final"
    if final.exists():
        return final
    recipe = dict(variant.recipe)
    contour_part = recipe.pop("contour_part", 0.0)
    config = TaskConfig.quick(steps, learning_rate=5e-4, contour_part=contour_part, average_decay=0.99)
    config = dataclasses.replace(config, **{"class_weights": (1.0, 1.0, 1.6), **recipe})
    network = grown(start)
    described = {"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORK)}
    run = RunConfig(
        folder, seed=seed, accelerator="cpu", threads=1, validate_every_steps=0, checkpoint_every_minutes=2.0
    )
    prepare_run(run)
    data = TrainingData(views_of(variant, seed), [], seed=seed, workers=0)
    result = run_training(SegmentationTask(described, config, network), data, run)
    if result.model_folder is None:
        raise SystemExit("stopped; the same command continues")
    stored, weights = load_model_folder(result.model_folder)
    network = build_model(stored["model"]).eval()
    fill_network(network, weights, result.model_folder)
    if variant.statistics:
        recompute_batch_norms(network, statistics_batches(variant))
    return save_model_folder(final, stored, network.state_dict(), f"# {name}, seed {seed}\n")


def statistics_batches(variant: Variant, frames: int = 160) -> Iterator[Any]:
    """Inputs of whole frames of a variant's renderer, both sizes in turn."""
    target = WorkingTarget(NETWORK.working_focal_px, (320, 240), variant.neighbours)
    rng = np.random.default_rng(STATISTICS_SEED)
    sources = [
        RenderedSamples(FrameGenerator(dataclasses.replace(variant.synth, width=w, height=h), STATISTICS_SEED + w))
        for w, h in ((320, 240), (640, 480))
    ]
    for first in range(0, frames, 8):
        source = sources[first // 8 % 2]
        yield as_tensors(stacked([target(source.sample(n), rng) for n in range(first, first + 8)])).inputs


def rendered_scores(model: Path, frames: int) -> dict[str, float]:
    """Percent on rendered frames with objects of unseen kinds; small objects by their visible pixels at 320x240."""
    segmenter = Segmenter.load(model, device="cpu", threads=1, backend="pytorch")
    found: dict[str, float] = {}
    for profile, size in (("v1", (320, 240)), ("v2", (320, 240)), ("v2", (640, 480))):
        synth = SynthConfig(*size, profile=profile, colour=False, held_out_kinds=True)  # type: ignore[arg-type]
        generator = FrameGenerator(synth, TEST_SEED)
        counts, small, false_px, empty_px = ConfusionCounts(), ConfusionCounts(), 0, 0
        for index in range(frames):
            frame = generator[index]
            labels = segmenter(frame.frame, frame.frame.camera or Camera.sr300(*size)).labels
            if not np.isin(frame.labels, (1, 2)).any():
                false_px, empty_px = false_px + int((labels > 0).sum()), empty_px + labels.size
                continue
            counts.add(frame.labels, labels)
            if 0 < (frame.labels == 2).sum() * (320 * 240) / labels.size < SMALL_OBJECT_PX:
                small.add(frame.labels, labels)
        row = f"{profile} {size[0]}x{size[1]}"
        found[row] = 100 * counts.scores().mean_iou
        found[f"{row} object"] = 100 * counts.scores().object_iou
        if profile == "v2":
            found[f"{row} small objects"] = 100 * small.scores().object_iou
            found[f"{row} false without a hand"] = 100 * false_px / max(1, empty_px)
    return found


def real_scores(model: Path, every: int) -> dict[str, float]:
    """Percent on real frames: mean IOU of every `every`-th frame of the sequences, false pixels elsewhere."""
    segmenter = Segmenter.load(model, device="cpu", threads=1, backend="pytorch")
    data, found = real_data_folder(), {}
    for name in SEQUENCES:
        reader = open_dataset(data / "hand-object" / name, depth_unit_mm=1.0, focal_px=SEQUENCE_FOCAL_PX)
        counts = ConfusionCounts()
        for number in range(0, len(reader), every):
            depth, labels = reader.read_depth_and_labels(number)
            counts.add(labels, segmenter(depth, reader.camera(number)).labels)
        found[name] = 100 * counts.scores().mean_iou
    areas = measure_areas(segmenter, sorted((data / "sr305").glob("*/*.png")), SR305_UNIT_MM, SR305_CAMERA)
    found["sr305 false object, of the hand"] = 100 * sum(areas.object_px) / max(1, sum(areas.hand_px))
    rooms = measure_areas(segmenter, sorted((data / "no-hand").glob("*.png")), 1.0, NO_HAND_CAMERA)
    found["no-hand false pixels"] = rooms.to_dict()["percent_of_pixels"]
    return found


def markdown(results: dict[str, Any]) -> str:
    """Means of the seeds, with what each row gains over the one it goes on from."""
    lines: list[str] = []
    for part in ("rendered", "real"):
        rows: dict[str, list[dict[str, float]]] = {}
        for name in ("start", *VARIANTS):
            rows[name] = [
                entry[part]
                for key, entry in results["models"].items()
                if key.rpartition(" ")[0] == name and part in entry
            ]
        columns = next((list(values[0]) for values in rows.values() if values), [])
        if not columns:
            continue
        lines += ["", "| variant | against | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
        for name, values in rows.items():
            if not values:
                continue
            other, cells = rows.get(AGAINST.get(name, ""), []), []
            for column in columns:
                cell = f"{np.mean([value[column] for value in values]):.1f}"
                gains = [a[column] - b[column] for a, b in zip(values, other, strict=False)]
                cells.append(cell + (f" ({', '.join(f'{gain:+.1f}' for gain in gains)})" if gains else ""))
            lines.append(f"| {name} | {AGAINST.get(name, '-')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "real", "show"))
    parser.add_argument("--out", type=Path, required=True, help="run folders and results.json; continued")
    parser.add_argument("--start", default="dense-attention-small", help="weights that all variants go on from")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--frames", type=int, default=100, help="rendered frames of each kind to score on")
    parser.add_argument("--every", type=int, default=3, help="of the real sequences' frames")
    parser.add_argument("--save", type=Path, help="copy of the results")
    options = parser.parse_args()
    if options.out.resolve().is_relative_to(CHECKOUT / "src"):
        parser.error(f"--out {options.out} lies in the package")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    path, start = options.out / "results.json", find_model_folder(options.start)
    results: dict[str, Any] = {"steps": options.steps, "frames": options.frames, "models": {}}
    if path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
    todo = [("start", 0), *((name, seed) for seed in SEEDS for name in VARIANTS)]
    for name, seed in todo if options.what != "show" else ():
        entry = results["models"].setdefault(f"{name} {seed}", {})
        if options.what == "train" and "rendered" not in entry:
            model = start if name == "start" else trained(name, seed, start, options.steps, options.out)
            entry.update(model=str(model), rendered=rendered_scores(model, options.frames))
        if options.what == "real" and "model" in entry and "real" not in entry:
            entry["real"] = real_scores(Path(entry["model"]), options.every)
        print(name, seed, {k: v for k, v in entry.items() if k != "model"}, flush=True)
        write_json_atomically(path, results)
    print(markdown(results))
    if options.save is not None:
        for entry in results["models"].values():
            entry.pop("model", None)
        write_json_atomically(options.save, results)


if __name__ == "__main__":
    main()
