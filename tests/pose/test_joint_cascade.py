"""Baseline (b)."""

from __future__ import annotations

import pytest
import torch

from graspcut.pose.models.joint_cascade import JointCascade, JointCascadeConfig, joint_windows


def test_windows_are_cut_where_the_joints_are() -> None:
    maps = torch.arange(48 * 48, dtype=torch.float32).reshape(1, 1, 48, 48)
    middle = torch.zeros(1, 1, 3)
    torch.testing.assert_close(joint_windows(maps, middle)[0, 0, 0], maps[0, 0, 12:36, 12:36])
    moved = torch.tensor([[[2 * 5 / 48, -2 * 3 / 48, 0.7], [0.0, 0.0, 0.0]]])  # 5 columns right, 3 rows up
    windows = joint_windows(maps, moved)
    torch.testing.assert_close(windows[0, 0, 0], maps[0, 0, 9:33, 17:41], rtol=0, atol=2e-3)
    torch.testing.assert_close(windows[0, 1, 0], maps[0, 0, 12:36, 12:36])


@pytest.mark.parametrize("first", ["shared", "voting"])
def test_begins_as_direct_regression_and_learns_the_rest(first: str) -> None:
    torch.manual_seed(0)
    network = JointCascade(JointCascadeConfig(hidden=12, channels=6, window_hidden=16, first=first)).eval()
    image, parts = torch.randn(4, 1, 48, 48), torch.zeros(4, 48, 48, dtype=torch.uint8)
    torch.testing.assert_close(network(image, image, parts)[0], network.first(image, image, parts)[0])
    target = torch.rand(4, 21, 3) - 0.5
    second = [parameter for name, parameter in network.named_parameters() if not name.startswith("first.")]
    optimiser = torch.optim.Adam(second, 0.01)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (network(image, image, parts)[0] - target).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]  # the second step alone brings the joints nearer
    assert all(torch.isfinite(p.grad).all() for p in second if p.grad is not None)
