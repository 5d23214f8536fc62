"""The recipe of matting: network, data, schedule and trainer put together, as `graspcut train matting` does.

The default trains the compact network on drawn foregrounds over drawn backgrounds (`graspcut.matting.procedural`), in
an hour or so on a small machine. `preset="paper"` is the published recipe for a folder in the layout of AIM with a
folder of
photographs: the whole network, crops of 640, batches of 16, RF, CA.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.matting.augmentation import MattingAugmentation
from graspcut.matting.data import (
    BackgroundFolder,
    Backgrounds,
    CompositeView,
    DrawnMattes,
    FixedComposites,
    open_foregrounds,
    open_images,
)
from graspcut.matting.models import MODEL_NAMES, build_model, model_config
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.task import MattingConfig, MattingTask
from graspcut.matting.training_options import MattingTraining
from graspcut.nn.pretrained import load_pretrained
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.optimisation import steps_per_epoch
from graspcut.train.run_config import RunConfig, RunResult
from graspcut.train.streams import TrainingData
from graspcut.train.trainer import prepare_run, run_training

DEFAULT_QUICK_STEPS = 20_000


def train_matting(training: MattingTraining, run: RunConfig) -> RunResult:
    """Trains in a run folder, from the start or from where the folder stands, and exports the model there.

    Args:
        training: What to train.
        run: Where and on what it runs.

    Raises:
        ValueError: If options do not fit together, or the folder holds another run.
        FrameError: If a data folder cannot be read.
    """
    prepare_run(run)
    config, model = build_start(training)
    multiple: int = getattr(model, "size_multiple", 32)
    if training.side % multiple:
        raise ValueError(f"size is {training.side}, expected a multiple of {multiple} for this network")
    closed_form = getattr(getattr(model, "config", None), "begins_with", "") == "closed-form"
    view = dataclasses.replace(_view(training), closed_form=closed_form)
    validation = []
    if training.validation is not None:
        validation = [FixedComposites(tuple(open_images(training.validation)), training.side, 8, closed_form)]
    data = TrainingData([view], validation, seed=training.data_seed, workers=training.workers)
    task = MattingTask(model, config, task_config(training, len(view.backgrounds)))
    return run_training(task, data, run)


def task_config(training: MattingTraining, backgrounds: int) -> MattingConfig:
    """The preset with this training's changes.

    Args:
        training: What to train.
        backgrounds: How many there are; one pass over them is an epoch.
    """
    if training.preset == "paper":
        config = MattingConfig.paper(steps_per_epoch(backgrounds, training.items_per_batch))
    else:
        config = MattingConfig.quick(training.steps or DEFAULT_QUICK_STEPS)
    changes = {name: value for name in ("steps", "learning_rate") if (value := getattr(training, name)) is not None}
    return dataclasses.replace(config, optimisation=dataclasses.replace(config.optimisation, **changes))


def build_start(training: MattingTraining) -> tuple[dict[str, Any], nn.Module]:
    """Configuration and network that a training begins with: a fresh one, or that of a model folder."""
    if training.start is not None:
        folder_config, weights = load_model_folder(training.start)
        model = build_model(folder_config["model"])
        fill_network(model, weights, Path(training.start))
        return model_config(model), model
    name = training.network or ("lsa-matting" if training.preset == "paper" else "lsa-matting-small")
    model = build_model(MODEL_NAMES[name])
    if training.encoder_weights is not None:
        if name != "lsa-matting":
            raise ValueError(f"--encoder-weights are for lsa-matting; {name} has another encoder")
        encoder = model.get_submodule("encoder")
        load_pretrained(encoder, training.encoder_weights, stem="stem.0.0.weight")
    return model_config(model), model


def _view(training: MattingTraining) -> CompositeView:
    paper = training.preset == "paper"
    augmentation = MattingAugmentation(
        size=training.side,
        crop=(0.75, 1.25) if paper else (0.5, 1.4),
        colour=training.colour,
        largest_trimap_px=training.largest_trimap_px,
        blur=training.blur,
        jitter=training.jitter,
    )
    if training.data is None:
        side = round(training.side * 1.25)
        drawn = DrawnMattes(ProceduralMattes(side, side, training.data_seed))
        backgrounds: Backgrounds = drawn if training.backgrounds is None else BackgroundFolder(training.backgrounds)
        return CompositeView(drawn, backgrounds, augmentation, training.items_per_batch)
    refinement = training.refinement or ("rf" if paper else "none")
    foregrounds, own = open_foregrounds(training.data, refinement)
    if training.backgrounds is not None:
        backgrounds = BackgroundFolder(training.backgrounds)
    elif own is not None:
        backgrounds = own
    else:
        side = training.side
        backgrounds = DrawnMattes(ProceduralMattes(side, side, training.data_seed))
    return CompositeView(foregrounds, backgrounds, augmentation, training.items_per_batch)
