"""The recipe of segmentation: network, data, schedule and trainer put together, as `graspcut train segmentation` does.

The default is the recipe of the shipped weights: windows around hands and whole frames out of one camera, cross entropy
with weights 1 / 1 / 1.6, AdamW with warm-up and cosine, averaged weights, the contour loss in the last tenth.
`preset="paper"` is the published one: ResNet-50, batches of 4, Adam in steps. For other combinations build the parts
yourself, as benchmarks/train_shipped_weights.py does.
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
from graspcut.segmentation.data import PAPER_AUGMENTATION, segmentation_target
from graspcut.segmentation.models import MODEL_NAMES, build_model
from graspcut.segmentation.task import PAPER_STEPS_PER_EPOCH, SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.sensors.names import SensorName
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

NetworkName = Literal[
    "dense-attention-small",
    "dense-attention-seg",
    "deeplabv3plus",
    "fcn-32s",
    "fcn-16s",
    "fcn-8s",
    "large-kernel-matters",
    "refinenet",
]


@dataclass(frozen=True)
class SegmentationTraining:
    """What is trained, on what, and for how long.

    Attributes:
        preset: "quick", the recipe of the shipped weights, or "paper": the published network, batch size and schedule.
        network: The network; by default that of the preset, "dense-attention-small" or "dense-attention-seg".
        start: Model folder or shipped model to go on from; its network is taken instead of `network`.
        steps: Batches to train; by default 20,000 for quick, and for paper 140 + 10 epochs. An unfinished or finished
            run may be made longer by giving more.
        batch_size: Frames in a batch; by default 8 for quick, 4 for paper. With several processes, of each.
        data: Dataset folders; none trains on frames that are rendered as they are needed.
        validation: Dataset folder for validation; by default rendered frames, or none when training from folders.
        validation_count: Frames to validate on.
        depth_unit_mm: Unit of folders that do not say it.
        focal_px: Focal length of folders without cameras; 0.745 times the width if not given.
        width: Width of the rendered frames in pixels; by default the size at which a frame has the network's scale.
        height: Height of the rendered frames in pixels; by default three quarters of the width.
        sensor: Sensor of the rendered frames.
        whole_share: Share of batches with whole rendered frames; the others are windows around hands. By default 0.3
            for quick and 1 for paper.
        data_seed: Seed of frames and augmentation.
        workers: Processes that prepare batches.
        learning_rate: Highest learning rate; by default the preset's.
        weight_decay: Of convolution weights; by default the preset's.
        class_weights: Weights of background, hand and object in the cross entropy; by default the preset's.
        contour_weight: Weight of the contour loss in the last phase; by default the preset's.
        contour_part: Part of the run that is the last phase; by default the preset's.
    """

    preset: Literal["quick", "paper"] = "quick"
    network: NetworkName | None = None
    start: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    data: tuple[Path, ...] = ()
    validation: Path | None = None
    validation_count: int = 200
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    width: int | None = None
    height: int | None = None
    sensor: SensorName = "sr300"
    whole_share: float | None = None
    data_seed: int = 0
    workers: int = 1
    learning_rate: float | None = None
    weight_decay: float | None = None
    class_weights: tuple[float, float, float] | None = None
    contour_weight: float | None = None
    contour_part: float | None = None

    def __post_init__(self) -> None:
        for name in ("whole_share", "contour_part"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, expected a number from 0 to 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")

    @property
    def frames_per_batch(self) -> int:
        """The batch size, that of the preset if none is given."""
        return self.batch_size if self.batch_size is not None else 4 if self.preset == "paper" else 8


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


def _size_of_folder(reader: DatasetReader, working_focal: float | None) -> tuple[int, int] | None:
    height, width = reader.read_depth_and_labels(0)[0].shape
    return _size(height, width, focal_length_px(reader.camera(0), width), working_focal)


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
            View(
                FolderSamples(reader, seed=training.data_seed, size=_size_of_folder(reader, working_focal)),
                segmentation_target,
                probability=len(reader),
                batch_size=batch,
                augmentation=augmentation,
            )
            for reader in readers
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
        count = min(training.validation_count, len(reader))
        samples = FolderSamples(reader, seed=None, size=_size_of_folder(reader, working_focal))
        return [ValidationPart(samples, segmentation_target, count)]
    if training.data:
        return []
    synth = _synth(training, working_focal)
    rendered = _rendered(training, synth, _VALIDATION_SEED, working_focal)
    return [ValidationPart(rendered, segmentation_target, training.validation_count)]
