"""The recipe of segmentation: network, data, schedule and trainer put together, as `graspcut train segmentation` does.

The default is the recipe of the shipped weights: windows around hands and whole frames out of one camera, cross entropy
with weights 1 / 1 / 1.6, AdamW with warm-up and cosine, averaged weights, the contour loss in the last tenth.
`preset="paper"` is the published one: ResNet-50, batches of 4, Adam in steps. For other combinations build the parts
yourself, as benchmarks/train_shipped_weights.py does.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.nn.working_scale import working_size
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.data import PAPER_AUGMENTATION, segmentation_target
from graspcut.segmentation.models import MODEL_NAMES, build_model
from graspcut.segmentation.task import PAPER_STEPS_PER_EPOCH, SegmentationTask, TaskConfig
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.optimisation import steps_per_epoch
from graspcut.train.sources import FolderSamples, RenderedSamples
from graspcut.train.streams import TrainingData, ValidationPart, View
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

DEFAULT_QUICK_STEPS = 20_000
DEFAULT_WHOLE_SHARE = 0.3
_VALIDATION_SEED = 999_983

# Windows around a hand teach more per second than whole frames: (part of width and height, share among windows).
_WINDOWS = (((0.4, 8 / 15), 0.5), ((0.55, 0.6), 0.5))
_WHOLE_BATCH = 0.375  # of the windows' batch size, so that batches cost about the same


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
    model_config, model = build_start(training)
    working_focal: float | None = getattr(getattr(model, "config", None), "working_focal_px", None)
    readers = [_reader(folder, training) for folder in training.data]
    data = TrainingData(
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
    contour_part = training.contour_part
    if training.preset == "paper":
        epoch = steps_per_epoch(frames, training.frames_per_batch) if frames else PAPER_STEPS_PER_EPOCH
        config = TaskConfig.paper(epoch)
        # As large a part of the run as in the paper: 10 of 150 epochs.
        contour_part = 1 / 15 if contour_part is None else contour_part
    else:
        config = TaskConfig.quick(DEFAULT_QUICK_STEPS)
        contour_part = 0.1 if contour_part is None else contour_part
    optimisation = {
        name: value
        for name in ("steps", "learning_rate", "weight_decay")
        if (value := getattr(training, name)) is not None
    }
    losses = {
        name: value for name in ("class_weights", "contour_weight") if (value := getattr(training, name)) is not None
    }
    changed = dataclasses.replace(config.optimisation, **optimisation)
    return dataclasses.replace(
        config, optimisation=changed, contour_steps=round(contour_part * changed.steps), **losses
    )


def build_start(training: SegmentationTraining) -> tuple[dict[str, Any], nn.Module]:
    """Configuration and network that a training begins with: a fresh one, or that of a model folder."""
    if training.start is None:
        name = training.network
        if name is None:
            name = "dense-attention-seg" if training.preset == "paper" else "dense-attention-small"
        config = MODEL_NAMES[name]
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


def _size(height: int, width: int, focal_px: float, working_focal: float | None) -> tuple[int, int] | None:
    """(width, height) that brings frames to the scale of the network; None leaves them."""
    if working_focal is None:
        return None
    new_height, new_width = working_size(height, width, focal_px, working_focal)
    return None if (new_height, new_width) == (height, width) else (new_width, new_height)


def _folder_samples(
    reader: DatasetReader, seed: int | None, working_focal: float | None, most: int | None = None
) -> list[FolderSamples]:
    """Samples of a folder at the scale of the network, one source for each size that its frames then have.

    Args:
        reader: The folder.
        seed: Of the order; None keeps it.
        working_focal: Focal length of the network; None leaves the frames as they are.
        most: Frames to use at most, the first ones; None uses all.
    """
    found: dict[tuple[int, int], list[int]] = {}
    for number in range(len(reader) if most is None else min(most, len(reader))):
        with contextlib.suppress(FrameError):  # what cannot be read is told and counted when its turn comes
            found.setdefault(reader.depth_size(number), []).append(number)
    if not found:
        raise FrameError(f"{reader.directory} has no frame that can be read; expected at least one.")
    return [
        FolderSamples(
            reader,
            seed=seed,
            size=_size(height, width, focal_length_px(reader.camera(frames[0]), width), working_focal),
            frames=None if len(frames) == len(reader) else tuple(frames),
        )
        for (height, width), frames in found.items()
    ]


def _synth(training: SegmentationTraining, working_focal: float | None, **changes: Any) -> SynthConfig:
    """The rendered frames: by default as large as an SR300's picture at the scale of the network."""
    width = training.width
    if width is None:
        width = 320 if working_focal is None else 16 * round(working_focal / 12)  # 240 px make 320 columns
    height = training.height if training.height is not None else round(width * 3 / 4)
    return SynthConfig(width=width, height=height, sensor=training.sensor, colour=False, **changes)


def _rendered(
    training: SegmentationTraining, synth: SynthConfig, seed: int, working_focal: float | None
) -> RenderedSamples:
    width, height = synth.window or (synth.width, synth.height)
    size = _size(height, width, focal_length_px(synth.camera(), synth.width), working_focal)
    return RenderedSamples(FrameGenerator(synth, seed), size=size)


def _views(training: SegmentationTraining, readers: list[DatasetReader], working_focal: float | None) -> list[View]:
    paper = training.preset == "paper"
    batch = training.frames_per_batch
    if readers:
        augmentation = PAPER_AUGMENTATION if paper else AugmentationConfig.full()
        return [
            View(samples, segmentation_target, probability=len(samples), batch_size=batch, augmentation=augmentation)
            for reader in readers
            for samples in _folder_samples(reader, training.data_seed, working_focal)
        ]
    augmentation = PAPER_AUGMENTATION if paper else AugmentationConfig.rendered()
    synth = _synth(training, working_focal, focal_jitter=0.1)
    whole_share = training.whole_share
    if whole_share is None:
        whole_share = 1.0 if paper else DEFAULT_WHOLE_SHARE
    windows = [
        (dataclasses.replace(synth, window=(round(synth.width * part[0]), round(synth.height * part[1]))), share)
        for part, share in _WINDOWS
    ]
    shares = [(config, share * (1 - whole_share), batch) for config, share in windows]
    whole_batch = batch if whole_share == 1 else max(1, round(_WHOLE_BATCH * batch))
    return [
        View(
            _rendered(training, config, training.data_seed + number, working_focal),
            segmentation_target,
            probability=share,
            batch_size=size,
            augmentation=augmentation,
        )
        for number, (config, share, size) in enumerate([(synth, whole_share, whole_batch), *shares])
        if share > 0
    ]


def _validation(training: SegmentationTraining, working_focal: float | None) -> list[ValidationPart]:
    if training.validation_count < 1:
        return []
    if training.validation is not None:
        reader = _reader(training.validation, training)
        return [
            ValidationPart(samples, segmentation_target, len(samples))
            for samples in _folder_samples(reader, None, working_focal, training.validation_count)
        ]
    if training.data:
        return []
    synth = _synth(training, working_focal)
    rendered = _rendered(training, synth, _VALIDATION_SEED, working_focal)
    return [ValidationPart(rendered, segmentation_target, training.validation_count)]
