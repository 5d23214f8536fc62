"""Labelled frames by index: frame i depends on (configuration, seed, i) alone, whoever renders it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import BACKGROUND, HAND
from graspcut.synth.kernels.compiling import discard_stale_cache, loop
from graspcut.synth.rendering import colour_camera as colour_module
from graspcut.synth.rendering.creases import fill_creases
from graspcut.synth.rendering.ray_casting import RenderedView, render
from graspcut.synth.scenes.config import PROFILES, ProfileName
from graspcut.synth.scenes.rooms import FARTHEST_MM
from graspcut.synth.scenes.scene import PlacedHand, Scene, SceneConfig, sample_scene
from graspcut.synth.sensors.config import SensorConfig
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.names import SensorName
from graspcut.synth.sensors.presets import draw_preset, sensor_preset

discard_stale_cache(__file__)

_NEAREST_SEEN_MM = 100.0


@dataclass(frozen=True)
class SynthConfig:
    """What frames to make.

    Attributes:
        width: Width of the frames in pixels.
        height: Height in pixels.
        profile: Version of the renderer: "v1" makes the frames of the first version again, "v2" shows more places.
        sensor: Preset of the depth sensor, one of `sensors.names.SENSOR_NAMES`; by default "mix", one of all cameras
            for each frame, and "sr300" for profile v1.
        vary_sensor: Draw the strength of every sensor effect, and in profile v2 the focal length, anew for each frame;
            otherwise they are the preset's own.
        held_out_kinds: Held objects are of the kinds kept out of training.
        colour: Render the colour camera too.
        window: (width, height) of a window cut from the frame around a hand, as if the camera had delivered only
            that; or None.
        focal_jitter: Standard deviation of the log focal length; 0 keeps the preset's.
        cut_background: Chance that everything beyond a slab behind the nearest hand is removed, as recordings often
            are.
        scene: How often things occur.
    """

    width: int = 320
    height: int = 240
    profile: ProfileName = "v2"
    sensor: SensorName | None = None
    vary_sensor: bool = True
    held_out_kinds: bool = False
    colour: bool = True
    window: tuple[int, int] | None = None
    focal_jitter: float = 0.0
    cut_background: float = 0.3
    scene: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"profile {self.profile!r} is unknown; known profiles: {', '.join(PROFILES)}")
        if self.sensor is None:
            object.__setattr__(self, "sensor", "sr300" if self.profile == "v1" else "mix")
        if self.sensor == "mix" and self.profile == "v1":
            raise ValueError("profile v1 has one sensor for all frames; choose one, or profile v2 for a mix")
        if self.sensor != "mix":
            sensor_preset(str(self.sensor))
        if self.width < 16 or self.height < 16:
            raise ValueError(f"frames of {self.width}x{self.height} are too small; at least 16x16 is needed")
        if self.window is not None and (self.window[0] > self.width or self.window[1] > self.height):
            raise ValueError(f"window {self.window} does not fit into {self.width}x{self.height}")

    def camera(self) -> Camera:
        """The depth camera of the preset at this size, without window and jitter; an SR300's for "mix"."""
        preset = sensor_preset("sr300" if self.sensor == "mix" else str(self.sensor))
        return _camera(preset.camera, self)


def _camera(make: Callable[[int, int], Camera], config: SynthConfig) -> Camera:
    """A camera of the configured size; an upright one is a camera held upright, so its long side counts."""
    if config.profile == "v1" or config.height <= config.width:
        return make(config.width, config.height)
    lying = make(config.height, config.width)
    return replace(
        lying,
        fx=lying.fy,
        fy=lying.fx,
        cx=lying.cy,
        cy=lying.cx,
        width=config.width,
        height=config.height,
    )


def _draw_sensor(config: SynthConfig, rng: np.random.Generator) -> tuple[Camera, SensorConfig]:
    """The camera and its errors for one frame (profile v2)."""
    preset = draw_preset(rng, str(config.sensor))
    if not config.vary_sensor:
        return _camera(preset.camera, config), _seeing_from(preset.config)
    camera = _camera(lambda width, height: preset.draw_camera(rng, width, height), config)
    return camera, _seeing_from(preset.draw(rng))


def _seeing_from(sensor: SensorConfig) -> SensorConfig:
    """The sensor with a nearest distance: rooms have things that touch the camera, which no camera sees."""
    return replace(sensor, near_mm=max(sensor.near_mm, _NEAREST_SEEN_MM))


def _first_sensor(config: SynthConfig, rng: np.random.Generator) -> SensorConfig:
    """The errors for one frame of profile v1, whose camera is always the preset's."""
    preset = sensor_preset(str(config.sensor))
    return preset.draw(rng) if config.vary_sensor else preset.config


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


@loop
def _look_up(
    surface: np.ndarray, source: np.ndarray, clean: np.ndarray, near: float, far: float,
    label: np.ndarray, instance: np.ndarray, part: np.ndarray,
    labels: np.ndarray, instances: np.ndarray, parts: np.ndarray,
) -> None:  # fmt: skip
    """Write every pixel's labels: those of its source, or, where it has no depth, of what is there from near to far."""
    width = surface.shape[1]
    for v in range(surface.shape[0]):
        for u in range(width):
            i = source[v, u]
            if i < 0 and near <= clean[v, u] <= far:
                i = v * width + u
            if i < 0:
                labels[v, u] = 0
                instances[v, u] = 0
                parts[v, u] = 0
            else:
                s = surface[i // width, i % width]
                labels[v, u] = label[s]
                instances[v, u] = instance[s]
                parts[v, u] = part[s]


def _visible(
    hand: PlacedHand,
    camera: Camera,
    depth: NDArray[np.float32],
    surface: NDArray[np.int32],
    instance: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Whether the surface at each joint's pixel is that hand's flesh around the joint."""
    pixels = np.rint(camera.project(hand.joints_mm)).astype(np.int64)
    inside = (pixels[:, 0] >= 0) & (pixels[:, 0] < camera.width) & (pixels[:, 1] >= 0) & (pixels[:, 1] < camera.height)
    u, v = np.clip(pixels[:, 0], 0, camera.width - 1), np.clip(pixels[:, 1], 0, camera.height - 1)
    z = depth[v, u]
    in_front = hand.joints_mm[:, 2] - z
    return np.asarray(inside & (instance[surface[v, u]] == hand.instance) & (z > 0) & (in_front < hand.radii_mm + 6.0))


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


def _fold(
    rng: np.random.Generator,
    view: RenderedView,
    relief_mm: dict[int, float],
    surfaces: int,
    camera: Camera,
    size_mm: tuple[float, float] = (12.0, 45.0),
) -> None:
    """Add folds to the depth of cloth, hair and skin, in place: smooth noise, longer in one direction.

    Args:
        rng: Source of all choices.
        view: What the camera sees.
        relief_mm: Surfaces with folds, and how deep these are.
        surfaces: How many surfaces there are.
        camera: The camera.
        size_mm: Smallest and largest size of the folds.
    """
    depth, surface = view
    height, width = depth.shape
    relief = np.zeros(surfaces, np.float32)
    for index, amount_mm in relief_mm.items():
        relief[index] = amount_mm
    amplitude = relief[surface]
    folded = amplitude > 0.0
    if not folded.any():
        return
    # Their size in pixels follows the distance of the cloth.
    pixels_per_mm = camera.fx / float(np.median(depth[folded]))
    cells = [max(2, int(side / max(pixels_per_mm * rng.uniform(*size_mm), 2.0))) for side in (height, width)]
    noise = rng.standard_normal((cells[0], cells[1]), dtype=np.float32)
    field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    depth += np.where(folded, amplitude * np.clip(field, -2.5, 2.5), np.float32(0.0))


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
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, index])))
        sensor: SensorConfig | None = None
        if config.profile == "v1":
            camera = config.camera()
        else:
            camera, sensor = _draw_sensor(config, rng)
        if config.focal_jitter > 0.0:
            scale = float(np.exp(np.clip(rng.normal(0, config.focal_jitter), -0.35, 0.35)))
            camera = replace(camera, fx=camera.fx * scale, fy=camera.fy * scale)
        scene_config = replace(config.scene, held_out_kinds=config.held_out_kinds)
        farthest_mm = FARTHEST_MM if sensor is None else sensor.far_mm
        scene = sample_scene(rng, camera, scene_config, config.profile, farthest_mm)
        if config.window is not None:
            camera = _window(camera, config.window, scene.hands, rng)
        return self._observe(rng, scene, camera, sensor, f"{index:06d}")

    def _observe(
        self, rng: np.random.Generator, scene: Scene, camera: Camera, sensor: SensorConfig | None, name: str
    ) -> LabelledFrame:
        config = self.config
        view = render(scene.geometry, camera, _views.get("depth", camera))
        clean, surface = view
        surfaces = scene.surfaces
        label, instance, part, colours, stripes = surfaces.columns()
        if surfaces.skin_relief_mm:
            fill_creases(view, (label == HAND).astype(np.uint8), camera.fx)
            _fold(rng, view, surfaces.skin_relief_mm, len(label), camera, (3.0, 11.0))
        _fold(rng, view, surfaces.relief_mm, len(label), camera)
        if sensor is None:
            sensor = _first_sensor(config, rng)
        depth, source = simulate(clean, stripes[surface], camera.fx, sensor, int(rng.integers(2**31)))
        farthest_mm = sensor.far_mm
        if rng.random() < config.cut_background:
            farthest_mm = min(farthest_mm, self._cut(rng, depth, source, clean[label[surface] != BACKGROUND]))
        # In shadows and holes the first version called everything background, on one side of every outline.
        nearest_mm = np.inf if config.profile == "v1" else max(sensor.near_mm, 1.0)
        labels, instances, parts = (np.empty(depth.shape, np.uint8) for _ in range(3))
        _look_up(surface, source, clean, nearest_mm, farthest_mm, label, instance, part, labels, instances, parts)
        colour = None
        camera_of_colour = None
        if config.colour:
            camera_of_colour = colour_module.colour_camera(camera.width)
            beside = scene.geometry.translated(np.array(camera_of_colour.translation_mm))
            z, hit = render(beside, camera_of_colour, _views.get("colour", camera_of_colour))
            colour = colour_module.shade(rng, z, hit, colours, camera_of_colour)
        visible = [_visible(hand, camera, clean, surface, instance) for hand in scene.hands]
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
