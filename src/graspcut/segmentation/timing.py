"""How fast a segmenter is on this machine."""

from __future__ import annotations

import time

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.segmentation.batch import FrameSegmenter

SIZES = ((320, 240), (640, 480))


def median_frame_ms(segmenter: FrameSegmenter, width: int, height: int, *, repeats: int = 7) -> float:
    """Median time from depth to labels of one frame, in milliseconds; one call before the clock starts.

    The frame is a slope with a ball before it: the time does not depend on what is in the picture.

    Args:
        segmenter: Labels one frame.
        width, height: Size of the frame in pixels.
        repeats: Measured calls.
    """
    camera = Camera.sr300(width, height)
    column, row = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    depth = (600.0 + 100.0 * row / height).astype(np.float32)
    ball = np.hypot(column, row) < 0.15 * width
    depth[ball] = 400.0
    times = []
    segmenter(depth, camera)
    for _ in range(repeats):
        started = time.perf_counter()
        segmenter(depth, camera)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000
