"""The recipes of `graspcut train pose-parts | pose-joints | pose-weak`: data, network, schedule and "
"trainer together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.frames.dataset import open_dataset
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_json_atomically
from graspcut.pose.crops import HandCrops, hand_windows, render_crops
from graspcut.pose.data import (
    ALL_VIEWS,
    UPRIGHT_VIEWS,
    CropTarget,
    PoseBatch,
    ViewConfig,
    arrays_of,
    kept_target,
    mirrored_where,
    parts_view,
    stored_target,
    validation_of,
)
from graspcut.pose.models import build_model
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.models.part_network import PartNetwork
from graspcut.pose.patches import PatchDictionary, SearchConfig
from graspcut.pose.task import JointsConfig, JointsTask, PartsConfig, PartsTask
from graspcut.pose.weak_targets import WeakTargets, make_weak_targets
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig
from graspcut.synth.sensors.names import SensorName
from graspcut.train.optimisation import Optimisation
from graspcut.train.streams import ArrayView, TrainingData
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

_HANDS = SceneConfig(nothing=0.0, object_only=0.0, hand_only=0.25, two_hands=0.1, background_none=1.0)
_SENSORS: tuple[SensorName, ...] = ("sr300", "kinect", "sr300", "ideal")
_RENDERED_FILE = "crops.npz"


@dataclass(frozen=True)
class HandData:
    """Which hands are trained on.

    Attributes:
        crops: Files of hand crops (`HandCrops.save`); they and `data` together.
        data: Dataset folders with instances, joints and, for parts, part maps, such as graspcut synth writes.
        render: Hands to render where neither is given; they are kept in the run folder.
        validation: File of hand crops to validate on; by default a twentieth of the hands, at most 500.
        upright: Show right hands, upright and without the arm, as NYU's frames do; by default any view of any hand.
        data_seed: Seed of rendering and views.
        workers: Processes that prepare batches.
    """

    crops: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    render: int = 20_000
    validation: Path | None = None
    upright: bool = False
    data_seed: int = 0
    workers: int = 1

    @property
    def views(self) -> ViewConfig:
        """How cubes are placed."""
        return UPRIGHT_VIEWS if self.upright else ALL_VIEWS


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
        network: "shared" over joints (ships), or "separate" for each joint, as in the paper.
        masks: Use the parts; without it is baseline (a), direct regression.
        preset: "quick" (AdamW, mean distance) or "paper" (Adam with rate 0.05, squared error).
        views_per_hand: Random views of each hand whose parts are predicted once, before training.
        steps: Batches to train.
        batch_size: Hands in a batch.
        learning_rate: Highest rate; by default the preset's.
        hidden: Units of the fully connected layer; by default 512 shared, 1200 separate.
        start: Model folder to go on from.
    """

    parts: str = "hand-parts"
    network: Literal["shared", "separate"] = "shared"
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


def load_hands(data: HandData, folder: Path) -> HandCrops:
    """The hands of a training: files, folders, or rendered ones, which are kept in the run's folder.

    Raises:
        FrameError: If a file or folder cannot be read or has no hands.
    """
    sets = [HandCrops.load(path) for path in data.crops]
    for path in data.data:
        reader = open_dataset(path)
        windows = [window for index in range(len(reader)) for window in hand_windows(reader[index])]
        if not windows:
            raise FrameError(
                f"{path} has no hands with instances and joints; expected frames as graspcut synth writes."
            )
        sets.append(HandCrops.stack(windows))
    if sets:
        return HandCrops.join(sets)
    kept = folder / _RENDERED_FILE
    if not kept.exists():
        cv2.setNumThreads(1)
        folder.mkdir(parents=True, exist_ok=True)
        each = -(-data.render // len(_SENSORS))
        rendered = []
        for number, sensor in enumerate(_SENSORS):
            config = SynthConfig(
                sensor=sensor, colour=False, window=(200, 200), scene=_HANDS, focal_jitter=0.1, cut_background=0.0
            )
            generator = FrameGenerator(config, seed=data.data_seed * len(_SENSORS) + number)
            rendered.append(render_crops(generator.__getitem__, each))
        HandCrops.join(rendered).save(kept)
    return HandCrops.load(kept)


def _split(data: HandData, hands: HandCrops) -> tuple[HandCrops, HandCrops]:
    """Hands to train on and to validate on."""
    if data.validation is not None:
        return hands, HandCrops.load(data.validation)
    held = max(1, min(500, len(hands) // 20))
    if len(hands) <= held:
        raise FrameError(f"{len(hands)} hand(s) are too few to train and validate on; expected at least 2.")
    return hands.subset(slice(0, len(hands) - held)), hands.subset(slice(len(hands) - held, None))


def fixed_batch(hands: HandCrops, views: ViewConfig) -> PoseBatch:
    """All hands in their measuring views."""
    return CropTarget(views, fixed=True)(arrays_of(hands), np.random.default_rng(0))


def load_part_network(name: str | Path) -> PartNetwork:
    """A part network of a model folder, in evaluation mode.

    Raises:
        ValueError: If the folder holds something else.
    """
    config, weights = load_model_folder(name)
    network = build_model(config["model"])
    if not isinstance(network, PartNetwork):
        raise ValueError(
            f"{name} holds a {type(network).__name__}; expected the part network (graspcut train pose-parts)."
        )
    fill_network(network, weights, name)
    return network.eval()


@torch.no_grad()
def predict_parts(
    network: PartNetwork, crops: NDArray[np.floating], *, output_stride: int = 1, batch: int = 16
) -> NDArray[np.uint8]:
    """Parts of crops.

    Args:
        network: The part network.
        crops: (n, 48, 48) of `crop_cube`.
        output_stride: 1, or 2 for a class at every second row and column, repeated.
        batch: Crops at a time.

    Returns:
        (n, 48, 48) uint8, 0 background, 1..20 parts, 21 forearm.
    """
    contrast = LocalContrast()
    out = np.zeros(crops.shape, np.uint8)
    for first in range(0, len(crops), batch):
        some = torch.from_numpy(np.ascontiguousarray(crops[first : first + batch], dtype=np.float32))[:, None]
        found = network(contrast(some), output_stride).argmax(1).to(torch.uint8).numpy() + 1
        found = found.repeat(output_stride, axis=1).repeat(output_stride, axis=2)
        out[first : first + batch] = np.where(crops[first : first + batch] < 1.0, found, 0)
    return out


def train_parts(training: PartsTraining, run: RunConfig) -> RunResult:
    """Train f_s (`graspcut train pose-parts`)."""
    prepare_run(run)
    hands, held = _split(training, load_hands(training, run.folder))
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


def joint_samples(
    hands: HandCrops, network: PartNetwork | None, views: ViewConfig, views_per_hand: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Views of hands with predicted parts, made once, by name of the fields of `PoseBatch`."""
    rng = np.random.default_rng([seed, 77])
    target = CropTarget(views, fixed=views_per_hand == 0)
    batches = [target(arrays_of(hands), rng) for _ in range(max(1, views_per_hand))]
    crops = np.concatenate([batch.crop for batch in batches])
    # The fast output: what the joint network is used with, and its masks are coarser still.
    parts = np.zeros(crops.shape, np.uint8) if network is None else predict_parts(network, crops, output_stride=2)
    return {
        "crop": crops.astype(np.float16),
        "parts": parts,
        **{
            name: np.concatenate([getattr(batch, name) for batch in batches]) for name in ("joints", "visible", "right")
        },
    }


def train_joints(training: JointsTraining, run: RunConfig) -> RunResult:
    """Train f_r (`graspcut train pose-joints`)."""
    prepare_run(run)
    hands, held = _split(training, load_hands(training, run.folder))
    parts = load_part_network(training.parts) if training.masks else None
    samples = joint_samples(hands, parts, training.views, training.views_per_hand, training.data_seed)
    checked = joint_samples(held, parts, training.views, 0, training.data_seed)
    target = stored_target if training.views.mirror == "random" else kept_target
    view = ArrayView(samples, target, batch_size=training.batch_size, order_seed=training.data_seed)
    config = JointsConfig.paper(training.steps) if training.preset == "paper" else JointsConfig.quick(training.steps)
    if training.learning_rate is not None:
        changed = dataclasses.replace(config.optimisation, learning_rate=training.learning_rate)
        config = dataclasses.replace(config, optimisation=changed)
    arguments: dict[str, Any] = {"masks": training.masks}
    if training.hidden is not None:
        arguments["hidden"] = training.hidden
    name = "SharedJointNetwork" if training.network == "shared" else "SeparateJointNetworks"
    model = None
    if training.start is not None:
        stored, weights = load_model_folder(training.start)
        model = build_model(stored["model"])
        fill_network(model, weights, training.start)
        model.train()
    held_batch = mirrored_where(PoseBatch(**checked), np.zeros(len(checked["crop"]), bool))
    data = TrainingData([view], [validation_of(held_batch, 64)], seed=training.data_seed, workers=training.workers)
    return run_training(JointsTask({"class": name, "arguments": arguments}, config, model), data, run)


def train_weakly(training: WeakTraining, run: RunConfig) -> RunResult:
    """Fine-tune f_s with restored maps (`graspcut train pose-weak`); what was rejected is in `weak.json`."""
    prepare_run(run)
    if not training.target:
        raise ValueError("no --target came; expected files of hand crops whose joints are known.")
    hands, held = _split(training, load_hands(training, run.folder))
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


def dictionary_images(hands: HandCrops, views: ViewConfig, views_per_hand: int, seed: int) -> NDArray[np.uint8]:
    """Part maps (n, 48, 48) of random views of hands, without forearms, for a `PatchDictionary`."""
    rng = np.random.default_rng([seed, 92])
    target = CropTarget(dataclasses.replace(views, forearm=False))
    return np.concatenate([target(arrays_of(hands), rng).parts for _ in range(views_per_hand)])
