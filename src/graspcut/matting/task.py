"""Training of the matting networks: loss and validation.

Paper: LSA matting, section 5: Adam with 5e-5, halved every 20 epochs, 100 epochs in batches of 16, weight decay 1e-4.
`MattingConfig.quick` is ours, for an hour on a small machine and the compact network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from torch import Tensor

from graspcut.matting.data import MattingBatch
from graspcut.matting.losses import SCALES, multi_scale_loss
from graspcut.train.optimisation import Optimisation
from graspcut.train.task import BaseTask

# One pass over 43,100 backgrounds in batches of 16.
PAPER_STEPS_PER_EPOCH = 2_694
PAPER_EPOCHS = 100
TASK = "matting"
INPUT_TEXT = {
    "image": "float32 (B,3,H,W) RGB in 0..1, H and W multiples of size_multiple",
    "trimap": "float32 (B,1,H,W): 0 background, 128/255 unknown, 1 foreground",
}


@dataclass(frozen=True)
class MattingConfig:
    """How a matting network is trained.

    Attributes:
        optimisation: optimiser, schedule and number of steps.
        scales: of the loss.
        coarse: what makes a coarse pixel count, see `multi_scale_loss`.
    """

    optimisation: Optimisation
    scales: int = SCALES
    coarse: Literal["fractional", "any"] = "fractional"

    @classmethod
    def paper(cls, steps_per_epoch: int = PAPER_STEPS_PER_EPOCH, *, epochs: int = PAPER_EPOCHS) -> MattingConfig:
        """The published schedule, for batches of 16."""
        return cls(
            Optimisation(
                steps=epochs * steps_per_epoch,
                optimiser="adam",
                learning_rate=5e-5,
                weight_decay=1e-4,
                norm_weight_decay=1e-5,
                bias_weight_decay=1e-4,
                schedule="step",
                decay_factor=0.5,
                decay_steps=20 * steps_per_epoch,
            )
        )

    @classmethod
    def quick(cls, steps: int) -> MattingConfig:
        """AdamW with warm-up and cosine, averaged weights."""
        return cls(
            Optimisation(
                steps=steps,
                optimiser="adamw",
                learning_rate=2e-3,
                weight_decay=0.01,
                schedule="warm_up_cosine",
                average_decay=min(0.995, 1.0 - 10.0 / max(steps, 20)),
                gradient_clip=5.0,
            )
        )


class MattingTask(BaseTask[MattingBatch, MattingConfig]):
    """A matting network with its loss and scores; see `graspcut.train.task`."""

    task_name: ClassVar[str] = TASK
    shown_score: ClassVar[str | None] = "mad"

    def loss_terms(self, batch: MattingBatch, step: int) -> dict[str, Tensor]:
        """The multi-scale loss."""
        predicted = self.model(batch.image, batch.trimap).float()
        loss = multi_scale_loss(
            predicted, batch.alpha, is_unknown(batch.trimap), scales=self.config.scales, coarse=self.config.coarse
        )
        return {"alpha": loss}

    def counts(self, batch: MattingBatch) -> Mapping[str, Tensor | NDArray[Any] | float]:
        """Absolute and squared differences over the unknown pixels, and how many there are."""
        predicted = self.best_model()(batch.image, batch.trimap).float().clamp(0.0, 1.0)
        unknown = is_unknown(batch.trimap)
        difference = (predicted - batch.alpha) * unknown
        return {
            "absolute": difference.abs().sum(),
            "squared": difference.square().sum(),
            "unknown": unknown.sum(),
            "images": float(len(batch.image)),
        }

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """SAD of an image in thousands; MSE and mean absolute difference over all unknown pixels together."""
        unknown = max(float(counts["unknown"]), 1.0)
        return {
            "sad": float(counts["absolute"]) / max(float(counts["images"]), 1.0) / 1000.0,
            "mse": float(counts["squared"]) / unknown,
            "mad": float(counts["absolute"]) / unknown,
        }

    def interface(self) -> dict[str, Any]:
        """What a model folder says of the network."""
        multiple: int = getattr(self.model, "size_multiple", 32)
        return {"input": INPUT_TEXT, "size_multiple": multiple}


def is_unknown(trimap: Tensor) -> Tensor:
    """1 where a trimap of 0, 128/255 and 1 is neither 0 nor 1, else 0; in the trimap's type."""
    return ((trimap > 0.01) & (trimap < 0.99)).to(trimap.dtype)
