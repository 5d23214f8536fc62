"""A user's own object, read from a triangle mesh: drawn as it is, grasped as a union of boxes.

The mesh is turned so that its longest direction is y and its thinnest z, as the other objects are, and moved to the
middle of its bounding box. Its boxes are the cuboids of a voxel grid, shrunk a little, because a voxel that the surface
passes through sticks out of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.objects.building_blocks import Row, box
from graspcut.synth.objects.catalogue import HeldObject, transform_rows
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.objects.own_kinds import OwnKinds, open_kind_file

_SUFFIXES = (".stl", ".obj", ".glb", ".gltf", ".ply", ".off")
_METRES = (".glb", ".gltf")  # the format says so
_SMALLEST_MM, _LARGEST_MM = 4.0, 1500.0
_MOST_TRIANGLES = 200_000
_MOST_BOXES = 60
_FINEST_MM = 2.0
_SHRINK = 0.35  # of a voxel, on every side


@dataclass(frozen=True)
class ObjectFile:
    """A file with a triangle mesh, or with kinds of object.

    Attributes:
        path: STL, OBJ, GLB, PLY or OFF; or a Python file, see `own_kinds`.
        unit_mm: Millimetres per unit of the file: 1 for most STL files, 1000 for metres; GLB's unit is the metre.
    """

    path: str
    unit_mm: float | None = None


def _read(file: ObjectFile) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    path = Path(file.path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{path} ends in {suffix or 'nothing'}; expected a mesh: {', '.join(_SUFFIXES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a mesh file.")
    unit = file.unit_mm if file.unit_mm is not None else 1000.0 if suffix in _METRES else None
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "reading meshes needs trimesh, which is not installed: pip install '.[mesh]' in a checkout of graspcut."
        ) from error
    try:
        mesh: Any = trimesh.load(str(path), force="mesh")
        vertices = np.asarray(mesh.vertices, np.float64)
        triangles = np.asarray(mesh.faces, np.int32)
    except Exception as error:  # whatever a reader of foreign files may raise
        raise ValueError(f"{path} cannot be read as a mesh: {error}") from error
    if len(triangles) == 0 or not np.isfinite(vertices).all():
        raise ValueError(f"{path} has no triangles, or coordinates that are no numbers; expected a triangle mesh.")
    if len(triangles) > _MOST_TRIANGLES:
        raise ValueError(
            f"{path} has {len(triangles)} triangles; expected at most {_MOST_TRIANGLES}. Decimate it first."
        )
    extent = float((vertices.max(axis=0) - vertices.min(axis=0)).max())
    if unit is None:
        raise ValueError(
            f"{path} does not state its unit, and the object is {extent:g} units long. Give millimetres per unit "
            "(command line: --object-unit-mm): 1 if that is in millimetres, 10 for centimetres, 1000 for metres."
        )
    if not _SMALLEST_MM <= extent * unit <= _LARGEST_MM:
        raise ValueError(
            f"{path} would be {extent * unit:g} mm long with {unit:g} mm a unit; expected {_SMALLEST_MM:g} to "
            f"{_LARGEST_MM:g} mm, something that a hand holds. Give another unit."
        )
    return vertices * unit, triangles


def _upright(vertices: NDArray[np.float64], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    """The vertices in a frame with the longest direction along y, the thinnest along z, the origin in the middle."""
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    centres = corners.mean(axis=1)
    middle = np.average(centres, axis=0, weights=area + 1e-12)
    spread = ((centres - middle) * (area + 1e-12)[:, None]).T @ (centres - middle)
    _, axes = np.linalg.eigh(spread)  # from the least to the greatest
    turn = np.stack([axes[:, 1], axes[:, 2], axes[:, 0]])
    if np.linalg.det(turn) < 0:
        turn[0] *= -1
    placed = vertices @ turn.T
    return np.asarray(placed - 0.5 * (placed.max(axis=0) + placed.min(axis=0)))


def _occupied(vertices: NDArray[np.float64], triangles: NDArray[np.int32], pitch: float) -> NDArray[np.bool_]:
    """Voxels (x, y, z) that the surface passes through or encloses; index 0 is outside on every side."""
    low = vertices.min(axis=0) - 1.5 * pitch
    shape = np.ceil((vertices.max(axis=0) - low) / pitch).astype(int) + 2
    surface = np.zeros(shape, bool)
    corners = vertices[triangles]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    for count in np.unique(np.ceil(sides / (0.5 * pitch)).astype(int)):
        some = corners[np.ceil(sides / (0.5 * pitch)).astype(int) == count]
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
        keep = i + j <= count
        a, b = i[keep] / max(count, 1), j[keep] / max(count, 1)
        points = some[:, 0, None] * (1 - a - b)[:, None] + some[:, 1, None] * a[:, None] + some[:, 2, None] * b[:, None]
        cells = ((points.reshape(-1, 3) - low) / pitch).astype(int)
        surface[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    outside = np.zeros(shape, bool)
    outside[0], outside[-1], outside[:, 0], outside[:, -1] = True, True, True, True
    outside[:, :, 0], outside[:, :, -1] = True, True
    outside &= ~surface
    while True:
        grown = outside.copy()
        for axis in range(3):
            for step in (-1, 1):
                grown |= np.roll(outside, step, axis)
        grown &= ~surface
        if grown.sum() == outside.sum():
            return ~outside
        outside = grown


def _cuboids(filled: NDArray[np.bool_]) -> list[tuple[slice, slice, slice]]:
    """Cuboids that together are the filled voxels; each grows along y, x and z as far as it can."""
    left = filled.copy()
    found = []
    while left.any():
        x, y, z = (int(k) for k in np.unravel_index(int(np.argmax(left)), left.shape))
        y1 = y
        while left[x, y1 + 1, z]:
            y1 += 1
        x1 = x
        while left[x1 + 1, y : y1 + 1, z].all():
            x1 += 1
        z1 = z
        while left[x : x1 + 1, y : y1 + 1, z1 + 1].all():
            z1 += 1
        block = (slice(x, x1 + 1), slice(y, y1 + 1), slice(z, z1 + 1))
        left[block] = False
        found.append(block)
    return found


def _boxes(vertices: NDArray[np.float64], triangles: NDArray[np.int32]) -> list[Row]:
    """At most about `_MOST_BOXES` components that fill the mesh, in its own coordinates."""
    extent = float((vertices.max(axis=0) - vertices.min(axis=0)).max())
    pitch = max(_FINEST_MM, extent / 48)
    while True:
        blocks = _cuboids(_occupied(vertices, triangles, pitch))
        if len(blocks) <= _MOST_BOXES or pitch > extent / 4:
            break
        pitch *= 1.25
    low = vertices.min(axis=0) - 1.5 * pitch
    rows = []
    for block in blocks[: 4 * _MOST_BOXES]:
        first = low + pitch * np.array([side.start for side in block])
        last = low + pitch * np.array([side.stop for side in block])
        half = np.maximum(0.5 * (last - first) - _SHRINK * pitch, 0.3 * pitch)
        x, y, z = (0.5 * (first + last)).tolist()
        rows.append(box(float(half[0]), float(half[1]), float(half[2]), (x, y, z)))
    return rows


@lru_cache(maxsize=32)
def read_object(file: ObjectFile) -> HeldObject:
    """Read a mesh as an object to hold; read once a process.

    Raises:
        ValueError: If the file is no mesh, states no unit, or is of no size that a hand holds.
        OSError: If it cannot be read.
        ModuleNotFoundError: If trimesh is missing.
    """
    vertices, triangles = _read(file)
    vertices = _upright(vertices, triangles)
    half = vertices.max(axis=0)
    return HeldObject(
        kind=Path(file.path).stem,
        rows=np.array(_boxes(vertices, triangles), np.float64),
        bound_mm=float(np.linalg.norm(vertices, axis=1).max()),
        grip_low_mm=-0.8 * float(half[1]),
        grip_high_mm=0.8 * float(half[1]),
        bump_mm=0.0,
        bump_wavelength_mm=20.0,
        colours=np.full((3, 3), 128, np.uint8),
        stripes=0.0,
        small=bool(np.linalg.norm(half) < 22.0),
        flat=bool(half[2] < 0.25 * half[0]),
        mesh=Mesh(vertices, triangles, np.zeros(len(triangles), np.int32)),
    )


@lru_cache(maxsize=32)
def read_own(file: ObjectFile) -> HeldObject | OwnKinds:
    """What a file has: the object of a mesh, or the kinds of a Python file, which is run.

    Raises:
        ValueError: See `read_object` and `own_kinds.open_kind_file`.
    """
    return open_kind_file(file.path) if Path(file.path).suffix == ".py" else read_object(file)


def drawn_anew(held: HeldObject, rng: np.random.Generator, *, mirrored: bool) -> HeldObject:
    """The object in another colour and with another susceptibility to stripes.

    Args:
        held: From `read_object`.
        rng: Source of all choices.
        mirrored: As its mirror image, for a right hand: grasps are found for left hands and mirrored with their object.
    """
    assert held.mesh is not None
    colour = rng.uniform(15, 245, 3).astype(np.uint8)
    stripes = float(rng.uniform(0, 1)) if rng.random() < 0.5 else 0.0
    rows, mesh = held.rows, held.mesh
    if mirrored:
        mirror = np.diag([-1.0, 1.0, 1.0])
        rows, mesh = transform_rows(rows, mirror, np.zeros(3)), mesh.transformed(mirror, np.zeros(3))
    return dataclasses.replace(
        held, rows=rows, mesh=mesh, mirrored=mirrored, stripes=stripes, colours=np.tile(colour, (3, 1))
    )
