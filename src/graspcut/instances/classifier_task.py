"""Training and use of MNC's third stage: cross entropy over categories, smooth L1 on boxes of the right category.

Source: Dai et al. 2016 (MNC), section 3.3: the losses of Fast R-CNN (Girshick 2015, equations 1 to 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graspcut.instances.mask_voting import moved_boxes
from graspcut.instances.models.mask_classifier import MaskClassifier, MaskClassifierConfig
from graspcut.instances.regions import RegionBatch, Regions
from graspcut.nn.building import network_config
from graspcut.train.optimisation import Optimisation
from graspcut.train.task import BaseTask

CLASSIFIERS: dict[str, tuple[type[nn.Module], type[Any]]] = {"MaskClassifier": (MaskClassifier, MaskClassifierConfig)}


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is trained.

    Attributes:
        optimisation: optimiser, schedule and number of steps.
        box_weight: of the boxes beside the categories.
    """

    optimisation: Optimisation
    box_weight: float = 1.0


class ClassifierTask(BaseTask[RegionBatch, ClassifierConfig]):
    """A `MaskClassifier` with its losses (see the module).

    Args:
        network: the classifier.
        config: how to train it.
        names: of the categories, without background.
    """

    task_name: ClassVar[str] = "instance-classes"
    shown_score: ClassVar[str | None] = "accuracy"

    def __init__(self, network: MaskClassifier, config: ClassifierConfig, names: tuple[str, ...]) -> None:
        super().__init__(network, network_config(network, CLASSIFIERS), config)
        self.names = names

    def loss_terms(self, batch: RegionBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        logits, offsets = self.model(batch.image, batch.focal_px, batch.images, batch.boxes, batch.masks)
        owned = torch.nonzero(batch.categories > 0)[:, 0]
        moved = offsets.float()[owned, batch.categories[owned]]
        # Sums over regions by their number: images without any have no loss, not an undefined one.
        count = max(len(logits), 1)
        boxes = functional.smooth_l1_loss(moved, batch.offsets[owned], reduction="sum") / count
        return {
            "categories": functional.cross_entropy(logits.float(), batch.categories, reduction="sum") / count,
            "boxes": self.config.box_weight * boxes,
        }

    def counts(self, batch: RegionBatch) -> Mapping[str, Tensor | float]:
        """Right categories among all regions and among those of objects."""
        logits, _ = self.best_model()(batch.image, batch.focal_px, batch.images, batch.boxes, batch.masks)
        right, owned = logits.argmax(dim=1) == batch.categories, batch.categories > 0
        return {
            "right": right.sum(),
            "regions": float(len(right)),
            "right_objects": (right & owned).sum(),
            "objects": owned.sum(),
        }

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Shares of right categories."""
        return {
            "accuracy": float(counts["right"] / max(counts["regions"], 1)),
            "object_accuracy": float(counts["right_objects"] / max(counts["objects"], 1)),
        }

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        return {"labels": list(self.names), "input": {"image": "float32 (B,1,H,W) millimetres"}}


@torch.no_grad()
def classify(
    network: MaskClassifier, depth_mm: NDArray[np.float32], focal_px: float, regions: Regions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the regions of one image are.

    Args:
        network: a `MaskClassifier` in evaluation mode.
        depth_mm: (H, W) millimetres.
        focal_px: its focal length.
        regions: N of them.

    Returns:
        (N, categories + 1) probabilities, background first, and (N, 4) the boxes that it makes of theirs, for the
        likeliest category but background.
    """
    if not len(regions):
        return np.zeros((0, network.config.categories + 1)), np.zeros((0, 4))
    image, focal = torch.from_numpy(depth_mm[None, None]), torch.tensor([focal_px], dtype=torch.float32)
    boxes = torch.from_numpy(regions.boxes.astype(np.float32))
    images = torch.zeros(len(regions), dtype=torch.int64)
    logits, offsets = network(image, focal, images, boxes, torch.from_numpy(regions.masks))
    probabilities = logits.double().softmax(dim=1).numpy()
    likeliest = 1 + probabilities[:, 1:].argmax(axis=1)
    chosen = offsets.double().numpy()[np.arange(len(regions)), likeliest]
    return probabilities, moved_boxes(regions.boxes, chosen)
