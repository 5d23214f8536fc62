"""The options of a segmentation training. No torch here, so that they can be explained without it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from graspcut.segmentation.recipe_options import (
    NETWORK_NAMES,
    AugmentationOptions,
    LossOptions,
    NetworkName,
    NetworkOptions,
    OptimisationOptions,
)
from graspcut.synth.sensors.names import SensorName

__all__ = ["LARGEST_LOSS", "NETWORK_NAMES", "DataOptions", "NetworkName", "SegmentationTraining"]

LARGEST_LOSS = 1.0


@dataclass(frozen=True)
class DataOptions:
    """On what, and for how long.

    Attributes:
        preset: "quick", the recipe of the shipped weights, or "paper": the published network, batch size and schedule.
        steps: Batches to train; by default 20,000 for quick, 800 when fine-tuning, and for paper 140 + 10 epochs. An
            unfinished or finished run may be made longer by giving more.
        batch_size: Frames in a batch; by default 8 for quick, 4 for paper. With several processes, of each.
        data: Dataset folders (of one with a split, its part for training) or shards of `graspcut pack`; none trains on
            frames that are rendered as they are needed.
        rendered_share: Share of batches with freshly rendered frames beside those of `data`. By default 0.5 when going
            on from a trained network, which on few recordings forgets everything else, and 0 for a fresh one.
        largest_loss: Points of mean IOU on rendered frames of unseen kinds that going on from a trained network may
            cost; where it costs more, only part of the way from that network is taken. 100 takes all.
        validation: Dataset folder for validation (of one with a split, its part for validation); by default the
            validation parts of `data`, or rendered frames when there is no data.
        validation_count: Frames to validate on.
        statistics_count: Whole rendered frames over which the quick recipe takes batch-norm statistics anew at the end,
            when it trains on rendered frames; 0 keeps those of the training.
        depth_unit_mm: Unit of folders that do not say it.
        focal_px: Focal length of frames without a camera; 0.745 times the width if not given.
        camera: File with the intrinsics of frames without a camera, or the name of one, as for graspcut segment.
        width: Width of the rendered frames in pixels; by default the size at which a frame has the network's scale.
        height: Height of the rendered frames in pixels; by default three quarters of the width.
        sensor: Sensor of the rendered frames.
        whole_share: Share of batches with whole rendered frames; the others are windows around hands. By default 0.3
            for quick and 1 for paper.
        data_seed: Seed of frames and augmentation.
        workers: Processes that prepare batches.
    """

    preset: Literal["quick", "paper"] = "quick"
    steps: int | None = None
    batch_size: int | None = None
    data: tuple[Path, ...] = ()
    rendered_share: float | None = None
    largest_loss: float = LARGEST_LOSS
    validation: Path | None = None
    validation_count: int = 200
    statistics_count: int = 320
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    camera: str | None = None
    width: int | None = None
    height: int | None = None
    sensor: SensorName = "mix"
    whole_share: float | None = None
    data_seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class SegmentationTraining(DataOptions, NetworkOptions, LossOptions, OptimisationOptions, AugmentationOptions):
    """What is trained, on what, how, and for how long: the fields of all five parts, each explained there."""

    def __post_init__(self) -> None:
        for name in ("whole_share", "contour_part", "rendered_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, expected a number from 0 to 1")
        if self.largest_loss < 0:
            raise ValueError(f"largest_loss is {self.largest_loss}, expected 0 or more points of mean IOU")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")
        if self.network is not None and self.network_file is None and self.network not in NETWORK_NAMES:
            close = difflib.get_close_matches(self.network, NETWORK_NAMES, 1)
            meant = f", did you mean {close[0]}?" if close else ""
            raise ValueError(f"unknown network {self.network!r}{meant} Networks: {', '.join(NETWORK_NAMES)}")
        if self.loss_term and self.loss_file is None:
            raise ValueError(f"the loss term {self.loss_term[0]} needs the file that has it: --loss-file my_loss.py")
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
