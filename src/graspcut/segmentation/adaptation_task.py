"""The training task of adaptation: what the recording's teacher is sure of teaches, rendered frames hold what is known.

A network that is trained on one recording and on freshly rendered frames with their true labels is drawn into whatever
the renderer shows by now, and forgets other recordings without a sign of it on rendered frames. So on rendered frames
it is held to what it said itself before the adaptation (Li and Hoiem, "Learning without Forgetting", 2016): the loss
there is the cross entropy with its own former probabilities. The batch norms keep the statistics with which the network
is used, so that what is learned is learned for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from graspcut.nn.normalisation import batch_norms
from graspcut.segmentation.data import HeldBatch, SegmentationBatch
from graspcut.segmentation.task import SegmentationTask, TaskConfig


class AdaptationTask(SegmentationTask):
    """See the module.

    Args:
        config_of_model: what `build_model` builds the network from.
        config: how to train it.
        model: the network, with the batch-norm statistics that it keeps.
        before: the network before the adaptation; it is not trained and not saved.
    """

    def __init__(
        self, config_of_model: Mapping[str, Any], config: TaskConfig, model: nn.Module, before: nn.Module
    ) -> None:
        super().__init__(config_of_model, config, model)
        self._before = (before.eval(),)  # a tuple hides it from Lightning, whose checkpoints would hold it
        self.train()  # Lightning leaves the norms as it finds them

    def train(self, mode: bool = True) -> Self:
        """Batch norms keep their statistics."""
        super().train(mode)
        for norm in batch_norms(self.model):
            norm.eval()
        return self

    def loss_terms(self, batch: SegmentationBatch, step: int) -> dict[str, Tensor]:
        """See `BaseTask`."""
        if not isinstance(batch, HeldBatch):
            return super().loss_terms(batch, step)
        with torch.no_grad():
            known = torch.softmax(self._before[0](*batch.inputs).float(), dim=1)
        said = torch.log_softmax(self.model(*batch.inputs).float(), dim=1)
        seen = (batch.depth_mm[:, 0] > 0).float()
        apart = -(known * said).sum(dim=1) * seen
        return {"held": apart.sum() / seen.sum().clamp(min=1.0)}
