"""Training of any of the segmentation networks: optimiser, schedule, losses, validation.

Paper: DenseAttentionSeg, section "training": Adam 1e-3, times 0.8 every 80,000 steps, batch 4, 140 epochs with cross
entropy weighted 1 / 5 / 5 and 10 more epochs in which 0.005 times the contour loss is added, "batch-norm loss weight"
0.001.

Deviations:
- "batch-norm loss weight" is no known loss; it is read as an L2 penalty on the batch-norm scales and shifts (half the
  sum of squares), see the reference, section 1.6.
- ``TaskConfig.quick`` is ours, for a day on a small machine: AdamW, one-cycle learning rate, averaged weights, and the
  contour loss per contour pixel: as a mean over pixels, 0.005 of it is about 9e-5 beside a cross entropy of 0.042 and
  does nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from graspcut.labels import LABEL_NAMES
from graspcut.runtime.model_folder import save_model_folder
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.losses import contour_loss, parameter_penalty, weighted_cross_entropy
from graspcut.segmentation.metrics import ConfusionCounts, scores_of_matrix
from graspcut.segmentation.models import MODELS, build_model, model_config
from graspcut.version import __version__

PAPER_STEPS_PER_EPOCH = 11_680  # 46,720 training frames in batches of 4


@dataclass(frozen=True)
class TaskConfig:
    """How a segmentation network is trained. A step is one batch.

    Attributes:
        steps: all steps of the run, contour phase included.
        contour_steps: the last steps, in which the contour loss is added.
        optimiser: "adam" or "adamw" (decoupled weight decay on convolution weights only).
        learning_rate: the highest one.
        weight_decay: for "adamw".
        schedule: "step" (times `decay_factor` every `decay_steps`), "one_cycle" (linear warm-up over `warm_up` of the
            run, then cosine to `final_learning_rate`), "cosine" (the same without the warm-up) or "constant".
        decay_factor, decay_steps: for "step".
        warm_up: fraction of the run, for "one_cycle".
        final_learning_rate: as a fraction of `learning_rate`, for "one_cycle" and "cosine".
        class_weights: weight of background, hand and object in the cross entropy.
        cross_entropy_weight: alpha of the paper's total loss.
        contour_weight: beta of the paper's total loss.
        contour_normalisation, contour_per_class: see `contour_loss`.
        batch_norm_penalty: weight of the penalty on parameters.
        penalty_target: "bn", "all" or "none": which parameters the penalty is on.
        average_decay: decay of the exponential moving average of the weights; None trains without. With it, validation
            and export use the averaged weights.
        gradient_clip: largest gradient norm; None does not clip.
        channels_last: memory layout of the network; faster on CPU and tensor cores.
    """

    steps: int
    contour_steps: int = 0
    optimiser: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    schedule: Literal["step", "one_cycle", "cosine", "constant"] = "one_cycle"
    decay_factor: float = 0.8
    decay_steps: int = 80_000
    warm_up: float = 0.05
    final_learning_rate: float = 0.01
    class_weights: tuple[float, float, float] = (1.0, 5.0, 5.0)
    cross_entropy_weight: float = 1.0
    contour_weight: float = 0.005
    contour_normalisation: Literal["pixels", "contour"] = "pixels"
    contour_per_class: bool = False
    batch_norm_penalty: float = 0.0
    penalty_target: Literal["bn", "all", "none"] = "bn"
    average_decay: float | None = None
    gradient_clip: float | None = None
    channels_last: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.contour_steps <= self.steps:
            raise ValueError(f"need steps >= contour_steps >= 0 and steps > 0, got {self.steps}, {self.contour_steps}")
        for name, value, choices in (
            ("optimiser", self.optimiser, ("adam", "adamw")),
            ("schedule", self.schedule, ("step", "one_cycle", "cosine", "constant")),
            ("contour_normalisation", self.contour_normalisation, ("pixels", "contour")),
            ("penalty_target", self.penalty_target, ("bn", "all", "none")),
        ):
            if value not in choices:
                raise ValueError(f"unknown {name} {value!r}, choose one of {', '.join(choices)}")
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            raise ValueError(f"average_decay must lie between 0 and 1, got {self.average_decay}")

    @classmethod
    def paper(
        cls, steps_per_epoch: int = PAPER_STEPS_PER_EPOCH, *, epochs: int = 140, contour_epochs: int = 10
    ) -> TaskConfig:
        """The published schedule (with batches of 4, which the data decides)."""
        return cls(
            steps=(epochs + contour_epochs) * steps_per_epoch,
            contour_steps=contour_epochs * steps_per_epoch,
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="step",
            batch_norm_penalty=0.001,
        )

    @classmethod
    def quick(cls, steps: int, *, learning_rate: float = 2e-3, contour_part: float = 0.15) -> TaskConfig:
        """Our short schedule for small networks: the last `contour_part` of the steps adds the contour loss."""
        return cls(
            steps=steps,
            contour_steps=round(contour_part * steps),
            learning_rate=learning_rate,
            contour_weight=0.05,
            contour_normalisation="contour",
            average_decay=0.999,
            gradient_clip=5.0,
        )

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of step `step` (the first step is 0).

        Args:
            step: steps done before this one.
        """
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "step":
            return self.learning_rate * self.decay_factor ** (step // self.decay_steps)
        warm_up_steps = round(self.warm_up * self.steps) if self.schedule == "one_cycle" else 0
        if step < warm_up_steps:
            return self.learning_rate * (step + 1) / warm_up_steps
        progress = min(1.0, (step - warm_up_steps) / max(1, self.steps - warm_up_steps))
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.learning_rate * (self.final_learning_rate + (1.0 - self.final_learning_rate) * cosine)

    def contour_active(self, step: int) -> bool:
        """Whether step `step` belongs to the contour phase."""
        return step >= self.steps - self.contour_steps


class SegmentationTask(L.LightningModule):
    """A segmentation network with its losses, optimiser and validation.

    Args:
        config_of_model: what `build_model` builds the network from.
        config: how to train it.
        model: a network to train instead of a fresh one, for example with loaded weights.

    Attributes:
        model_config: the network's full configuration, defaults included; goes into the model folder.
    """

    def __init__(self, config_of_model: Mapping[str, Any], config: TaskConfig, model: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.model = build_model(config_of_model) if model is None else model
        # Written out in full, so that a later change of a default does not change what old weights are loaded into.
        known = isinstance(self.model, tuple(network for network, _ in MODELS.values()))
        self.model_config = model_config(self.model) if known else dict(config_of_model)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: AveragedModel | None = None
        if config.average_decay is not None:
            self.average = AveragedModel(
                self.model, multi_avg_fn=_moving_average(config.average_decay), use_buffers=True
            )
            self.average.requires_grad_(False)
        self._counts = ConfusionCounts()

    def describe(self) -> dict[str, Any]:
        """Everything that a run folder records about this task."""
        return {
            "task": "segmentation",
            "model": self.model_config,
            "training": dataclasses.asdict(self.config),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.config.steps

    @property
    def gradient_clip(self) -> float | None:
        """Largest gradient norm, or None."""
        return self.config.gradient_clip

    def best_model(self) -> nn.Module:
        """The network that is validated and exported: the averaged one when there is one."""
        return self.model if self.average is None else self.average.module

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Logits (B, 3, H, W) of the network that would be exported; see the networks for the arguments."""
        logits: Tensor = self.best_model()(depth_mm, focal_px)
        return logits

    def loss_terms(self, logits: Tensor, labels: Tensor, *, contour: bool) -> dict[str, Tensor]:
        """Weighted terms of the loss; their sum is minimised.

        Args:
            logits: (B, 3, H, W).
            labels: (B, H, W) uint8, 255 ignored.
            contour: whether this is the contour phase.
        """
        config = self.config
        terms = {
            "cross_entropy": config.cross_entropy_weight
            * weighted_cross_entropy(logits, labels, class_weights=config.class_weights)
        }
        if contour and config.contour_weight > 0:
            terms["contour"] = config.contour_weight * contour_loss(
                logits, labels, per_class=config.contour_per_class, normalisation=config.contour_normalisation
            )
        if config.batch_norm_penalty > 0 and config.penalty_target != "none":
            terms["penalty"] = config.batch_norm_penalty * parameter_penalty(self.model, config.penalty_target)
        return terms

    def training_step(self, batch: SegmentationBatch, batch_idx: int) -> Tensor:
        """One batch: the summed loss. Values are logged only on log steps, since each costs time."""
        logits = self.model(batch.depth_mm, batch.focal_px)
        terms = self.loss_terms(logits.float(), batch.labels, contour=self.config.contour_active(self.global_step))
        total = torch.stack(list(terms.values())).sum()
        if (self.global_step + 1) % getattr(self.trainer, "log_every_n_steps", 1) == 0:
            self.log("train/loss", total.detach(), prog_bar=True)
            self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()})
            self.log("train/learning_rate", self.config.learning_rate_at(self.global_step))
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step of the optimiser, then of the averaged weights."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: SegmentationBatch, batch_idx: int) -> None:
        """Counts the confusions of one batch."""
        predicted = self(batch.depth_mm, batch.focal_px).argmax(dim=1).to(torch.uint8)
        self._counts.add(batch.labels.cpu().numpy(), predicted.cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Logs Table 2 over the whole validation set, summed over all processes."""
        total = torch.from_numpy(self._counts.total()).to(self.device)
        self._counts.clear()
        summed = self.trainer.strategy.reduce(total, reduce_op="sum")
        matrix = (summed if isinstance(summed, Tensor) else total).cpu().numpy()
        scores = scores_of_matrix(matrix)
        self.log_dict(
            {
                "val/mean_iou": scores.mean_iou,
                "val/hand_iou": scores.hand_iou,
                "val/object_iou": scores.object_iou,
                "val/pixel_accuracy": scores.pixel_accuracy,
                "val/mean_accuracy": scores.mean_accuracy,
                "val/mean_iu": scores.mean_iu,
            },
            sync_dist=True,  # they are equal already; this only tells Lightning so
        )
        self.log("val_mean_iou", scores.mean_iou, prog_bar=True, logger=False, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam or AdamW with the configured learning rate per step."""
        config = self.config
        optimiser: torch.optim.Optimizer
        if config.optimiser == "adam":
            optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, foreach=True)
        else:
            optimiser = torch.optim.AdamW(
                parameter_groups(self.model, config.weight_decay), lr=config.learning_rate, foreach=True
            )
        schedule = LambdaLR(optimiser, lambda step: config.learning_rate_at(step) / config.learning_rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def export(self, directory: Path, *, training: dict[str, Any], results: dict[str, float]) -> Path:
        """Writes the model folder of the network that validation scores.

        Args:
            directory: the model folder.
            training: how the run went, for config and card.
            results: last logged metrics.

        Returns:
            The folder.
        """
        settings = {**dataclasses.asdict(self.config), **training}
        numbers = {name: round(value, 5) for name, value in sorted(results.items()) if name.startswith("val/")}
        config = {
            "task": "segmentation",
            "model": self.model_config,
            "labels": list(LABEL_NAMES),
            "input": {"depth_mm": "float32 (B,1,H,W) millimetres, 0 = no data", "focal_px": "float32 (B,) pixels"},
            "graspcut": __version__,
            "training": settings,
            "results": numbers,
        }
        return save_model_folder(directory, config, self.best_model().state_dict(), model_card(config))


def model_card(config: Mapping[str, Any]) -> str:
    """A first card.md: what the folder's config says, for a person to complete with data and measured results.

    Args:
        config: the folder's config.json.
    """
    lines = ["# Hand and object segmentation from depth", "", "Input: depth in mm and the focal length in pixels.", ""]
    for title, section in (("Network", "model"), ("Training", "training"), ("Synthetic validation", "results")):
        lines += [f"## {title}", ""]
        lines += [f"- {name}: {value}" for name, value in config[section].items()] or ["- none"]
        lines.append("")
    return "\n".join(lines)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Optimiser groups: decay on weights of two or more dimensions, none on biases and batch-norm parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def _moving_average(
    decay: float,
) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average whose decay grows from 0.1 to `decay`: the first weights are soon forgotten."""

    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        updates = int(count)
        weight = 1.0 - min(decay, (1.0 + updates) / (10.0 + updates))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(list(averaged), list(current), weight)
        else:
            torch._foreach_copy_(list(averaged), list(current))

    return average
