"""Hands from skinned meshes: every bone of the mesh lies where the cone hand has it, parts go by weight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from benchmarks.hand_shapes import NAMES, skinned_hand

from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.labels import FOREARM_PART, HAND
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.glb import read_skinned_mesh, write_skinned_mesh
from graspcut.synth.hands.kinematics import SHAPE_RADIUS, sample_shape
from graspcut.synth.hands.skinned import read_skinned_hand, read_skinned_hands
from graspcut.synth.scenes.config import SceneConfig
from tests.synth.skinned_file import write_hand

SHOWN = SceneConfig(
    room=0.0, people_at_table=0.0, object_only=0.0, nothing=0.0, own_hand=1.0, background_none=1.0, farthest_mm=450.0
)


@pytest.mark.parametrize("left", [False, True])
def test_every_joint_of_the_mesh_lies_on_that_of_the_cone_hand(tmp_path: Path, left: bool) -> None:
    owner = write_hand(tmp_path / "hand.glb", left=left)
    hand = read_skinned_hand(str(tmp_path / "hand.glb"))
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pose = sample_free_pose(rng, sample_shape(rng))
        mesh = hand.posed(pose)
        centres = np.array([mesh.vertices[owner == joint].mean(axis=0) for joint in range(21)])
        np.testing.assert_allclose(centres, pose.joints_mm, atol=1e-4)
        metacarpals = np.array([mesh.vertices[owner == joint].mean(axis=0) for joint in range(21, 25)])
        mcp = pose.joints_mm[5:21:4]
        # On the way from the wrist to their knuckles.
        assert np.all(np.linalg.norm(metacarpals - 0.28 * mcp, axis=1) < 15.0)


def test_the_mesh_is_as_thick_as_the_cone_hand(tmp_path: Path) -> None:
    owner = write_hand(tmp_path / "hand.glb")
    hand = read_skinned_hand(str(tmp_path / "hand.glb"))
    pose = sample_free_pose(np.random.default_rng(3), sample_shape(np.random.default_rng(3)))
    shape = pose.shape.copy()
    shape[SHAPE_RADIUS + 4 : SHAPE_RADIUS + 8] *= 1.3  # the index finger
    slim, thick = (hand.posed(either).vertices for either in (pose, dataclasses.replace(pose, shape=shape)))
    for joint, ratio in ((6, 1.3), (10, 1.0), (2, 1.0), (0, 1.06)):
        volumes = []
        for vertices in (slim, thick):
            ball = vertices[owner == joint]
            volumes.append(np.linalg.svd(ball - ball.mean(axis=0), compute_uv=False).prod())
        assert volumes[1] / volumes[0] == pytest.approx(ratio**2, rel=0.01)


def test_the_back_of_every_bone_stays_the_back(tmp_path: Path) -> None:
    owner = write_hand(tmp_path / "hand.glb")
    hand = read_skinned_hand(str(tmp_path / "hand.glb"))
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pose = sample_free_pose(rng, sample_shape(rng))
        mesh = hand.posed(pose)
        for finger in range(4):
            joint = 5 + 4 * finger
            # The ball's vertex that was uppermost, out of the back, against the way in which the finger bends.
            own = np.flatnonzero(owner == joint + 1)
            top = own[np.argmax(hand.vertices[own, 2])]
            out = mesh.vertices[top] - pose.joints_mm[joint + 1]
            before = pose.joints_mm[joint + 1] - pose.joints_mm[joint]
            after = pose.joints_mm[joint + 2] - pose.joints_mm[joint + 1]
            bend = after / np.linalg.norm(after) - before / np.linalg.norm(before)
            if np.linalg.norm(bend) > 0.2:
                assert out @ bend < 0


def test_parts_go_by_the_largest_weight(tmp_path: Path) -> None:
    owner = write_hand(tmp_path / "hand.glb")
    hand = read_skinned_hand(str(tmp_path / "hand.glb"))
    part_of = {joint: set(hand.parts[(owner[hand.triangles] == joint).all(axis=1)].tolist()) for joint in range(25)}
    assert part_of[3] == {3} and part_of[4] == {3} and part_of[1] == {1}
    assert part_of[6] == {6} and part_of[7] == {7} and part_of[8] == {7} and part_of[20] == {19}
    assert 4 in part_of[5] and part_of[5] <= {4, 5}
    assert part_of[21] == {20} and part_of[0] == {20}


def test_frames_show_the_mesh_with_labels_and_joints(tmp_path: Path) -> None:
    write_hand(tmp_path / "hand.glb")
    config = SynthConfig(
        width=120, height=90, sensor="ideal", colour=False, scene=SHOWN, hand_mesh=str(tmp_path / "hand.glb")
    )
    seen: set[int] = set()
    for index in range(6):
        frame = FrameGenerator(config, 1)[index]
        assert frame.parts is not None and frame.hands
        np.testing.assert_array_equal(frame.labels == HAND, frame.parts > 0)
        seen |= set(np.unique(frame.parts).tolist())
    assert FOREARM_PART in seen and {3, 7, 11} <= seen


def test_a_folder_of_hands_gives_one_at_random_each(tmp_path: Path) -> None:
    folder = tmp_path / "hands"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"holds no file that ends in \.glb"):
        read_skinned_hands(str(folder))
    write_hand(folder / "b.glb", left=True)
    write_hand(folder / "a.glb")
    (folder / "LICENSE").write_text("MIT")
    read_skinned_hands.cache_clear()  # the folder was empty
    hands = read_skinned_hands(str(folder))
    assert len(hands) == 2 and hands[0] is read_skinned_hand(str(folder / "a.glb"))
    synth = SynthConfig(width=60, height=44, sensor="ideal", colour=False, scene=SHOWN, hand_mesh=str(folder))
    frames = [FrameGenerator(synth, 1)[index] for index in range(4)]
    assert any((frame.labels == HAND).any() for frame in frames)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_hand(tmp_path / "hand.glb")
    before = read_skinned_mesh(tmp_path / "hand.glb")
    write_skinned_mesh(tmp_path / "again.glb", before)
    after = read_skinned_mesh(tmp_path / "again.glb")
    assert after.names == before.names
    for name in ("vertices", "triangles", "joints", "weights", "rest"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)
    elsewhere: Any = trimesh.load(tmp_path / "again.glb", force="mesh")
    assert len(elsewhere.vertices) == len(before.vertices)


def test_a_hand_out_of_bones_of_another_name_bends_as_it_should(tmp_path: Path) -> None:
    write_hand(tmp_path / "hand.glb")
    mesh = read_skinned_mesh(tmp_path / "hand.glb")
    heads = {bone: mesh.rest[mesh.names.index(joint), :3, 3] for bone, joint in NAMES.items()}
    # A relaxed thumb, whose bending says which way it bends.
    heads["finger1-3.R"] = heads["finger1-3.R"] + np.array([0.006, -0.004, 0.0])
    weights = {
        bone: np.where(mesh.joints == mesh.names.index(joint), mesh.weights, 0.0).sum(axis=1)
        for bone, joint in NAMES.items()
    }
    for finger in ("thumb", "index-finger", "middle-finger", "ring-finger", "pinky-finger"):
        last = next(bone for bone, joint in NAMES.items() if joint == f"{finger}-phalanx-distal")
        tip = mesh.names.index(f"{finger}-tip")
        weights[last] += np.where(mesh.joints == tip, mesh.weights, 0.0).sum(axis=1)
    made = skinned_hand(mesh.vertices, mesh.triangles, heads, weights)
    order = [made.names.index(name) for name in mesh.names]
    np.testing.assert_allclose(made.rest[order][:, :3, 3][5:], mesh.rest[:, :3, 3][5:], atol=2e-3)
    fingers = [number for number, name in enumerate(mesh.names) if not name.startswith("thumb")]
    np.testing.assert_allclose(
        made.rest[order][fingers][:, :3, 1], np.tile([0.0, 1.0, 0.0], (len(fingers), 1)), atol=0.05
    )
    write_skinned_mesh(tmp_path / "made.glb", made)
    pose = sample_free_pose(np.random.default_rng(1), sample_shape(np.random.default_rng(1)))
    assert read_skinned_hand(str(tmp_path / "made.glb")).posed(pose).vertices.shape == mesh.vertices.shape


def test_the_command_takes_a_hand(tmp_path: Path) -> None:
    write_hand(tmp_path / "hand.glb")
    command = f"synth --count 2 --size 64x48 --workers 1 --out {tmp_path / 'set'} --hand-mesh {tmp_path / 'hand.glb'}"
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert not end.value.code and len(DatasetReader(tmp_path / "set")) == 2


def test_errors_say_what_is_expected(tmp_path: Path) -> None:
    write_hand(tmp_path / "lacking.glb", without="ring-finger-tip")
    with pytest.raises(ValueError, match=r"no bones named ring-finger-tip.*25 joint names of WebXR"):
        read_skinned_hand(str(tmp_path / "lacking.glb"))
    write_hand(tmp_path / "large.glb", scale=100.0)
    with pytest.raises(ValueError, match="expected a hand in metres"):
        read_skinned_hand(str(tmp_path / "large.glb"))
    (tmp_path / "broken.glb").write_bytes(b"glTF" + b"\0" * 40)
    with pytest.raises(ValueError, match="no glTF file with a skinned mesh"):
        read_skinned_hand(str(tmp_path / "broken.glb"))
    whole = (tmp_path / "large.glb").read_bytes()
    (tmp_path / "cut.glb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no glTF file with a skinned mesh"):
        read_skinned_hand(str(tmp_path / "cut.glb"))
    with pytest.raises(ValueError, match="expected a binary glTF file"):
        read_skinned_hand("hand.fbx")
