"""Networks whose places vote: what they say moves with what they see."""

from __future__ import annotations

import numpy as np
import torch

from graspcut.pose.models import build_model, model_config
from graspcut.pose.models.hand_locator import HandLocator
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork


def _blob(left: int) -> torch.Tensor:
    """(1, 1, 48, 48): a square hand, `left` pixels from the left."""
    crop = torch.ones(1, 1, 48, 48)
    crop[..., 20:28, left : left + 8] = 0.3
    return crop


def test_joints_move_with_the_hand_and_parts_count() -> None:
    torch.manual_seed(0)
    network = VotingJointNetwork(VotingJointConfig(channels=(6, 8, 12), dilations=(1, 1))).eval()
    # Sure of itself, as after training: one place decides, and it says that the joint is there.
    said = network.votes.weight.data.view(21, 6, -1)
    said[:, 0] *= 1e5
    said[:, 1:4] = 0.0
    assert network.votes.bias is not None
    network.votes.bias.data.zero_()
    parts = torch.zeros(1, 48, 48, dtype=torch.uint8)
    parts[:, 20:28, 16:24] = 5
    moved = torch.roll(parts, 8, dims=2)
    first, visible, spread, right = network(_blob(16), _blob(16), parts)
    second = network(_blob(24), _blob(24), moved)[0]
    assert first.shape == (1, 21, 3) and visible.shape == spread.shape == (1, 21) and right.shape == (1,)
    step = (second - first).detach()
    # Eight of 48 pixels are two of the twelve places across.
    assert abs(float(step[..., 0].median()) - 1 / 3) < 1e-3 and float(step[..., 1:].abs().median()) < 1e-3
    without = network(_blob(16), _blob(16), torch.zeros_like(parts))[0]
    assert float((without - first).detach().abs().max()) > 1e-3  # they are looked at


def test_without_masks_parts_do_not_count() -> None:
    network = VotingJointNetwork(VotingJointConfig(masks=False, channels=(4, 4, 8), dilations=(1,))).eval()
    ones = torch.ones(1, 48, 48, dtype=torch.uint8)
    first = network(_blob(10), _blob(10), ones)[0]
    np.testing.assert_array_equal(first.detach(), network(_blob(10), _blob(10), 0 * ones)[0].detach())


def test_depth_is_told_from_the_surface() -> None:
    network = VotingJointNetwork(VotingJointConfig(channels=(4, 4, 8), dilations=(1,))).eval()
    for layer in (network.votes,):
        torch.nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        torch.nn.init.zeros_(layer.bias)
    crop = torch.full((1, 1, 48, 48), 0.4)
    joints = network(crop, crop, torch.zeros(1, 48, 48))[0]
    np.testing.assert_allclose(joints.detach().numpy(), np.broadcast_to([0.0, 0.0, 0.4], (1, 21, 3)), atol=1e-5)


def test_both_are_built_again_from_their_configuration() -> None:
    for network in (HandLocator(), VotingJointNetwork()):
        again = build_model(model_config(network))
        assert type(again) is type(network)
        again.load_state_dict(network.state_dict())
    assert sum(weight.numel() for weight in VotingJointNetwork().parameters()) < 250_000
    found = HandLocator().eval()(_blob(16), _blob(16), torch.zeros(1, 48, 48))[0]
    assert found.shape == (1, 2, 3)
