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
        points = frame.colour_camera.from_reference(
            frame.camera.rays().reshape(-1, 3)[own] * frame.depth_mm.reshape(-1, 1)[own]
        )
        pixels = frame.colour_camera.project(points)
        inside = _inside(pixels, frame.colour_camera)
        colour.reshape(-1, 3)[own] = _sampled(frame.colour, pixels, inside)
        step = _own_step(frame.depth_mm, valid).ravel()[own]
        tolerance = np.float32(tolerance_mm) + np.minimum(step, np.float32(2 * tolerance_mm))
        visible.reshape(-1)[own] = _in_front(points, pixels, inside, frame.camera, frame.colour_camera, tolerance)
    return AlignedColour(colour, visible)


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
    points: NDArray[np.float64],
    pixels: NDArray[np.float64],
    inside: NDArray[np.bool_],
    depth_camera: Camera,
    colour_camera: Camera,
    tolerance_mm: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Which depth pixels no other depth pixel hides from the colour camera; all lists have one row a depth pixel."""
    scale = min(1.0, depth_camera.fx / colour_camera.fx, depth_camera.fy / colour_camera.fy)
    width, height = int(np.ceil(colour_camera.width * scale)), int(np.ceil(colour_camera.height * scale))
    u, v, z = pixels[:, 0], pixels[:, 1], points[:, 2]
    # Surfaces just outside the colour image hide nothing inside it, but those half outside a cell do.
    # NaN compares false.
    near = np.flatnonzero((u > -1) & (v > -1) & (u < colour_camera.width) & (v < colour_camera.height))
    columns, rows = (u[near] + 0.5) * scale - 0.5, (v[near] + 0.5) * scale - 0.5
    depths = z[near].astype(np.float32)
    reach_x = 0.5 * max(1.0, colour_camera.fx * scale / depth_camera.fx) + 0.02
    reach_y = 0.5 * max(1.0, colour_camera.fy * scale / depth_camera.fy) + 0.02
    buffer = _splat(columns, rows, depths, (height, width), reach_x, reach_y)

    own_column = np.clip(np.rint(columns), 0, width - 1).astype(np.intp)
    own_row = np.clip(np.rint(rows), 0, height - 1).astype(np.intp)
    seen = np.zeros(inside.size, dtype=bool)
    seen[near] = depths <= buffer[own_row, own_column] + tolerance_mm[near]
    return seen & inside


def _own_step(depth_mm: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Change of the surface itself from pixel to pixel: the smaller step of each axis, so that edges do not count.

    Only right at `valid` pixels; computed in their bounding box.
    """
    total: NDArray[np.float32] = np.zeros_like(depth_mm)
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    box = (
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
    )
    depth, inner = depth_mm[box], total[box]
    for axis in (0, 1):
        if depth.shape[axis] < 2:
            continue
        step = np.abs(np.diff(depth, axis=axis))
        before = np.concatenate([step.take([0], axis), step], axis)
        after = np.concatenate([step, step.take([-1], axis)], axis)
        inner += np.minimum(before, after)
    return total


def _splat(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    depths: NDArray[np.float32],
    shape: tuple[int, int],
    reach_x: float,
    reach_y: float,
) -> NDArray[np.float32]:
    """Smallest depth in each cell; a sample at (x, y) covers the cells whose centres lie within its reach."""
    height, width = shape
    # A border of one cell on each side takes what falls outside.
    buffer = np.full((height + 2, width + 2), np.inf, dtype=np.float32)
    first_x, first_y = np.ceil(x - reach_x), np.ceil(y - reach_y)
    last_x, last_y = np.floor(x + reach_x), np.floor(y + reach_y)
    flat = buffer.reshape(-1)
    for step_y in range(int(np.ceil(2 * reach_y))):
        for step_x in range(int(np.ceil(2 * reach_x))):
            columns, rows = first_x + step_x, first_y + step_y
            covered = (columns <= last_x) & (rows <= last_y)
            columns = np.clip(columns[covered], -1, width).astype(np.intp)
            rows = np.clip(rows[covered], -1, height).astype(np.intp)
            np.minimum.at(flat, (rows + 1) * (width + 2) + columns + 1, depths[covered])
    return buffer[1:-1, 1:-1]
