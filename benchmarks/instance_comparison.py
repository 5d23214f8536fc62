"""Tables 1 and 2 of InstanceFCN on composed depth frames: networks that differ in one thing, trained alike.

    python benchmarks/instance_tables.py frames --out frames
    python -m benchmarks.instance_comparison --frames frames --work runs --save comparison.json

Rows: k = 3, 5, 7 (table 1); ~DeepMask, InstanceFCN trained on crops, and fully convolutional, which is k = 5 (table 2).
All have the light encoder of `dense-attention-small`, begin with its weights, and see as many batches of about as many
pixels, at 160x120: parts of 120x90 of images for the fully convolutional ones, crops of one window of 112x112 for the
others. Training items are made once and stored beside the frames. A seed decides the new layers and the order of items.
Tests are frames with object kinds that no training shows. Rows that are done are kept in the file and a stopped
training continues, so the command may be stopped and given again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.instance_tables import network_proposer, numbers, scored, test_frames
from numpy.typing import NDArray

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.instances.data import CropBatch, CropItems, FocusedItems, WindowBatch
from graspcut.instances.models import build_model, model_config
from graspcut.instances.task import InstanceTask, TaskConfig, crop_place
from graspcut.instances.training import begin_encoder
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.augmentation import AugmentationConfig, augment
from graspcut.train.run_config import RunConfig
from graspcut.train.sources import FolderSamples
from graspcut.train.streams import ArrayView, Target, TrainingData
from graspcut.train.trainer import prepare_run, run_training
from graspcut.train.views import stacked

SIZE = (160, 120)
PART = (120, 90)
BATCH = 8
DEEPMASK_SHORT_SIDES = (79, 119, 178, 267, 400, 600)  # canonical objects are 64 px there, 48 px in the others
DEEPMASK = {"encoder": "light", "inputs": "depth", "width": 48, "mask_width": 256, "score_widths": (128, 256),
            "short_sides": DEEPMASK_SHORT_SIDES}  # fmt: skip
# Row -> network class, its arguments, name of its training items.
ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "k=5": ("InstanceFCNSmall", {"grid": 5}, "parts"),
    "deepmask": ("DeepMask", DEEPMASK, "deepmask-crops"),
    "crops": ("InstanceFCNSmall", {"grid": 5}, "crops"),
    "k=3": ("InstanceFCNSmall", {"grid": 3}, "parts"),
    "k=7": ("InstanceFCNSmall", {"grid": 7}, "parts"),
}


def stored_items(frames: Path, name: str, network: Any, count: int) -> dict[str, NDArray[Any]]:
    """Training items of a kind, made at the first call and read from then on."""
    path = frames / f"items-{name}-{count}.npz"
    if not path.exists():
        geometry = network.config.geometry
        target: Target = (
            FocusedItems(geometry, *PART, windows=128)
            if name == "parts"
            else CropItems(geometry, *crop_place(network.config))
        )
        source = FolderSamples(DatasetReader(frames / "train"), 0, SIZE, what=("depth_mm", "instances"))
        items = []
        for index in range(count):
            rng = np.random.default_rng([11, index])
            items.append(target(augment(source.sample(index), AugmentationConfig(flip=0.5), rng), rng))
        trial = path.with_suffix(".trial.npz")
        np.savez(trial, **stacked(items)._asdict())
        trial.replace(path)
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def trained(name: str, seed: int, steps: int, frames: Path, work: Path, count: int) -> Any:
    """One row's network after its training, in evaluation mode; a stopped training continues."""
    kind, arguments, items = ROWS[name]
    run = RunConfig(
        work / f"{name.replace('=', '')}-{seed}", seed=seed, accelerator="cpu", threads=1, precision="bf16-mixed",
        validate_every_steps=0, checkpoint_every_steps=0, checkpoint_every_minutes=1.0, progress_bar=False,
    )  # fmt: skip
    prepare_run(run)
    network = build_model({"class": kind, "arguments": arguments})
    begin_encoder(network, None)
    task = InstanceTask(model_config(network), TaskConfig.quick(steps, average_decay=0.995), network)
    arrays = stored_items(frames, items, network, count)
    batch: Any = WindowBatch if items == "parts" else CropBatch
    view = ArrayView(arrays, lambda found, _: batch(**found), batch_size=BATCH, order_seed=seed)
    result = run_training(task, TrainingData([view], seed=seed, workers=0), run)
    if result.model_folder is None:
        raise SystemExit(f"{run.folder}: stopped after {result.steps} steps; the same command continues")
    stored, weights = load_model_folder(result.model_folder)
    built = build_model(stored["model"])
    fill_network(built, weights, result.model_folder)
    return built.eval()


def compare(
    frames: Path, work: Path, steps: int, seeds: int, items: int, count: int, save: Path, only: Sequence[str]
) -> None:
    """Trains and scores what is not in the file yet, seed by seed."""
    import torch

    torch.set_num_threads(1)
    table: dict[str, Any] = read_json(save) if save.exists() else {"rows": {}}
    tests = test_frames(frames, count, SIZE[0])
    for seed in range(seeds):
        for name in only or ROWS:
            key = f"{name} seed {seed}"
            if key in table["rows"]:
                continue
            started = time.process_time()
            network = trained(name, seed, steps, frames, work, items)
            seconds = time.process_time() - started
            report = scored(tests, network_proposer(network))
            table["rows"][key] = numbers(report, steps=steps, frames=len(tests), training_cpu_s=round(seconds))
            write_json_atomically(save, table)
            print(key, table["rows"][key]["ar"], f"{seconds:.0f} s of processor time", flush=True)
    print_means(table["rows"])


def print_means(rows: dict[str, Any]) -> None:
    """Mean and spread over seeds, AR@10/100/1000."""
    for name in dict.fromkeys(key.rpartition(" seed ")[0] for key in rows):
        values = np.array([list(row["ar"].values()) for key, row in rows.items() if key.startswith(f"{name} seed")])
        mean, spread = values.mean(axis=0), values.std(axis=0)
        shown = " ".join(f"{m:5.1f}+-{s:.1f}" for m, s in zip(mean, spread, strict=True))
        print(f"{name:<10} {shown}   ({len(values)} seeds)")


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, default=Path("frames"))
    parser.add_argument("--work", type=Path, default=Path("instance-runs"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=6000, help="stored training items of each kind")
    parser.add_argument("--count", type=int, default=60, help="test frames")
    parser.add_argument("--only", nargs="*", default=[], choices=list(ROWS))
    parser.add_argument("--save", type=Path, default=Path("instance-comparison.json"))
    given = parser.parse_args(None if arguments is None else list(arguments))
    compare(given.frames, given.work, given.steps, given.seeds, given.items, given.count, given.save, given.only)


if __name__ == "__main__":
    main()
