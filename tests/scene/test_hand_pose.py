"""Hands of whole frames: masks from labels, the estimator on networks in memory, and the folder that "
"graspcut pose writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import graspcut
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_single_channel
from graspcut.labels import HAND, JOINT_NAMES, OBJECT
from graspcut.pose.joint_table import read_joint_table
from graspcut.pose.models.hand_locator import HandLocator, HandLocatorConfig
from graspcut.pose.models.joint_network import SharedJointConfig, SharedJointNetwork
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig
from graspcut.pose.predictor import JointPredictor, LocatorPredictor, PartPredictor, PoseEstimator
from graspcut.pose.smoothing import OneEuroConfig
from graspcut.scene.hand_masks import HandMaskConfig, find_hand_masks
from graspcut.scene.hand_pose import HandPosePipeline, pose_folder

CAMERA = Camera(200.0, 200.0, 79.5, 59.5, 160, 120)


def frame_with(*squares: tuple[int, int, int, int, float, int]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Depth and labels with rectangles (row, column, height, width, depth, label)."""
    depth, labels = np.zeros((120, 160), np.float32), np.zeros((120, 160), np.uint8)
    for row, column, height, width, depth_mm, label in squares:
        depth[row : row + height, column : column + width] = depth_mm
        labels[row : row + height, column : column + width] = label
    return depth, labels


def test_fingers_behind_an_object_belong_to_their_hand() -> None:
    depth, labels = frame_with(
        (40, 20, 40, 30, 500, HAND), (40, 50, 40, 10, 480, OBJECT), (50, 60, 10, 10, 505, HAND),
        (40, 120, 40, 30, 520, HAND), (2, 2, 3, 3, 500, HAND),
    )  # fmt: skip
    masks = find_hand_masks(labels, depth, CAMERA, HandMaskConfig(reach_mm=60.0))
    assert len(masks) == 2
    assert sorted(int(mask.sum()) for mask in masks) == [1200, 1300]
    with_fingers = max(masks, key=lambda mask: int(mask.sum()))
    assert with_fingers[55, 65] and not with_fingers[45, 55] and not any(mask[3, 3] for mask in masks)
    assert find_hand_masks(labels * 0, depth, CAMERA) == []


def test_hands_behind_one_another_are_cut_at_the_jump() -> None:
    depth, labels = frame_with((30, 40, 50, 40, 700, HAND), (30, 80, 50, 40, 500, HAND))
    masks = find_hand_masks(labels, depth, CAMERA)
    assert len(masks) == 2 and not (masks[0] & masks[1]).any()
    assert (masks[0] | masks[1]).sum() == 50 * 80
    ramp = np.where(labels == HAND, np.linspace(400, 900, 160, dtype=np.float32)[None], 0).astype(np.float32)
    assert len(find_hand_masks(labels, ramp, CAMERA)) == 1  # a slope is no jump


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    torch.manual_seed(0)
    parts = PartNetwork(PartNetworkConfig(21, (4, 4, 4), 8))
    joints = SharedJointNetwork(SharedJointConfig(hidden=8, channels=4))
    return PoseEstimator(
        PartPredictor.from_network(parts.eval(), device="cpu"),
        JointPredictor.from_network(joints.eval(), device="cpu"),
        LocatorPredictor.from_network(HandLocator(HandLocatorConfig((4, 4, 4))).eval(), device="cpu"),
        least_confidence=0.0,
    )


def test_estimator(estimator: PoseEstimator) -> None:
    depth, labels = frame_with((40, 60, 40, 30, 500, HAND), (40, 20, 30, 30, 600, HAND))
    masks = find_hand_masks(labels, depth, CAMERA)
    poses = estimator(depth, masks, CAMERA)
    assert len(poses.hands) == 2 and poses.parts.shape == depth.shape
    assert ((poses.parts > 0) <= (labels == HAND)).all() and (poses.parts > 0).sum() > 0.3 * (labels == HAND).sum()
    for hand in poses.hands:
        assert hand.joints_mm.shape == (21, 3) and 0 <= hand.right_probability <= 1
        known = np.isfinite(hand.joints_mm).all(axis=1)
        np.testing.assert_array_equal(hand.confidence > 0, known)
        assert not hand.visible[~known].any()
        pixels = CAMERA.project(hand.joints_mm[known])
        assert (pixels > -1).all() and (pixels < [160, 120]).all()  # joints outside the picture are absent
    assert poses.draw().shape == (120, 160, 3)
    as_before = estimator(depth.astype(np.uint16), masks, CAMERA)
    np.testing.assert_array_equal(as_before.hands[0].joints_mm, poses.hands[0].joints_mm)
    assert estimator(depth, [np.zeros_like(masks[0])], CAMERA).hands == ()
    with pytest.raises(FrameError, match="same size"):
        estimator(depth, [masks[0][1:]], CAMERA)


class Middles:
    """Networks that say every joint is in the middle of what the crop shows, the wrist a little below; counts calls."""

    def __init__(self) -> None:
        self.parts_seen: list[NDArray[np.uint8]] = []
        self.crops: list[NDArray[np.float32]] = []

    def run(self, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        crops = np.asarray(inputs["crop"], np.float32)
        if "parts" not in inputs:
            self.crops.append(crops[0])
            return {"parts": np.where(crops < 1, 3, 0).astype(np.uint8)}
        self.parts_seen.append(np.asarray(inputs["parts"], np.uint8))
        joints = np.zeros((len(crops), 21, 3), np.float32)
        for number, crop in enumerate(crops):
            rows, columns = np.nonzero(crop < 1)
            joints[number, :, 0], joints[number, :, 1] = (
                (2 * columns.mean() + 1) / 48 - 1,
                (2 * rows.mean() + 1) / 48 - 1,
            )
        joints[:, 0, 1] += 0.3
        ones = np.ones((len(crops), 21), np.float32)
        return {"joints": joints, "confidence": ones, "visible": ones, "right": np.array([0.9, 0.2], np.float32)}


def test_the_cube_is_placed_by_the_joints_before_parts_are_looked_for() -> None:
    depth, labels = frame_with((70, 60, 40, 30, 500, HAND), (10, 72, 60, 4, 510, HAND))
    (mask,) = find_hand_masks(labels, depth, CAMERA)
    networks: Any = Middles()
    (hand,) = PoseEstimator(networks, networks)(depth, [mask], CAMERA).hands
    assert len(networks.crops) == 1 and len(networks.parts_seen) >= 2  # parts once, joints before and after
    assert not networks.parts_seen[0].any() and networks.parts_seen[-1].any()
    rows, columns = np.nonzero(networks.crops[0] < 1)
    assert abs(rows.mean() - 23.5) < 2 and abs(columns.mean() - 23.5) < 2
    assert hand.right_probability == pytest.approx(0.85)  # of the crop, and of its mirror image the other way round


def test_unsure_joints_are_absent(estimator: PoseEstimator) -> None:
    depth, labels = frame_with((40, 60, 40, 30, 500, HAND))
    strict = PoseEstimator(estimator.parts, estimator.joints, None, least_confidence=1.1)
    (hand,) = strict(depth, find_hand_masks(labels, depth, CAMERA), CAMERA).hands
    assert np.isnan(hand.joints_mm).all() and hand.to_dict()["joints_mm"] == [None] * 21


@dataclass
class Thresholds:
    """A segmenter that calls near pixels hand."""

    @dataclass
    class Found:
        labels: NDArray[np.uint8]

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Thresholds.Found:
        return self.Found(((depth_mm > 0) & (depth_mm < 550)).astype(np.uint8) * HAND)


def test_folder(estimator: PoseEstimator, tmp_path: Path) -> None:
    depth, _ = frame_with((40, 60, 40, 30, 500, HAND), (0, 0, 120, 20, 900, 0))
    inputs = tmp_path / "in"
    inputs.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(inputs / f"{name}.png"), depth.astype(np.uint16))
    cv2.imwrite(str(inputs / "c.png"), np.zeros((120, 160), np.uint16))
    (inputs / "d.png").write_bytes(b"no picture")
    pipeline = HandPosePipeline(Thresholds(), estimator)
    arguments = {"model_name": "test", "depth_unit_mm": 1.0, "focal_px": 200.0}
    report = pose_folder([inputs], tmp_path / "out", pipeline, **arguments)  # type: ignore[arg-type]
    out = tmp_path / "out"
    assert report.done >= 2 and [name for name, _ in report.failures][-1].startswith("d")
    values = json.loads((out / "a_joints.json").read_text())
    assert values["joint_names"] == list(JOINT_NAMES) and len(values["hands"]) == 1
    assert len(values["hands"][0]["joints_mm"]) == 21 and values["hands"][0]["handedness"] in ("left", "right")
    parts = read_single_channel(out / "a_parts.png", what="part map")
    assert parts.shape == (120, 160) and parts.dtype == np.uint8 and 0 < parts.max() <= 21
    assert (out / "overlay" / "a.png").exists()
    table = {row.frame: row for row in read_joint_table(out / "joints.csv")}
    assert set(table) == {"a", "b"}  # frames without a hand have no rows
    joint = values["hands"][0]["joints_mm"][0]
    if joint is not None:
        np.testing.assert_allclose(table["a"].joints_mm[0], joint, atol=0.01)
    again = pose_folder([inputs], out, pipeline, smooth=OneEuroConfig(), **arguments)  # type: ignore[arg-type]
    assert again.done == 0 and again.skipped == report.done


def test_public_name() -> None:
    assert graspcut.PoseEstimator is PoseEstimator
