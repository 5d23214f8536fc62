"""Weights between two networks."""

from __future__ import annotations

import pytest
import torch

from graspcut.nn.averaging import between
from tests.mini_network import mini_network, randomise_batch_norms


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_and_statistics_lie_between_and_counters_are_the_later_ones(share: float) -> None:
    old, new = (mini_network(seed) for seed in (0, 1))
    for network in (old, new):
        randomise_batch_norms(network)
    start, end = old.state_dict(), new.state_dict()
    counters = [name for name, value in end.items() if not value.is_floating_point()]
    for name in counters:
        end[name] += 7
    found = between(start, end, share)
    assert counters and found.keys() == end.keys()
    for name, value in end.items():
        expected = value if name in counters else (1 - share) * start[name] + share * value
        assert found[name].dtype == value.dtype and torch.allclose(found[name], expected, atol=1e-6), name
