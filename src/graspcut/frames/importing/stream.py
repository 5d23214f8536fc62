"""What every reader of a foreign file gives: calibration, unit, and its frames in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError

# A step for depth that comes in floating point: the SR300's eighth of a millimetre, up to 8.19 m in 16 bits.
FLOAT_UNIT_MM = 0.125


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """One frame: raw depth (H, W) uint16, colour (H', W', 3) uint8 RGB or None, seconds or None."""

    depth_raw: NDArray[np.uint16]
    colour: NDArray[np.uint8] | None
    timestamp_s: float | None


@dataclass
class Stream:
    """A source that is opened.

    Attributes:
        frames: Yields the frames in order; consumed once.
        depth_unit_mm: Millimetres per step.
        camera: Depth camera, or None if unknown.
        colour_camera: Colour camera beside it; None = colour is registered, or there is none.
        expected: Depth frames that the source says it holds; None if it does not say.
        notes: What a person should know; may grow while frames are read.
        damaged: One line for each frame that could not be read; grows while frames are read.
        close: Frees the source.
    """

    frames: Callable[[], Iterator[StreamFrame]]
    depth_unit_mm: float
    camera: Camera | None = None
    colour_camera: Camera | None = None
    expected: int | None = None
    notes: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


class Pairing:
    """Gives each depth frame the picture nearest in time, from two streams that do not come in step.

    A depth frame waits until a picture that is not older has come, then its nearest one is known; not for ever, because
    pictures may be missing.

    Args:
        has_colour: Whether pictures come at all.
        tolerance_s: Pictures farther away in time belong to no depth frame.
        most_waiting: Depth frames that wait at the same time.
    """

    def __init__(self, has_colour: bool, tolerance_s: float, most_waiting: int = 60) -> None:
        self._has_colour, self._tolerance_s, self._most = has_colour, tolerance_s, most_waiting
        self._waiting: list[tuple[float, NDArray[np.uint16]]] = []
        self._colours: list[tuple[float, NDArray[np.uint8]]] = []

    def add_depth(self, seconds: float, raw: NDArray[np.uint16]) -> None:
        """Takes a depth frame."""
        self._waiting.append((seconds, raw))

    def add_colour(self, seconds: float, picture: NDArray[np.uint8]) -> None:
        """Takes a picture."""
        self._colours.append((seconds, picture))

    def ready(self, *, end: bool = False) -> Iterator[StreamFrame]:
        """Frames that need not wait any more; at the end, all of them."""
        while self._waiting:
            seconds = self._waiting[0][0]
            known = not self._has_colour or (self._colours and self._colours[-1][0] >= seconds)
            if not (known or end or len(self._waiting) > self._most):
                return
            yield self._paired(*self._waiting.pop(0))

    def _paired(self, seconds: float, raw: NDArray[np.uint16]) -> StreamFrame:
        colours = self._colours
        while len(colours) > 1 and abs(colours[1][0] - seconds) <= abs(colours[0][0] - seconds):
            colours.pop(0)
        near = colours[0][1] if colours and abs(colours[0][0] - seconds) < self._tolerance_s else None
        return StreamFrame(raw, near, seconds)


def metres_to_raw(depth_m: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Metres to steps of `FLOAT_UNIT_MM`; NaN, infinity, negative and what does not fit 16 bits become 0 = no data."""
    steps = np.rint(np.nan_to_num(depth_m.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) * 1000 / FLOAT_UNIT_MM)
    return np.where((steps > 0) & (steps <= 65535), steps, 0).astype(np.uint16)


def with_fitted_distortion(
    camera: Camera, distort: Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], ...]]
) -> tuple[Camera, float]:
    """The camera with the inverse Brown-Conrady distortion that comes nearest to another lens model.

    Other programs describe how a ray is bent on its way to a pixel; `Camera` describes the way back. The way back is
    found by iteration on a grid of pixels; its polynomial is linear in the coefficients, so one least-squares fit does.

    Args:
        camera: Without distortion.
        distort: Normalised ray (x, y) -> normalised image (x', y'), arrays in, arrays out.

    Returns:
        The camera, and the largest error of the fit in pixels.

    Raises:
        FrameError: If the model cannot be inverted in the image.
    """
    columns, rows = np.meshgrid(np.linspace(0, camera.width - 1, 40), np.linspace(0, camera.height - 1, 30))
    image_x, image_y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    ray_x, ray_y = image_x.copy(), image_y.copy()
    for _ in range(60):
        bent_x, bent_y = distort(ray_x, ray_y)
        ray_x, ray_y = ray_x + (image_x - bent_x), ray_y + (image_y - bent_y)
    bent_x, bent_y = distort(ray_x, ray_y)
    if not (np.isfinite(ray_x).all() and np.abs(bent_x - image_x).max() + np.abs(bent_y - image_y).max() < 1e-6):
        raise FrameError(
            "the lens model of the file cannot be inverted inside its image; expected a calibrated camera."
        )
    x, y = image_x.ravel(), image_y.ravel()
    square = x * x + y * y
    columns_x = (x * square, x * square**2, 2 * x * y, square + 2 * x * x, x * square**3)
    columns_y = (y * square, y * square**2, square + 2 * y * y, 2 * x * y, y * square**3)
    system = np.concatenate([np.stack(columns_x, axis=1), np.stack(columns_y, axis=1)])
    wanted = np.concatenate([ray_x.ravel() - x, ray_y.ravel() - y])
    coefficients, *_ = np.linalg.lstsq(system, wanted, rcond=None)
    error = float(np.abs(system @ coefficients - wanted).max()) * camera.fx
    values = camera.to_dict() | {"distortion": [float(value) for value in coefficients]}
    return Camera.from_dict(values), error


def brown_conrady(
    k: tuple[float, ...], p1: float, p2: float
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], ...]]:
    """OpenCV's lens model with k1..k6 (rational) and the tangential p1, p2: ray -> image."""
    k1, k2, k3, k4, k5, k6 = (*k, *([0.0] * 6))[:6]

    def distort(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        square = x * x + y * y
        factor = (1 + square * (k1 + square * (k2 + square * k3))) / (1 + square * (k4 + square * (k5 + square * k6)))
        return (
            x * factor + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * factor + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        )

    return distort


def decoded_colour(data: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a JPEG or PNG in memory."""
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise FrameError(f"{name} is no picture that can be decoded.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
