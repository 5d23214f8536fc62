"""Pictures of depth, labels and parts; contact sheets; point clouds. RGB uint8 in and out, numpy and OpenCV only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.labels import LABEL_COLOURS, PART_COLOURS, UNKNOWN, UNKNOWN_COLOUR

__all__ = [
    "contact_sheet",
    "depth_to_colour",
    "draw_joints",
    "overlay",
    "overlay_parts",
    "shaded_depth",
    "write_image_atomically",
    "write_point_cloud",
]

_NO_DATA = np.array([18, 20, 24], dtype=np.float32)
_PAPER = (250, 250, 248)
_INK = (40, 40, 44)

# Wrist to the first joint of each digit, then along it; rows of graspcut.labels.JOINT_NAMES.
_BONES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)


def depth_to_colour(
    depth_mm: NDArray[np.float32], near_mm: float | None = None, far_mm: float | None = None
) -> NDArray[np.uint8]:
    """Depth as colour: near is red, far is blue, no data is black.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        near_mm, far_mm: Ends of the scale; by default the 1st and 99th percentile of valid depth.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    valid = depth_mm > 0
    picture = np.zeros((*depth_mm.shape, 3), dtype=np.uint8)
    if not valid.any():
        return picture
    low, high = _depth_range(depth_mm, valid, near_mm, far_mm)
    scaled = np.clip((high - depth_mm) / max(high - low, 1e-3), 0, 1)
    # The ends of the scale are almost black; leaving them out keeps "far" apart from "no data".
    levels = (16 + 223 * scaled).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    picture[valid] = coloured[valid]
    return picture


def shaded_depth(depth_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness of the surface under a light from the upper left, dimmed with distance.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.

    Returns:
        (H, W) float32 in 0..1; 0 where there is no data.
    """
    valid = depth_mm > 0
    if not valid.any():
        return np.zeros(depth_mm.shape, dtype=np.float32)
    # Sensor noise of a millimetre is a slope of 30 degrees between neighbouring pixels: smooth without crossing edges.
    smooth = np.asarray(cv2.bilateralFilter(depth_mm.astype(np.float32), 7, 12.0, 2.5), dtype=np.float32)
    # Millimetres per pixel with the usual 68 degree lens; a picture needs no better.
    pitch = np.maximum(smooth, 1.0) / (0.75 * depth_mm.shape[1])
    # Past 56 degrees it is mostly the sensor's frayed edge, which would draw black teeth round every finger.
    slope_x = np.clip(_slope(smooth, valid, axis=1) / pitch, -1.5, 1.5)
    slope_y = np.clip(_slope(smooth, valid, axis=0) / pitch, -1.5, 1.5)
    light_x, light_y, light_z = -0.38, -0.5, 0.78
    lambert = (slope_x * light_x + slope_y * light_y + light_z) / np.sqrt(1 + slope_x**2 + slope_y**2)
    weight = cv2.boxFilter(valid.astype(np.float32), -1, (3, 3))
    lambert = cv2.boxFilter(np.where(valid, lambert, 0).astype(np.float32), -1, (3, 3)) / np.maximum(weight, 0.1)
    low, high = _depth_range(depth_mm, valid, None, None)
    nearness = 1 - np.clip((smooth - low) / max(high - low, 200.0), 0, 1)
    brightness = (0.25 + 0.75 * np.clip(lambert, 0, 1)) * (0.45 + 0.55 * nearness)
    return np.where(valid, brightness, 0).astype(np.float32)


def overlay(depth_mm: NDArray[np.float32], labels: NDArray[np.uint8], *, contours: bool = True) -> NDArray[np.uint8]:
    """Shaded depth in grey with the hand in orange, the object in teal and unknown pixels in violet.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        labels: (H, W) uint8: 0 background, 1 hand, 2 object, 255 unknown.
        contours: Draw thin light lines round hand and object.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FrameError: If the two arrays differ in shape.
    """
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[: len(LABEL_COLOURS)] = LABEL_COLOURS
    colours[UNKNOWN] = UNKNOWN_COLOUR
    return _tinted(depth_mm, labels, colours, outlined=(1, 2) if contours else ())


def overlay_on_colour(
    depth_mm: NDArray[np.float32], colour: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The colour picture with hand and object tinted and outlined as `overlay` tints them.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data; shown, shaded, where the colour camera saw nothing (black).
        colour: (H, W, 3) uint8 RGB, registered to the depth pixels.
        labels: (H, W) uint8: 0 background, 1 hand, 2 object.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FrameError: If the arrays differ in height or width.
    """
    if colour.shape[:2] != labels.shape:
        raise FrameError(f"colour has shape {colour.shape} and labels {labels.shape}; expected the same size.")
    on_depth = overlay(depth_mm, labels)
    picture = np.where((labels > 0)[..., None], 0.5 * colour + 0.5 * LABEL_COLOURS[labels % 3], colour)
    for value in (1, 2):
        inside = (labels == value).astype(np.uint8)
        border = cv2.erode(inside, np.ones((3, 3), dtype=np.uint8), borderType=cv2.BORDER_REPLICATE) != inside
        picture[border] = 0.3 * LABEL_COLOURS[value] + 0.7 * 255.0
    unseen = ~colour.any(axis=-1, keepdims=True)
    return np.where(unseen, on_depth, np.rint(picture).astype(np.uint8))


def cut_out(colour: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Colour and transparency: opaque inside, transparent black outside.

    Args:
        colour: (H, W, 3) uint8 RGB.
        inside: (H, W) bool.

    Returns:
        (H, W, 4) uint8 RGBA.
    """
    alpha = np.where(inside, np.uint8(255), np.uint8(0))
    return np.dstack((np.where(inside[..., None], colour, np.uint8(0)), alpha))


def overlay_parts(depth_mm: NDArray[np.float32], parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shaded depth in grey with each hand part in its colour (`graspcut.labels.PART_COLOURS`).

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        parts: (H, W) uint8, 0..21.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[: len(PART_COLOURS)] = PART_COLOURS
    return _tinted(depth_mm, parts, colours, outlined=())


def draw_joints(
    image: NDArray[np.uint8], joints_px: NDArray[np.floating], visible: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """A copy of the picture with one hand's skeleton.

    Args:
        image: (H, W, 3) uint8 RGB.
        joints_px: (21, 2) column, row in the order of `graspcut.labels.JOINT_NAMES`; rows with NaN are left out.
        visible: (21,) bool; hidden joints become rings.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = image.copy()
    # Positions in sixteenths of a pixel, as OpenCV's anti-aliased drawing takes them.
    known = np.isfinite(joints_px).all(axis=1)
    points = [(int(x), int(y)) for x, y in np.rint(np.where(known[:, None], joints_px, 0) * 16)]
    # Row of PART_COLOURS that stands for each digit: one of its middle parts.
    colours = [tuple(int(channel) for channel in PART_COLOURS[row]) for row in (2, 5, 9, 13, 17)]
    for start, end in _BONES:
        if known[start] and known[end]:
            cv2.line(picture, points[start], points[end], colours[(end - 1) // 4], 1, cv2.LINE_AA, 4)
    for joint, point in enumerate(points):
        if known[joint]:
            shown = visible is None or bool(visible[joint])
            colour = (255, 255, 255) if joint == 0 else colours[(joint - 1) // 4]
            cv2.circle(picture, point, 36, colour, -1 if shown else 1, cv2.LINE_AA, 4)
    return picture


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], columns: int, titles: Sequence[str] | None = None
) -> NDArray[np.uint8]:
    """Pictures in rows on one light sheet, each in a cell of the largest one's size, with its title above.

    Args:
        images: (H, W, 3) uint8 RGB or (H, W) uint8 grey, of any sizes.
        columns: Pictures in a row, >= 1.
        titles: One text for each picture; too long ones are shortened. OpenCV's font has ASCII only.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        FrameError: If there are no pictures, or not one title for each.
    """
    if not images or columns < 1 or (titles is not None and len(titles) != len(images)):
        count = "no" if titles is None else str(len(titles))
        raise FrameError(
            f"{len(images)} pictures with {count} titles in {columns} columns came; expected at least one picture, one "
            "column, and a title for each picture or none."
        )
    gap = 8
    cell_height, cell_width = max(len(image) for image in images), max(image.shape[1] for image in images)
    strip = 22 if titles is not None else 0
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full(
        (gap + rows * (cell_height + strip + gap), gap + columns * (cell_width + gap), 3), _PAPER, dtype=np.uint8
    )
    for number, image in enumerate(images):
        top = gap + number // columns * (cell_height + strip + gap)
        left = gap + number % columns * (cell_width + gap)
        height, width = image.shape[:2]
        x, y = left + (cell_width - width) // 2, top + strip + (cell_height - height) // 2
        sheet[y : y + height, x : x + width] = image if image.ndim == 3 else image[..., None]
        if titles is not None:
            text = _shortened(titles[number], cell_width)
            cv2.putText(sheet, text, (left, top + 15), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return sheet


_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45


def write_point_cloud(
    path: str | Path, points_mm: NDArray[np.floating], colours: NDArray[np.uint8] | None = None
) -> None:
    """Writes a binary little-endian PLY file, which MeshLab, CloudCompare, Blender and Open3D open.

    Args:
        path: The file; written under a temporary name and renamed.
        points_mm: (..., 3) millimetres; points with z = 0 (no data) or NaN are left out.
        colours: (..., 3) uint8 RGB of the same leading shape, or None.

    Raises:
        FrameError: If shapes do not agree.
    """
    points = np.asarray(points_mm, dtype="<f4").reshape(-1, points_mm.shape[-1])
    if points.shape[1] != 3 or (colours is not None and colours.shape != points_mm.shape):
        raise FrameError(
            f"points of shape {points_mm.shape} with colours of shape {None if colours is None else colours.shape} "
            "came; expected (..., 3) and the same shape for colours."
        )
    keep = np.isfinite(points).all(axis=1) & (points[:, 2] != 0)
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    properties = ["property float x", "property float y", "property float z"]
    if colours is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        properties += ["property uchar red", "property uchar green", "property uchar blue"]
    vertices = np.zeros(int(keep.sum()), dtype=fields)
    for axis, name in enumerate("xyz"):
        vertices[name] = points[keep, axis]
    if colours is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            vertices[name] = colours.reshape(-1, 3)[keep, channel]
    header = ["ply", "format binary_little_endian 1.0", "comment GraspCut, millimetres, x right, y down, z forward"]
    header += [f"element vertex {len(vertices)}", *properties, "end_header", ""]
    write_bytes_atomically(path, "\n".join(header).encode("ascii") + vertices.tobytes())


def _tinted(
    depth_mm: NDArray[np.float32], values: NDArray[np.uint8], colours: NDArray[np.uint8], outlined: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Shaded depth, grey where `values` is 0 and in the row of `colours` elsewhere."""
    if depth_mm.shape != values.shape:
        raise FrameError(f"depth has shape {depth_mm.shape} and labels {values.shape}; expected the same shape.")
    shade = shaded_depth(depth_mm)[..., None]
    grey = np.float32(205.0)
    tint = np.where((values > 0)[..., None], colours[values].astype(np.float32), grey)
    # Labelled surfaces are lifted out of the shadows, so that their colour is seen on dark slopes too.
    lit = np.where((values > 0)[..., None], 0.32 + 0.86 * shade, 0.9 * shade)
    picture = np.where((depth_mm > 0)[..., None], tint * lit, _NO_DATA)
    # Labels without depth (thin parts that the sensor lost) stay visible, but flat and dark.
    lost = ((values > 0) & (depth_mm <= 0))[..., None]
    picture = np.where(lost, 0.35 * tint, picture)
    for value in outlined:
        inside = (values == value).astype(np.uint8)
        # Pixels past the image count as inside, so that a hand cut by the border gets no line along it.
        border = cv2.erode(inside, np.ones((3, 3), dtype=np.uint8), borderType=cv2.BORDER_REPLICATE) != inside
        picture[border] = 0.35 * picture[border] + 0.65 * (0.35 * colours[value] + 0.65 * 255.0)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _slope(depth: NDArray[np.float32], valid: NDArray[np.bool_], axis: int) -> NDArray[np.float32]:
    """Change of depth per pixel: the mean of the steps to both neighbours, without steps over edges."""
    step = np.diff(depth, axis=axis)
    pair = valid.take(range(1, depth.shape[axis]), axis) & valid.take(range(depth.shape[axis] - 1), axis)
    usable = pair & (np.abs(step) < 15.0)
    step = np.where(usable, step, 0)
    before = [(1, 0) if number == axis else (0, 0) for number in range(2)]
    after = [(0, 1) if number == axis else (0, 0) for number in range(2)]
    total = np.pad(step, before) + np.pad(step, after)
    count = np.pad(usable, before).astype(np.float32) + np.pad(usable, after)
    return np.asarray(total / np.maximum(count, 1), dtype=np.float32)


def _depth_range(
    depth_mm: NDArray[np.float32], valid: NDArray[np.bool_], near_mm: float | None, far_mm: float | None
) -> tuple[float, float]:
    """The ends of the scale: given, or percentiles that single flying pixels do not move."""
    low, high = np.percentile(depth_mm[valid], (1, 99))
    return (float(low) if near_mm is None else near_mm), (float(high) if far_mm is None else far_mm)


def _shortened(text: str, width: int) -> str:
    """The text, cut with three dots if it is wider than `width` pixels."""
    text = text.encode("ascii", "replace").decode()
    shown = text
    while len(shown) > 1 and cv2.getTextSize(shown, _FONT, _FONT_SCALE, 1)[0][0] > width:
        text = text[:-1]
        shown = text + "..."
    return shown
