"""Labels, instances and parts of a frame's pixels, and which joints are seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.kernels.compiling import loop
from graspcut.synth.scenes.builder import PlacedHand


@loop
def look_up(
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


def visible_joints(
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
