"""Rendered hands and objects in real depth frames of an empty place.

The place's own pixels, noise and holes stay as they were recorded; only what is rendered, and the shadow that it
throws, comes from the sensor model. Everything of the place is background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px, given_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.intrinsics import Intrinsics
from graspcut.frames.sources import Source, open_source
from graspcut.synth.rendering.ray_casting import RenderedView
from graspcut.synth.sensors.config import SensorConfig
from graspcut.synth.sensors.depth_sensor import simulate

FloatImage = NDArray[np.float32]

_MOST_FRAMES = 64  # frames of the place that are used, evenly spaced over it
_FARTHEST_MM = 8000.0  # what datasets of rendered frames can store
_LEAST_SHARE = 0.02  # a frame with less depth than this shows no place


@dataclass(frozen=True)
class PlaceConfig:
    """Where the frames of an empty place are.

    Attributes:
        path: Recording, dataset, folder of depth images, or one depth image.
        depth_unit_mm: Millimetres per step of images that do not say it.
        focal_px: Focal length of frames without a camera; 0.745 times the width if not given.
        camera: Intrinsics of these frames instead.
    """

    path: str
    depth_unit_mm: float | None = None
    focal_px: float | None = None
    camera: Intrinsics | str | None = None


class PlaceFrame(NamedTuple):
    """One frame of the place.

    Attributes:
        depth_mm: float32 (H, W), 0 = no data. Not to be written to.
        camera: Intrinsics without distortion.
    """

    depth_mm: FloatImage
    camera: Camera

    def resized(self, width: int, height: int) -> PlaceFrame:
        """The same frame at another size; every depth is one that was measured."""
        if self.depth_mm.shape == (height, width):
            return self
        depth = cv2.resize(self.depth_mm, (width, height), interpolation=cv2.INTER_NEAREST)
        return PlaceFrame(np.asarray(depth, np.float32), self.camera.resized(width, height))

    def cropped(self, camera: Camera) -> PlaceFrame:
        """The window of the frame that a camera cut from this frame's camera sees."""
        x, y = round(self.camera.cx - camera.cx), round(self.camera.cy - camera.cy)
        return PlaceFrame(self.depth_mm[y : y + camera.height, x : x + camera.width], camera)

    def reach_mm(self) -> float:
        """How far hands may be: nearer than most of the place."""
        return float(np.percentile(self.depth_mm[self.depth_mm > 0], 75))


class Place:
    """The frames of an empty place.

    Args:
        config: Where they are.

    Raises:
        FrameError: If they cannot be read, or none has depth.
    """

    def __init__(self, config: PlaceConfig) -> None:
        self.config = config
        camera = given_camera(config.camera, config.focal_px)
        self._source: Source = open_source(config.path, depth_unit_mm=config.depth_unit_mm, camera=camera)
        count = len(self._source)
        if count == 0:
            raise FrameError(f"{config.path} has no frames; expected depth frames of an empty place.")
        self._numbers = np.unique(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int)).tolist()
        self._frames: dict[int, PlaceFrame] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> PlaceFrame:
        """Frame `index` of those that are used.

        Raises:
            FrameError: If it cannot be read or shows nothing.
        """
        if index not in self._frames:
            number = int(self._numbers[index])
            frame = self._source[number]
            depth = np.where(frame.depth_mm <= _FARTHEST_MM, frame.depth_mm, np.float32(0.0))
            if float((depth > 0).mean()) < _LEAST_SHARE:
                raise FrameError(
                    f"frame {self._source.names[number]} of {self.config.path} has hardly any depth; expected frames "
                    "of an empty place. Leave it out."
                )
            height, width = depth.shape
            camera = frame.camera
            if camera is None:
                camera = Camera.from_focal_length(width, height, focal_length_px(None, width))
            plain = Camera(camera.fx, camera.fy, camera.cx, camera.cy, width, height)
            self._frames[index] = PlaceFrame(depth, plain)
        return self._frames[index]


@lru_cache(maxsize=2)
def open_place(config: PlaceConfig) -> Place:
    """The place of a configuration; opened once a process."""
    return Place(config)


class Observed(NamedTuple):
    """What the sensor sees of a scene.

    Attributes:
        depth_mm: float32 (H, W), 0 = no data.
        source: int32 (H, W), flat index of the clean view's pixel that each pixel shows, -1 where there is no data.
    """

    depth_mm: FloatImage
    source: NDArray[np.int32]


def lay_over(place: PlaceFrame, view: RenderedView) -> NDArray[np.bool_]:
    """Put a view before a place, in place: what the place hides, or where nothing is rendered, becomes the place.

    Returns:
        bool (H, W), where something rendered is seen.
    """
    depth, surface = view
    front = (depth > 0) & ((place.depth_mm <= 0) | (depth < place.depth_mm))
    depth[~front] = place.depth_mm[~front]
    surface[~front] = 0
    return np.asarray(front)


def observe(
    place: PlaceFrame,
    view: RenderedView,
    front: NDArray[np.bool_],
    stripes: FloatImage,
    sensor: SensorConfig,
    seed: int,
) -> Observed:
    """What a sensor sees of a view that was laid over a place.

    Args:
        place: The place.
        view: The view after `lay_over`.
        front: What that returned.
        stripes: float32 (H, W), see `depth_sensor.simulate`.
        sensor: The sensor of what is rendered.
        seed: As for `depth_sensor.simulate`.
    """
    focal = place.camera.fx
    depth, source = simulate(view.depth_mm, stripes, focal, sensor, seed)
    alone, _ = simulate(np.ascontiguousarray(place.depth_mm), np.zeros_like(stripes), focal, sensor, seed)
    shows_rendered = (source >= 0) & front.reshape(-1)[np.maximum(source, 0)]
    # What the sensor loses of the place with the hand before it and not without it lies in the hand's shadow.
    lost = (depth == 0) & (front | (alone > 0))
    seen = np.where(shows_rendered | front, depth, np.where(lost, np.float32(0.0), place.depth_mm))
    own = np.arange(depth.size, dtype=np.int32).reshape(depth.shape)
    source = np.where(shows_rendered | front, source, own)
    return Observed(seen, np.where(seen > 0, source, np.int32(-1)))
