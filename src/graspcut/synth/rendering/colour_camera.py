"""The colour camera beside the depth camera: its own intrinsics and baseline, simple shading, a little noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.kernels.compiling import loop

NOISE_MASK = 16383  # size of the table of noise less one


def colour_camera(width: int, depth_camera_focal_scale: float = 1.0) -> Camera:
    """An SR300-like 16:9 colour camera of the given width, 25.7 mm to the right of the depth camera.

    The numbers are one unit's published calibration (1920 x 1080: f 1386.69, centre 945.51, 545.70; translation
    25.70, 0.57, 3.96 mm).
    """
    height = width * 9 // 16
    scale = width / 1920.0
    return Camera(
        fx=1386.69 * scale * depth_camera_focal_scale,
        fy=1386.69 * scale * depth_camera_focal_scale,
        cx=945.51 * scale,
        cy=545.70 * scale,
        width=width,
        height=height,
        translation_mm=(25.70, 0.57, 3.96),
    )


@loop
def _shade(
    depth: np.ndarray, surface: np.ndarray, colours: np.ndarray, fx: float, fy: float,
    light_x: float, light_y: float, light_z: float, ambient: float, noise: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    height, width = depth.shape
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            shade = 1.0
            if z > 0.0:
                # Normal from neighbours on the same surface side; a jump leaves the pixel facing the camera.
                zl = depth[v, u - 1] if u > 0 else z
                zr = depth[v, u + 1] if u < width - 1 else z
                zu = depth[v - 1, u] if v > 0 else z
                zd = depth[v + 1, u] if v < height - 1 else z
                gx = zr - z if abs(zr - z) < abs(z - zl) else z - zl
                gy = zd - z if abs(zd - z) < abs(z - zu) else z - zu
                gx *= fx / z
                gy *= fy / z
                lambert = (gx * light_x + gy * light_y - light_z) / math.sqrt(gx * gx + gy * gy + 1.0)
                shade = ambient + (1.0 - ambient) * max(lambert, 0.0)
            s = surface[v, u]
            first = (v * 5381 + u) * 3  # rows begin far from each other in the table of noise
            for c in range(3):
                value = colours[s, c] * shade + noise[first + c & NOISE_MASK]
                out[v, u, c] = int(min(max(value, 0.0), 255.0))


def shade(
    rng: np.random.Generator,
    depth_mm: NDArray[np.float32],
    surface: NDArray[np.int32],
    colours: NDArray[np.float32],
    camera: Camera,
) -> NDArray[np.uint8]:
    """Shade a rendered view.

    Args:
        rng: Light, exposure and noise.
        depth_mm: float32 (H, W) from `ray_casting.render`.
        surface: int32 (H, W).
        colours: float32 (n, 3) RGB 0..255 of every surface.
        camera: The colour camera.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    light = np.array([rng.normal(0, 0.5), rng.normal(-0.4, 0.4), -1.0])
    light_x, light_y, light_z = (light / np.linalg.norm(light)).tolist()
    noise = rng.standard_normal(NOISE_MASK + 1, dtype=np.float32) * np.float32(rng.uniform(0.5, 4.0))
    ambient, exposure = rng.uniform(0.25, 0.6), rng.uniform(0.75, 1.1)
    out = np.empty((camera.height, camera.width, 3), np.uint8)
    exposed = (colours * exposure).astype(np.float32)
    _shade(depth_mm, surface, exposed, camera.fx, camera.fy, light_x, light_y, light_z, ambient, noise, out)
    return out
