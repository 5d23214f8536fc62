"""Scenes that know where down is: a camera's viewpoint, and furniture built in frames of its own.

World axes are those of a level camera: x right, y down, z forward, millimetres. Heights are -y. A piece's own frame is
x to its right, y up, z to its front, right-handed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.objects.catalogue import HeldObject, transform_rows
from graspcut.synth.rendering.primitives import (
    BOX,
    ELLIPSOID,
    Float64Array,
    local_row,
    plane_row,
    round_cone_row,
)
from graspcut.synth.rendering.ray_casting import NEAR_MM
from graspcut.synth.scenes.builder import SceneBuilder

UP = np.array([0.0, -1.0, 0.0])


def unit(vector: Float64Array) -> Float64Array:
    """The vector at length 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def cross(a: Float64Array, b: Float64Array) -> Float64Array:
    """Product of two vectors (3,); numpy's own takes twenty times as long on so little."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


@dataclass(frozen=True)
class Viewpoint:
    """Where a camera stands in the world.

    Attributes:
        rotation: float64 (3, 3), world to camera.
        position: float64 (3,), world.
    """

    rotation: Float64Array
    position: Float64Array

    @classmethod
    def at_height(cls, height_mm: float, pitch: float, roll: float = 0.0) -> Viewpoint:
        """Above the world's origin, looking along z, down by `pitch` and turned by `roll` (radians)."""
        forward = np.array([0.0, np.sin(pitch), np.cos(pitch)])
        return cls(_camera_axes(forward, roll), UP * height_mm)

    @classmethod
    def looking_at(cls, position: Float64Array, target: Float64Array, roll: float = 0.0) -> Viewpoint:
        """From one world point (3,) towards another, turned by `roll` (radians)."""
        return cls(_camera_axes(unit(target - position), roll), position)

    def to_camera(self, points: Float64Array) -> Float64Array:
        """World points (..., 3) in camera coordinates."""
        return np.asarray((points - self.position) @ self.rotation.T)

    def ray(self, camera: Camera, u: float, v: float) -> Float64Array:
        """World direction (3,) of a pixel's ray, z = 1 in the camera."""
        return np.asarray(np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0]) @ self.rotation)

    def on_level(self, camera: Camera, u: float, v: float, height_mm: float) -> Float64Array | None:
        """Where a pixel's ray meets the level plane of a height, world (3,); None if it does not."""
        ray = self.ray(camera, u, v)
        drop = float((self.position - UP * height_mm) @ UP)
        fall = float(-ray @ UP)
        if drop * fall <= 1e-6 * abs(drop):
            return None
        return np.asarray(self.position + ray * (drop / fall))


def _camera_axes(forward: Float64Array, roll: float) -> Float64Array:
    right = cross(-UP, forward)
    # Straight down, any direction is to the right.
    right = unit(right) if float(np.linalg.norm(right)) > 1e-3 else np.array([1.0, 0.0, 0.0])
    down = cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward])


def piece_axes(yaw: float) -> Float64Array:
    """World directions (3, 3) of a piece's x, y and z axes, one a row."""
    x = np.array([np.cos(yaw), 0.0, np.sin(yaw)])
    return np.stack([x, UP, cross(x, UP)])


class World:
    """Adds shapes given in world coordinates to a scene, all of them background.

    Args:
        builder: The scene.
        view: Where the depth camera stands.
    """

    def __init__(self, builder: SceneBuilder, view: Viewpoint) -> None:
        self.builder = builder
        self.view = view
        self.rng = builder.rng

    def surface(self, colour: Float64Array | None = None, relief_mm: float = 0.0) -> int:
        """A new background surface of any colour; a third of them take up a projector's stripes."""
        rng = self.rng
        stripes = float(rng.uniform(0, 1)) if rng.random() < 0.33 else 0.0
        colour = rng.uniform(20, 240, 3) if colour is None else colour
        return self.builder.surfaces.add_background(colour, stripes, relief_mm)

    def plane(self, surface: int, normal: Float64Array, point: Float64Array) -> None:
        """A plane through a world point; the normal points to the camera's side."""
        turned = self.view.rotation @ normal
        self.builder.primitives.append(plane_row(surface, turned, float(turned @ self.view.to_camera(point)))[None])

    def level(self, surface: int, height_mm: float) -> None:
        """A level plane: a floor."""
        self.plane(surface, UP, UP * height_mm)

    def piece(self, origin: Float64Array, yaw: float) -> Piece:
        """An empty piece of furniture whose frame stands at a world point, its front turned by `yaw` (radians)."""
        return Piece(self, self.view.rotation @ piece_axes(yaw).T, self.view.to_camera(origin))

    def rod(self, surface: int, start: Float64Array, end: Float64Array, radius: float, end_radius: float) -> None:
        """A round cone between two world points (3,)."""
        Piece(self, self.view.rotation, self.view.to_camera(np.zeros(3))).rod(surface, start, end, radius, end_radius)


class Piece:
    """A piece of furniture: shapes in a frame of its own, x right, y up, z front.

    Args:
        world: Where it is added.
        rotation: float64 (3, 3), own frame to camera.
        origin: float64 (3,), camera coordinates.
    """

    def __init__(self, world: World, rotation: Float64Array, origin: Float64Array) -> None:
        self.world = world
        self.rotation = rotation
        self.origin = origin

    def place(self, point: tuple[float, float, float] | Float64Array) -> Float64Array:
        """A point (3,) of this frame in camera coordinates."""
        return np.asarray(self.rotation @ np.asarray(point, np.float64) + self.origin)

    def inner(self, origin: tuple[float, float, float], rotation: Float64Array) -> Piece:
        """A frame within this one: `rotation` (3, 3) turns its axes into this frame's."""
        return Piece(self.world, self.rotation @ rotation, self.place(origin))

    def _add(self, row: Float64Array, centre: Float64Array, reach: float) -> None:
        if centre[2] + reach > NEAR_MM:  # what lies behind the camera would only cost time
            self.world.builder.primitives.append(row[None])

    def box(
        self,
        surface: int,
        centre: tuple[float, float, float],
        half: tuple[float, float, float],
        turn: Float64Array | None = None,
    ) -> None:
        """A box of half extents; `turn` (3, 3) turns its axes into this frame's."""
        self._local(BOX, surface, centre, half, turn)

    def ellipsoid(
        self,
        surface: int,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        turn: Float64Array | None = None,
    ) -> None:
        """An ellipsoid; `turn` as for `box`."""
        self._local(ELLIPSOID, surface, centre, radii, turn)

    def _local(
        self,
        kind: int,
        surface: int,
        centre: tuple[float, float, float],
        extents: tuple[float, float, float],
        turn: Float64Array | None,
    ) -> None:
        axes = self.rotation if turn is None else self.rotation @ turn
        placed = self.place(centre)
        self._add(local_row(kind, surface, placed, axes.T, extents), placed, sum(extents))

    def rod(
        self,
        surface: int,
        start: tuple[float, float, float] | Float64Array,
        end: tuple[float, float, float] | Float64Array,
        radius: float,
        end_radius: float | None = None,
    ) -> None:
        """A round cone between two points."""
        a, b = self.place(start), self.place(end)
        other = radius if end_radius is None else end_radius
        self._add(round_cone_row(surface, a, b, radius, other), np.maximum(a, b), max(radius, other))

    def thing(
        self, held: HeldObject, centre: tuple[float, float, float] | Float64Array, rotation: Float64Array
    ) -> None:
        """A sphere-traced object that nobody holds; `rotation` (3, 3), proper, turns its axes into this frame's."""
        builder = self.world.builder
        placed = self.place(centre)
        if placed[2] - held.bound_mm < NEAR_MM:
            return
        first, _ = builder.surfaces.add_object(held, background=True)
        turn = self.rotation @ rotation
        builder.add_object(held, transform_rows(held.rows, turn, placed), placed, turn, first)
