"""Reads and writes what a skinned hand needs of a binary glTF file: a mesh, its weights, the bones' rest poses."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_MAGIC = 0x46546C67  # "glTF"
_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MOST_BYTES = 200_000_000


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """A mesh in its rest pose.

    Attributes:
        vertices: float64 (n, 3), in the file's unit (metres).
        triangles: int32 (m, 3).
        joints: int64 (n, 4), rows of `names`.
        weights: float64 (n, 4), sum 1.
        names: One name a bone.
        rest: float64 (bones, 4, 4), from a bone's own coordinates to those of the vertices.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int32]
    joints: NDArray[np.int64]
    weights: NDArray[np.float64]
    names: tuple[str, ...]
    rest: NDArray[np.float64]


def read_skinned_mesh(path: str | Path) -> SkinnedMesh:
    """Read the first skinned mesh of a .glb file.

    Raises:
        ValueError: If the file is none, or has no skinned mesh.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() != ".glb":
        raise ValueError(f"{path} ends in {path.suffix or 'nothing'}; expected a binary glTF file, .glb.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} is larger than {_MOST_BYTES} bytes; expected a hand's mesh.")
    try:
        return _parse(path.read_bytes())
    except (struct.error, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no glTF file with a skinned mesh: {error}") from error


def _parse(data: bytes) -> SkinnedMesh:
    magic, version, _ = struct.unpack_from("<III", data, 0)
    if magic != _MAGIC or version != 2:
        raise ValueError(f"it begins with {data[:4]!r}; expected binary glTF 2")
    chunks: dict[int, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, at)
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length
    content: dict[str, Any] = json.loads(chunks[_JSON])
    binary = chunks[_BINARY]
    node = next((n for n in content["nodes"] if "mesh" in n and "skin" in n), None)
    if node is None:
        raise ValueError("none of its nodes has a mesh and a skin")
    skin = content["skins"][node["skin"]]
    parts: list[tuple[NDArray[Any], ...]] = []
    count = 0
    for primitive in content["meshes"][node["mesh"]]["primitives"]:
        attributes = primitive["attributes"]
        vertices = _accessor(content, binary, attributes["POSITION"])
        triangles = _accessor(content, binary, primitive["indices"]).reshape(-1, 3)
        joints = _accessor(content, binary, attributes["JOINTS_0"])
        weights = _accessor(content, binary, attributes["WEIGHTS_0"]).astype(np.float64)
        parts.append((vertices, triangles.astype(np.int64) + count, joints, weights))
        count += len(vertices)
    vertices, triangles, joints, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    names = tuple(str(content["nodes"][joint].get("name", "")) for joint in skin["joints"])
    # Column by column in the file.
    inverse = _accessor(content, binary, skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    if not np.isfinite(vertices).all() or int(triangles.max()) >= count or int(joints.max()) >= len(names):
        raise ValueError("coordinates that are no numbers, or triangles and weights of vertices and bones it lacks")
    total = weights.sum(axis=1, keepdims=True)
    if float(total.min()) <= 0.0:
        raise ValueError("a vertex without weights")
    return SkinnedMesh(
        vertices.astype(np.float64),
        triangles.astype(np.int32),
        joints.astype(np.int64),
        weights / total,
        names,
        np.linalg.inv(inverse.astype(np.float64)),
    )


def write_skinned_mesh(path: str | Path, mesh: SkinnedMesh) -> None:
    """Write a skinned mesh that `read_skinned_mesh` reads, whole or not at all."""
    inverse = np.linalg.inv(mesh.rest).transpose(0, 2, 1)  # column by column in the file
    arrays: list[tuple[NDArray[Any], int, str]] = [
        (mesh.vertices.astype(np.float32), _FLOAT, "VEC3"),
        (mesh.triangles.astype(np.uint32).reshape(-1), _UINT32, "SCALAR"),
        (mesh.joints.astype(np.uint16), _UINT16, "VEC4"),
        (mesh.weights.astype(np.float32), _FLOAT, "VEC4"),
        (inverse.astype(np.float32), _FLOAT, "MAT4"),
    ]
    binary, views, accessors = b"", [], []
    for number, (array, component, kind) in enumerate(arrays):
        data = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append({"bufferView": number, "componentType": component, "count": len(array), "type": kind})
        binary += data + b"\0" * (-len(data) % 4)
    # Readers other than ours want the extent of the vertices.
    accessors[0] |= {"min": arrays[0][0].min(axis=0).tolist(), "max": arrays[0][0].max(axis=0).tolist()}
    count = len(mesh.names)
    content = {
        "asset": {"version": "2.0", "generator": "graspcut"},
        "scene": 0,
        "scenes": [{"nodes": [*range(count + 1)]}],
        "nodes": [
            *(
                {"name": name, "matrix": rest.T.reshape(-1).tolist()}
                for name, rest in zip(mesh.names, mesh.rest, strict=True)
            ),
            {"mesh": 0, "skin": 0},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3}, "indices": 1}]}],
        "skins": [{"joints": [*range(count)], "inverseBindMatrices": 4}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    header = struct.pack("<III", _MAGIC, 2, 28 + len(text) + len(binary))
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BINARY) + binary
    write_bytes_atomically(path, header + chunks)


def _accessor(content: dict[str, Any], binary: bytes, index: int) -> NDArray[Any]:
    accessor = content["accessors"][index]
    view = content["bufferViews"][accessor["bufferView"]]
    dtype, width, count = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], int(accessor["count"])
    start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
    row = dtype.itemsize * width
    stride = int(view.get("byteStride", row))
    if start < 0 or count < 1 or stride < row or start + stride * (count - 1) + row > len(binary):
        raise ValueError("an accessor reaches beyond the file's data")
    bytes_ = np.lib.stride_tricks.as_strided(
        np.frombuffer(binary, np.uint8, offset=start), (count, row), (stride, 1), writeable=False
    )
    return np.ascontiguousarray(bytes_).view(dtype).reshape(count, width)
