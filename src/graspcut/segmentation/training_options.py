"""The options of a segmentation training. No torch here, so that they can be explained without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from graspcut.synth.sensors.names import SensorName

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
        steps: Batches to train; by default 20,000 for quick, 800 when fine-tuning, and for paper 140 + 10 epochs. An
            unfinished or finished run may be made longer by giving more.
        batch_size: Frames in a batch; by default 8 for quick, 4 for paper. With several processes, of each.
        data: Dataset folders (of one with a split, its part for training) or shards of `graspcut pack`; none trains on
            frames that are rendered as they are needed.
        rendered_share: Share of batches with freshly rendered frames beside those of `data`. By default 0.5 when going
            on from a trained network, which on few recordings forgets everything else, and 0 for a fresh one.
        validation: Dataset folder for validation (of one with a split, its part for validation); by default the
            validation parts of `data`, or rendered frames when there is no data.
        validation_count: Frames to validate on.
        statistics_count: Whole rendered frames over which the quick recipe takes batch-norm statistics anew at the end,
            when it trains on rendered frames; 0 keeps those of the training.
        depth_unit_mm: Unit of folders that do not say it.
        focal_px: Focal length of folders without cameras; 0.745 times the width if not given.
        width: Width of the rendered frames in pixels; by default the size at which a frame has the network's scale.
        height: Height of the rendered frames in pixels; by default three quarters of the width.
        sensor: Sensor of the rendered frames.
        whole_share: Share of batches with whole rendered frames; the others are windows around hands. By default 0.3
            for quick and 1 for paper.
        data_seed: Seed of frames and augmentation.
        workers: Processes that prepare batches.
        learning_rate: Highest learning rate; by default the preset's, and 0.0003 when fine-tuning (`start` and `data`).
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
    rendered_share: float | None = None
    validation: Path | None = None
    validation_count: int = 200
    statistics_count: int = 320
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    width: int | None = None
    height: int | None = None
    sensor: SensorName = "mix"
    whole_share: float | None = None
    data_seed: int = 0
    workers: int = 1
    learning_rate: float | None = None
    weight_decay: float | None = None
    class_weights: tuple[float, float, float] | None = None
    contour_weight: float | None = None
    contour_part: float | None = None

    def __post_init__(self) -> None:
        for name in ("whole_share", "contour_part", "rendered_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, expected a number from 0 to 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")
        if self.rendered_share == 1 and self.data:
            raise ValueError("rendered_share is 1, which leaves nothing of the data; expected less, or no data")

    @property
    def is_fine_tuning(self) -> bool:
        """Whether a trained network goes on learning on folders."""
        return self.start is not None and bool(self.data)

    @property
    def share_of_rendered(self) -> float:
        """Share of batches with rendered frames."""
        if not self.data:
            return 1.0
        if self.rendered_share is not None:
            return self.rendered_share
        return 0.5 if self.start is not None else 0.0

    @property
    def frames_per_batch(self) -> int:
        """The batch size, that of the preset if none is given."""
        return self.batch_size if self.batch_size is not None else 4 if self.preset == "paper" else 8
