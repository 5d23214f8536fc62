"""Training of the proposal networks: equation 1 on sampled windows, or on crops for ~DeepMask and table 2.

Paper: Dai et al. 2016, section 3.3: SGD with momentum 0.9, weight decay 5e-4, learning rate 1e-3 for 32,000 steps and
1e-4 for 8,000, 8 images a step.

Deviations:
- `TaskConfig.quick` is ours: AdamW with warm-up and cosine over averaged weights, for the small network and short runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.instances.assembling import assemble_tensor
from graspcut.instances.data import CropBatch, WindowBatch
from graspcut.instances.losses import mask_iou, window_loss
from graspcut.instances.models import DeepMask, build_model, model_config
from graspcut.train.optimisation import Optimisation
from graspcut.train.task import BaseTask

PAPER_STEPS = 40_000


@dataclass(frozen=True)
class TaskConfig:
    """How a proposal network is trained. A step is one batch.

    Attributes:
        optimisation: optimiser, schedule and number of steps.
        objectness_weight: of the first term of equation 1.
        mask_weight: of the second.
        sum_over_cells: add up a window's cells, to the letter of equation 1, instead of taking their mean.
    """

    optimisation: Optimisation
    objectness_weight: float = 1.0
    mask_weight: float = 1.0
    sum_over_cells: bool = False

    @classmethod
    def paper(cls, steps: int = PAPER_STEPS) -> TaskConfig:
        """The published schedule; the last fifth of the steps has a tenth of the learning rate."""
        return cls(
            Optimisation(
                steps=steps,
                optimiser="sgd",
                learning_rate=1e-3,
                momentum=0.9,
                weight_decay=5e-4,
                schedule="step",
                decay_factor=0.1,
                decay_steps=max(1, steps * 4 // 5),
            )
        )

    @classmethod
    def quick(cls, steps: int, *, learning_rate: float = 2.5e-3, average_decay: float = 0.998) -> TaskConfig:
        """The recipe of the shipped network."""
        return cls(
            Optimisation(
                steps=steps,
                optimiser="adamw",
                learning_rate=learning_rate,
                weight_decay=0.02,
                schedule="warm_up_cosine",
                average_decay=average_decay,
                gradient_clip=5.0,
            )
        )


class _Found:
    """Logits of a batch's windows beside what they should be.

    Attributes:
        scores, objectness: (N,) of all windows.
        logits, masks, inside: (P, m, m) of the positive ones.
    """

    def __init__(self, scores: Tensor, objectness: Tensor, logits: Tensor, masks: Tensor, inside: Tensor) -> None:
        self.scores, self.objectness = scores, objectness
        self.logits, self.masks, self.inside = logits, masks, inside


class InstanceTask(BaseTask[WindowBatch | CropBatch, TaskConfig]):
    """A proposal network with its losses and validation.

    Args:
        config_of_model: what `build_model` builds the network from.
        config: how to train it.
        model: a network to train instead of a fresh one, for example with loaded weights.
    """

    task_name: ClassVar[str] = "instances"
    shown_score: ClassVar[str | None] = "mask_iou"

    def __init__(self, config_of_model: Mapping[str, Any], config: TaskConfig, model: nn.Module | None = None) -> None:
        network = build_model(config_of_model) if model is None else model
        super().__init__(network, model_config(network), config)

    def _found(self, network: nn.Module, batch: WindowBatch | CropBatch) -> _Found:
        if isinstance(batch, WindowBatch):
            return _of_windows(network, batch)
        return _of_crops(network, batch)

    def loss_terms(self, batch: WindowBatch | CropBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        found = self._found(self.model, batch)
        loss = window_loss(
            found.scores.float(),
            found.objectness,
            found.logits.float(),
            found.masks,
            found.inside,
            sum_over_cells=self.config.sum_over_cells,
        )
        return {
            "objectness": self.config.objectness_weight * loss.objectness,
            "mask": self.config.mask_weight * loss.mask,
        }

    def counts(self, batch: WindowBatch | CropBatch) -> dict[str, Tensor | float]:
        """Right scores of positive and negative windows, and the overlap of positive masks."""
        found = self._found(self.best_model(), batch)
        positive = found.objectness > 0.5
        right = (found.scores > 0) == positive
        windows = len(found.logits)
        overlap = mask_iou(found.logits, found.masks, found.inside) * windows if windows else torch.zeros(())
        return {
            "positive": positive.sum(),
            "negative": (~positive).sum(),
            "right_positive": (right & positive).sum(),
            "right_negative": (right & ~positive).sum(),
            "overlap": overlap,
            "masks": float(windows),
        }

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Mean IoU of positive windows, and the share of right scores on either side."""

        def share(part: str, whole: str) -> float:
            return float(counts[part] / counts[whole]) if counts[whole] else float("nan")

        return {
            "mask_iou": share("overlap", "masks"),
            "positive_accuracy": share("right_positive", "positive"),
            "negative_accuracy": share("right_negative", "negative"),
        }

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        config: Any = self.model.config
        geometry = config.geometry
        return {
            "labels": ["object"],
            "input": {"image": "float32 (B,C,H,W): RGB 0..255, millimetres", "focal_px": "float32 (B,) pixels"},
            "short_sides": [int(side) for side in geometry.short_sides],
        }


def _of_windows(network: nn.Module, batch: WindowBatch) -> _Found:
    score_maps, scores = network(batch.image, batch.focal_px)
    images, windows = torch.nonzero(batch.objectness >= 0, as_tuple=True)
    centres = batch.centres[images, windows]
    cells = batch.masks.shape[-1]
    positive_images, positive = torch.nonzero(batch.objectness[:, : batch.masks.shape[1]] > 0.5, as_tuple=True)
    places = batch.centres[positive_images, positive]
    rows, columns = score_maps.shape[-2:]
    offsets = torch.arange(cells, device=places.device) - cells // 2
    row, column = places[:, :1] + offsets, places[:, 1:] + offsets
    inside = ((row >= 0) & (row < rows))[:, :, None] & ((column >= 0) & (column < columns))[:, None, :]
    return _Found(
        scores[images, centres[:, 0], centres[:, 1]],
        batch.objectness[images, windows],
        assemble_tensor(score_maps, positive_images, places, cells=cells),
        batch.masks[positive_images, positive].float(),
        inside,
    )


def _of_crops(network: nn.Module, batch: CropBatch) -> _Found:
    positive = batch.objectness > 0.5
    masks = batch.masks[positive].float()
    if isinstance(network, DeepMask):
        logits, scores = network(batch.image, batch.focal_px)
        return _Found(scores, batch.objectness, logits[positive], masks, torch.ones_like(masks, dtype=torch.bool))
    score_maps, scores = network(batch.image, batch.focal_px)
    # The crop is centred on the middle of its middle cell, see `crop_items`.
    middle = score_maps.shape[-1] // 2
    places = torch.full((len(masks), 2), middle, dtype=torch.int64, device=masks.device)
    logits = assemble_tensor(score_maps, torch.nonzero(positive)[:, 0], places, cells=masks.shape[-1])
    inside = torch.ones_like(masks, dtype=torch.bool)
    return _Found(scores[:, middle, middle], batch.objectness, logits, masks, inside)


def crop_place(config: Any) -> tuple[int, float]:
    """Side of the crop that a network is trained on, and where the window's centre lies in it (table 2).

    Args:
        config: of a `DeepMask` (its window is the crop) or of an InstanceFCN (a crop of 28 cells, as 224 px are at
            stride 8, with the window around cell 14).
    """
    geometry = config.geometry
    if hasattr(config, "score_widths"):
        return geometry.window_px, geometry.window_px / 2 - 0.5
    return 28 * geometry.stride_px, 14 * geometry.stride_px + geometry.first_centre_px
