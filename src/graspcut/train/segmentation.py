"""Puts together network, data, schedule and trainer for a segmentation run: what `graspcut train segmentation` calls.

For other combinations build the parts yourself, as benchmarks/train_shipped_weights.py does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.nn.working_scale import working_size
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.augmentation import AugmentationConfig
from graspcut.segmentation.data import (
    FolderSamples,
    RenderedSamples,
    SegmentationData,
    ValidationPart,
    View,
)
from graspcut.segmentation.models import build_model
from graspcut.segmentation.task import PAPER_STEPS_PER_EPOCH, SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.sensors.names import SensorName
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

NETWORKS = {
    "dense-attention-small": "DenseAttentionSmall",
    "dense-attention-seg": "DenseAttentionSeg",
    "deeplabv3plus": "DeepLabV3Plus",
}
DEFAULT_QUICK_STEPS = 20_000
_VALIDATION_SEED = 999_983


@dataclass(frozen=True)
class SegmentationTraining:
    """What is trained, on what, and for how long.

    Attributes:
        network: "dense-attention-small", "dense-attention-seg" (ResNet-50) or "deeplabv3plus".
        start: Model folder or shipped model to go on from; its network is taken instead of `network`.
        preset: "quick" for a small machine, or "paper" for the published schedule.
        steps: Batches to train; by default 20,000 for quick, and for paper 140 + 10 epochs.
        batch_size: Frames in a batch.
        data: Dataset folders; none trains on frames that are rendered as they are needed.
        validation: Dataset folder for validation; by default rendered frames, or none when training from folders.
        validation_count: Frames to validate on.
        depth_unit_mm: Unit of folders that do not say it.
        focal_px: Focal length of folders without cameras; 0.745 times the width if not given.
        width: Width of the rendered frames in pixels.
        height: Height of the rendered frames in pixels.
        sensor: Sensor of the rendered frames.
        data_seed: Seed of frames and augmentation.
        workers: Processes that prepare batches.
        learning_rate: Highest learning rate; by default the preset's.
        contour_weight: Weight of the contour loss in the last phase; by default the preset's.
    """

    network: Literal["dense-attention-small", "dense-attention-seg", "deeplabv3plus"] = "dense-attention-small"
    start: str | None = None
    preset: Literal["quick", "paper"] = "quick"
    steps: int | None = None
    batch_size: int = 8
    data: tuple[Path, ...] = ()
    validation: Path | None = None
    validation_count: int = 200
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    width: int = 320
    height: int = 240
    sensor: SensorName = "sr300"
    data_seed: int = 0
    workers: int = 1
    learning_rate: float | None = None
    contour_weight: float | None = None


def train_segmentation(training: SegmentationTraining, run: RunConfig) -> RunResult:
    """Trains in a run folder, from the start or from where the folder stands, and exports the model there.

    Args:
        training: What to train.
        run: Where and on what it runs.

    Raises:
        ValueError: If options do not fit together, or the folder holds another run.
        FrameError: If a dataset folder cannot be read.
    """
    prepare_run(run)
    model_config, model = _network(training)
    working_focal = getattr(getattr(model, "config", None), "working_focal_px", None)
    readers = [_reader(folder, training) for folder in training.data]
    data = SegmentationData(
        _views(training, readers, working_focal),
        _validation(training, working_focal),
        seed=training.data_seed,
        workers=training.workers,
    )
    frames = sum(len(reader) for reader in readers)
    task = SegmentationTask(model_config, task_config(training, frames), model)
    return run_training(task, data, run)


def task_config(training: SegmentationTraining, frames: int) -> TaskConfig:
    """The preset with this training's changes.

    Args:
        training: What to train.
        frames: Frames of the dataset folders; 0 when rendering, where an epoch is as long as in the paper.
    """
    if training.preset == "paper":
        config = TaskConfig.paper(-(-frames // training.batch_size) if frames else PAPER_STEPS_PER_EPOCH)
        if training.steps is not None:
            # As large a part of the run as in the paper: 10 of 150 epochs.
            config = dataclasses.replace(config, steps=training.steps, contour_steps=round(training.steps / 15))
    else:
        config = TaskConfig.quick(DEFAULT_QUICK_STEPS if training.steps is None else training.steps)
    if training.learning_rate is not None:
        config = dataclasses.replace(config, learning_rate=training.learning_rate)
    if training.contour_weight is not None:
        config = dataclasses.replace(config, contour_weight=training.contour_weight)
    return config


def _network(training: SegmentationTraining) -> tuple[dict[str, Any], nn.Module]:
    if training.start is None:
        config: dict[str, Any] = {"class": NETWORKS[training.network], "arguments": {}}
        return config, build_model(config)
    folder_config, weights = load_model_folder(training.start)
    config = dict(folder_config["model"])
    model = build_model(config)
    fill_network(model, weights, training.start)
    return config, model


def _reader(folder: Path, training: SegmentationTraining) -> DatasetReader:
    plain = not (folder / "dataset.json").exists()
    unit = training.depth_unit_mm if plain else None
    reader = open_dataset(folder, depth_unit_mm=unit, focal_px=training.focal_px)
    if len(reader) == 0:
        raise FrameError(f"{folder} has no frames; expected at least one to train on.")
    return reader


def _size(reader: DatasetReader, working_focal: float | None) -> tuple[int, int] | None:
    """(width, height) that brings a folder's frames to the scale of the network; None leaves them."""
    if working_focal is None:
        return None
    height, width = reader.read_depth_and_labels(0)[0].shape
    new_height, new_width = working_size(height, width, focal_length_px(reader.camera(0), width), working_focal)
    return None if (new_height, new_width) == (height, width) else (new_width, new_height)


def _views(training: SegmentationTraining, readers: list[DatasetReader], working_focal: float | None) -> list[View]:
    paper = training.preset == "paper"
    if not readers:
        config = SynthConfig(
            width=training.width, height=training.height, sensor=training.sensor, colour=False, focal_jitter=0.1
        )
        samples = RenderedSamples(FrameGenerator(config, seed=training.data_seed))
        augmentation = AugmentationConfig.paper() if paper else AugmentationConfig.rendered()
        return [View(samples, batch_size=training.batch_size, augmentation=augmentation)]
    augmentation = AugmentationConfig.paper() if paper else AugmentationConfig.full()
    return [
        View(
            FolderSamples(reader, seed=training.data_seed, size=_size(reader, working_focal)),
            probability=len(reader),
            batch_size=training.batch_size,
            augmentation=augmentation,
        )
        for reader in readers
    ]


def _validation(training: SegmentationTraining, working_focal: float | None) -> list[ValidationPart]:
    if training.validation_count < 1:
        return []
    if training.validation is not None:
        reader = _reader(training.validation, training)
        count = min(training.validation_count, len(reader))
        return [ValidationPart(FolderSamples(reader, seed=None, size=_size(reader, working_focal)), count)]
    if training.data:
        return []
    config = SynthConfig(width=training.width, height=training.height, sensor=training.sensor, colour=False)
    return [ValidationPart(RenderedSamples(FrameGenerator(config, seed=_VALIDATION_SEED)), training.validation_count)]
