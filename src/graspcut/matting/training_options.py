"""The options of a matting training. No torch here, so that they can be explained without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NetworkName = Literal["lsa-matting-small", "lsa-matting-on-closed-form", "lsa-matting"]
ForegroundRefinement = Literal["none", "rf", "cf"]

_QUICK_SIZE, _PAPER_SIZE = 192, 640


@dataclass(frozen=True)
class MattingTraining:
    """What is trained, on what, and for how long.

    Attributes:
        preset: "quick" or "paper"; see `graspcut.matting.training`.
        network: The network; by default that of the preset, "lsa-matting-small" or "lsa-matting".
            "lsa-matting-on-closed-form" is the small one, which mends closed-form's matte (extra `matting`).
        start: Model folder to go on from; its network is taken instead of `network`.
        encoder_weights: File with ImageNet weights of ResNet-50-D for the encoder of lsa-matting.
        steps: Batches to train; by default 20,000 for quick, 100 passes over the backgrounds for paper.
        batch_size: Items in a batch; by default 8 for quick, 16 for paper. With several processes, of each.
        data: Folder with foreground/ (or fg/) and alpha/; none draws foregrounds when they are needed.
        backgrounds: Folder of background images; by default DATA/background, or drawn ones.
        validation: Folder with image/, trimap/ and alpha/, such as graspcut synth matting writes.
        size: Side of the training squares; by default 192 for quick, 640 for paper.
        refinement: Re-estimation of the folder's foregrounds when they are read: "rf" (the paper's), "cf" or "none".
            Files of graspcut synth matting are re-estimated already.
        colour: Colour augmentation: "channel", "whole" or "none".
        largest_trimap_px: Radii of the trimaps are drawn from 1 to this.
        blur: Chance of blurring foreground and background.
        jitter: Largest change of brightness and contrast.
        learning_rate: Highest learning rate; by default the preset's.
        data_seed: Seed of pictures and augmentation.
        workers: Processes that prepare batches.
    """

    preset: Literal["quick", "paper"] = "quick"
    network: NetworkName | None = None
    start: str | None = None
    encoder_weights: Path | None = None
    steps: int | None = None
    batch_size: int | None = None
    data: Path | None = None
    backgrounds: Path | None = None
    validation: Path | None = None
    size: int | None = None
    refinement: ForegroundRefinement | None = None
    colour: Literal["channel", "whole", "none"] = "channel"
    largest_trimap_px: int = 24
    blur: float = 0.0
    jitter: float = 0.0
    learning_rate: float | None = None
    data_seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected 1 or more")
        if self.preset == "paper" and self.data is None:
            raise ValueError("the preset paper trains on a folder: give --data with fg/ and alpha/")

    @property
    def items_per_batch(self) -> int:
        """The batch size, that of the preset if none is given."""
        return self.batch_size if self.batch_size is not None else 16 if self.preset == "paper" else 8

    @property
    def side(self) -> int:
        """Side of the training squares, that of the preset if none is given."""
        return self.size if self.size is not None else _PAPER_SIZE if self.preset == "paper" else _QUICK_SIZE
