"""Draws the scene in front of a depth camera."""

from __future__ import annotations

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.hands.skinned import SkinnedHand
from graspcut.synth.objects.catalogue import HeldObject
from graspcut.synth.objects.own_kinds import OwnKinds
from graspcut.synth.scenes.builder import PlacedHand, Scene, SceneBuilder
from graspcut.synth.scenes.close_up import add_close_up
from graspcut.synth.scenes.config import ProfileName, SceneConfig
from graspcut.synth.scenes.rooms import FARTHEST_MM, add_room
from graspcut.synth.scenes.tables import add_people_at_table

__all__ = ["PlacedHand", "Scene", "SceneConfig", "sample_scene"]


def sample_scene(
    rng: np.random.Generator,
    camera: Camera,
    config: SceneConfig,
    profile: ProfileName = "v2",
    farthest_mm: float = FARTHEST_MM,
    own_objects: tuple[HeldObject | OwnKinds, ...] = (),
    own_hands: tuple[SkinnedHand, ...] = (),
) -> Scene:
    """Draw a scene.

    Args:
        rng: Source of all choices.
        camera: The depth camera.
        config: How often things occur.
        profile: Which version of the renderer draws it.
        farthest_mm: How far the depth camera sees.
        own_objects: Objects of the user's, from `objects.files.read_own`.
        own_hands: Skinned meshes that some of the hands are drawn with.
    """
    builder = SceneBuilder(rng, config, camera, profile, own_objects, own_hands)
    if profile == "v1":
        add_close_up(builder)
        return builder.finish()
    chance = rng.random()
    if chance < config.room:
        add_room(builder, farthest_mm)
    elif chance < config.room + config.people_at_table:
        add_people_at_table(builder, farthest_mm)
    else:
        add_close_up(builder)
    return builder.finish()
