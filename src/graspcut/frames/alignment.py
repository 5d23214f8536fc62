"""Colour brought to the depth pixels, with a test of what the colour camera could see.

The colour camera sits beside the depth camera, so some depth pixels look at surfaces that are hidden from it. Copying
colour there paints the object on the fingers in front of it; InterSegHands shows this as the band on top of fingers
(its figure 2). Here a z-buffer in the colour camera marks such pixels instead.

Deviation: the z-buffer has the depth image's angular resolution rather than the colour image's. The depth samples then
cover it without gaps, whatever the ratio of the two resolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame

try:
    from graspcut.frames import alignment_kernels as loops
except ModuleNotFoundError:  # numba, the extra `synth`
    from graspcut.frames import alignment_arrays as loops  # type: ignore[no-redef]

# How far a surface may lie behind the nearest one in its cell of the z-buffer and still count as seen: less than a
# finger's thickness, more than the sensor's noise.
DEFAULT_TOLERANCE_MM = 8.0


@dataclass(frozen=True, eq=False)
class AlignedColour:
    """Colour at the depth pixels.

    Attributes:
        colour: (H, W, 3) uint8 RGB; black where there is no depth or the colour image ends. Where `visible` is False it
            is the colour of whatever hides the surface.
        visible: (H, W) bool: there is depth, and the colour camera sees this very surface.
    """

    colour: NDArray[np.uint8]
    visible: NDArray[np.bool_]


def align_colour_to_depth(
    frame: Frame, *, tolerance_mm: float = DEFAULT_TOLERANCE_MM, region: NDArray[np.bool_] | None = None
) -> AlignedColour:
    """Samples the colour image at every depth pixel.

    Each depth pixel is de-projected, moved into the colour camera (x_c = R x + t), projected and sampled bilinearly.

    Args:
        frame: With colour. If colour is registered already it is returned as it is, visible where there is depth.
        tolerance_mm: How far behind the nearest surface a pixel still counts as visible, millimetres; tilted surfaces
            get their own depth step between pixels on top, at most twice this.
        region: (H, W) bool: only these pixels are aligned, the others are black and not visible. They hide nothing
            either, so a region must hold everything nearer than what it holds, as the slab before a background does.

    Raises:
        FrameError: If the frame has no colour, or no depth camera while colour is not registered.
    """
    if frame.colour is None:
        raise FrameError(f"frame {frame.name} has no colour; expected a colour image to align. Record colour as well.")
    valid = frame.depth_mm > 0
    if region is not None:
        valid &= region
    if frame.colour_camera is None:
        return AlignedColour(frame.colour, valid)
    if frame.camera is None:
        raise FrameError(
            f"frame {frame.name} has a colour camera but no depth camera; expected both calibrations to align. "
            "Give the intrinsics of the depth stream."
        )
    colour = np.zeros((frame.height, frame.width, 3), dtype=np.uint8)
    visible = np.zeros((frame.height, frame.width), dtype=bool)
    own = np.flatnonzero(valid)
    if own.size:
        pixels, z_mm = _projected(own, frame.depth_mm, frame.camera, frame.colour_camera)
        inside = _inside(pixels, frame.colour_camera)
        colour.reshape(-1, 3)[own] = _sampled(frame.colour, pixels, inside)
        step = np.empty(own.size, dtype=np.float32)
        loops.own_step_kernel(frame.depth_mm, own, step)
        tolerance = np.float32(tolerance_mm) + np.minimum(step, np.float32(2 * tolerance_mm))
        visible.reshape(-1)[own] = _in_front(z_mm, pixels, inside, frame.camera, frame.colour_camera, tolerance)
    return AlignedColour(colour, visible)


def _projected(
    own: NDArray[np.intp], depth_mm: NDArray[np.float32], camera: Camera, colour_camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where depth pixels lie in the colour image, (n, 2) column and row, and their distance there, (n,)."""
    rays, depth = camera.rays().reshape(-1, 3), depth_mm.reshape(-1)
    if colour_camera.is_distorted:
        points = colour_camera.from_reference(rays[own] * depth[own, None])
        return colour_camera.project(points), np.ascontiguousarray(points[:, 2])
    pixels, z_mm = np.empty((own.size, 2)), np.empty(own.size)
    lens = np.array([colour_camera.fx, colour_camera.fy, colour_camera.cx, colour_camera.cy])
    translation = np.array(colour_camera.translation_mm, dtype=np.float64)
    loops.project_kernel(own, depth, rays, colour_camera.rotation_matrix, translation, lens, pixels, z_mm)
    return pixels, z_mm


def _sampled(image: NDArray[np.uint8], pixels: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Colours (n, 3) at positions (n, 2), bilinear; black where not `inside`."""
    # OpenCV's pictures have fewer than 32768 columns, so the list is folded into rows.
    columns = 1024
    count = len(pixels)
    places = np.full((-(-count // columns) * columns, 2), -10.0, dtype=np.float32)
    places[:count][inside] = pixels[inside]
    u, v = (np.ascontiguousarray(places[:, axis]).reshape(-1, columns) for axis in (0, 1))
    sampled = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(-1, 3)[:count]
    return np.asarray(np.where(inside[:, None], sampled, 0), dtype=np.uint8)


def registered(frame: Frame, *, tolerance_mm: float = DEFAULT_TOLERANCE_MM) -> Frame:
    """The frame with colour registered to depth and black where the colour camera does not see the surface.

    Colour that is registered already stays as it is, also where there is no depth.
    """
    if frame.colour is not None and frame.colour_camera is None:
        return frame
    aligned = align_colour_to_depth(frame, tolerance_mm=tolerance_mm)
    colour = np.where(aligned.visible[..., None], aligned.colour, np.uint8(0))
    return replace(frame, colour=colour, colour_camera=None)


def _inside(pixels: NDArray[np.float64], camera: Camera) -> NDArray[np.bool_]:
    """Pixels whose centre the colour image covers; NaN is outside."""
    # A hair of room: with equal cameras the first and last columns come out at -1e-14 or so.
    room = 1e-6
    u, v = pixels[..., 0], pixels[..., 1]
    return (u >= -room) & (v >= -room) & (u <= camera.width - 1 + room) & (v <= camera.height - 1 + room)


def _in_front(
    z_mm: NDArray[np.float64],
    pixels: NDArray[np.float64],
    inside: NDArray[np.bool_],
    depth_camera: Camera,
    colour_camera: Camera,
    tolerance_mm: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Which depth pixels no other depth pixel hides from the colour camera; all lists have one row a depth pixel."""
    scale = min(1.0, depth_camera.fx / colour_camera.fx, depth_camera.fy / colour_camera.fy)
    width, height = int(np.ceil(colour_camera.width * scale)), int(np.ceil(colour_camera.height * scale))
    u, v = pixels[:, 0], pixels[:, 1]
    # Surfaces just outside the colour image hide nothing inside it, but those half outside a cell do.
    # NaN compares false.
    near = np.flatnonzero((u > -1) & (v > -1) & (u < colour_camera.width) & (v < colour_camera.height))
    columns, rows = (u[near] + 0.5) * scale - 0.5, (v[near] + 0.5) * scale - 0.5
    depths = z_mm[near].astype(np.float32)
    reach_x = 0.5 * max(1.0, colour_camera.fx * scale / depth_camera.fx) + 0.02
    reach_y = 0.5 * max(1.0, colour_camera.fy * scale / depth_camera.fy) + 0.02
    buffer = np.full((height, width), np.inf, dtype=np.float32)
    loops.splat_kernel(columns, rows, depths, reach_x, reach_y, buffer)

    own_column = np.clip(np.rint(columns), 0, width - 1).astype(np.intp)
    own_row = np.clip(np.rint(rows), 0, height - 1).astype(np.intp)
    seen = np.zeros(inside.size, dtype=bool)
    seen[near] = depths <= buffer[own_row, own_column] + tolerance_mm[near]
    return seen & inside
