"""Training tasks of the part network and of the joint network, on the base of `graspcut.train.task`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graspcut.labels import JOINT_NAMES, PART_NAMES
from graspcut.pose.data import PoseBatch
from graspcut.pose.losses import joint_distance_loss, joint_distances, joint_loss, part_loss, spread_loss
from graspcut.pose.metrics import PartCounts, part_counts
from graspcut.pose.models import build_model, model_config
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.models.part_network import PartNetwork
from graspcut.pose.preprocessing import CROP_PX, CUBE_MM, LOCATOR_CUBE_MM
from graspcut.train.optimisation import Optimisation
from graspcut.train.task import BaseTask

PARTS_TASK = "pose-parts"
JOINTS_TASK = "pose-joints"
LOCATOR_TASK = "pose-locator"


@dataclass(frozen=True)
class PartsConfig:
    """How a part network is trained.

    Attributes:
        optimisation: Optimiser, schedule and steps.
        strided_share: Part of the run whose losses are taken at every fourth row and column, the rest at every second;
            which ones changes at each step. That costs a tenth and a quarter of all pixels.
        shift_seed: Of the choice of rows and columns.
    """

    optimisation: Optimisation
    strided_share: float = 0.8
    shift_seed: int = 0

    @classmethod
    def quick(cls, steps: int, learning_rate: float = 2e-3) -> PartsConfig:
        """AdamW with warm-up and cosine, for minutes instead of days."""
        return cls(
            Optimisation(
                steps, "adamw", learning_rate, weight_decay=1e-4, schedule="warm_up_cosine", warm_up=0.02,
                average_decay=0.998, channels_last=False,
            )
        )  # fmt: skip

    @classmethod
    def paper(cls, steps: int) -> PartsConfig:
        """Section 5: SGD, rate 0.1 / (1 + 1e-5 t), to be used with batches of one, every pixel's loss."""
        optimisation = Optimisation(
            steps, "sgd", 0.1, momentum=0.0, schedule="inverse", inverse_decay=1e-5, channels_last=False
        )
        return cls(optimisation, strided_share=-1.0)


class PartsTask(BaseTask[PoseBatch, PartsConfig]):
    """f_s with the negative log-likelihood of section 3."""

    task_name: ClassVar[str] = PARTS_TASK
    shown_score: ClassVar[str | None] = "per_pixel"

    def __init__(self, network: Mapping[str, Any], config: PartsConfig, model: torch.nn.Module | None = None) -> None:
        built = build_model(network) if model is None else model
        if not isinstance(built, PartNetwork):
            raise TypeError(f"{type(built).__name__} came; expected a PartNetwork.")
        super().__init__(built, model_config(built), config)
        self.contrast = LocalContrast()

    def loss_terms(self, batch: PoseBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        share = self.config.strided_share
        stride = 1 if share < 0 else 4 if step < share * self.total_steps else 2
        rng = np.random.default_rng([self.config.shift_seed, step])
        down, right = (int(value) for value in rng.integers(stride, size=2))
        image = self.contrast(batch.crop[:, None].float())
        logits = self.model(image, stride, (down, right))
        return {"parts": part_loss(logits.float(), batch.parts[:, down::stride, right::stride])}

    def counts(self, batch: PoseBatch) -> dict[str, NDArray[Any]]:
        """Confusions of all hand pixels."""
        found = self.best_model()(self.contrast(batch.crop[:, None])).argmax(1) + 1
        predicted = torch.where(batch.crop < 1.0, found, torch.zeros_like(found)).to(torch.uint8)
        return {"confusion": part_counts(predicted.cpu().numpy(), batch.parts.cpu().numpy()).confusion}

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Accuracy per pixel and per class."""
        total = PartCounts(counts["confusion"])
        return {"per_pixel": total.per_pixel, "per_class": total.per_class}

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        classes = self.model_config["arguments"]["classes"]
        return {
            "labels": [*PART_NAMES, "forearm"][:classes],
            "crop": {"cube_mm": CUBE_MM, "size_px": CROP_PX},
            "input": {"crop": "float32 (B,48,48), depth from -1 to 1 through the cube, 1 background"},
        }


@dataclass(frozen=True)
class JointsConfig:
    """How a joint network is trained.

    Attributes:
        optimisation: Optimiser, schedule and steps.
        loss: "squared" as in the paper, or "distance", the mean Euclidean distance.
        visibility_weight: Of the cross entropy of visibility, shared networks only.
        spread_weight: Of learning how far off each joint is.
        handedness_weight: Of the cross entropy of left and right.
    """

    optimisation: Optimisation
    loss: Literal["squared", "distance"] = "distance"
    visibility_weight: float = 0.02
    spread_weight: float = 0.02
    handedness_weight: float = 0.05

    def __post_init__(self) -> None:
        if self.loss not in ("squared", "distance"):
            raise ValueError(f"loss {self.loss!r} is unknown; expected squared or distance.")

    @classmethod
    def quick(cls, steps: int, learning_rate: float = 2e-3) -> JointsConfig:
        """AdamW with warm-up and cosine."""
        return cls(
            Optimisation(
                steps, "adamw", learning_rate, weight_decay=1e-2, schedule="warm_up_cosine", warm_up=0.05,
                average_decay=0.995, channels_last=False, gradient_clip=5.0,
            )
        )  # fmt: skip

    @classmethod
    def paper(cls, steps: int) -> JointsConfig:
        """Section 5: Adam with rate 0.05, to be used with batches of 64; squared errors."""
        return cls(Optimisation(steps, "adam", 0.05, channels_last=False), loss="squared")


class JointsTask(BaseTask[PoseBatch, JointsConfig]):
    """f_r with the squared error of section 3, and for shared networks what else they say."""

    task_name: ClassVar[str] = JOINTS_TASK
    shown_score: ClassVar[str | None] = "mean_3d_mm"

    def __init__(self, network: Mapping[str, Any], config: JointsConfig, model: torch.nn.Module | None = None) -> None:
        built = build_model(network) if model is None else model
        if isinstance(built, PartNetwork):
            raise TypeError("a PartNetwork came; expected a network of joints.")
        super().__init__(built, model_config(built), config)
        self.contrast = LocalContrast()

    def loss_terms(self, batch: PoseBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        config, crop = self.config, batch.crop[:, None]
        joints, visible, spread, right = self.model(self.contrast(crop), crop, batch.parts)
        main = joint_loss if config.loss == "squared" else joint_distance_loss
        terms = {"joints": main(joints.float(), batch.joints)}
        if visible is None:
            return terms
        distance, known = joint_distances(joints.float(), batch.joints)
        seen = functional.binary_cross_entropy_with_logits(visible.float(), batch.visible.float(), reduction="none")
        terms["visible"] = config.visibility_weight * (seen * known).sum() / known.sum().clamp(min=1)
        terms["spread"] = config.spread_weight * spread_loss(spread.float(), distance, known)
        terms["handedness"] = config.handedness_weight * functional.binary_cross_entropy_with_logits(
            right.float(), batch.right.float()
        )
        return terms

    def counts(self, batch: PoseBatch) -> dict[str, Tensor]:
        """Sums of errors in mm of the cube, of all and of visible joints, and right guesses."""
        crop = batch.crop[:, None]
        joints, visible, _, right = self.best_model()(self.contrast(crop), crop, batch.parts)
        distance, known = joint_distances(joints, batch.joints)
        flat, _ = joint_distances(joints * _FLAT, batch.joints * _FLAT)
        seen = known & batch.visible
        counts = {
            "error_mm": (distance * known).sum() * CUBE_MM / 2,
            "error_2d_mm": (flat * known).sum() * CUBE_MM / 2,
            "joints": known.sum(),
            "visible_error_mm": (distance * seen).sum() * CUBE_MM / 2,
            "visible_joints": seen.sum(),
        }
        if right is not None:
            counts["sides"] = ((right > 0) == batch.right).sum()
            counts["hands"] = torch.tensor(len(right))
            counts["visibility"] = (((visible > 0) == batch.visible) & known).sum()
        return counts

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Means of the errors; in mm of the cube, which a hand nearer than its centre seems larger than."""
        scores = {
            "mean_3d_mm": float(counts["error_mm"] / max(counts["joints"], 1)),
            "mean_2d_mm": float(counts["error_2d_mm"] / max(counts["joints"], 1)),
            "visible_3d_mm": float(counts["visible_error_mm"] / max(counts["visible_joints"], 1)),
        }
        if "hands" in counts:
            scores["handedness"] = float(counts["sides"] / counts["hands"])
            scores["visibility"] = float(counts["visibility"] / max(counts["joints"], 1))
        return scores

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        joints = len(self.model_config["arguments"]["joint_parts"])
        return {
            "joints": list(JOINT_NAMES) if joints == len(JOINT_NAMES) else joints,
            "crop": {"cube_mm": CUBE_MM, "size_px": CROP_PX},
            "input": {
                "crop": "float32 (B,48,48), depth from -1 to 1 through the cube, 1 background",
                "parts": "uint8 (B,48,48), 1..20 parts of the hand",
            },
        }


class LocatorTask(JointsTask):
    """The small network that finds the hand in a mask with a forearm; errors are in mm of its own, wider cube."""

    task_name: ClassVar[str] = LOCATOR_TASK

    def counts(self, batch: PoseBatch) -> dict[str, Tensor]:
        """See `JointsTask`."""
        scale = LOCATOR_CUBE_MM / CUBE_MM
        return {name: value * scale if name.endswith("_mm") else value for name, value in super().counts(batch).items()}

    def interface(self) -> dict[str, Any]:
        """See `BaseTask`."""
        return {
            "crop": {"cube_mm": LOCATOR_CUBE_MM, "size_px": CROP_PX},
            "input": {"crop": "float32 (B,48,48), depth from -1 to 1 through the cube, 1 background"},
        }


_FLAT = torch.tensor([1.0, 1.0, 0.0])
