"""A model of one's own from the two real sequences, without a drawn mask; not shipped.

    python benchmarks/own_model.py random --save docs/results/own-model-random.json
    python benchmarks/own_model.py one --save docs/results/own-model-one.json

`random`: bar_red and cube_white are annotated by their colours (`--suggest`), split by random frames as the paper's
data are (90 % train, 10 % test), and the shipped network is fine-tuned as `graspcut train segmentation --start` does by
default. `one`: 150 frames of one sequence, tested on the other and on its own other frames. Scores are against the
labels that come with the sequences, which other rules made from the same colours; no step is chosen on test frames.

Real frames are read from the folder in the environment variable GRASPCUT_DATA, or ../shared/data beside the checkout.
Everything is written to --work, outside the checkout: these weights must not be passed on. Starting again continues.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graspcut.annotate.folder import annotate_folder, earlier_rules
from graspcut.annotate.frame_work import AnnotationJob
from graspcut.annotate.suggesting import suggest_for
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.intrinsics import FocalLength
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.sources import find_frames
from graspcut.frames.splits import SPLITS_NAME, frames_of_part, split_datasets
from graspcut.segmentation.fine_tuning import compare, settle
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.training import train_segmentation
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.train.trainer import RunConfig

CHECKOUT = Path(__file__).resolve().parent.parent
SEQUENCES = ("bar_red", "cube_white")
FOCAL_PX = 238.95
FRAMES = 150


def sequence(name: str) -> DatasetReader:
    """A real sequence with the labels that came with it."""
    data = Path(os.environ.get("GRASPCUT_DATA") or CHECKOUT.parent / "shared" / "data")
    return open_dataset(data / "hand-object" / name, depth_unit_mm=1.0, focal_px=FOCAL_PX)


def annotated(name: str, work: Path) -> Path:
    """The sequence annotated by its colours into a dataset folder."""
    source, out = sequence(name).directory, work / name
    found = find_frames([source], depth_unit_mm=1.0, camera=FocalLength(FOCAL_PX))
    rules = earlier_rules(out) or suggest_for(found).rules
    job = AnnotationJob((str(source),), str(out), rules, 1.0, input_unit_mm=1.0, focal_px=FOCAL_PX)
    annotate_folder(job, workers=1)
    return out


def fine_tune(model: str, data: Sequence[Path], folder: Path, steps: int | None, seed: int) -> Path:
    """The default fine-tuning of the command line; returns the model folder."""
    training = SegmentationTraining(
        start=model, data=tuple(data), steps=steps, validation_count=0, data_seed=seed, workers=0
    )
    run = RunConfig(folder, threads=1, validate_every_steps=0, checkpoint_every_minutes=2.0, progress_bar=False)
    result = train_segmentation(training, run)
    if result.model_folder is None:
        raise SystemExit(f"stopped at step {result.steps} of {folder}; start again to go on")
    comparison = settle(model, result.model_folder, [DatasetReader(part) for part in data], threads=1)
    print(comparison.table(), comparison.verdict, sep="\n", flush=True)
    return result.model_folder


def percent(model: str | Path, frames: Sequence[tuple[DatasetReader, int]]) -> dict[str, float]:
    """Scores on frames of the sequences, against the labels that came with them."""
    segmenter = Segmenter.load(str(model), device="cpu", threads=1, backend="pytorch")
    counts = ConfusionCounts()
    for reader, number in frames:
        depth, labels = reader.read_depth_and_labels(number)
        counts.add(labels, segmenter(depth, reader.camera(number)).labels)
    scores = counts.scores()
    return {"mean_iou": 100 * scores.mean_iou, "hand": 100 * scores.hand_iou, "object": 100 * scores.object_iou}


def rendered(start: str, tuned: Path) -> dict[str, float]:
    """Mean IOU on rendered frames of unseen kinds before and after."""
    row = compare(start, tuned, [], threads=1).rendered
    return {"before": row.before[0], "after": row.after[0]}


def random_split(model: str, work: Path, steps: int | None) -> dict[str, Any]:
    """90 % of all frames for training, 10 % for testing, drawn at random."""
    folders = [annotated(name, work) for name in SEQUENCES]
    split_datasets(folders, random_frames=True, unreviewed=True)
    tuned = fine_tune(model, folders, work / "run-random", steps, 0)
    test = [
        (sequence(name), number)
        for name, folder in zip(SEQUENCES, folders, strict=True)
        for number in frames_of_part(DatasetReader(folder), "validation")
    ]
    own = compare(model, tuned, [DatasetReader(folder) for folder in folders], rendered_frames=1, threads=1).own
    return {
        "test_frames": len(test),
        "before": percent(model, test),
        "after": percent(tuned, test),
        "against_our_own_labels": [{"title": row.title, "before": row.before[0], "after": row.after[0]} for row in own],
        "rendered_unseen_kinds": rendered(model, tuned),
    }


def one_sequence(model: str, work: Path, steps: int | None) -> dict[str, Any]:
    """150 frames of one sequence; tested on the other sequence and on its own other frames."""
    results: dict[str, Any] = {}
    for mine, other in (SEQUENCES, SEQUENCES[::-1]):
        folder = annotated(mine, work / "one")
        reader = DatasetReader(folder)
        train = sorted({round(place) for place in np.linspace(0, len(reader) - 1, FRAMES)})
        rest = [number for number in range(len(reader)) if number not in set(train)]
        names = {"train": [reader.names[n] for n in train], "validation": [reader.names[n] for n in rest]}
        write_json_atomically(folder / SPLITS_NAME, names)
        tuned = fine_tune(model, [folder], work / f"run-{mine}", steps, 0)
        mine_frames = [(sequence(mine), number) for number in rest]
        other_frames = [(sequence(other), number) for number in range(len(sequence(other)))]
        results[mine] = {
            "own": {"before": percent(model, mine_frames), "after": percent(tuned, mine_frames)},
            f"other ({other})": {"before": percent(model, other_frames), "after": percent(tuned, other_frames)},
            "rendered_unseen_kinds": rendered(model, tuned),
        }
        print(mine, results[mine], flush=True)
    return results


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("random", "one"))
    parser.add_argument("--model", default="dense-attention-small")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "graspcut-own-model")
    parser.add_argument("--steps", type=int, help="by default that of the command line")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    if options.work.resolve().is_relative_to(CHECKOUT):
        parser.error(f"--work {options.work} lies in the checkout; weights trained on these frames don't belong there")
    cv2.setNumThreads(1)
    measure = random_split if options.what == "random" else one_sequence
    results = measure(options.model, options.work, options.steps)
    print(results)
    if options.save is not None:
        write_json_atomically(options.save, results)


if __name__ == "__main__":
    main()
