"""Changes of a sample's geometry: mirror, turn, zoom, shift, crop, resize. All maps and points move together.

Maps that must not be mixed are sampled by nearest neighbour, the others bilinearly (see `MapKind`). Turning about the
picture's centre, zooming, shifting and cropping are what another camera at the same place sees: points in millimetres
turn about the optical axis and keep their distance, while focal length and principal point of the sample change.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.train.samples import Map, Points, Sample


def flip(sample: Sample) -> Sample:
    """Mirrors left and right; values and points that have a side are exchanged.

    Returns:
        The mirrored sample, same focal length.
    """
    width = sample.size[1]
    maps = {name: Map(_mirrored(entry), entry.kind) for name, entry in sample.maps.items()}
    points = {}
    for name, entry in sample.points.items():
        mirrored = entry.coordinates.copy()
        mirrored[..., 0] = -mirrored[..., 0] if entry.unit == "mm" else width - 1 - mirrored[..., 0]
        for left, right in entry.swapped:
            mirrored[..., [left, right], :] = mirrored[..., [right, left], :]
        points[name] = dataclasses.replace(entry, coordinates=mirrored)
    centre = sample.principal_point_px
    if centre is not None:
        centre = (width - 1 - centre[0], centre[1])
    return dataclasses.replace(sample, maps=maps, points=points, principal_point_px=centre)


def _mirrored(entry: Map) -> NDArray[Any]:
    array = np.ascontiguousarray(entry.array[:, ::-1])
    for left, right in entry.kind.swapped:
        is_left, is_right = array == left, array == right
        array[is_left], array[is_right] = right, left
    return array


def warp(
    sample: Sample, *, rotation_deg: float = 0.0, scale: float = 1.0, shift_px: tuple[float, float] = (0.0, 0.0)
) -> Sample:
    """Rotates and zooms about the picture centre, then shifts.

    Args:
        sample: (H, W) sample.
        rotation_deg: positive turns the picture anticlockwise on the screen.
        scale: above 1 enlarges the picture; the focal length is multiplied by it, depth values stay.
        shift_px: (x, y) in pixels, right and down.

    Returns:
        A sample of the same size; what came from outside has the empty value of its kind.

    Raises:
        ValueError: if scale is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale must be positive, got {scale}")
    height, width = sample.size
    matrix: NDArray[np.float64] = np.asarray(
        cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rotation_deg, scale), np.float64
    )
    matrix[:, 2] += np.array(shift_px)
    maps = {}
    for name, (array, kind) in sample.maps.items():
        warped = cv2.warpAffine(
            array,
            matrix,
            (width, height),
            flags=cv2.INTER_NEAREST if kind.interpolation == "nearest" else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(kind.empty,) * 4,
        )
        maps[name] = Map(warped.astype(array.dtype, copy=False), kind)
    points = {
        name: _turned(entry, matrix if entry.unit == "px" else matrix / scale) for name, entry in sample.points.items()
    }
    x, y = matrix[:, :2] @ np.array(sample.centre_px) + matrix[:, 2]
    return dataclasses.replace(
        sample,
        maps=maps,
        focal_px=sample.focal_px * scale,
        points=points,
        principal_point_px=(float(x), float(y)) if sample.points or sample.principal_point_px else None,
    )


def _turned(entry: Points, matrix: NDArray[np.float64]) -> Points:
    turned = entry.coordinates.copy()
    turned[..., :2] = entry.coordinates[..., :2] @ matrix[:, :2].T
    if entry.unit == "px":
        turned[..., :2] += matrix[:, 2]
    return dataclasses.replace(entry, coordinates=turned)


def crop(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    """A window of the picture; what lies outside it has the empty value of its kind.

    Args:
        sample: (H, W) sample.
        left, top: first column and row; may be negative.
        width, height: of the window in pixels.

    Returns:
        An (height, width) sample: same focal length, the principal point moves.

    Raises:
        ValueError: an empty window.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a window of {width}x{height} pixels is empty")
    full_height, full_width = sample.size
    x0, x1 = max(0, left), min(full_width, left + width)
    y0, y1 = max(0, top), min(full_height, top + height)
    maps = {}
    for name, (array, kind) in sample.maps.items():
        cut = np.full((height, width, *array.shape[2:]), kind.empty, array.dtype)
        if x0 < x1 and y0 < y1:
            cut[y0 - top : y1 - top, x0 - left : x1 - left] = array[y0:y1, x0:x1]
        maps[name] = Map(cut, kind)
    offset = np.array([left, top])
    points = {
        name: entry if entry.unit == "mm" else dataclasses.replace(entry, coordinates=entry.coordinates - offset)
        for name, entry in sample.points.items()
    }
    x, y = sample.centre_px
    return dataclasses.replace(sample, maps=maps, points=points, principal_point_px=(x - left, y - top))


def resized(sample: Sample, width: int, height: int) -> Sample:
    """A sample at another size; the focal length follows the width.

    Args:
        sample: (H, W) sample.
        width: new width in pixels.
        height: new height in pixels; the aspect ratio must stay within 2 %.

    Raises:
        ValueError: if the aspect ratio would change.
    """
    old_height, old_width = sample.size
    if (old_height, old_width) == (height, width):
        return sample
    factor_x, factor_y = width / old_width, height / old_height
    if abs(factor_x / factor_y - 1) > 0.02:
        raise ValueError(f"a {old_width}x{old_height} frame can't become {width}x{height}: keep the aspect ratio")
    maps = {}
    for name, (array, kind) in sample.maps.items():
        smooth = cv2.INTER_AREA if width < old_width else cv2.INTER_LINEAR
        flags = cv2.INTER_NEAREST if kind.interpolation == "nearest" else smooth
        maps[name] = Map(cv2.resize(array, (width, height), interpolation=flags).astype(array.dtype, copy=False), kind)
    factors = np.array([factor_x, factor_y])
    points = {
        name: entry
        if entry.unit == "mm"
        else dataclasses.replace(entry, coordinates=(entry.coordinates + 0.5) * factors - 0.5)
        for name, entry in sample.points.items()
    }
    centre = sample.principal_point_px
    if centre is not None:
        centre = ((centre[0] + 0.5) * factor_x - 0.5, (centre[1] + 0.5) * factor_y - 0.5)
    return dataclasses.replace(
        sample, maps=maps, points=points, focal_px=sample.focal_px * width / old_width, principal_point_px=centre
    )
