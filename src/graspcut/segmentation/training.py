"""The recipe of segmentation: network, data, schedule and trainer put together, as `graspcut train segmentation` does.

The default is the recipe of the shipped weights: windows around hands and whole frames out of one camera, cross entropy
with weights 1 / 1 / 1.6, AdamW with warm-up and cosine, averaged weights, the contour loss in the last tenth.
`preset="paper"` is the published one: ResNet-50, batches of 4, Adam in steps. For other combinations build the parts
yourself, as benchmarks/train_shipped_weights.py does.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.camera_files import find_camera
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.frames.label_shares import read_label_shares
from graspcut.frames.shards import INDEX_NAME as SHARDS_INDEX
from graspcut.frames.shards import ShardReader
from graspcut.frames.splits import frames_of_part, is_split
from graspcut.segmentation.data import PAPER_AUGMENTATION, SampledTarget, segmentation_target
from graspcut.segmentation.mixing import rendered_samples, rendered_views, size_at_scale, working_focal_px
from graspcut.segmentation.own_losses import open_loss_file, weights_of
from graspcut.segmentation.recipe_options import AugmentationOptions, LossOptions, OptimisationOptions, given
from graspcut.segmentation.starting import build_start, describe_pretrained
from graspcut.segmentation.task import PAPER_STEPS_PER_EPOCH, SegmentationTask, TaskConfig
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.synth.generator import SynthConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.first_process import say
from graspcut.train.optimisation import steps_per_epoch
from graspcut.train.sources import FolderSamples, ShardSamples
from graspcut.train.streams import Target, TrainingData, ValidationPart, View
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

__all__ = ["build_start", "held_out_readers", "task_config", "train_segmentation"]

DEFAULT_QUICK_STEPS = 20_000
DEFAULT_WHOLE_SHARE = 0.3
# A network that knows much needs little: a low rate, and averaged weights over about a hundred steps.
FINE_TUNING_STEPS = 800
FINE_TUNING_RATE = 3e-4
_VALIDATION_SEED, _STATISTICS_SEED = 999_983, 970_001
_MIXED_SEED = 500_009  # keeps rendered frames beside recorded ones apart from those of other trainings

# Windows around a hand teach more per second than whole frames: (part of width and height, share among windows).
_WINDOWS = (((0.4, 8 / 15), 0.5), ((0.55, 0.6), 0.5))
_WHOLE_BATCH = 0.375  # of the windows' batch size, so that batches cost about the same

_Recorded = tuple[FolderSamples | ShardSamples, Target]


def train_segmentation(
    training: SegmentationTraining, run: RunConfig, *, files: Mapping[str, bytes] | None = None
) -> RunResult:
    """Trains in a run folder, from the start or from where the folder stands, and exports the model there.

    Args:
        training: What to train.
        run: Where and on what it runs.
        files: See `run_training`.

    Raises:
        ValueError: If options do not fit together, or the folder holds another run.
        FrameError: If a dataset folder cannot be read.
    """
    prepare_run(run)
    model_config, model = build_start(training)
    own_losses = None
    if training.loss_file is not None:
        own_losses = open_loss_file(training.loss_file, weights_of(training.loss_term))
    recorded = _recorded(training, model)
    data = TrainingData(
        _views(training, recorded, model),
        _validation(training, model),
        statistics=_statistics(training, model),
        seed=training.data_seed,
        workers=training.workers,
    )
    frames = sum(len(samples) for samples, _ in recorded)
    task = SegmentationTask(
        model_config,
        task_config(training, frames),
        model,
        own_losses=own_losses,
        pretrained=describe_pretrained(training),
    )
    return run_training(task, data, run, files=files)


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
        if training.is_fine_tuning:
            config = TaskConfig.quick(FINE_TUNING_STEPS, learning_rate=FINE_TUNING_RATE, average_decay=0.99)
        contour_part = 0.1 if contour_part is None else contour_part
    optimisation = given(training, OptimisationOptions)
    if training.steps is not None:
        optimisation["steps"] = training.steps
    for name in ("average_decay", "gradient_clip"):
        if optimisation.get(name) == 0:
            optimisation[name] = None
    losses = given(training, LossOptions, "contour_part", "loss_file", "loss_term")
    changed = dataclasses.replace(config.optimisation, **optimisation)
    return dataclasses.replace(
        config, optimisation=changed, contour_steps=round(contour_part * changed.steps), **losses
    )


def _augmentation(training: SegmentationTraining, default: AugmentationConfig) -> AugmentationConfig:
    """The preset's changes of frames with this training's."""
    bases = {
        None: default,
        "full": AugmentationConfig.full(),
        "rendered": AugmentationConfig.rendered(),
        "paper": PAPER_AUGMENTATION,
        "none": AugmentationConfig(),
    }
    return dataclasses.replace(bases[training.augmentation], **given(training, AugmentationOptions, "augmentation"))


def _reader(folder: Path, training: SegmentationTraining) -> DatasetReader:
    plain = not (folder / "dataset.json").exists()
    unit = training.depth_unit_mm if plain else None
    camera = None if training.camera is None else find_camera(training.camera)
    reader = open_dataset(folder, depth_unit_mm=unit, focal_px=training.focal_px, camera=camera)
    if len(reader) == 0:
        raise FrameError(f"{folder} has no frames; expected at least one to train on.")
    say(f"{folder}: {len(reader)} frames, {read_label_shares(reader)}")
    return reader


def held_out_readers(training: SegmentationTraining) -> list[DatasetReader]:
    """The folders with frames of the user's own that the training did not see."""
    if training.validation is not None:
        return [_reader(training.validation, training)]
    return [_reader(folder, training) for folder in training.data if is_split(folder)]


def _recorded(training: SegmentationTraining, network: nn.Module) -> list[_Recorded]:
    """The training samples of all folders and shards."""
    found: list[_Recorded] = []
    for folder in training.data:
        if (folder / SHARDS_INDEX).is_file():
            shards = ShardReader(folder)
            height, width = shards.read_depth_and_labels(0)[0].shape
            size, target = _at_scale(network, height, width, shards.camera(0))
            found.append((ShardSamples(shards, training.data_seed, size), target))
        else:
            found += _of_folder(_reader(folder, training), training.data_seed, network)
    return found


def _at_scale(
    network: nn.Module, height: int, width: int, camera: Camera | None
) -> tuple[tuple[int, int] | None, Target]:
    """The size that samples are read at, and what makes items of them at the scale of the network."""
    size = size_at_scale(height, width, focal_length_px(camera, width), working_focal_px(network))
    if size is None or not getattr(network, "takes_neighbours", False):
        return size, segmentation_target
    return None, SampledTarget(size)  # it looks at pixels that frames of this size no longer have


def _of_folder(
    reader: DatasetReader, seed: int | None, network: nn.Module, most: int | None = None, part: str = "train"
) -> list[_Recorded]:
    """Samples of a folder, one source for each size of its frames, and what brings them to the network's scale.

    Args:
        reader: The folder.
        seed: Of the order; None keeps it.
        network: That will meet them.
        most: Frames to use at most, the first ones; None uses all.
        part: Which frames of a folder that has been split.
    """
    found: dict[tuple[int, int], list[int]] = {}
    for number in frames_of_part(reader, part)[:most]:
        with contextlib.suppress(FrameError):  # what cannot be read is told and counted when its turn comes
            found.setdefault(reader.depth_size(number), []).append(number)
    if not found:
        raise FrameError(f"{reader.directory} has no frame that can be read; expected at least one.")
    recorded: list[_Recorded] = []
    for (height, width), numbers in found.items():
        size, target = _at_scale(network, height, width, reader.camera(numbers[0]))
        frames = None if len(numbers) == len(reader) else tuple(numbers)
        recorded.append((FolderSamples(reader, seed=seed, size=size, frames=frames), target))
    return recorded


def _synth(training: SegmentationTraining, working_focal: float | None, **changes: Any) -> SynthConfig:
    """The rendered frames: by default as large as an SR300's picture at the scale of the network."""
    width = training.width
    if width is None:
        width = 320 if working_focal is None else 16 * round(working_focal / 12)  # 240 px make 320 columns
    height = training.height if training.height is not None else round(width * 3 / 4)
    return SynthConfig(width=width, height=height, sensor=training.sensor, colour=False, **changes)


def _views(training: SegmentationTraining, recorded: Sequence[_Recorded], network: nn.Module) -> list[View]:
    paper = training.preset == "paper"
    batch = training.frames_per_batch
    if recorded:
        augmentation = _augmentation(training, PAPER_AUGMENTATION if paper else AugmentationConfig.full())
        views = [
            View(samples, target, probability=len(samples), batch_size=batch, augmentation=augmentation)
            for samples, target in recorded
        ]
        share = training.share_of_rendered
        if share == 0:
            return views
        weight = share / (1 - share) * sum(len(samples) for samples, _ in recorded)
        seed = training.data_seed + _MIXED_SEED
        return [*views, *rendered_views(network, share=weight, batch_size=batch, seed=seed)]
    augmentation = _augmentation(training, PAPER_AUGMENTATION if paper else AugmentationConfig.rendered())
    synth = _synth(training, working_focal_px(network), focal_jitter=0.1)
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
            *rendered_samples(config, training.data_seed + number, network),
            probability=share,
            batch_size=size,
            augmentation=augmentation,
            # The renderer knows what is in shadows and holes: both sides of an outline teach.
            missing_depth_label=None,
        )
        for number, (config, share, size) in enumerate([(synth, whole_share, whole_batch), *shares])
        if share > 0
    ]


def _validation(training: SegmentationTraining, network: nn.Module) -> list[ValidationPart]:
    if training.validation_count < 1:
        return []
    readers = held_out_readers(training)
    if readers:
        return [
            ValidationPart(samples, target, len(samples))
            for reader in readers
            for samples, target in _of_folder(reader, None, network, training.validation_count, "validation")
        ]
    if training.data:
        return []
    synth = _synth(training, working_focal_px(network))
    return [ValidationPart(*rendered_samples(synth, _VALIDATION_SEED, network), training.validation_count)]


def _statistics(training: SegmentationTraining, network: nn.Module) -> list[ValidationPart]:
    """Whole rendered frames, which most batches of the quick recipe were not: the norms get their statistics anew."""
    if training.data or training.preset == "paper" or training.statistics_count < 1:
        return []
    synth = _synth(training, working_focal_px(network))
    return [ValidationPart(*rendered_samples(synth, _STATISTICS_SEED, network), training.statistics_count)]
