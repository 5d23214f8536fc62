"""Motion between two depth frames: where each pixel was in the frame before, and whether the depths agree there.

Optical flow needs pictures. Depth becomes one by its distance behind what is nearest, so a hand that comes closer keeps
its brightness, and what lies far behind the hands is flat. The flow is OpenCV's dense inverse search (Kroeger et al.,
"Fast Optical Flow using Dense Inverse Search", 2016).

Numpy and OpenCV only.
"""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PICTURE_RANGE_MM = 250.0
_NEAREST_BRIGHTNESS, _FARTHEST_BRIGHTNESS = 255.0, 40.0
_NEAREST_SHARE = 0.02
_FINEST_SCALE = 2  # of OpenCV's preset "fast"
_SMALLEST_SIDE_PX = 16  # dense inverse search needs a few of its 8-pixel patches
# Below this OpenCV 5.0 looks at the width alone to choose its coarsest scale, and reads outside of a low, wide picture.
_SAFE_SIDE_PX = 32

_engines = threading.local()


def nearest_depth_mm(depth_mm: NDArray[np.float32]) -> float:
    """The depth that two percent of the valid pixels fall below; one flying pixel does not move it.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.

    Returns:
        millimetres, or 0 without any valid pixel.
    """
    sampled = depth_mm[::4, ::4]
    valid = sampled[sampled > 0]
    if valid.size == 0:
        return 0.0
    position = int(_NEAREST_SHARE * (valid.size - 1))
    return float(np.partition(valid, position)[position])


def flow_picture(depth_mm: NDArray[np.float32], nearest_mm: float) -> NDArray[np.uint8]:
    """Depth as brightness: what is nearest is 255, what is 250 mm or more behind it is 40, no data is 0.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        nearest_mm: see `nearest_depth_mm`.
    """
    slope = (_NEAREST_BRIGHTNESS - _FARTHEST_BRIGHTNESS) / PICTURE_RANGE_MM
    brightness = np.clip(
        _NEAREST_BRIGHTNESS - slope * (depth_mm - np.float32(nearest_mm)), _FARTHEST_BRIGHTNESS, _NEAREST_BRIGHTNESS
    )
    return np.where(depth_mm > 0, brightness, np.float32(0)).astype(np.uint8)


def backward_flow(picture: NDArray[np.uint8], previous: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where each pixel was in the picture before.

    Args:
        picture: (H, W) uint8.
        previous: (H, W) uint8, the frame before.

    Returns:
        (H, W, 2) float32: the pixel (x, y) was at (x, y) + flow[y, x] in `previous`. Zero for pictures that are smaller
        than 16 pixels.
    """
    height, width = picture.shape
    if min(height, width) < _SMALLEST_SIDE_PX:
        return np.zeros((height, width, 2), np.float32)
    engine = getattr(_engines, "fast", None)
    if engine is None:  # an engine keeps buffers: one for each thread
        engine = _engines.fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # A picture too small for the preset's finest scale makes OpenCV choose another, and keep it for all that follow.
    engine.setFinestScale(_FINEST_SCALE)
    if min(height, width) < _SAFE_SIDE_PX:
        below, right = max(0, _SAFE_SIDE_PX - height), max(0, _SAFE_SIDE_PX - width)
        picture, previous = (np.pad(image, ((0, below), (0, right)), mode="edge") for image in (picture, previous))
    found = engine.calc(picture, previous, None)  # type: ignore[call-overload]
    return np.asarray(found[:height, :width], dtype=np.float32)


def sample_along(maps: NDArray[np.float32], flow: NDArray[np.float32], *, nearest: bool = False) -> NDArray[np.float32]:
    """Values of the frame before, brought to where their pixels are now.

    Args:
        maps: (H, W) or (H, W, C) float32 of the frame before.
        flow: (H, W, 2) from `backward_flow`.
        nearest: take the nearest pixel instead of mixing four, as depth needs it.

    Returns:
        the same shape; 0 where the pixel came from outside.
    """
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, np.newaxis]
    found: NDArray[Any] = cv2.remap(
        maps, x, y, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return found.reshape(maps.shape).astype(np.float32, copy=False)


def depths_agree(
    depth_mm: NDArray[np.float32],
    previous_mm: NDArray[np.float32],
    flow: NDArray[np.float32],
    *,
    tolerance_mm: float,
) -> NDArray[np.bool_]:
    """Whether a pixel shows the same surface as in the frame before.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        previous_mm: (H, W), the frame before.
        flow: (H, W, 2) from `backward_flow`.
        tolerance_mm: largest change of depth from one frame to the next.

    Returns:
        (H, W) bool; False where either has no depth.
    """
    before = sample_along(previous_mm, flow, nearest=True)
    return np.asarray((depth_mm > 0) & (before > 0) & (np.abs(depth_mm - before) < tolerance_mm))
