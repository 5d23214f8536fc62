"""Draws the scene in front of a depth camera."""

from __future__ import annotations

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.scenes.builder import PlacedHand, Scene, SceneBuilder
from graspcut.synth.scenes.close_up import add_close_up
from graspcut.synth.scenes.config import SceneConfig

__all__ = ["PlacedHand", "Scene", "SceneConfig", "sample_scene"]


def sample_scene(rng: np.random.Generator, camera: Camera, config: SceneConfig) -> Scene:
    """Draw a scene for a depth camera of the given view."""
    builder = SceneBuilder(rng, config, camera)
    add_close_up(builder)
    return builder.finish()
