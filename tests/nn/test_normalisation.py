"""Batch-norm statistics over given inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.normalisation import batch_norms, recompute_batch_norms


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.9), nn.ReLU(), nn.Conv2d(3, 2, 1))


def batches() -> list[tuple[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(5 + 2 * torch.randn(4, 1, 9, 11, generator=generator),) for _ in range(6)]


def test_statistics_are_the_means_over_the_batches() -> None:
    model = network()
    convolved = [model[0](*batch) for batch in batches()]  # type: ignore[index]
    means = torch.stack([maps.mean(dim=(0, 2, 3)) for maps in convolved]).mean(dim=0)
    variances = torch.stack([maps.var(dim=(0, 2, 3)) for maps in convolved]).mean(dim=0)
    assert recompute_batch_norms(model, batches()) == 6
    norm = batch_norms(model)[0]
    assert norm.running_mean is not None and norm.running_var is not None
    assert torch.allclose(norm.running_mean, means, atol=1e-5)
    assert torch.allclose(norm.running_var, variances, atol=1e-5)


def test_a_share_mixes_old_and_new() -> None:
    whole, half = network(), network()
    recompute_batch_norms(whole, batches())
    recompute_batch_norms(half, batches(), share=0.5)
    new, mixed = batch_norms(whole)[0], batch_norms(half)[0]
    assert new.running_mean is not None and mixed.running_mean is not None
    assert torch.allclose(mixed.running_mean, 0.5 * new.running_mean, atol=1e-6)
    unchanged = network()
    before = {name: value.clone() for name, value in unchanged.state_dict().items()}
    recompute_batch_norms(unchanged, batches(), share=0.0)
    for name, value in unchanged.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.allclose(value, before[name], atol=1e-6), name


def test_weights_momentum_and_training_flags_stay() -> None:
    model = network().train()
    model[3].eval()  # type: ignore[index]
    before = {name: value.clone() for name, value in model.named_parameters()}
    recompute_batch_norms(model, batches())
    assert [module.training for module in model] == [True, True, True, False, True]  # type: ignore[attr-defined]
    assert batch_norms(model)[0].momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_no_batches_and_wrong_shares_are_refused_and_nothing_is_lost() -> None:
    model = network()
    recompute_batch_norms(model, batches())
    before = batch_norms(model)[0].running_mean
    assert before is not None
    kept = before.clone()
    with pytest.raises(ValueError, match="no inputs"):
        recompute_batch_norms(model, [])
    assert torch.allclose(batch_norms(model)[0].running_mean, kept)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 0 to 1"):
        recompute_batch_norms(model, batches(), share=1.5)
