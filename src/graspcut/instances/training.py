"""The recipe of proposals: network, data, schedule and trainer put together, as `graspcut train instances` does.

The default is the recipe of the shipped network: parts of composed frames at the scale of one of their objects, the
light encoder begun with the weights of the segmentation network, AdamW with warm-up and cosine, averaged weights.
`preset="paper"` is the published one: VGG-16, whole images at one random scale of six, batches of 8, SGD in two steps.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from graspcut.frames.camera_files import find_camera
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.instances.composing import ComposedConfig, ComposedFrames
from graspcut.instances.data import CropItems, FocusedItems, WindowItems
from graspcut.instances.models import MODEL_NAMES, DeepMask, InstanceFCN, build_model, model_config
from graspcut.instances.task import InstanceTask, TaskConfig, crop_place
from graspcut.instances.training_options import DEFAULT_QUICK_STEPS, InstanceTraining
from graspcut.nn.pretrained import load_pretrained
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FolderSamples, RenderedSamples, SampleSource
from graspcut.train.streams import Target, TrainingData, ValidationPart, View
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

_VALIDATION_SEED = 999_983

AUGMENTATION = AugmentationConfig(
    flip=0.5, warp=0.5, rotation_deg=30.0, scale_low=0.85, scale_high=1.2, shift=0.05, holes=0.1, hole_count=3,
    hole_radius=0.03,
)  # fmt: skip
# (width, height, share of the batches, batch size): parts of several sizes, at about equal cost a batch, so that
# the network sees as much around an object as it does in images of all scales.
_PARTS = ((120, 90, 0.4, 1.5), (160, 120, 0.35, 1.0), (240, 180, 0.15, 0.5), (320, 240, 0.1, 0.25))


def train_instances(training: InstanceTraining, run: RunConfig) -> RunResult:
    """Trains in a run folder, from the start or from where the folder stands, and exports the model there.

    Args:
        training: What to train.
        run: Where and on what it runs.

    Raises:
        ValueError: If options do not fit together, or the folder holds another run.
        FrameError: If a dataset folder cannot be read.
    """
    prepare_run(run)
    config, network = build_start(training)
    views = _views(training, network)
    data = TrainingData(
        views, _validation(training, views[0].target), seed=training.data_seed, workers=training.workers
    )
    return run_training(InstanceTask(config, task_config(training), network), data, run)


def task_config(training: InstanceTraining) -> TaskConfig:
    """The preset with this training's changes."""
    config = TaskConfig.paper() if training.preset == "paper" else TaskConfig.quick(DEFAULT_QUICK_STEPS)
    if training.steps is not None:
        config = TaskConfig.paper(training.steps) if training.preset == "paper" else TaskConfig.quick(training.steps)
    if training.learning_rate is None:
        return config
    optimisation = dataclasses.replace(config.optimisation, learning_rate=training.learning_rate)
    return dataclasses.replace(config, optimisation=optimisation)


def build_start(training: InstanceTraining) -> tuple[dict[str, Any], nn.Module]:
    """Configuration and network that a training begins with.

    Raises:
        ValueError: the encoder's weights do not fit the network.
    """
    if training.start is not None:
        folder_config, weights = load_model_folder(training.start)
        network = build_model(folder_config["model"])
        fill_network(network, weights, training.start)
        return dict(folder_config["model"]), network
    name = training.network or ("instance-fcn" if training.preset == "paper" else "instance-fcn-small")
    arguments: dict[str, Any] = {"inputs": training.inputs}
    if name != "deepmask":
        arguments["grid"] = training.grid
    elif training.inputs == "depth" and training.preset == "quick":
        arguments["encoder"] = "light"
    network = build_model({"class": MODEL_NAMES[name], "arguments": arguments})
    begin_encoder(network, training.encoder)
    return model_config(network), network


def begin_encoder(network: nn.Module, encoder: str | None) -> None:
    """Fills the encoder of a network with weights learned for something else.

    Args:
        network: any of the method's networks.
        encoder: model folder with a light encoder, file of VGG-16, "none", or None for the default.

    Raises:
        ValueError: the weights do not fit.
    """
    if encoder == "none":
        return
    features: Any = network.features
    if hasattr(features, "trunk"):
        if encoder is not None:
            load_pretrained(features.trunk, encoder, stem="features.0.weight", head_prefixes=("classifier.",))
        return
    _, weights = load_model_folder(encoder or "dense-attention-small")
    found = {name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
    own = {name: value for name, value in features.encoder.state_dict().items() if value.ndim}
    stem = "levels.0.0.0.weight"
    if stem in found and stem in own and own[stem].shape[1] < found[stem].shape[1]:
        # The last channels are the neighbours of a pixel, which this network is not given.
        found[stem] = found[stem][:, : own[stem].shape[1]]
    fits = set(own) <= set(found) and all(own[name].shape == found[name].shape for name in own)
    # Names that this network lacks are layers it would leave out: then the others mean something else.
    if not fits or any(name not in own for name in found if not name.endswith("num_batches_tracked")):
        if encoder is None:  # other sizes than the shipped ones: begin at random
            return
        raise ValueError(
            f"the encoder weights of {encoder} are not those of this network's encoder ({len(found)} and {len(own)} "
            "arrays); choose a model folder with the same light encoder, or 'none'"
        )
    tensors = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in found.items() if name in own}
    features.encoder.load_state_dict(tensors, strict=False)  # all but counters of batches


def _sources(training: InstanceTraining, network: nn.Module) -> list[tuple[SampleSource, float]]:
    """Where samples come from, with their weights."""
    config: Any = network.config
    maps = {"depth": ("depth_mm",), "colour": ("depth_mm", "colour"), "both": ("depth_mm", "colour")}[config.inputs]
    what = (*maps, "instances")
    if not training.data:
        if config.inputs != "depth":
            raise ValueError("composed frames have no colour: give dataset folders with --data, or take --inputs depth")
        return [(RenderedSamples(ComposedFrames(_composed(training), training.data_seed), what), 1.0)]
    readers = [_reader(folder, training) for folder in training.data]
    return [
        (FolderSamples(reader, training.data_seed, training.size, what=what), float(len(reader))) for reader in readers
    ]


def _composed(training: InstanceTraining) -> ComposedConfig:
    width, height = training.size or (320, 240)
    return ComposedConfig(width=width, height=height, sensor=training.sensor)


def _reader(folder: Path, training: InstanceTraining) -> DatasetReader:
    plain = not (folder / "dataset.json").exists()
    unit = training.depth_unit_mm if plain else None
    camera = None if training.camera is None else find_camera(training.camera)
    reader = open_dataset(folder, depth_unit_mm=unit, focal_px=training.focal_px, camera=camera)
    if len(reader) == 0:
        raise FrameError(f"{folder} has no frames; expected at least one to train on.")
    return reader


def _targets(training: InstanceTraining, network: nn.Module) -> list[tuple[Target, float, int]]:
    """Items, their share among the batches, and batch sizes."""
    config: Any = network.config
    common = {"inputs": config.inputs, "smallest_px": training.smallest_px}
    if training.crops or isinstance(network, DeepMask):
        side, centre = crop_place(config)
        return [(CropItems(config.geometry, side, centre, **common), 1.0, training.batch_size)]
    if training.preset == "paper" or isinstance(network, InstanceFCN):
        sides = config.geometry.short_sides
        return [(WindowItems(config.geometry, side, **common), 1.0, training.batch_size) for side in sides]
    return [
        (FocusedItems(config.geometry, width, height, **common), share, max(1, round(training.batch_size * part)))
        for width, height, share, part in _PARTS
    ]


def _views(training: InstanceTraining, network: nn.Module) -> list[View]:
    return [
        View(source, target, weight * share, batch_size, AUGMENTATION, missing_depth_label=None)
        for source, weight in _sources(training, network)
        for target, share, batch_size in _targets(training, network)
    ]


def _validation(training: InstanceTraining, target: Target) -> list[ValidationPart]:
    if training.validation_count < 1 or (training.data and training.validation is None):
        return []
    what = ("depth_mm", "instances")
    if training.validation is not None:
        reader = _reader(training.validation, training)
        count = min(training.validation_count, len(reader))
        samples: SampleSource = FolderSamples(reader, None, training.size, what=what)
        return [ValidationPart(samples, target, count, missing_depth_label=None)]
    rendered = RenderedSamples(ComposedFrames(_composed(training), _VALIDATION_SEED), what)
    return [ValidationPart(rendered, target, training.validation_count, missing_depth_label=None)]
