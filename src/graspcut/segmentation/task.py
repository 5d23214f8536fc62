"""Training of any of the segmentation networks: losses, phases, validation.

Paper: DenseAttentionSeg, section "training": Adam 1e-3, times 0.8 every 80,000 steps, batch 4, 140 epochs with cross
entropy weighted 1 / 5 / 5 and 10 more epochs in which 0.005 times the contour loss is added, "batch-norm loss weight"
0.001.

Deviations:
- "batch-norm loss weight" is no known loss; it is read as an L2 penalty on the batch-norm scales and shifts (half the
  sum of squares).
- ``TaskConfig.quick`` is ours and the recipe of the shipped weights: AdamW, warm-up and cosine, averaged weights, and
  the contour loss per contour pixel: as a mean over pixels, 0.005 of it is about 9e-5 beside a cross entropy of 0.042
  and does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.labels import LABEL_NAMES
from graspcut.nn.own_networks import registered_network
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.losses import contour_loss, weighted_cross_entropy
from graspcut.segmentation.metrics import ConfusionCounts, scores_of_matrix
from graspcut.segmentation.models import MODELS, build_model, model_config
from graspcut.segmentation.own_losses import OwnLosses
from graspcut.train.optimisation import Optimisation, parameter_penalty
from graspcut.train.task import BaseTask

PAPER_STEPS_PER_EPOCH = 11_680  # 46,720 training frames in batches of 4
QUICK_CLASS_WEIGHTS = (1.0, 1.0, 1.6)
_CHOICES = {
    "contour_normalisation": ("pixels", "contour"),
    "contour_on": ("prob", "logits"),
    "penalty_target": ("bn", "all", "none"),
}


@dataclass(frozen=True)
class TaskConfig:
    """How a segmentation network is trained. A step is one batch.

    Attributes:
        optimisation: optimiser, schedule and number of steps, contour phase included.
        contour_steps: the last steps, in which the contour loss is added.
        class_weights: weight of background, hand and object in the cross entropy.
        area_exponent: how much more small hands and objects count in it, see `weighted_cross_entropy`.
        cross_entropy_weight: alpha of the paper's total loss.
        contour_weight: beta of the paper's total loss.
        contour_normalisation, contour_per_class, contour_on: see `contour_loss`.
        batch_norm_penalty: weight of the penalty on parameters.
        penalty_target: "bn", "all" or "none": which parameters the penalty is on.
    """

    optimisation: Optimisation
    contour_steps: int = 0
    class_weights: tuple[float, float, float] = (1.0, 5.0, 5.0)
    area_exponent: float = 0.0
    cross_entropy_weight: float = 1.0
    contour_weight: float = 0.005
    contour_normalisation: Literal["pixels", "contour"] = "pixels"
    contour_per_class: bool = False
    contour_on: Literal["prob", "logits"] = "prob"
    batch_norm_penalty: float = 0.0
    penalty_target: Literal["bn", "all", "none"] = "bn"

    def __post_init__(self) -> None:
        if not 0 <= self.contour_steps <= self.steps:
            raise ValueError(f"need steps >= contour_steps >= 0, got {self.steps} and {self.contour_steps}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}, choose one of {', '.join(choices)}")

    @property
    def steps(self) -> int:
        """All steps of the run."""
        return self.optimisation.steps

    @classmethod
    def paper(
        cls, steps_per_epoch: int = PAPER_STEPS_PER_EPOCH, *, epochs: int = 140, contour_epochs: int = 10
    ) -> TaskConfig:
        """The published schedule (with batches of 4, which the data decides)."""
        optimisation = Optimisation(
            steps=(epochs + contour_epochs) * steps_per_epoch,
            optimiser="adam",
            learning_rate=1e-3,
            schedule="step",
            decay_factor=0.8,
            decay_steps=80_000,
        )
        return cls(optimisation, contour_steps=contour_epochs * steps_per_epoch, batch_norm_penalty=0.001)

    @classmethod
    def quick(
        cls,
        steps: int,
        *,
        learning_rate: float = 2.5e-3,
        weight_decay: float = 0.02,
        contour_part: float = 0.1,
        average_decay: float = 0.999,
    ) -> TaskConfig:
        """The recipe of the shipped weights; the last `contour_part` of the steps adds the contour loss."""
        optimisation = Optimisation(
            steps=steps,
            optimiser="adamw",
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule="warm_up_cosine",
            average_decay=average_decay,
            gradient_clip=5.0,
        )
        return cls(
            optimisation,
            contour_steps=round(contour_part * steps),
            class_weights=QUICK_CLASS_WEIGHTS,
            contour_weight=0.05,
            contour_normalisation="contour",
        )

    def contour_active(self, step: int) -> bool:
        """Whether step `step` (the first is 0) belongs to the contour phase."""
        return step >= self.steps - self.contour_steps


class SegmentationTask(BaseTask[SegmentationBatch, TaskConfig]):
    """A segmentation network with its losses and validation.

    Args:
        config_of_model: what `build_model` builds the network from.
        config: how to train it.
        model: a network to train instead of a fresh one, for example with loaded weights.
        own_losses: terms of the user's own, added to the loss from the first step on.
        pretrained: name and digest of the file that the encoder was filled from.
    """

    task_name: ClassVar[str] = "segmentation"
    shown_score: ClassVar[str | None] = "mean_iou"
    follows_steps: ClassVar[tuple[str, ...]] = ("optimisation.steps", "contour_steps")

    def __init__(
        self,
        config_of_model: Mapping[str, Any],
        config: TaskConfig,
        model: nn.Module | None = None,
        *,
        own_losses: OwnLosses | None = None,
        pretrained: Mapping[str, str] | None = None,
    ) -> None:
        network = build_model(config_of_model) if model is None else model
        known = isinstance(network, tuple(network_class for network_class, _ in MODELS.values()))
        known = known or registered_network(network) is not None
        super().__init__(network, model_config(network) if known else config_of_model, config)
        self.own_losses = own_losses
        self.pretrained = None if pretrained is None else dict(pretrained)

    def _added(self) -> dict[str, Any]:
        """What the recipe has beside its configuration; runs without it describe themselves as ever."""
        own = None if self.own_losses is None else self.own_losses.describe()
        return {name: value for name, value in (("own_loss", own), ("pretrained", self.pretrained)) if value}

    def describe(self) -> dict[str, Any]:
        """See `BaseTask`."""
        description = super().describe()
        if not self.config.area_exponent:
            # Runs that were begun before there was one go on.
            del description["training"]["area_exponent"]
        return {**description, **self._added()}

    def export(self, directory: Path, *, training: dict[str, Any], results: dict[str, float]) -> Path:
        """See `BaseTask`."""
        return super().export(directory, training={**training, **self._added()}, results=results)

    def loss_terms(self, batch: SegmentationBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        logits = self.model(*batch.inputs)
        terms = self.terms_of_logits(logits.float(), batch.labels, contour=self.config.contour_active(step))
        return terms if self.own_losses is None else {**terms, **self.own_losses.weighted(logits.float(), batch)}

    def terms_of_logits(self, logits: Tensor, labels: Tensor, *, contour: bool) -> dict[str, Tensor]:
        """Weighted terms of the loss; their sum is minimised.

        Args:
            logits: (B, 3, H, W).
            labels: (B, H, W) uint8, 255 ignored.
            contour: whether this is the contour phase.
        """
        config = self.config
        terms = {
            "cross_entropy": config.cross_entropy_weight
            * weighted_cross_entropy(
                logits, labels, class_weights=config.class_weights, area_exponent=config.area_exponent
            )
        }
        if contour and config.contour_weight > 0:
            terms["contour"] = config.contour_weight * contour_loss(
                logits,
                labels,
                on=config.contour_on,
                per_class=config.contour_per_class,
                normalisation=config.contour_normalisation,
            )
        if config.batch_norm_penalty > 0 and config.penalty_target != "none":
            terms["penalty"] = config.batch_norm_penalty * parameter_penalty(self.model, config.penalty_target)
        return terms

    def counts(self, batch: SegmentationBatch) -> dict[str, NDArray[Any]]:
        """The confusions of one batch."""
        predicted = self(*batch.inputs).argmax(dim=1).to(torch.uint8)
        counts = ConfusionCounts()
        counts.add(batch.labels.cpu().numpy(), predicted.cpu().numpy())
        return {"confusions": counts.total()}

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Table 2 over the whole validation set."""
        scores = scores_of_matrix(counts["confusions"])
        return {
            "mean_iou": scores.mean_iou,
            "hand_iou": scores.hand_iou,
            "object_iou": scores.object_iou,
            "pixel_accuracy": scores.pixel_accuracy,
            "mean_accuracy": scores.mean_accuracy,
            "mean_iu": scores.mean_iu,
        }

    def network_inputs(self, batch: SegmentationBatch) -> tuple[Tensor, ...]:
        """See `BaseTask`."""
        return batch.inputs

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        return {
            "labels": list(LABEL_NAMES),
            "input": {"depth_mm": "float32 (B,1,H,W) millimetres, 0 = no data", "focal_px": "float32 (B,) pixels"},
        }
