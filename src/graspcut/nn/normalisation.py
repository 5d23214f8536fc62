"""Statistics of batch norms, recomputed over given inputs without training.

Averaged weights carry statistics that were averaged beside them over whatever was trained on, and a camera or a place
has statistics of its own: means and variances over frames as they will come are worth minutes of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """The batch norms of a network that keep statistics."""
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and module.running_mean is not None
    ]


@torch.no_grad()
def recompute_batch_norms(network: nn.Module, batches: Iterable[Sequence[Tensor]], *, share: float = 1.0) -> int:
    """Replaces the running means and variances of all batch norms, in place, by those over some inputs.

    Every batch counts alike. Nothing else changes: dropout is off, weights stay, the training flags are put back.

    Args:
        network: called as `network(*batch)`.
        batches: inputs of the network, each batch of one size.
        share: of the new statistics in the result; the rest are the old ones. Means and variances are mixed linearly.

    Returns:
        number of batches.

    Raises:
        ValueError: `share` is not in [0, 1], or there is no batch.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}, expected a number from 0 to 1")
    norms = batch_norms(network)
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]  # type: ignore[union-attr]
    momenta = [norm.momentum for norm in norms]
    was_training = {module: module.training for module in network.modules()}
    count = 0
    try:
        network.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
            norm.train()
        for batch in batches:
            network(*batch)
            count += 1
    finally:
        for module, training in was_training.items():
            module.training = training
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        if count == 0:
            _mix(norms, before, 0.0)
    if count == 0:
        raise ValueError("there are no inputs to compute batch-norm statistics from, expected at least one batch")
    _mix(norms, before, share)
    return count


def _mix(norms: list[BatchNorm], before: list[tuple[Tensor, Tensor]], share: float) -> None:
    for norm, (mean, variance) in zip(norms, before, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.lerp_(mean, 1.0 - share)
        norm.running_var.lerp_(variance, 1.0 - share)
