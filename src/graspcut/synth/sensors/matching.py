"""What a camera resolves before its errors: a stereo matcher's window, a lens's blur, a scanner's coarse points.

All of it acts on the clean depth and says, for every pixel, from which clean pixel the value comes, so that labels
follow: where the matcher makes a finger wider, the wider part is finger.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from graspcut.synth.kernels.compiling import loop, subroutine
from graspcut.synth.kernels.random_numbers import lattice
from graspcut.synth.sensors.config import SensorConfig

FloatImage = npt.NDArray[np.float32]
IndexImage = npt.NDArray[np.int32]

_NOTHING = np.float32(1e9)  # depth of pixels without data where the nearest counts
_SAME_MM, _SAME_SHARE = 4.0, 0.004  # a value that differs from a clean depth by less than both together is that one's
_SHARPENING = 3.0  # how much steeper than bilinear interpolation a scanner's depth falls from near to far
_BEND_MM = 15.0  # where a cell differs so much from the mean of those around it there is such a fall
_LATTICE_SCALE = np.float32(2.03)  # standard deviation 1 for cubic interpolation between numbers in [-1, 1)


@subroutine
def _find_source(clean: np.ndarray, v: int, u: int, z: float, tolerance: float, reach: int) -> int:
    """Flat index of the nearest clean pixel of about this depth; without one, of that with the best depth."""
    height, width = clean.shape
    own = np.float64(clean[v, u])
    least = abs(own - z) if own > 0.0 else 1e9
    best = v * width + u
    for ring in range(1, reach + 1):
        if least <= tolerance:
            break
        for j in range(max(v - ring, 0), min(v + ring + 1, height)):
            step = 1 if abs(j - v) == ring else 2 * ring
            for i in range(u - ring, u + ring + 1, step):
                if 0 <= i < width:
                    other = np.float64(clean[j, i])
                    # Of equally good ones the nearest: distance in the image counts a little.
                    difference = abs(other - z) + 0.1 * ((j - v) ** 2 + (i - u) ** 2)
                    if other > 0.0 and difference < least:
                        least = difference
                        best = j * width + i
    return int(best)


@loop
def _find_sources(clean: np.ndarray, value: np.ndarray, reach: int, source: np.ndarray) -> None:
    """Write for every pixel the index of the clean pixel that it shows, within `reach` pixels."""
    height, width = clean.shape
    for v in range(height):
        for u in range(width):
            z = np.float64(value[v, u])
            source[v, u] = v * width + u
            if z > 0.0:
                tolerance = _SAME_MM + _SAME_SHARE * z
                if abs(np.float64(clean[v, u]) - z) > tolerance:
                    source[v, u] = _find_source(clean, v, u, z, tolerance, reach)


def _widen(depth: FloatImage, radius: float) -> FloatImage:
    """Near surfaces grow by a radius in pixels, as their rim decides what a matcher's window shows."""
    side = 2 * round(radius) + 1
    if side == 1:
        return depth
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    grown = np.asarray(cv2.erode(np.where(depth > 0.0, depth, _NOTHING), kernel), np.float32)
    return np.where(grown < _NOTHING, grown, np.float32(0.0))


def _average(depth: FloatImage, radius: float, step_mm: float) -> FloatImage:
    """The mean disparity of a window, where it is within a step of the pixel's own depth."""
    side = 2 * round(radius) + 1
    if side == 1:
        return depth
    valid = (depth > 0.0).astype(np.float32)
    inverse = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0.0)
    share = cv2.blur(valid, (side, side))
    mean = np.divide(share, cv2.blur(inverse, (side, side)), out=np.zeros_like(depth), where=depth > 0.0)
    return np.where(np.abs(mean - depth) < step_mm, mean, depth)


def _scan(depth: FloatImage, cell: float) -> FloatImage:
    """Depth measured in cells of some pixels and interpolated: smooth, with rounded outlines."""
    height, width = depth.shape
    size = (max(round(width / cell), 2), max(round(height / cell), 2))
    valid = (depth > 0.0).astype(np.float32)
    data = cv2.resize(valid, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    coarse = np.divide(total, data, out=np.zeros_like(total), where=data > 0.3)
    around = np.ones((3, 3), np.uint8)
    far = cv2.dilate(coarse, around)
    filled = np.where(coarse > 0.0, coarse, far)
    near = np.minimum(cv2.erode(np.where(coarse > 0.0, coarse, _NOTHING), around), far)
    # On a plane, however tilted, a cell is the mean of those around it; beside a step it is not.
    bend = np.abs(filled - cv2.blur(filled, (3, 3)))
    if min(bend.shape) > 2:  # at the image's rim there are none around it
        bend = np.pad(bend[1:-1, 1:-1], 1, mode="edge")
    bend = cv2.dilate(bend, around)
    near = np.where(bend > _BEND_MM, near, far)
    smooth = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    near = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST)
    far = cv2.resize(far, (width, height), interpolation=cv2.INTER_NEAREST)
    fall = far - near
    share = np.divide(smooth - near, fall, out=np.zeros_like(smooth), where=fall > 0.0)
    steep = near + fall * np.clip((share - 0.5) * np.float32(_SHARPENING) + 0.5, 0.0, 1.0)
    seen = cv2.resize(data, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    value = np.where(fall > 0.0, steep, smooth)
    return np.where(seen, value, np.float32(0.0)).astype(np.float32)


def resolve(depth: FloatImage, config: SensorConfig, scale: float) -> tuple[FloatImage, IndexImage]:
    """What the camera's optics and matcher make of a clean depth image.

    Args:
        depth: (H, W) float32 mm, 0 = nothing there.
        config: The sensor.
        scale: Pixels of this image a pixel of `config`'s lengths.

    Returns:
        Depth (H, W) float32 mm, and for each pixel the flat index of the clean pixel that it shows.
    """
    value = depth
    if config.cell_px > 0.0:
        value = _scan(value, max(config.cell_px * scale, 1.5))
    value = _widen(value, config.window_px * scale)
    value = _average(value, config.blur_px * scale, config.blur_step_mm)
    source = np.empty(depth.shape, np.int32)
    reach = 1 + int(np.ceil(max(config.window_px + config.blur_px, 1.5 * config.cell_px) * scale))
    _find_sources(depth, value, reach, source)
    return np.ascontiguousarray(value), source


def add_waves(depth: FloatImage, config: SensorConfig, scale: float, key: int) -> None:
    """Add, in place, noise in disparity that is correlated over several pixels: sigma [mm] = quadratic z^2, z in m."""
    height, width = depth.shape
    cell = max(config.wave_px * scale, 1.0)
    size = (int(height / cell) + 2, int(width / cell) + 2)
    field = cv2.resize(lattice(key, *size, 1)[..., 0], (width, height), interpolation=cv2.INTER_CUBIC)
    metres = depth * np.float32(1e-3)
    depth += metres * metres * field * np.float32(config.wave_quadratic * _LATTICE_SCALE)
    np.maximum(depth, 0.0, out=depth)
