"""Folders of proposals: what is written, continuing, bad frames, recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_colour, read_single_channel, write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.instances.coco import decode_mask, read_groundtruth, read_results
from graspcut.instances.result import InstanceProposals
from graspcut.labels import HAND, OBJECT
from graspcut.pose.result import HandJoints, HandPoses
from graspcut.scene.hand_sides import HandSides
from graspcut.scene.proposing import ProposalOptions, propose_folder
from tests.instances.made_frames import made_frame


def known(depth_mm: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The discs of `made_frame` by their depth: 520, 540, 560 mm."""
    return np.where(depth_mm < 700, np.rint((depth_mm - 500) / 20), 0).astype(np.uint8)


class Proposer:
    """Knows the discs, and proposes them in an order that differs from frame to frame."""

    digest = "made"
    calls = 0

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None) -> InstanceProposals:
        self.calls += 1
        ids = [int(value) for value in np.unique(known(depth_mm)) if value]
        if int(depth_mm[0, 0]) % 2:
            ids = ids[::-1]
        masks = np.stack([known(depth_mm) == value for value in ids]) if ids else np.zeros((0, *depth_mm.shape), bool)
        return InstanceProposals(masks, np.linspace(0.9, 0.5, len(ids)).astype(np.float32), depth_mm, camera)


class Labels:
    """The first disc is a hand."""

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        self.labels = labels


def segmenter(depth_mm: NDArray[np.float32], camera: Camera | None = None) -> Labels:
    return Labels(np.array([0, HAND, OBJECT, OBJECT, OBJECT], np.uint8)[known(depth_mm)])


def made_files(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    for seed in range(count):
        depth = made_frame(seed).frame.depth_mm.astype(np.uint16)
        write_image_atomically(folder / f"{seed}.png", depth)
    return folder


def test_a_folder_of_images(tmp_path: Path) -> None:
    inputs, out, proposer = made_files(tmp_path / "in"), tmp_path / "out", Proposer()
    (inputs / "bad.png").write_bytes(b"\x89PNG broken")
    report = propose_folder([inputs], out, proposer, segmenter, depth_unit_mm=1.0)
    assert report.done == 4 and [name for name, _ in report.failures] == ["bad"]
    stored = json.loads((out / "instances.json").read_text())["frames"]
    assert [entry["name"] for entry in stored] == ["0", "1", "2", "3"]
    truth = read_groundtruth(out / "images.json")
    results = read_results(out / "proposals.json", truth)
    for number, entry in enumerate(stored, start=1):
        ids = read_single_channel(out / f"{entry['name']}.png", what="id map")
        true = known(made_frame(number - 1).frame.depth_mm)
        assert sorted(np.unique(ids[ids > 0])) == [thing["id"] for thing in entry["instances"]]
        for thing in entry["instances"]:
            assert len(np.unique(true[ids == thing["id"]])) == 1
            assert thing["label"] == ("hand" if true[ids == thing["id"]][0] == 1 else "object")
        masks = [decode_mask(found.mask or {}) for found in results.detections[number]]
        assert len(masks) == len(np.unique(true[true > 0])) and all((true[mask] > 0).all() for mask in masks)
        assert read_colour(out / "overlay" / f"{entry['name']}.png").shape == (60, 80, 3)
    again = propose_folder([inputs], out, proposer, segmenter, depth_unit_mm=1.0)
    assert again.skipped == 4 and proposer.calls == 4
    with pytest.raises(FrameError, match="focal"):
        ProposalOptions(focal_px=-1.0)


@pytest.mark.parametrize("follow", [None, False])
def test_ids_stay_in_recordings(tmp_path: Path, follow: bool | None) -> None:
    camera = Camera.from_focal_length(80, 60, 60.0)
    with RecordingWriter(tmp_path / "recording", depth_unit_mm=1.0, camera=camera) as writer:
        rows, columns = np.mgrid[:60, :80]
        for t in range(6):
            depth = np.full((60, 80), 900.0 + t % 2, np.float32)
            depth[np.hypot(rows - 30, columns - 20 - 2 * t) < 9] = 520
            depth[np.hypot(rows - 32, columns - 60 + t) < 8] = 540
            writer.append(depth.astype(np.uint16), timestamp_s=t / 30)
    options = ProposalOptions(follow=follow)
    propose_folder([tmp_path / "recording"], tmp_path / "out", Proposer(), segmenter, options=options)
    frames = json.loads((tmp_path / "out" / "instances.json").read_text())["frames"]
    kinds = [{thing["id"]: thing["label"] for thing in entry["instances"]} for entry in frames]
    assert len(kinds) == 6
    # The proposer's order differs from frame to frame, so without following the ids do too.
    assert all(entry == kinds[0] for entry in kinds) == (follow is None)


@pytest.mark.parametrize("character", ["n", "\u00e9"])
def test_names_as_long_as_files_may_have(character: str, tmp_path: Path) -> None:
    inputs = made_files(tmp_path / "in", 2)
    longest = (character * 255).encode()[:251].decode("utf-8", "ignore")
    (inputs / "0.png").rename(inputs / f"{longest}.png")
    report = propose_folder([inputs], tmp_path / "out", Proposer(), segmenter, depth_unit_mm=1.0)
    assert report.done == 2 and not report.failures
    names = [entry["name"] for entry in json.loads((tmp_path / "out" / "instances.json").read_text())["frames"]]
    assert len(names) == 2 and all((tmp_path / "out" / f"{name}.png").is_file() for name in names)
    again = propose_folder([inputs], tmp_path / "out", Proposer(), segmenter, depth_unit_mm=1.0)
    assert again.skipped == 2


class Poses:
    """The pose method: every hand is the right one, more surely the more pixels of depth it has."""

    digest = "poses"

    def __init__(self, right_probability: float) -> None:
        self.right_probability = right_probability
        self.masks: list[NDArray[np.bool_]] = []

    def __call__(
        self, depth_mm: NDArray[Any], masks: Sequence[NDArray[np.bool_]], camera: Camera | None = None, /
    ) -> HandPoses:
        assert camera is not None and all(mask.shape == depth_mm.shape for mask in masks)
        self.masks += masks
        joints = np.zeros((21, 3), np.float32)
        hand = HandJoints(joints, joints[:, 0], joints[:, 0] > 0, self.right_probability)
        return HandPoses((hand,) * len(masks), np.zeros(depth_mm.shape, np.uint8), depth_mm, camera)


@pytest.mark.parametrize(("probability", "side"), [(0.9, "right"), (0.2, "left"), (0.6, None)])
def test_hands_have_sides_where_the_pose_method_is_sure(tmp_path: Path, probability: float, side: str | None) -> None:
    inputs, poses = made_files(tmp_path / "in", 1), Poses(probability)
    report = propose_folder(
        [inputs], tmp_path / "out", Proposer(), segmenter, sides=HandSides(poses), depth_unit_mm=1.0
    )
    assert report.done == 1
    (frame,) = json.loads((tmp_path / "out" / "instances.json").read_text())["frames"]
    found = {thing["label"]: thing["side"] for thing in frame["instances"]}
    assert found == {"hand": side, "object": None}
    (mask,) = poses.masks
    depth = made_frame(0).frame.depth_mm
    np.testing.assert_array_equal(mask, np.rint(depth) == 520)
    # Too little of a hand has no side; without a camera one is assumed.
    assert HandSides(poses, least_area_mm2=1e9)(depth, mask, None) is None
    assert HandSides(poses, least_probability=0.5)(depth, mask, None) == ("left" if probability < 0.5 else "right")
