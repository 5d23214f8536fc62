"""Labelled frames by index: frame i depends on (configuration, seed, i) alone, whoever renders it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import BACKGROUND, HAND
from graspcut.synth.hands.skinned import read_skinned_hands
from graspcut.synth.labelling import look_up, visible_joints
from graspcut.synth.objects.files import read_own
from graspcut.synth.place import PlaceConfig, PlaceFrame, lay_over, observe, open_place
from graspcut.synth.rendering import colour_camera as colour_module
from graspcut.synth.rendering.creases import fill_creases
from graspcut.synth.rendering.ray_casting import RenderedView, render
from graspcut.synth.rendering.relief import add_folds
from graspcut.synth.scenes.motion import moved, sample_paths
from graspcut.synth.scenes.rooms import FARTHEST_MM
from graspcut.synth.scenes.scene import PlacedHand, Scene, SceneConfig, sample_scene
from graspcut.synth.sensors.config import SensorConfig
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.presets import draw_preset, sensor_preset
from graspcut.synth.settings import SynthConfig, held_camera

__all__ = ["FrameGenerator", "SynthConfig"]

FRAMES_PER_SECOND = 30.0
_NEAREST_SEEN_MM = 100.0
_BEFORE_THE_HAND_MM = 60.0  # how much nearer than its middle a hand or its arm mostly reaches


def _draw_sensor(config: SynthConfig, rng: np.random.Generator) -> tuple[Camera, SensorConfig]:
    """The camera and its errors for one frame (profile v2)."""
    preset = draw_preset(rng, str(config.sensor))
    if not config.vary_sensor:
        return held_camera(preset.camera, config), _seeing_from(preset.config)
    camera = held_camera(lambda width, height: preset.draw_camera(rng, width, height), config)
    return camera, _seeing_from(preset.draw(rng))


def _seeing_from(sensor: SensorConfig) -> SensorConfig:
    """The sensor with a nearest distance: rooms have things that touch the camera, which no camera sees."""
    return replace(sensor, near_mm=max(sensor.near_mm, _NEAREST_SEEN_MM))


def _first_sensor(config: SynthConfig, rng: np.random.Generator) -> SensorConfig:
    """The errors for one frame of profile v1, whose camera is always the preset's."""
    preset = sensor_preset(str(config.sensor))
    return preset.draw(rng) if config.vary_sensor else preset.config


def _before_a_place(scene: SceneConfig, reach_mm: float) -> SceneConfig:
    """Close-ups without a background of their own, nearer than most of the place."""
    farthest = min(scene.farthest_mm, 0.92 * reach_mm) if reach_mm < 1500.0 else max(scene.farthest_mm, 0.6 * reach_mm)
    farthest = max(farthest, 300.0)
    return replace(
        scene,
        room=0.0,
        people_at_table=0.0,
        nothing=max(scene.nothing, 0.1),
        background_none=1.0,
        nearest_mm=min(scene.nearest_mm, 0.7 * farthest),
        farthest_mm=farthest,
    )


def _window(camera: Camera, size: tuple[int, int], hands: tuple[PlacedHand, ...], rng: np.random.Generator) -> Camera:
    """A window of the camera's image, mostly with a hand in it."""
    width, height = size
    if hands and rng.random() < 0.9:
        joints = hands[int(rng.integers(len(hands)))].joints_mm
        u, v = camera.project(joints[9])
        u += rng.normal(0, 0.22) * width
        v += rng.normal(0, 0.22) * height
    else:
        u, v = rng.uniform(0, camera.width), rng.uniform(0, camera.height)
    x = int(np.clip(u - width / 2, 0, camera.width - width))
    y = int(np.clip(v - height / 2, 0, camera.height - height))
    return camera.cropped(x, y, width, height)


class _Views(threading.local):
    """Arrays for the depth camera's and the colour camera's clean view, one set a thread."""

    def __init__(self) -> None:
        self._views: dict[str, RenderedView] = {}

    def get(self, name: str, camera: Camera) -> RenderedView:
        view = self._views.get(name)
        if view is None or view.depth_mm.shape != (camera.height, camera.width):
            view = self._views[name] = RenderedView.empty(camera)
        return view


_views = _Views()


class FrameGenerator:
    """Endless labelled frames; `generator[i]` renders frame i.

    Args:
        config: What frames to make.
        seed: Same seed, same frames.
    """

    def __init__(self, config: SynthConfig | None = None, seed: int = 0) -> None:
        self.config = config if config is not None else SynthConfig()
        self.seed = seed

    def __getitem__(self, index: int) -> LabelledFrame:
        if index < 0:
            raise IndexError(f"frame {index}: frames are numbered from 0")
        config = self.config
        # All frames of a clip draw the same scene, camera, sensor and folds.
        clip, step = divmod(index, config.clip_frames)
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, clip])))
        sensor: SensorConfig | None = None
        if config.profile == "v1":
            camera = config.camera()
        else:
            camera, sensor = _draw_sensor(config, rng)
        if config.focal_jitter > 0.0:
            scale = float(np.exp(np.clip(rng.normal(0, config.focal_jitter), -0.35, 0.35)))
            camera = replace(camera, fx=camera.fx * scale, fy=camera.fy * scale)
        scene_config = replace(config.scene, held_out_kinds=config.held_out_kinds)
        farthest_mm = FARTHEST_MM
        if sensor is not None:
            farthest_mm = sensor.far_mm
            # A hand too near to be measured is only a hole; a little of that is left.
            nearest_mm = max(scene_config.nearest_mm, sensor.near_mm + _BEFORE_THE_HAND_MM)
            scene_config = replace(scene_config, nearest_mm=min(nearest_mm, scene_config.farthest_mm))
        place: PlaceFrame | None = None
        if config.place is not None and sensor is not None:
            place = self._place(rng, config.place)
            camera, reach = place.camera, place.reach_mm()
            scene_config = _before_a_place(scene_config, reach)
            sensor = replace(sensor, far_mm=max(sensor.far_mm, min(1.2 * reach, 8000.0)))
        hands = () if config.hand_mesh is None else read_skinned_hands(config.hand_mesh)
        own = tuple(read_own(file) for file in config.objects)
        scene = sample_scene(rng, camera, scene_config, config.profile, farthest_mm, own, hands)
        if config.window is not None:
            camera = _window(camera, config.window, scene.hands, rng)
            place = None if place is None else place.cropped(camera)
        if config.clip_frames == 1:
            return self._observe(rng, scene, camera, sensor, f"{index:06d}", place)
        time_s = step / FRAMES_PER_SECOND
        scene = moved(scene, sample_paths(rng, scene), time_s)
        labelled = self._observe(rng, scene, camera, sensor, f"{index:06d}", place, step)
        return replace(labelled, frame=replace(labelled.frame, timestamp_s=index / FRAMES_PER_SECOND))

    def _place(self, rng: np.random.Generator, config: PlaceConfig) -> PlaceFrame:
        """A frame of the place, as large as the frames to make."""
        place = open_place(config)
        return place[int(rng.integers(len(place)))].resized(self.config.width, self.config.height)

    def _observe(
        self, rng: np.random.Generator, scene: Scene, camera: Camera, sensor: SensorConfig | None,
        name: str, place: PlaceFrame | None = None, noise: int = 0,
    ) -> LabelledFrame:  # fmt: skip
        config = self.config
        view = render(scene.geometry, camera, _views.get("depth", camera))
        clean, surface = view
        surfaces = scene.surfaces
        label, instance, part, colours, stripes = surfaces.columns()
        if surfaces.skin_relief_mm:
            fill_creases(view, (label == HAND).astype(np.uint8), camera.fx)
            add_folds(rng, view, surfaces.skin_relief_mm, len(label), camera, (3.0, 11.0))
        add_folds(rng, view, surfaces.relief_mm, len(label), camera)
        if sensor is None:
            sensor = _first_sensor(config, rng)
        seed = int(rng.integers(2**31)) + noise  # a clip's frames differ in the sensor's noise alone
        if place is None:
            depth, source = simulate(clean, stripes[surface], camera.fx, sensor, seed)
        else:
            front = lay_over(place, view)
            depth, source = observe(place, view, front, stripes[surface], sensor, seed)
        farthest_mm = sensor.far_mm
        if place is None and rng.random() < config.cut_background:
            farthest_mm = min(farthest_mm, self._cut(rng, depth, source, clean[label[surface] != BACKGROUND]))
        # In shadows and holes the first version called everything background, on one side of every outline.
        nearest_mm = np.inf if config.profile == "v1" else max(sensor.near_mm, 1.0)
        labels, instances, parts = (np.empty(depth.shape, np.uint8) for _ in range(3))
        look_up(surface, source, clean, nearest_mm, farthest_mm, label, instance, part, labels, instances, parts)
        colour = None
        camera_of_colour = None
        if config.colour and place is None:  # nobody has seen the place in this camera's colours
            camera_of_colour = colour_module.colour_camera(camera.width)
            beside = scene.geometry.translated(np.array(camera_of_colour.translation_mm))
            z, hit = render(beside, camera_of_colour, _views.get("colour", camera_of_colour))
            colour = colour_module.shade(rng, z, hit, colours, camera_of_colour)
        visible = [visible_joints(hand, camera, clean, surface, instance) for hand in scene.hands]
        return LabelledFrame(
            frame=Frame(
                depth, camera=camera, colour=colour, colour_camera=camera_of_colour, timestamp_s=None, name=name
            ),
            labels=labels,
            instances=instances,
            parts=parts,
            joints_mm=np.array([h.joints_mm for h in scene.hands], np.float32).reshape(-1, 21, 3),
            joints_visible=np.array(visible, bool).reshape(-1, 21),
            instance_table=tuple(scene.surfaces.instances),
        )

    @staticmethod
    def _cut(
        rng: np.random.Generator,
        depth: NDArray[np.float32],
        source: NDArray[np.int32],
        foreground: NDArray[np.float32],
    ) -> float:
        """Remove, in place, what lies beyond a slab behind the nearest of the foreground's depths (n,).

        Returns:
            Where the slab ends, mm.
        """
        if foreground.size < 50:
            return float("inf")
        limit = float(np.partition(foreground, foreground.size // 50)[foreground.size // 50]) + rng.uniform(130, 420)
        beyond = depth > limit
        depth[beyond] = 0.0
        source[beyond] = -1
        return limit
