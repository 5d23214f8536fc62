"""A small skinned hand as binary glTF: a right hand in metres, flat, palm down, fingers along -z, as WebXR has it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from graspcut.synth.hands.skinned import JOINT_NAMES, METACARPAL_NAMES

# Metres; x to the right, y up, z towards the person. A right hand's thumb is on its left (-x).
JOINTS: dict[str, tuple[float, float, float]] = {
    "wrist": (0.0, 0.0, 0.0),
    "thumb-metacarpal": (-0.025, -0.01, -0.02),
    "thumb-phalanx-proximal": (-0.05, -0.015, -0.055),
    "thumb-phalanx-distal": (-0.065, -0.015, -0.085),
    "thumb-tip": (-0.075, -0.015, -0.108),
}
for _finger, _x in zip(
    ("index-finger", "middle-finger", "ring-finger", "pinky-finger"), (-26, -4, 17, 35), strict=True
):
    JOINTS[f"{_finger}-metacarpal"] = (_x * 5e-4, 0.0, -0.025)
    for _bone, _z in zip(
        ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip"), (-90, -132, -158, -180), strict=True
    ):
        JOINTS[f"{_finger}-{_bone}"] = (_x * 1e-3, 0.0, _z * 1e-3)


def write_hand(path: Path, *, left: bool = False, without: str = "", scale: float = 1.0) -> np.ndarray:
    """Write the hand, a ball of 6 mm around every joint that moves with it alone.

    Args:
        path: The .glb file.
        left: Its mirror image.
        without: A bone that gets another name.
        scale: Of all coordinates.

    Returns:
        int (n,): the joint of every vertex, 0..24 in the order of `JOINT_NAMES` and `METACARPAL_NAMES`.
    """
    names = (*JOINT_NAMES, *METACARPAL_NAMES)
    side = np.array([-1.0 if left else 1.0, 1.0, 1.0])
    places = np.array([JOINTS[name] for name in names]) * side * scale
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.006 * scale)
    count = len(ball.vertices)
    vertices = np.concatenate([ball.vertices + place for place in places]).astype(np.float32)
    triangles = np.concatenate([ball.faces + count * i for i in range(len(names))]).astype(np.uint16)
    owner = np.repeat(np.arange(len(names)), count)
    joints = np.zeros((len(vertices), 4), np.uint8)
    joints[:, 0] = owner
    weights = np.zeros((len(vertices), 4), np.float32)
    weights[:, 0] = 1.0
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(names), 1, 1))
    inverse[:, :3, 3] = -places
    arrays: list[np.ndarray] = [vertices, triangles.reshape(-1), joints, weights, inverse.transpose(0, 2, 1)]
    kinds = [(5126, "VEC3"), (5123, "SCALAR"), (5121, "VEC4"), (5126, "VEC4"), (5126, "MAT4")]
    binary, views, accessors = b"", [], []
    for array, (component, kind) in zip(arrays, kinds, strict=True):
        data = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind})
        binary += data + b"\0" * (-len(data) % 4)
    nodes: list[dict[str, Any]] = [{"name": "other" if name == without else name} for name in names]
    content = {
        "asset": {"version": "2.0"},
        "nodes": [*nodes, {"mesh": 0, "skin": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3}, "indices": 1}]}],
        "skins": [{"joints": list(range(len(names))), "inverseBindMatrices": 4}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    header = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(binary))
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    path.write_bytes(header + chunks)
    return owner
