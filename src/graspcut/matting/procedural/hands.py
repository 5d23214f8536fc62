"""Hands and held objects of the renderer with antialiased edges: colours and exact alpha in the depth camera's view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND
from graspcut.matting.procedural.canvas import Cutout
from graspcut.synth.rendering.colour_camera import shade
from graspcut.synth.rendering.ray_casting import render
from graspcut.synth.scenes.config import ProfileName, SceneConfig
from graspcut.synth.scenes.scene import sample_scene
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.presets import sensor_preset

SAMPLES = 3
_LONGEST_SEARCH = 20
_WANTED_SHARE = (0.02, 0.6)


@dataclass(frozen=True)
class HandView:
    """A rendered RGB-D frame with exact alpha.

    Attributes:
        colour: (H, W, 3) uint8 RGB, what a colour camera in the depth camera's place sees.
        alpha: (H, W) float32 in 0..1, the part of each pixel that hand or held object covers.
        premultiplied: (H, W, 3) float32 in 0..1, colour of hand and object times alpha.
        clean_depth_mm: (H, W) float32, depth without the sensor's errors.
        stripes: (H, W) float32, for the sensor.
        camera: of both.
        seed: of the sensor's errors.
    """

    colour: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    premultiplied: NDArray[np.float32]
    clean_depth_mm: NDArray[np.float32]
    stripes: NDArray[np.float32]
    camera: Camera
    seed: int

    @cached_property
    def frame(self) -> Frame:
        """The frame with the depth that an SR300 gives and colour registered to it."""
        depth, _ = simulate(self.clean_depth_mm, self.stripes, self.camera.fx, sensor_preset("sr300").config, self.seed)
        return Frame(depth, self.camera, self.colour)


def hand_view(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    with_background: bool = True,
    profile: ProfileName = "v2",
) -> HandView:
    """Renders hands with or without objects; `SAMPLES` x `SAMPLES` rays a pixel.

    Args:
        rng: source of all choices.
        height: in pixels.
        width: in pixels.
        with_background: draw the table, person and walls behind.
        profile: version of the renderer.

    Returns:
        a view in which hand and object cover a visible part of the picture.
    """
    camera = Camera.sr300(width, height)
    fine = camera.resized(width * SAMPLES, height * SAMPLES)
    config = SceneConfig(room=0.0, nothing=0.0, object_only=0.0)
    if not with_background:
        config = replace(config, background_none=1.0)
    for _ in range(_LONGEST_SEARCH):
        scene = sample_scene(rng, camera, config, profile)
        depth, surface = render(scene.geometry, fine)
        label, _, _, colours, stripes = scene.surfaces.columns()
        inside = (label[surface] != BACKGROUND) & (depth > 0)
        if _WANTED_SHARE[0] < float(inside.mean()) < _WANTED_SHARE[1]:
            break
    seed = int(rng.integers(2**31))
    shaded = shade(rng, depth, surface, colours, fine).astype(np.float32) / 255.0
    size = (width, height)
    middle = np.s_[SAMPLES // 2 :: SAMPLES, SAMPLES // 2 :: SAMPLES]
    return HandView(
        colour=np.rint(255 * cv2.resize(shaded, size, interpolation=cv2.INTER_AREA)).astype(np.uint8),
        alpha=np.asarray(cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)),
        premultiplied=np.asarray(cv2.resize(shaded * inside[..., None], size, interpolation=cv2.INTER_AREA)),
        clean_depth_mm=np.ascontiguousarray(depth[middle]),
        stripes=np.ascontiguousarray(stripes[surface[middle]]),
        camera=camera,
        seed=seed,
    )


def hand(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """Hand and object as a foreground."""
    view = hand_view(rng, height, width, with_background=False)
    return Cutout(view.premultiplied.astype(np.float32), view.alpha, "hand")
