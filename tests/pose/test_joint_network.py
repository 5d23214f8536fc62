"""f_r against table 1, figure 4 and slow versions of its masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from graspcut.labels import JOINT_NAMES, PART_NAMES
from graspcut.pose.anatomy import JOINT_PARTS, NYU_JOINT_PARTS, NYU_JOINTS, joint_part_matrix, part_anchors
from graspcut.pose.models.joint_network import (
    JointRegressor,
    SeparateJointConfig,
    SeparateJointNetworks,
    SharedJointConfig,
    SharedJointNetwork,
    joint_masks,
    opened,
)


def test_parameters() -> None:
    assert sum(p.numel() for p in JointRegressor().parameters()) == 6_921_291
    shared = sum(p.numel() for p in SharedJointNetwork().parameters())
    assert 2 * (shared + 584_993) < 12e6  # both networks as float16


def test_joint_parts_touch_the_joint() -> None:
    for joint, parts in zip(JOINT_NAMES, JOINT_PARTS, strict=True):
        names = [PART_NAMES[part - 1] for part in parts]
        finger = joint.split("_")[0]
        assert all(name.startswith(finger) or name == "palm" for name in names)
    assert PART_NAMES[JOINT_PARTS[8][0] - 1] == "index distal" and JOINT_NAMES[8] == "index_tip"
    names = [PART_NAMES[part - 1] if part else "" for part in NYU_JOINT_PARTS]
    assert names[:3] == ["little distal", "little middle", "ring distal"]
    assert len(NYU_JOINTS) == len(NYU_JOINT_PARTS) == 14
    coordinates = np.arange(63).reshape(21, 3)
    np.testing.assert_array_equal(part_anchors(coordinates)[5], coordinates[6:8].mean(axis=0))  # index middle
    with pytest.raises(ValueError, match="names part 21"):
        joint_part_matrix(((21,),))


def test_opening_is_opencvs() -> None:
    regions = (np.random.default_rng(0).random((3, 20, 20)) < 0.7).astype(np.uint8)
    expected = [
        cv2.dilate(
            cv2.erode(image, np.ones((2, 2), np.uint8), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=1),
            np.ones((2, 2), np.uint8), anchor=(1, 1), borderType=cv2.BORDER_CONSTANT, borderValue=0,
        )
        for image in regions
    ]  # fmt: skip
    found = opened(torch.from_numpy(regions).float()[None])[0].numpy()
    np.testing.assert_array_equal(found, np.stack(expected))
    assert found.sum() < regions.sum()


def test_masks_open_fall_back_and_never_vanish() -> None:
    parts = torch.zeros(1, 48, 48, dtype=torch.uint8)
    parts[0, 8:12, 8:12] = 7  # a block of the index finger's distal part: one cell
    parts[0, 40, 40] = 7  # a lonely pixel, which opening removes
    parts[0, 20, 4] = 3  # the thumb's tip is one pixel only: opening would leave nothing
    masks = joint_masks(parts, torch.from_numpy(joint_part_matrix()))[0]
    index_tip, thumb_tip, little_tip = masks[8], masks[4], masks[20]
    assert index_tip[2, 2] == 1 and index_tip.sum() == 1
    assert thumb_tip[5, 1] == 1 and thumb_tip.sum() == 1
    assert little_tip.min() == 1  # no part: the whole map
    assert set(masks.flatten().tolist()) == {0.0, 1.0}


@torch.no_grad()
def test_masked_branch_alone_sees_the_mask() -> None:
    torch.manual_seed(0)
    network = JointRegressor(hidden=16).eval()
    image, mask = torch.randn(2, 1, 24, 24), torch.zeros(2, 12, 12)
    mask[:, 3:6, 3:6] = 1
    whole = network(image)
    torch.testing.assert_close(network(image, torch.ones(2, 12, 12)), whole)
    assert not torch.allclose(network(image, mask), whole)
    network.c212.weight.zero_()
    torch.testing.assert_close(network(image, mask), network(image))


@pytest.mark.parametrize("masks", [True, False])
def test_networks_of_all_joints(masks: bool) -> None:
    torch.manual_seed(1)
    image, parts = torch.randn(3, 1, 48, 48), torch.randint(0, 22, (3, 48, 48), dtype=torch.uint8)
    separate = SeparateJointNetworks(SeparateJointConfig(masks=masks, hidden=8)).eval()
    assert separate(image, image, parts)[0].shape == (3, 21, 3)
    shared = SharedJointNetwork(SharedJointConfig(masks=masks, hidden=16, channels=8)).eval()
    joints, visible, spread, right = shared(image, image, parts)
    assert joints.shape == (3, 21, 3) and visible.shape == spread.shape == (3, 21) and right.shape == (3,)
    torch.testing.assert_close(shared(image[:1], image[:1], parts[:1])[0], joints[:1], rtol=1e-4, atol=1e-5)
    moved = shared(image, image, parts.flip(2))[0]
    assert torch.allclose(moved, joints) != masks  # parts matter exactly where masks are used
    (joints.sum() + visible.sum() + spread.sum() + right.sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in shared.parameters())


def test_learns_a_batch() -> None:
    torch.manual_seed(2)
    network = SharedJointNetwork(SharedJointConfig(hidden=32, channels=8))
    image, parts = torch.randn(8, 1, 48, 48), torch.randint(0, 21, (8, 48, 48))
    target = torch.rand(8, 21, 3) - 0.5
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    first = last = 0.0
    for step in range(60):
        optimiser.zero_grad()
        loss = (network(image, image, parts)[0] - target).square().sum(2).mean()
        loss.backward()
        optimiser.step()
        first, last = (loss.item(), loss.item()) if step == 0 else (first, loss.item())
    assert last < 0.2 * first
