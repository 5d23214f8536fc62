"""What `graspcut train instances` is told; see `graspcut.instances.training`. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from graspcut.synth.sensors.names import SensorName

DEFAULT_QUICK_STEPS = 12_000

NetworkName = Literal["instance-fcn-small", "instance-fcn", "deepmask"]


@dataclass(frozen=True)
class InstanceTraining:
    """What is trained, on what, and for how long.

    Attributes:
        preset: "quick", the recipe of the shipped network, or "paper": the published network, batches and schedule.
        network: The network; by default that of the preset, "instance-fcn-small" or "instance-fcn".
        start: Model folder to go on from; its network is taken instead of `network`.
        encoder: Weights the encoder begins with: a model folder with a light encoder (such as the shipped
            "dense-attention-small") for the small networks, a local file of ImageNet's VGG-16 for the others; "none"
            begins at random. By default the shipped segmentation network's for small networks.
        grid: k, parts of a window's side.
        inputs: Channels of the VGG networks: depth, colour or both; frames need colour of the depth camera's pixels.
        crops: Train on crops of single windows (table 2); ~DeepMask always does.
        steps: Batches to train; by default 12,000 for quick and 40,000 for paper. A run may be made longer by giving
            more.
        batch_size: Images in a batch, of 160x120 resized pixels for quick and of any size for paper.
        data: Dataset folders with instance maps; none trains on frames that are composed as they are needed.
        validation: Dataset folder for validation; by default composed frames, or none when training from folders.
        validation_count: Frames to validate on.
        depth_unit_mm: Unit of folders that do not say it.
        focal_px: Focal length of frames without a camera; 0.745 times the width if not given.
        camera: File with the intrinsics of frames without a camera, or the name of one, as for graspcut segment.
        width: Width of the frames in pixels: of composed ones, and what those of folders are resampled to if given.
        height: Height of the frames in pixels; by default three quarters of the width.
        sensor: Sensor of the composed frames.
        smallest_px: Instances with fewer pixels are no objects.
        data_seed: Seed of frames and augmentation.
        workers: Processes that prepare batches.
        learning_rate: Highest learning rate; by default the preset's.
    """

    preset: Literal["quick", "paper"] = "quick"
    network: NetworkName | None = None
    start: str | None = None
    encoder: str | None = None
    grid: int = 5
    inputs: Literal["depth", "colour", "both"] = "depth"
    crops: bool = False
    steps: int | None = None
    batch_size: int = 8
    data: tuple[Path, ...] = ()
    validation: Path | None = None
    validation_count: int = 60
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    camera: str | None = None
    width: int | None = None
    height: int | None = None
    sensor: SensorName = "sr300"
    smallest_px: int = 60
    data_seed: int = 0
    workers: int = 1
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) to bring frames to; None leaves them."""
        if self.width is None:
            return None
        return self.width, self.height if self.height is not None else round(self.width * 3 / 4)
