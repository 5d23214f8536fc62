"""Fine-tunes a model on 150 real frames of one sequence and tests it on the other, both ways; not shipped.

    python benchmarks/fine_tune_real.py dense-attention-small --save docs/results/fine-tuned-on-real.json

Real frames are read from the folder in the environment variable GRASPCUT_DATA, or ../shared/data beside the checkout.
The 150 frames are spread evenly over the sequence. Pixels of unknown label are ignored in training and scoring. The
last step's averaged weights are scored; no step is chosen on the test sequence. Run folders lie in --work, outside the
checkout: these weights must not be passed on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.json_files import write_json_atomically
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.data import segmentation_target
from graspcut.segmentation.evaluation import evaluate_model
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.optimisation import Optimisation
from graspcut.train.sources import FolderSamples
from graspcut.train.streams import TrainingData, View
from graspcut.train.trainer import RunConfig, prepare_run, run_training

CHECKOUT = Path(__file__).resolve().parent.parent
SEQUENCES = ("bar_red", "cube_white")
FOCAL_PX = 238.95
FRAMES = 150


def open_sequence(name: str) -> DatasetReader:
    """A real sequence with labels."""
    data = Path(os.environ.get("GRASPCUT_DATA") or CHECKOUT.parent / "shared" / "data")
    return open_dataset(data / "hand-object" / name, depth_unit_mm=1.0, focal_px=FOCAL_PX)


def fine_tune(model: str, reader: DatasetReader, folder: Path, *, steps: int, batch: int, learning_rate: float) -> Path:
    """Trains a model further on 150 frames of a sequence.

    Args:
        model: Model folder or shipped model to start from.
        reader: The sequence.
        folder: Run folder; an unfinished one is continued.
        steps: Batches.
        batch: Frames in a batch.
        learning_rate: The highest one.

    Returns:
        The model folder.
    """
    run = RunConfig(folder, threads=1, validate_every_steps=0, checkpoint_every_minutes=2.0, progress_bar=False)
    prepare_run(run)
    config, weights = load_model_folder(model)
    network = build_model(config["model"])
    fill_network(network, weights, model)
    optimisation = Optimisation(
        steps,
        learning_rate=learning_rate,
        weight_decay=0.01,
        schedule="warm_up_cosine",
        warm_up=0.1,
        average_decay=0.98,
        gradient_clip=5.0,
    )
    task_config = TaskConfig(optimisation, class_weights=(1.0, 3.0, 3.0))
    frames = tuple(round(float(position)) for position in np.linspace(0, len(reader) - 1, FRAMES))
    view = View(
        FolderSamples(reader, seed=0, frames=frames),
        segmentation_target,
        batch_size=batch,
        augmentation=AugmentationConfig.full(),
    )
    task = SegmentationTask(config["model"], task_config, network)
    result = run_training(task, TrainingData([view], workers=0), run)
    if result.model_folder is None:
        raise SystemExit(f"stopped at step {result.steps} of {folder}; start again to go on")
    return result.model_folder


def scores_of(model: str | Path, reader: DatasetReader) -> dict[str, Any]:
    """Scores over all frames of a sequence."""
    report = evaluate_model(Segmenter.load(model, device="cpu", threads=1, backend="pytorch"), reader)
    return {
        "mean_iou": report.overall.mean_iou,
        "hand_iou": report.overall.hand_iou,
        "object_iou": report.overall.object_iou,
        "boundary": report.boundary.mean,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder to start from")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "graspcut-fine-tuned")
    parser.add_argument("--save", type=Path, help="JSON of the scores")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    options = parser.parse_args()
    if options.work.resolve().is_relative_to(CHECKOUT):
        parser.error(f"--work {options.work} lies in the checkout; weights trained on these frames don't belong there")
    cv2.setNumThreads(0)
    readers = {name: open_sequence(name) for name in SEQUENCES}
    results: dict[str, Any] = {"steps": options.steps, "batch": options.batch, "learning_rate": options.learning_rate}
    print("| trained on | tested on | mean IOU | hand | object | boundary F1 |\n|---|---|---|---|---|---|")
    for trained_on, tested_on in (SEQUENCES, SEQUENCES[::-1]):
        tuned = fine_tune(
            options.model,
            readers[trained_on],
            options.work / f"on-{trained_on}",
            steps=options.steps,
            batch=options.batch,
            learning_rate=options.learning_rate,
        )
        for title, model in (("synthetic frames only", options.model), (f"+ {FRAMES} of {trained_on}", tuned)):
            scores = scores_of(model, readers[tested_on])
            results[f"{title}, tested on {tested_on}"] = scores
            numbers = " | ".join(f"{100 * value:.2f}" for value in scores.values())
            print(f"| {title} | {tested_on} | {numbers} |", flush=True)
    if options.save is not None:
        write_json_atomically(options.save, results)


if __name__ == "__main__":
    main()
