"""The smallest task: classes of pixels, scored by the share that is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graspcut.train.optimisation import Optimisation, parameter_penalty
from graspcut.train.task import BaseTask
from tests.train.fake_frames import DepthBatch


@dataclass(frozen=True)
class TinyConfig:
    """How the tiny network is trained."""

    optimisation: Optimisation
    penalty: float = 0.001


def tiny_config(steps: int) -> TinyConfig:
    """Averaged weights, clipped gradients and a schedule, so that all of them have to survive a stop."""
    return TinyConfig(
        Optimisation(
            steps,
            learning_rate=2e-3,
            weight_decay=0.01,
            schedule="warm_up_cosine",
            average_decay=0.9,
            gradient_clip=1.0,
        )
    )


class TinyTask(BaseTask[DepthBatch, TinyConfig]):
    """See the module."""

    task_name: ClassVar[str] = "tiny"
    shown_score: ClassVar[str | None] = "accuracy"

    def loss_terms(self, batch: DepthBatch, step: int) -> dict[str, Tensor]:
        """Cross entropy, and a penalty in the second half of the run."""
        logits = self.model(batch.depth_mm, batch.focal_px).float()
        terms = {"cross_entropy": functional.cross_entropy(logits, batch.labels.long(), ignore_index=255)}
        if step >= self.total_steps // 2:
            terms["penalty"] = self.config.penalty * parameter_penalty(self.model)
        return terms

    def counts(self, batch: DepthBatch) -> Mapping[str, Tensor | NDArray[Any] | float]:
        """Pixels that are known, and those that are right."""
        right = self(batch.depth_mm, batch.focal_px).argmax(dim=1) == batch.labels
        return {"right": right.sum(), "known": float((batch.labels != 255).sum()), "batches": np.ones(1, np.uint8)}

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Share of known pixels that are right."""
        return {"accuracy": float(counts["right"] / counts["known"]), "batches": float(counts["batches"][0])}

    def interface(self) -> dict[str, Any]:
        """Input and output."""
        return {"labels": ["background", "hand", "object"], "input": {"depth_mm": "float32 (B,1,H,W)"}}
