"""Table 2 and Table 3 of the DenseAttentionSeg paper and its ablations: every network under one recipe and budget.

Every row is trained on the same stored frames in the same order, for equally many images, with the same loss; scored
on the same frames: fresh ones with objects of the kinds trained on, as in the paper, and others with kinds never
trained on. A row that goes on from another one (the contour loss, which the paper adds after convergence) is trained
for `contour_images` more. One row at a time, each in a run folder that can be continued; a finished row is a small JSON
file and is not repeated, so that a comparison can run for days.

Small machines shrink the problem, not the seeds: windows of 160x120 around hands, a quarter of the channels, and FCN
without its border of 100 pixels (`slim`). What the tables then say holds for such networks. The windows are cut out of
frames of 640x480, not of small ones (`zoom`): FCN-32s has one score for 32x32 pixels, and where hands are small even
the best scores on that grid come to little (docs/comparison.md).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.nn.counting import count_parameters, count_work
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.comparison_rows import ROWS, SLIM, TABLE_2, TABLE_3, Row
from graspcut.segmentation.data import segmentation_target
from graspcut.segmentation.evaluation import Evaluation, EvaluationReport
from graspcut.segmentation.models import MODEL_NAMES, DenseAttentionSegConfig, build_model
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.dataset import generate_dataset
from graspcut.synth.generator import SynthConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FolderSamples
from graspcut.train.streams import TrainingData, View
from graspcut.train.trainer import RunConfig, prepare_run, run_training

TRAINING_SEED, TEST_SEED, UNSEEN_SEED = 61_000, 62_000, 63_000
_TIMED_CALLS = 9
_RUN_SETTINGS = "comparison.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class ComparisonConfig:
    """The one recipe and budget.

    Attributes:
        rows: names of `ROWS`; by default Table 2 and Table 3.
        seeds: of first weights, order and flips.
        images: images each row is trained on, over all epochs.
        contour_images: more images for rows that go on from another one.
        frames: different frames to render and store; not used with data.
        test_frames: frames to render for scoring.
        width, height: of the frames in pixels.
        zoom: rendered frames are windows around hands, out of frames this many times as wide and high; 1 renders whole
            frames.
        slim: a quarter of the channels, and FCN without its border of 100 pixels.
        encoding: what all networks see: scaled depth as in the paper, or also slopes and steps, from which they learn
            with a fraction of the images.
        data, test_data: dataset folders instead of rendered frames.
        batch_size: images in a batch.
        learning_rate: highest one.
        precision: arithmetic of the training; bf16-mixed is twice as fast where the processor has it.
        workers: processes that prepare batches.
        threads: of the network.
    """

    rows: tuple[str, ...] = tuple(row.name for row in (*TABLE_2, *TABLE_3))
    seeds: tuple[int, ...] = (0,)
    images: int = 96_000
    contour_images: int = 9_600
    frames: int = 24_000
    test_frames: int = 500
    width: int = 160
    height: int = 120
    zoom: int = 4
    slim: bool = True
    encoding: Literal["slab", "raw", "geometry"] = "slab"
    data: Path | None = None
    test_data: Path | None = None
    batch_size: int = 16
    learning_rate: float = 2e-3
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    workers: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.rows) - set(ROWS))
        if unknown:
            raise ValueError(f"unknown rows {', '.join(unknown)}, choose of {', '.join(ROWS)}")
        if (self.data is None) != (self.test_data is None):
            raise ValueError("data and test_data belong together: give both, or none for rendered frames")
        if self.zoom < 1:
            raise ValueError(f"zoom is {self.zoom}, expected 1 or more")


def run_comparison(out: Path, config: ComparisonConfig, say: Say = print) -> list[dict[str, Any]]:
    """Trains and scores what is not done yet, one row at a time.

    Args:
        out: folder of frames, run folders and results; the same settings continue there.
        config: what is compared.
        say: told what is being done.

    Returns:
        the results so far, one dictionary for each row and seed; fewer than asked for when stopped.

    Raises:
        ValueError: the folder holds a comparison with other settings.
    """
    make_output_folder(out)
    _claim(out, config)
    training, tests, unseen = _frames(out, config, say)
    done: list[dict[str, Any]] = []
    for seed in config.seeds:
        for name in _in_order(config.rows):
            path = out / "results" / f"{name}-{seed}.json"
            if not path.exists():
                say(f"{ROWS[name].title}, seed {seed}")
                result = _run_row(out, ROWS[name], seed, config, training, tests, unseen)
                if result is None:
                    say("stopped; the same command continues")
                    return done
                path.parent.mkdir(exist_ok=True)
                write_json_atomically(path, result)
            done.append(dict(read_json(path)))
    return done


def _in_order(names: Sequence[str]) -> list[str]:
    """Rows that others go on from come first, and are added where they are missing."""
    ordered: list[str] = []
    for name in names:
        start = ROWS[name].start
        ordered += [entry for entry in (start, name) if entry is not None and entry not in ordered]
    return ordered


def _claim(out: Path, config: ComparisonConfig) -> None:
    """Rows and seeds may be added later; everything else has to stay."""
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
        if name not in ("rows", "seeds", "workers", "threads")
    }
    path = out / _RUN_SETTINGS
    if not path.exists():
        write_json_atomically(path, settings)
        return
    stored = read_json(path)
    different = [
        f"{name} {stored.get(name)} -> {value}" for name, value in settings.items() if stored.get(name) != value
    ]
    if different:
        raise ValueError(
            f"{out} holds a comparison with other settings ({', '.join(different)}): rows are comparable only under "
            "one recipe. Give the same settings, or another folder"
        )


def _frames(out: Path, config: ComparisonConfig, say: Say) -> tuple[DatasetReader, DatasetReader, DatasetReader | None]:
    """Frames to train on, to test on, and to test on with kinds of objects never trained on; rendered once."""
    if config.data is not None and config.test_data is not None:
        return open_dataset(config.data), open_dataset(config.test_data), None
    camera: dict[str, Any] = {"width": config.zoom * config.width, "height": config.zoom * config.height}
    if config.zoom > 1:
        camera["window"] = (config.width, config.height)
    opened = []
    for name, seed, count, is_unseen in (
        ("training", TRAINING_SEED, config.frames, False),
        ("test", TEST_SEED, config.test_frames, False),
        ("unseen", UNSEEN_SEED, config.test_frames, True),
    ):
        folder = out / "frames" / name
        if not (folder / "dataset.json").exists():
            say(f"rendering {count} frames ({name})")
            synth = SynthConfig(**camera, profile="v1", colour=False, held_out_kinds=is_unseen)
            generate_dataset(synth, seed=seed, count=count, out=folder, workers=max(1, config.workers))
        opened.append(open_dataset(folder))
    return opened[0], opened[1], opened[2]


def network_config(row: Row, config: ComparisonConfig) -> dict[str, Any]:
    """What the row's network is built from."""
    named = MODEL_NAMES[row.network]
    slim = SLIM[named["class"]] if config.slim else {}
    # Frames are taken as they are: all have one scale.
    same = {"working_focal_px": None, "encoding": config.encoding}
    arguments = {**named["arguments"], **slim, **same, **row.arguments}
    factor = row.arguments.get("squeeze_width")
    if factor is not None:
        arguments["squeeze_width"] = round(factor * slim.get("squeeze_width", DenseAttentionSegConfig.squeeze_width))
    return {"class": named["class"], "arguments": arguments}


def task_config(row: Row, config: ComparisonConfig) -> TaskConfig:
    """The row's training: the quick recipe with cross entropy alone, or the contour loss from a trained row on."""
    images = config.images if row.start is None else config.contour_images
    steps = max(1, images // config.batch_size)
    learning_rate = row.learning_rate_share * config.learning_rate
    if row.start is None:
        task = TaskConfig.quick(steps, learning_rate=learning_rate, contour_part=0.0)
        return dataclasses.replace(task, class_weights=(1.0, 3.0, 3.0))
    task = TaskConfig.quick(steps, learning_rate=0.1 * learning_rate, contour_part=1.0, average_decay=0.99)
    optimisation = dataclasses.replace(task.optimisation, schedule="cosine")
    return dataclasses.replace(task, optimisation=optimisation, class_weights=(1.0, 3.0, 3.0), **row.contour)


def model_folder(out: Path, name: str, seed: int) -> Path:
    """Where a trained row lies."""
    return out / "runs" / f"{name}-{seed}" / "model"


def _run_row(
    out: Path,
    row: Row,
    seed: int,
    config: ComparisonConfig,
    training: DatasetReader,
    tests: DatasetReader,
    unseen: DatasetReader | None,
) -> dict[str, Any] | None:
    folder = model_folder(out, row.name, seed).parent
    run = RunConfig(
        folder,
        seed=seed,
        precision=config.precision,
        threads=config.threads,
        validate_every_steps=0,
        checkpoint_every_minutes=5.0,
    )
    prepare_run(run)
    configuration = network_config(row, config)
    network = build_model(configuration)
    if row.start is not None:
        start = model_folder(out, row.start, seed)
        fill_network(network, load_model_folder(start)[1], start)
    task = SegmentationTask(configuration, task_config(row, config), network.train())
    view = View(
        FolderSamples(training, seed=seed),
        segmentation_target,
        batch_size=config.batch_size,
        augmentation=AugmentationConfig(flip=0.5),
    )
    result = run_training(task, TrainingData([view], seed=seed, workers=config.workers), run)
    if result.model_folder is None:
        return None
    scores = scores_of(result.model_folder, configuration, tests)
    if unseen is not None:
        scores["mean_iou_unseen"] = _without_nan(_report(result.model_folder, unseen).overall.mean_iou)
    return {"row": row.name, "seed": seed, **scores}


def _report(folder: Path, tests: DatasetReader) -> EvaluationReport:
    """What the model says about frames, against the truth."""
    segmenter = Segmenter.load(folder, device="cpu", backend="pytorch")
    evaluation = Evaluation()
    for index in range(len(tests)):
        depth, labels = tests.read_depth_and_labels(index)
        evaluation.add(labels, segmenter(depth, tests.camera(index)).labels)
    return evaluation.report(folder.parent.name)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN, which is the score of a class that is nowhere."""
    return None if isinstance(value, float) and math.isnan(value) else value


def scores_of(folder: Path, configuration: dict[str, Any], tests: DatasetReader) -> dict[str, Any]:
    """Table 2's columns, boundary score, parameters and MACs of a trained row; for times see `with_times`."""
    report = _report(folder, tests)
    height, width = tests.read_depth_and_labels(0)[0].shape
    network = build_model(configuration).eval()
    overall = report.overall
    scores: dict[str, Any] = {
        "mean_iou": overall.mean_iou,
        "mean_iou_per_image": report.per_image.mean_iou,
        "pixel_accuracy": overall.pixel_accuracy,
        "mean_accuracy": overall.mean_accuracy,
        "mean_iu": overall.mean_iu,
        "frequency_weighted_iu": overall.frequency_weighted_iu,
        "hand_iou": overall.hand_iou,
        "object_iou": overall.object_iou,
        "boundary_f1": report.boundary.mean,
        "parameters": count_parameters(network),
        "macs": count_work(network, *_typical_frame(height, width)).macs,
    }
    return {name: _without_nan(value) for name, value in scores.items()}


def with_times(
    results: Sequence[dict[str, Any]], config: ComparisonConfig, tests: DatasetReader
) -> list[dict[str, Any]]:
    """Results with the time of each row's network on one frame, all of them measured now and in turn.

    Rows are trained hours apart, beside whatever the machine does then; only times of one run can be compared.

    Args:
        results: of `run_comparison`.
        config: what was compared.
        tests: frames, of which the size counts.

    Returns:
        results with "milliseconds", the median in PyTorch on the processor.
    """
    if not results:
        return []
    height, width = tests.read_depth_and_labels(0)[0].shape
    frame = _typical_frame(height, width)
    configurations = {str(entry["row"]): network_config(ROWS[entry["row"]], config) for entry in results}
    networks: dict[str, nn.Module] = {}
    times: dict[str, list[float]] = {}
    for configuration in configurations.values():
        networks.setdefault(repr(configuration), build_model(configuration).eval())
    threads_before = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads_before)
    try:
        with torch.no_grad():
            for _ in range(_TIMED_CALLS):
                for name, network in networks.items():
                    network(*frame)  # its weights are in the caches of the processor again, as in use
                    started = time.perf_counter()
                    network(*frame)
                    times.setdefault(name, []).append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads_before)
    medians = {name: 1000 * float(np.median(measured)) for name, measured in times.items()}
    return [{**entry, "milliseconds": medians[repr(configurations[entry["row"]])]} for entry in results]


def _typical_frame(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth and focal length of one frame, for what does not depend on what it shows."""
    return torch.full((1, 1, height, width), 500.0), torch.full((1,), 240.0)
