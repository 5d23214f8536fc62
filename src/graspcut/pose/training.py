"""The recipes of `graspcut train pose-parts | pose-joints | pose-weak`: data, network, schedule and "
"trainer together."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.json_files import write_json_atomically
from graspcut.pose.crops import LOCATED_JOINTS, HandCrops
from graspcut.pose.data import (
    LOCATOR_VIEWS,
    PoseBatch,
    kept_target,
    parts_view,
    stored_target,
    turned_target,
    validation_of,
)
from graspcut.pose.models import build_model
from graspcut.pose.models.part_network import PartNetwork
from graspcut.pose.patches import PatchDictionary, SearchConfig
from graspcut.pose.task import JointsConfig, JointsTask, LocatorTask, PartsConfig, PartsTask
from graspcut.pose.training_data import (
    HandData,
    dictionary_images,
    fixed_batch,
    joint_samples,
    load_hands,
    load_part_network,
    predict_parts,
    split_hands,
)
from graspcut.pose.weak_targets import WeakTargets, make_weak_targets
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.optimisation import Optimisation
from graspcut.train.streams import ArrayView, TrainingData
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

_NETWORKS = {
    "voting": "VotingJointNetwork",
    "shared": "SharedJointNetwork",
    "separate": "SeparateJointNetworks",
    "cascade": "JointCascade",
    "locator": "HandLocator",
}
_MASKED = ("voting", "shared", "separate")


@dataclass(frozen=True)
class PartsTraining(HandData):
    """What part network is trained, on what, and for how long.

    Attributes:
        preset: "quick" (AdamW, batches of 16, losses at some pixels of each crop) or "paper" (SGD, single crops, all
            pixels).
        steps: Batches to train; by default 20,000 for quick and 100 epochs for paper.
        batch_size: Crops in a batch; by default the preset's.
        learning_rate: Highest rate; by default the preset's.
        start: Model folder to go on from.
    """

    preset: Literal["quick", "paper"] = "quick"
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    start: Path | None = None


@dataclass(frozen=True)
class JointsTraining(HandData):
    """What joint network is trained, on what, and for how long.

    Attributes:
        parts: Model folder of the part network whose maps are masks.
        network: "voting" (ships), "shared", f_r with one set of layers for all joints, "separate" for each joint, as in
            the paper, "cascade",
            baseline (b), which needs no parts, or "locator", which finds the
            hand in a mask with a forearm and needs neither parts nor masks.
        masks: Use the parts; without it is baseline (a), direct regression.
        preset: "quick" (AdamW, mean distance) or "paper" (Adam with rate 0.05, squared error).
        views_per_hand: Random views of each hand whose parts are predicted once, before training; half as many
            again lie badly and have no parts.
        steps: Batches to train.
        batch_size: Hands in a batch.
        learning_rate: Highest rate; by default the preset's.
        hidden: Units of the fully connected layer; by default 512 shared, 1200 separate.
        start: Model folder to go on from.
    """

    parts: str = "hand-parts"
    network: Literal["voting", "shared", "separate", "cascade", "locator"] = "voting"
    masks: bool = True
    preset: Literal["quick", "paper"] = "quick"
    views_per_hand: int = 2
    steps: int = 4000
    batch_size: int = 64
    learning_rate: float | None = None
    hidden: int | None = None
    start: Path | None = None


@dataclass(frozen=True)
class WeakTraining(HandData):
    """Fine-tuning of a part network on hands whose joints alone are known. `crops` and `data` are the labelled ones.

    Attributes:
        parts: Model folder of the part network to go on from.
        target: Files of hand crops whose joints are known; their parts are never looked at.
        dictionary_share: Share of the labelled hands whose patches are the dictionary.
        dictionary_views: Views of each of them.
        ratio: Labelled hands for one with restored parts, in every run of ratio + 1.
        steps: Batches to train.
        batch_size: Crops in a batch.
        learning_rate: The rate, constant.
        threads_of_search: Threads of the patch search.
    """

    parts: str = "hand-parts"
    target: tuple[Path, ...] = ()
    dictionary_share: float = 1 / 3
    dictionary_views: int = 1
    ratio: int = 9
    steps: int = 2000
    batch_size: int = 10
    learning_rate: float = 5e-4
    threads_of_search: int = 2


def train_parts(training: PartsTraining, run: RunConfig) -> RunResult:
    """Train f_s (`graspcut train pose-parts`)."""
    prepare_run(run)
    hands, held = split_hands(training, load_hands(training, run.folder))
    paper = training.preset == "paper"
    batch_size = training.batch_size or (1 if paper else 16)
    epoch = -(-len(hands) // batch_size)
    steps = training.steps or (100 * epoch if paper else 20_000)
    config = PartsConfig.paper(steps) if paper else PartsConfig.quick(steps)
    if training.learning_rate is not None:
        changed = dataclasses.replace(config.optimisation, learning_rate=training.learning_rate)
        config = dataclasses.replace(config, optimisation=changed)
    start = None if training.start is None else load_part_network(training.start).train()
    classes = 21 if training.views.forearm else 20
    network = {"class": "PartNetwork", "arguments": {"classes": classes}}
    data = TrainingData(
        [parts_view(hands, training.views, batch_size, seed=training.data_seed)],
        [validation_of(fixed_batch(held, training.views))],
        seed=training.data_seed,
        workers=training.workers,
    )
    return run_training(PartsTask(network, config, start), data, run)


def train_joints(training: JointsTraining, run: RunConfig) -> RunResult:
    """Train f_r (`graspcut train pose-joints`)."""
    prepare_run(run)
    samples, checked = stored_joint_samples(training, run.folder)
    mirrored = training.views.mirror == "random"
    target = turned_target if training.network == "locator" else stored_target
    view = ArrayView(
        samples, target if mirrored else kept_target, batch_size=training.batch_size,
        order_seed=training.data_seed,
    )  # fmt: skip
    config = JointsConfig.paper(training.steps) if training.preset == "paper" else JointsConfig.quick(training.steps)
    if training.learning_rate is not None:
        changed = dataclasses.replace(config.optimisation, learning_rate=training.learning_rate)
        config = dataclasses.replace(config, optimisation=changed)
    network, model = _joint_network(training)
    held = kept_target(checked, np.random.default_rng(0))
    data = TrainingData([view], [validation_of(held, 64)], seed=training.data_seed, workers=training.workers)
    task = LocatorTask if training.network == "locator" else JointsTask
    return run_training(task(network, config, model), data, run)


def _joint_network(training: JointsTraining) -> tuple[dict[str, Any], torch.nn.Module | None]:
    """Configuration of the network, and the one to go on from."""
    if training.start is not None:
        stored, weights = load_model_folder(training.start)
        model = build_model(stored["model"])
        fill_network(model, weights, training.start)
        return dict(stored["model"]), model.train()
    arguments: dict[str, Any] = {"masks": training.masks} if training.network in _MASKED else {}
    if training.hidden is not None:
        arguments["hidden"] = training.hidden
    return {"class": _NETWORKS[training.network], "arguments": arguments}, None


def stored_joint_samples(
    training: JointsTraining, folder: Path
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Samples to train and to validate on, made once and kept in the run's folder."""
    kept = folder / "samples.npz"
    if not kept.exists():
        hands, held = split_hands(training, load_hands(training, folder, arm=training.network == "locator"))
        needs_parts = training.masks and training.network in _MASKED
        network = load_part_network(training.parts) if needs_parts else None
        locator = training.network == "locator"
        views, joints = (LOCATOR_VIEWS, LOCATED_JOINTS) if locator else (training.views, None)
        made = {
            "train": joint_samples(hands, network, views, training.views_per_hand, training.data_seed, joints),
            "held": joint_samples(held, network, views, 0, training.data_seed, joints),
        }
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"{part}_{name}": a for part, named in made.items() for name, a in named.items()}
        np.savez(buffer, **arrays)
        write_bytes_atomically(kept, buffer.getvalue())
    with np.load(kept, allow_pickle=False) as stored:
        train, checked = ({name: stored[f"{part}_{name}"] for name in PoseBatch._fields} for part in ("train", "held"))
    return train, checked


def train_weakly(training: WeakTraining, run: RunConfig) -> RunResult:
    """Fine-tune f_s with restored maps (`graspcut train pose-weak`); what was rejected is in `weak.json`."""
    prepare_run(run)
    if not training.target:
        raise ValueError("no --target came; expected files of hand crops whose joints are known.")
    hands, held = split_hands(training, load_hands(training, run.folder))
    network = load_part_network(training.parts)
    targets = HandCrops.join([HandCrops.load(path) for path in training.target])
    weak = _weak_targets(training, run.folder, hands, targets, network)
    optimisation = Optimisation(
        training.steps, "adamw", training.learning_rate, weight_decay=1e-4, average_decay=0.99, channels_last=False
    )
    views: list[Any] = [parts_view(hands, training.views, training.batch_size, seed=training.data_seed)]
    if len(weak.parts):
        restored: dict[str, NDArray[Any]] = {
            "crop": weak.crop.astype(np.float16),
            "parts": weak.parts,
            **_unknown(len(weak.parts)),
        }
        target = kept_target if training.views.mirror == "right" else stored_target
        # One restored batch for `ratio` synthetic ones: the mixture of section 5, a batch at a time.
        views = [
            dataclasses.replace(views[0], probability=float(training.ratio)),
            ArrayView(restored, target, 1.0, training.batch_size, training.data_seed),
        ]
    data = TrainingData(
        views, [validation_of(fixed_batch(held, training.views))], seed=training.data_seed, workers=training.workers
    )
    config = PartsConfig(optimisation, strided_share=0.0)
    return run_training(PartsTask({}, config, network.train()), data, run)


def _unknown(count: int) -> dict[str, NDArray[Any]]:
    """Fields of a batch that part networks do not look at."""
    return {
        "joints": np.full((count, 21, 3), np.nan, np.float32),
        "visible": np.zeros((count, 21), bool),
        "right": np.ones(count, bool),
    }


def _weak_targets(
    training: WeakTraining, folder: Path, hands: HandCrops, targets: HandCrops, network: PartNetwork
) -> WeakTargets:
    """Restored maps of this run: made once and kept, so that a run goes on with the same ones."""
    kept = folder / "weak-targets.npz"
    if not kept.exists():
        rng = np.random.default_rng([training.data_seed, 91])
        chosen = np.sort(rng.choice(len(hands), max(1, round(len(hands) * training.dictionary_share)), replace=False))
        images = dictionary_images(hands.subset(chosen), training.views, training.dictionary_views, training.data_seed)
        dictionary = PatchDictionary(images, SearchConfig(threads=training.threads_of_search))
        batch = fixed_batch(targets, training.views)
        predicted = predict_parts(network, batch.crop)
        made = make_weak_targets(batch.crop, predicted, batch.joints, dictionary)
        folder.mkdir(parents=True, exist_ok=True)
        made.save(kept)
        write_json_atomically(folder / "weak.json", made.report())
    return WeakTargets.load(kept)
