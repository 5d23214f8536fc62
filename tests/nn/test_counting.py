"""MACs against counts made by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graspcut.nn.counting import count_macs, count_parameters, count_work


class _Shared(nn.Module):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.layer(self.layer(image))
        return result


def test_macs_by_hand() -> None:
    image = torch.rand(2, 4, 10, 12)
    assert count_macs(nn.Conv2d(4, 6, 3, stride=2, padding=1), image) == 2 * 6 * 5 * 6 * 4 * 9
    assert count_macs(nn.Conv2d(4, 8, 3, padding=1, groups=4), image) == 2 * 8 * 10 * 12 * 9
    assert count_macs(nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), image) == 2 * 10 * 12 * 4 * 6 * 16
    assert count_macs(nn.Linear(12, 5), image) == 2 * 4 * 10 * 12 * 5
    assert count_macs(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)), image) == 0


def test_elements_by_hand() -> None:
    image = torch.rand(2, 4, 10, 12)
    module = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(6, 2, 4, 2, 1))
    first, second = 2 * 6 * 5 * 6, 2 * 2 * 10 * 12
    work = count_work(module, image)
    assert work.elements == (6 * 4 * 9 + 2 * 4 * 10 * 12 + first) + (6 * 2 * 16 + first + second)
    assert work.macs == count_macs(module, image)


def test_a_layer_used_twice_counts_twice_but_has_its_parameters_once() -> None:
    module = _Shared()
    assert count_macs(module, torch.rand(1, 4, 5, 5)) == 2 * 4 * 25 * 4 * 9
    assert count_parameters(module) == 4 * 4 * 9 + 4


def test_counting_leaves_no_trace() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first = count_macs(module, torch.rand(2, 1, 8, 8))
    assert module.training
    assert count_macs(module, torch.rand(2, 1, 8, 8)) == first
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
