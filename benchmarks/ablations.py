"""Attention against none, and the contour loss in several forms against none: small network, one budget, three seeds.

    python benchmarks/ablations.py --out docs/results/ablations.json

Training frames are windows of 128 x 128 pixels around a hand out of a 320 x 240 camera, rendered once into the work
folder and shared by all variants: those of one seed see the same images, flipped alike, in the same order. A seed
changes the first weights, the order and the flips. First the network with and without attention is trained with cross
entropy alone; then the attention network of each seed is trained on, with each contour loss, for equally many images
that it has not seen. Scored on whole 320 x 240 frames whose objects are of held-out kinds, at full resolution, with the
averaged weights of the last step.

The network works at half the shipped one's scale (every second pixel; `WorkingScale` brings its answer back to all
pixels) and has half its parameters: a quarter of the time an image, and the budget decides how far a variant comes.

    python benchmarks/ablations.py --start runs/small/model --out docs/results/ablations-shipped.json

does only the second part, from a given model at its own scale; the seeds then change order and flips alone.

Everything runs on one thread. Stopped and started again it goes on where it was; finished variants are not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.json_files import write_json_atomically
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.data import segmentation_target
from graspcut.segmentation.evaluation import Evaluation
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmallConfig
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.geometry import resized
from graspcut.train.samples import DEPTH, LABELS, Map, Sample, sample_of
from graspcut.train.streams import TrainingData, View
from graspcut.train.trainer import RunConfig, prepare_run, run_training

SEEDS = (0, 1, 2)
WINDOW = (128, 128)
TRAINING_SEED, TEST_SEED = 51_000, 52_000

# Half of the shipped network's parameters and scale, so that eighteen trainings take twenty minutes of one core.
SAMPLED = (64, 64)
NETWORK = DenseAttentionSmallConfig(
    working_focal_px=120.0,
    context_dilations=(1, 2),
    widths=(12, 16, 32, 64, 96),
    blocks=(0, 0, 1, 1, 1),
    context_width=64,
    squeeze_width=12,
    decoder_widths=(48, 32, 24, 12, 12),
)
# name -> what the fine-tuning adds to the cross entropy
CONTOUR: dict[str, dict[str, Any]] = {
    "no contour loss": {"contour_weight": 0.0},
    "beta 0.005, mean over pixels (paper)": {"contour_weight": 0.005, "contour_normalisation": "pixels"},
    "beta 0.5, mean over pixels": {"contour_weight": 0.5, "contour_normalisation": "pixels"},
    "beta 0.05, mean over contour pixels": {"contour_weight": 0.05, "contour_normalisation": "contour"},
}
ATTENTION = {"attention (gate)": "gate", "no attention": "none"}
SCORES = ("mean_iou", "hand_iou", "object_iou", "boundary")


@dataclass(frozen=True)
class Budget:
    """How much is trained and tested.

    Attributes:
        batch: Images in a batch.
        epochs: How often each image is seen.
        steps: Batches of the first training, all epochs.
        fine_steps: Batches of the fine-tuning, all epochs.
        learning_rate, fine_learning_rate: Highest learning rates of the two.
        test_frames: Whole frames to score on.
    """

    batch: int = 24
    epochs: int = 2
    steps: int = 1200
    fine_steps: int = 200
    learning_rate: float = 3e-3
    fine_learning_rate: float = 5e-4
    test_frames: int = 250


@dataclass(frozen=True)
class FramePool:
    """Rendered frames on disk, read through the page cache.

    Attributes:
        depth_mm: (N, H, W) float32.
        labels: (N, H, W) uint8.
        focal_px: (N,) float64.
        order: Sample i is frame order[i].
        size: (width, height) to sample the frames at; None leaves them.
    """

    depth_mm: NDArray[np.float32]
    labels: NDArray[np.uint8]
    focal_px: NDArray[np.float64]
    order: NDArray[np.int64]
    size: tuple[int, int] | None = None

    def sample(self, index: int) -> Sample:
        """Frame number `index` in this order."""
        frame = int(self.order[index % len(self.order)])
        depth, labels = np.array(self.depth_mm[frame]), np.array(self.labels[frame])
        maps = {"depth_mm": Map(depth, DEPTH), "labels": Map(labels, LABELS)}
        sample = Sample(maps, float(self.focal_px[frame]))
        return sample if self.size is None else resized(sample, *self.size)


def open_pool(folder: Path, generator: FrameGenerator, count: int) -> FramePool:
    """Renders frames 0 .. count - 1 into a folder, or opens it when it is there.

    Args:
        folder: Appears only when it is complete.
        generator: Renders them.
        count: How many.
    """
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        width, height = generator.config.window or (generator.config.width, generator.config.height)
        depth = np.lib.format.open_memmap(part / "depth.npy", "w+", np.float32, (count, height, width))
        labels = np.lib.format.open_memmap(part / "labels.npy", "w+", np.uint8, (count, height, width))
        focal = np.zeros(count)
        for index in range(count):
            sample = sample_of(generator[index])
            depth[index], labels[index], focal[index] = sample["depth_mm"], sample["labels"], sample.focal_px
        depth.flush()
        labels.flush()
        np.save(part / "focal.npy", focal)
        part.rename(folder)
    return FramePool(
        np.load(folder / "depth.npy", mmap_mode="r"),
        np.load(folder / "labels.npy", mmap_mode="r"),
        np.load(folder / "focal.npy"),
        np.arange(count),
    )


def training_part(
    pool: FramePool, first: int, last: int, seed: int, epochs: int, size: tuple[int, int] | None = SAMPLED
) -> FramePool:
    """The frames first .. last - 1 at the network's scale, in the orders of a seed, one after the other."""
    rng = np.random.default_rng([seed, first])
    order = np.concatenate([first + rng.permutation(last - first) for _ in range(epochs)])
    return dataclasses.replace(pool, order=order, size=size)


def train(folder: Path, task_config: TaskConfig, pool: FramePool, batch: int, seed: int, start: Path | str) -> Path:
    """Trains one variant in its run folder, or goes on with it.

    Args:
        folder: The run folder.
        task_config: How it is trained.
        pool: Its images in order.
        batch: Images in a batch.
        seed: Of the first weights and the flips.
        start: A model folder to go on from, or the form of attention of a fresh network.

    Returns:
        The model folder.
    """
    run = RunConfig(
        folder, seed=seed, threads=1, validate_every_steps=0, checkpoint_every_minutes=3.0, progress_bar=False
    )
    prepare_run(run)
    if isinstance(start, Path):
        config, weights = load_model_folder(start)
        network_config = config["model"]
        network = build_model(network_config)
        fill_network(network, weights, start)
        task = SegmentationTask(network_config, task_config, network)
    else:
        arguments = dataclasses.asdict(dataclasses.replace(NETWORK, attention=start))
        task = SegmentationTask({"class": "DenseAttentionSmall", "arguments": arguments}, task_config)
    view = View(pool, segmentation_target, batch_size=batch, augmentation=AugmentationConfig(flip=0.5))
    result = run_training(task, TrainingData([view], seed=seed, workers=0), run)
    if result.model_folder is None:
        raise SystemExit(f"stopped at step {result.steps} of {folder.name}; start again to go on")
    return result.model_folder


def score(model: Path, pool: FramePool) -> dict[str, float]:
    """Scores of a model on whole frames, over all pixels."""
    segmenter = Segmenter.load(model, device="cpu", threads=1, backend="pytorch")
    evaluation = Evaluation()
    for index in range(len(pool.order)):
        sample = pool.sample(index)
        height, width = sample.size
        camera = Camera.from_focal_length(width, height, sample.focal_px)
        evaluation.add(sample["labels"], segmenter(sample["depth_mm"], camera).labels)
    report = evaluation.report(model.parent.name)
    return {
        "mean_iou": report.overall.mean_iou,
        "hand_iou": report.overall.hand_iou,
        "object_iou": report.overall.object_iou,
        "boundary": report.boundary.mean,
    }


class Results:
    """The scores so far, in a JSON file that is written after every variant.

    Args:
        path: The file; what it holds already is kept.
        settings: How the scores come about; a file of other settings is refused.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        self.scores: dict[str, dict[str, dict[str, float]]] = {}
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["settings"] != self.settings:
                raise SystemExit(f"{path} was made with other settings; delete it or write to another file")
            self.scores = stored["scores"]

    def get_or_make(self, variant: str, seed: int, make: Callable[[], dict[str, float]]) -> None:
        """Makes and stores the scores of a variant unless they are there."""
        if str(seed) in self.scores.get(variant, {}):
            return
        started = time.monotonic()
        scores = make()
        self.scores.setdefault(variant, {})[str(seed)] = scores
        write_json_atomically(self.path, {"settings": self.settings, "scores": self.scores})
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        print(f"{variant}, seed {seed}: {numbers} ({time.monotonic() - started:.0f} s)", flush=True)

    def table(self, variants: list[str], reference: str) -> str:
        """Markdown: mean and smallest to largest over the seeds, and the difference to a reference seed by seed."""
        lines = [
            "| variant | mean IOU | hand | object | boundary F1 "
            f"| mean IOU minus '{reference}' | boundary F1 likewise |",
            "|---|---|---|---|---|---|---|",
        ]
        for variant in variants:
            found = self.scores.get(variant, {})
            if not found:
                continue
            cells = [_mean_and_range([scores[name] for scores in found.values()]) for name in SCORES]
            for name in ("mean_iou", "boundary"):
                shared = [seed for seed in found if seed in self.scores.get(reference, {})]
                differences = [found[seed][name] - self.scores[reference][seed][name] for seed in shared]
                cells.append("" if variant == reference else _mean_and_range(differences, sign=True))
            lines.append(f"| {variant} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def _mean_and_range(values: list[float], *, sign: bool = False) -> str:
    if not values:
        return "-"
    form = "{:+.2f}" if sign else "{:.2f}"
    mean, low, high = (form.format(100 * value) for value in (float(np.mean(values)), min(values), max(values)))
    return f"{mean} ({low} .. {high})"


def run_all(work: Path, results: Results, budget: Budget, start: Path | None) -> None:
    """Trains and scores every variant, seed by seed.

    Args:
        work: Rendered frames and run folders.
        results: Gets the scores.
        budget: How much is trained.
        start: A model folder to try the contour losses on; None trains the networks first.
    """
    trained = budget.batch * budget.steps // budget.epochs
    all_images = trained + budget.batch * budget.fine_steps // budget.epochs
    windows = SynthConfig(profile="v1", colour=False, focal_jitter=0.1, window=WINDOW)
    whole = SynthConfig(profile="v1", colour=False, held_out_kinds=True)
    pool = open_pool(work / f"training-{all_images}", FrameGenerator(windows, TRAINING_SEED), all_images)
    tests = open_pool(work / f"test-{budget.test_frames}", FrameGenerator(whole, TEST_SEED), budget.test_frames)
    print(f"rendered {all_images} windows and {budget.test_frames} frames", flush=True)
    first = dataclasses.replace(
        TaskConfig.quick(
            budget.steps,
            learning_rate=budget.learning_rate,
            weight_decay=0.01,
            contour_part=0.0,
            average_decay=0.99,
        ),
        class_weights=(1.0, 3.0, 3.0),
    )
    fine_optimisation = dataclasses.replace(
        first.optimisation,
        steps=budget.fine_steps,
        learning_rate=budget.fine_learning_rate,
        schedule="cosine",
        average_decay=0.97,
    )
    fine = dataclasses.replace(first, optimisation=fine_optimisation, contour_steps=budget.fine_steps)

    def make(folder: Path, config: TaskConfig, images: FramePool, seed: int, begin: Path | str) -> dict[str, float]:
        return score(train(folder, config, images, budget.batch, seed, begin), tests)

    for seed in SEEDS:
        if start is None:
            images = training_part(pool, 0, trained, seed, budget.epochs)
            for variant, form in ATTENTION.items():
                folder = work / f"attention-{form}-{seed}"
                results.get_or_make(variant, seed, partial(make, folder, first, images, seed, form))
        begin = work / f"attention-gate-{seed}" / "model" if start is None else start
        size = SAMPLED if start is None else None
        further = training_part(pool, trained, all_images, seed, budget.epochs, size)
        for number, (variant, change) in enumerate(CONTOUR.items()):
            folder = work / f"contour-{number}-{seed}{'' if start is None else '-from-' + start.resolve().parent.name}"
            config = dataclasses.replace(fine, **change)
            results.get_or_make(variant, seed, partial(make, folder, config, further, seed, begin))


def description(results: Results, budget: Budget, start: Path | None) -> str:
    """The results as a page."""
    further = f"{budget.fine_steps * budget.batch:,} images"
    lines = ["# Ablations", "", "`python benchmarks/ablations.py", ""]
    if start is None:
        lines[2] += (
            f"`: {NETWORK.widths} network at half the shipped one's scale, {budget.steps * budget.batch:,} images "
            f"({budget.epochs} epochs), then {further} more for the contour loss;"
        )
    else:
        lines[2] += f" --start {start.name}`: {further} with each contour loss;"
    lines[2] += (
        f" seeds {', '.join(map(str, SEEDS))}. Scored on {budget.test_frames} frames of 320x240 with held-out kinds of "
        "objects. Percent: mean (smallest .. largest of the seeds); differences are seed by seed."
    )
    if start is None:
        lines += ["Attention, cross entropy only:", "", results.table(list(ATTENTION), "no attention"), ""]
        lines += ["Contour loss, each going on from the attention network of its seed:", ""]
    return "\n".join([*lines, results.table(list(CONTOUR), "no contour loss"), ""])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/ablations.json"), help="scores; .md beside it")
    parser.add_argument("--start", type=Path, help="model folder: only the contour losses, from this model")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "graspcut-ablations")
    defaults = Budget()
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--fine-steps", type=int, default=defaults.fine_steps)
    parser.add_argument("--test-frames", type=int, default=defaults.test_frames)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    budget = Budget(steps=options.steps, fine_steps=options.fine_steps, test_frames=options.test_frames)
    settings = {"budget": dataclasses.asdict(budget), "network": dataclasses.asdict(NETWORK), "contour": CONTOUR}
    if options.start is not None:
        settings |= {"network": load_model_folder(options.start)[0]["model"], "start": options.start.name}
    results = Results(options.out, settings)
    run_all(options.work, results, budget, options.start)
    text = description(results, budget, options.start)
    write_bytes_atomically(options.out.with_suffix(".md"), text.encode())
    print(text)


if __name__ == "__main__":
    main()
