"""f_s against the paper's table 1 and a patch-by-patch version."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graspcut.pose.losses import joint_loss, part_loss
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig


def without_normalisation(network: PartNetwork) -> PartNetwork:
    """A patch alone has other statistics than the image; what the layers do is compared without them."""
    for name in ("norm1", "norm2", "norm3", "norm4", "norm5"):
        setattr(network, name, nn.Identity())
    return network


def strided(network: PartNetwork, patch: Tensor) -> Tensor:
    """The network as table 1 writes it, on one 32x32 patch: 32-28-14-10-5-1."""
    x = nn.functional.max_pool2d(network.conv1(patch).relu(), 2)
    x = nn.functional.max_pool2d(network.conv2(x).relu(), 2)
    x = network.conv3(x).relu()
    assert x.shape[2:] == (1, 1)
    logits: Tensor = network.output(network.hidden2(network.hidden1(x).relu()).relu())
    return logits


def test_parameters() -> None:
    assert sum(p.numel() for p in PartNetwork().parameters()) == 584_492
    assert not list(PartNetwork().buffers())


@torch.no_grad()
def test_every_patch_gives_its_pixel() -> None:
    torch.manual_seed(0)
    network = without_normalisation(PartNetwork(PartNetworkConfig(channels=(6, 8, 10), hidden=12))).double()
    padded = torch.randn(1, 1, 79, 79, dtype=torch.float64)
    dense = network.forward_padded(padded)
    assert dense.shape == (1, 20, 48, 48)
    fast = network.forward_padded(padded, output_stride=2)
    assert fast.shape == (1, 20, 24, 24)
    plain = network.forward_padded(padded, output_stride=4)
    assert plain.shape == (1, 20, 12, 12)
    torch.testing.assert_close(plain, dense[:, :, ::4, ::4], rtol=0, atol=1e-12)
    for row, column in [(0, 0), (47, 47), (5, 0), (13, 29), (46, 7)]:
        alone = strided(network, padded[:, :, row : row + 32, column : column + 32])[0, :, 0, 0]
        torch.testing.assert_close(dense[0, :, row, column], alone, rtol=0, atol=1e-12)
        if row % 2 == column % 2 == 0:
            torch.testing.assert_close(fast[0, :, row // 2, column // 2], alone, rtol=0, atol=1e-12)


@torch.no_grad()
def test_padding_and_shift() -> None:
    torch.manual_seed(1)
    network = without_normalisation(PartNetwork(PartNetworkConfig(channels=(4, 4, 4), hidden=8)))
    image = torch.randn(2, 1, 48, 48)
    dense = network(image)
    padded = nn.functional.pad(image, (15, 16, 15, 16))
    torch.testing.assert_close(dense, network.forward_padded(padded))
    for stride, down, right in [(2, 0, 0), (2, 1, 0), (2, 0, 1), (4, 3, 1), (4, 0, 2)]:
        fast = network(image, stride, (down, right))
        torch.testing.assert_close(fast, dense[:, :, down::stride, right::stride], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="output stride 3"):
        network(image, 3)


@torch.no_grad()
def test_batch_mates_and_mode_change_nothing() -> None:
    torch.manual_seed(2)
    network = PartNetwork(PartNetworkConfig(channels=(4, 6, 8), hidden=10))
    images = torch.randn(3, 1, 48, 48) * torch.tensor([1.0, 5.0, 0.2])[:, None, None, None]
    together = network.train()(images)
    for index in range(3):
        torch.testing.assert_close(network.eval()(images[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-4)


def test_learns_a_picture() -> None:
    torch.manual_seed(3)
    network = PartNetwork(PartNetworkConfig(channels=(4, 8, 8), hidden=16))
    image = torch.randn(1, 1, 16, 16)
    parts = torch.zeros(1, 16, 16, dtype=torch.uint8)
    parts[:, 4:, :8], parts[:, 4:, 8:] = 3, 20
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        loss = part_loss(network(image), parts)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert all(
        torch.isfinite(p.grad).all() and p.grad.abs().sum() >= 0 for p in network.parameters() if p.grad is not None
    )
    assert (network(image).argmax(1)[0, 4:] + 1 == parts[0, 4:]).float().mean() > 0.95


def test_part_loss_counts_hand_pixels_of_each_image() -> None:
    logits = torch.randn(3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    parts = torch.tensor([[[0, 1], [2, 4]], [[3, 0], [0, 21]], [[0, 0], [0, 255]]], dtype=torch.uint8)
    log = torch.log_softmax(logits, 1)
    first = -(log[0, 0, 0, 1] + log[0, 1, 1, 0] + log[0, 3, 1, 1]) / 3
    second = -log[1, 2, 0, 0]
    torch.testing.assert_close(part_loss(logits, parts), (first + second) / 2)
    empty = part_loss(logits, torch.zeros_like(parts))
    empty.backward()  # type: ignore[no-untyped-call]
    assert empty.item() == 0.0 and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_joint_loss_ignores_unknown_joints() -> None:
    predicted = torch.zeros(1, 3, 3, requires_grad=True)
    joints = torch.tensor([[[1.0, 2.0, 2.0], [float("nan")] * 3, [3.0, 0.0, 0.0]]])
    assert joint_loss(predicted, joints).item() == pytest.approx((9 + 9) / 2)
    assert joint_loss(predicted, joints, torch.tensor([[True, True, False]])).item() == pytest.approx(9)
    joint_loss(predicted, joints).backward()  # type: ignore[no-untyped-call]
    assert predicted.grad is not None and torch.isfinite(predicted.grad).all()
