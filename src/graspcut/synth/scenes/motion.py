"""Moving scenes: every hand moves with what it holds along a smooth path of its own, ids stay."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graspcut.synth.hands.grasp import random_rotation
from graspcut.synth.objects.catalogue import transform_rows
from graspcut.synth.rendering.culling import BOUND_CENTRE
from graspcut.synth.rendering.primitives import Float64Array, transform_flesh
from graspcut.synth.scenes.builder import Scene

_REACH_MM = (15.0, 110.0)
_TURN_RAD = (0.03, 0.45)
_PERIODS_S = (0.7, 4.0)
_WAVES = 3
_TOGETHER = 0.5  # chance that two hands move alike, as when they hold one thing


def _logarithmic(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Path:
    """A smooth motion about a place: sums of sines, 0 at time 0.

    Attributes:
        amplitudes: float64 (waves, 6): translation in mm, then turn in radians about the axes of `frame`.
        periods_s: float64 (waves,).
        phases: float64 (waves, 6).
        frame: float64 (3, 3), axes of the turns.
    """

    amplitudes: Float64Array
    periods_s: Float64Array
    phases: Float64Array
    frame: Float64Array

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Path:
        """Draw a path: some hands hardly move, some fast."""
        reach, turn = _logarithmic(rng, *_REACH_MM), _logarithmic(rng, *_TURN_RAD)
        sizes = np.concatenate([np.full(3, reach), np.full(3, turn)])
        return cls(
            rng.normal(0, 0.5, (_WAVES, 6)) * sizes,
            np.array([_logarithmic(rng, *_PERIODS_S) for _ in range(_WAVES)]),
            rng.uniform(0, 2 * np.pi, (_WAVES, 6)),
            random_rotation(rng),
        )

    def at(self, time_s: float) -> tuple[Float64Array, Float64Array]:
        """Rotation (3, 3) and translation (3,) in mm at a time."""
        angle = 2 * np.pi * time_s / self.periods_s[:, None] + self.phases
        moved = (self.amplitudes * (np.sin(angle) - np.sin(self.phases))).sum(axis=0)
        vector = self.frame @ moved[3:]
        size = float(np.linalg.norm(vector))
        axis = vector / max(size, 1e-12)
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        # Rodrigues' formula.
        return np.eye(3) + np.sin(size) * cross + (1 - np.cos(size)) * cross @ cross, moved[:3]


def sample_paths(rng: np.random.Generator, scene: Scene) -> tuple[Path, ...]:
    """One path a hand; two hands often move alike."""
    paths = [Path.sample(rng) for _ in scene.bodies]
    if len(paths) > 1 and rng.random() < _TOGETHER:
        paths = [paths[0]] * len(paths)
    return tuple(paths)


def moved(scene: Scene, paths: tuple[Path, ...], time_s: float) -> Scene:
    """The scene at a time: hands and what they hold turned about the hand's middle and moved, all else as it was."""
    geometry = scene.geometry
    primitives, components = geometry.primitives.copy(), geometry.components.copy()
    objects, meshes, hands = geometry.objects.copy(), list(geometry.meshes), list(scene.hands)
    for number, (body, path) in enumerate(zip(scene.bodies, paths, strict=True)):
        rotation, translation = path.at(time_s)
        pivot = scene.hands[number].joints_mm.mean(axis=0)
        shift = pivot - rotation @ pivot + translation
        primitives[body.primitives] = transform_flesh(primitives[body.primitives], rotation, shift)
        components[body.components] = transform_rows(components[body.components], rotation, shift)
        centres = objects[body.objects, BOUND_CENTRE : BOUND_CENTRE + 3]
        objects[body.objects, BOUND_CENTRE : BOUND_CENTRE + 3] = centres @ rotation.T + shift
        meshes[body.meshes] = [mesh.transformed(rotation, shift) for mesh in meshes[body.meshes]]
        hands[number] = replace(hands[number], joints_mm=hands[number].joints_mm @ rotation.T + shift)
    return replace(
        scene, geometry=replace(geometry, primitives=primitives, components=components, objects=objects,
        meshes=tuple(meshes)), hands=tuple(hands),
    )  # fmt: skip
