"""A hand from a skinned mesh with the 25 joint names of WebXR, posed like the hand of cones (linear blend skinning).

Every bone of the mesh is moved, turned and stretched onto the bone of the same name of the cone hand, which stays what
grasps are found with, and made as thick as that hand is thick among hands; the forearm stays the cone hand's. A bone's
frame is its direction and the direction of the hand's back there: of the mesh the y axis of the joint, as WebXR has it,
of the cone hand the plane in which the digit bends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.labels import FOREARM_PART
from graspcut.synth.hands.glb import SkinnedMesh, read_skinned_mesh
from graspcut.synth.hands.kinematics import (
    MCP_FLEXION,
    MEAN_MIDDLE_KNUCKLE_MM,
    POSE_THUMB,
    SHAPE_SPLAY,
    HandPose,
    digit_girths,
)
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.rendering.primitives import Float64Array

_FINGERS = ("index-finger", "middle-finger", "ring-finger", "pinky-finger")
_BONES = ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")
# In the order of `labels.JOINT_NAMES`; the four finger metacarpals have no joint of their own there.
JOINT_NAMES = (
    "wrist",
    "thumb-metacarpal",
    "thumb-phalanx-proximal",
    "thumb-phalanx-distal",
    "thumb-tip",
    *(f"{finger}-{bone}" for finger in _FINGERS for bone in _BONES),
)
METACARPAL_NAMES = tuple(f"{finger}-metacarpal" for finger in _FINGERS)

_PALM_PART = 20
_KNUCKLE = 0.22  # how far along a finger's first bone its knuckle reaches
_MM = 1000.0  # glTF's unit is the metre


@dataclass(frozen=True, eq=False)
class SkinnedHand:
    """A left hand's mesh in its rest pose, in the hand frame's orientation, mm.

    Attributes:
        vertices: float64 (n, 3).
        triangles: int32 (m, 3).
        joints: int64 (n, 4), 0..20 as `JOINT_NAMES`, 21..24 as `METACARPAL_NAMES`.
        weights: float64 (n, 4).
        rest_mm: float64 (25, 3), where the joints are.
        backs: float64 (25, 3), where the hand's back faces at each joint.
        parts: int32 (m,), part of each triangle.
    """

    vertices: Float64Array
    triangles: NDArray[np.int32]
    joints: NDArray[np.int64]
    weights: Float64Array
    rest_mm: Float64Array
    backs: Float64Array
    parts: NDArray[np.int32]

    def posed(self, pose: HandPose) -> Mesh:
        """The mesh in the hand frame, in the pose of a cone hand; surfaces are parts."""
        here, there = _bones(self.rest_mm[:21]), _bones(pose.joints_mm)
        backs = _backs_of(pose)
        # The mesh is taken to be of mean girth for its size.
        thickness = _girths_of(pose) * MEAN_MIDDLE_KNUCKLE_MM / float(np.linalg.norm(self.rest_mm[9] - self.rest_mm[0]))
        moved = np.zeros_like(self.vertices)
        for joint in range(25):
            (p, a), (q, b) = here[joint], there[joint]
            from_frame = _frame(a, self.backs[joint])
            to_frame = _frame(b, backs[joint])
            along = float(np.linalg.norm(b)) / max(float(np.linalg.norm(a)), 1e-9)
            stretch = np.array([along, thickness[joint], thickness[joint]])
            matrix = (to_frame * stretch) @ from_frame.T
            weight = np.where(self.joints == joint, self.weights, 0.0).sum(axis=1, keepdims=True)
            moved += weight * ((self.vertices - p) @ matrix.T + q)
        return Mesh(moved, self.triangles, self.parts)


def _unit(vector: Float64Array) -> Float64Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _frame(along: Float64Array, back: Float64Array) -> Float64Array:
    """Columns: along the bone, across it, out of the hand's back."""
    x = _unit(along)
    z = _unit(back - x * float(back @ x))
    return np.stack([x, np.cross(z, x), z], axis=1)


def _bones(joints: Float64Array) -> list[tuple[Float64Array, Float64Array]]:
    """Start and direction (with its length) of the bone that each of 25 joints moves, for 21 joints."""
    bones = [(joints[0], joints[9] - joints[0])]
    for joint in range(1, 21):
        tip = joint % 4 == 0
        start = joint - 1 if tip else joint
        bones.append((joints[start], joints[start + 1] - joints[start]))
    for finger in range(4):
        bones.append((joints[0], joints[5 + 4 * finger] - joints[0]))
    return bones


def _girths_of(pose: HandPose) -> Float64Array:
    """How thick the cone hand is at each of the 25 joints, 1 = a grown-up's mean (25,)."""
    digits = digit_girths(pose.shape)
    girths = np.full(25, digits.mean())
    girths[1:21] = np.repeat(digits, 4)
    return girths


def _backs_of(pose: HandPose) -> Float64Array:
    """Where the back of the hand faces at each of the 25 joints of a cone hand (25, 3)."""
    backs = np.tile(np.array([0.0, 0.0, 1.0]), (25, 1))
    bones = _bones(pose.joints_mm)
    opposition = math.radians(float(pose.pose[POSE_THUMB]))
    bends_to = np.array([-math.cos(0.55 * opposition), 0.15, -math.sin(0.55 * opposition)])
    across = np.cross(bends_to, bones[1][1])  # the axis about which the thumb bends
    for joint in range(1, 5):
        backs[joint] = np.cross(across, bones[joint][1])
    flexions = pose.pose[MCP_FLEXION]
    for finger in range(4):
        fade = max(0.25, 1.0 - float(flexions[finger]) / 120.0)
        splay = math.radians((float(pose.shape[SHAPE_SPLAY + finger]) + float(pose.pose[4 * finger])) * fade)
        across = np.array([math.cos(splay), -math.sin(splay), 0.0])
        for joint in range(5 + 4 * finger, 9 + 4 * finger):
            backs[joint] = np.cross(across, bones[joint][1])
    return backs


@lru_cache(maxsize=4)
def read_skinned_hands(path: str) -> tuple[SkinnedHand, ...]:
    """Read a hand's mesh, or all of a folder in the order of their names; read once a process.

    Raises:
        ValueError: If a folder holds none, or see `read_skinned_hand`.
        OSError: If it cannot be read.
    """
    if not Path(path).is_dir():
        return (read_skinned_hand(path),)
    files = sorted(file for file in Path(path).iterdir() if file.suffix.lower() == ".glb")
    if not files:
        raise ValueError(f"{path} holds no file that ends in .glb; expected skinned hands, or one such file.")
    return tuple(read_skinned_hand(str(file)) for file in files)


@lru_cache(maxsize=256)
def read_skinned_hand(path: str) -> SkinnedHand:
    """Read a hand's mesh; read once a process.

    Raises:
        ValueError: If the file is no skinned mesh, or lacks one of the 25 names.
        OSError: If it cannot be read.
    """
    mesh = read_skinned_mesh(path)
    wanted = (*JOINT_NAMES, *METACARPAL_NAMES)
    missing = [name for name in wanted if name not in mesh.names]
    if missing:
        raise ValueError(
            f"{path} has no bones named {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}; expected "
            "the 25 joint names of WebXR, as in dist/profiles/generic-hand/right.glb of @webxr-input-profiles/assets."
        )
    return _as_left_hand(mesh, [mesh.names.index(name) for name in wanted], path)


def _as_left_hand(mesh: SkinnedMesh, order: list[int], path: str) -> SkinnedHand:
    rest = mesh.rest[order]
    joints = rest[:, :3, 3] * _MM
    fingers = _unit(joints[9] - joints[0])
    back = rest[0, :3, 1]
    back = _unit(back - fingers * float(back @ fingers))
    thumb = np.cross(fingers, back)  # towards the thumb of a left hand
    is_right = float((joints[1] - joints[0]) @ thumb) < 0
    turn = np.stack([-thumb if is_right else thumb, fingers, back])  # mirrors a right hand
    number = {old: new for new, old in enumerate(order)}
    table = np.array([number.get(old, 0) for old in range(len(mesh.names))])
    moved = (mesh.vertices * _MM - joints[0]) @ turn.T
    rest_mm = (joints - joints[0]) @ turn.T
    if not 40.0 < float(np.linalg.norm(rest_mm[9])) < 200.0:
        raise ValueError(
            f"{path}: from the wrist to the middle finger's knuckle it is {np.linalg.norm(rest_mm[9]):g} mm; expected "
            "a hand in metres."
        )
    joint_of = table[mesh.joints]
    parts = _vertex_parts(moved, joint_of, mesh.weights, rest_mm)
    triangle_parts = np.median(parts[mesh.triangles], axis=1).astype(np.int32)
    return SkinnedHand(moved, mesh.triangles, joint_of, mesh.weights, rest_mm, rest[:, :3, 1] @ turn.T, triangle_parts)


def _vertex_parts(
    vertices: Float64Array, joints: NDArray[np.int64], weights: Float64Array, rest_mm: Float64Array
) -> NDArray[np.int32]:
    """Part of each vertex: that of the bone with the largest weight; a finger's first bone begins with its knuckle."""
    total = np.zeros((len(vertices), 25))
    np.add.at(total, (np.arange(len(vertices))[:, None], joints), weights)
    strongest = total.argmax(axis=1)
    part_of = np.full(25, _PALM_PART, np.int32)
    part_of[1:5] = (1, 2, 3, 3)
    for finger in range(4):
        part_of[5 + 4 * finger : 9 + 4 * finger] = 4 + 4 * finger + np.array([1, 2, 3, 3])
    parts = part_of[strongest]
    for finger in range(4):
        joint = 5 + 4 * finger
        bone = rest_mm[joint + 1] - rest_mm[joint]
        along = (vertices - rest_mm[joint]) @ bone / float(bone @ bone)
        parts[(strongest == joint) & (along < _KNUCKLE)] = 4 + 4 * finger
    parts[(strongest == 0) & (vertices[:, 1] < -8.0)] = FOREARM_PART
    return np.asarray(parts, np.int32)
