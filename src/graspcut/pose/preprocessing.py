"""From a depth frame to what the networks see: a metric cube around the hand, and local contrast normalisation.

The cube (section 5 of the paper; DeepPrior's 300 mm for NYU, 250 mm for its second test subject) has its centre at a
point of the hand. Its front view is resampled to 48x48 pixels; pixels in front of or behind it, and those of other
things, become background. Joints are given in the same frame: `u` and `v` from -1 to 1 across the crop, `d` from -1 to
1 through the cube's depth. The depth that is taken away is added back by `CropGeometry.to_camera`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from graspcut.frames.camera import Camera

CROP_PX = 48
CUBE_MM = 250.0
NYU_CUBE_MM = 300.0
# Around the middle of a mask with a forearm: what the hand is looked for in.
LOCATOR_CUBE_MM = 640.0
# Around what was found in it: a second look, nearer.
NEAR_LOCATOR_CUBE_MM = 320.0
BACKGROUND_DEPTH = 1.0
LCN_KERNEL = 9
LCN_FLOOR = 1e-4


@dataclass(frozen=True)
class CropGeometry:
    """Where a crop lies in the camera's view.

    Attributes:
        camera: The depth camera.
        centre_mm: (x, y, z) of the cube's centre in the camera's frame, mm; z > 0.
        cube_mm: Edge of the cube.
        size_px: Edge of the crop in pixels.
        roll_deg: The crop is the view turned by this angle about the viewing axis; the crop's `u` axis points along
            (cos, sin) of it in the frame.
        mirrored: The crop is flipped left-right, after turning.
    """

    camera: Camera
    centre_mm: tuple[float, float, float]
    cube_mm: float = CUBE_MM
    size_px: int = CROP_PX
    roll_deg: float = 0.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre_mm).all() and self.centre_mm[2] > 0 and self.cube_mm > 0 and self.size_px > 0):
            raise ValueError(
                f"a cube of {self.cube_mm} mm at {self.centre_mm} in {self.size_px} pixels cannot be cut out; expected "
                "positive sizes and a centre in front of the camera (z > 0, mm)."
            )

    def frame_from_crop(self) -> NDArray[np.float64]:
        """The (2, 3) affine map from crop pixels (column, row) to frame pixels, pixel centres at whole numbers."""
        x, y, z = self.centre_mm
        u0, v0 = self.camera.project(np.array([x, y, z], np.float64))
        step_mm = self.cube_mm / self.size_px
        angle = np.deg2rad(self.roll_deg)
        across = step_mm * np.array([np.cos(angle), np.sin(angle)]) * (-1.0 if self.mirrored else 1.0)
        down = step_mm * np.array([-np.sin(angle), np.cos(angle)])
        pixels_per_mm = np.array([self.camera.fx, self.camera.fy]) / z
        matrix = np.empty((2, 3))
        matrix[:, 0] = across * pixels_per_mm
        matrix[:, 1] = down * pixels_per_mm
        matrix[:, 2] = np.array([u0, v0]) - (matrix[:, 0] + matrix[:, 1]) * (self.size_px - 1) / 2
        return matrix

    def to_crop(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) in camera mm as (u, v, d) of the crop, each from -1 to 1 inside the cube."""
        points = np.asarray(points_mm, np.float64)
        matrix = self.frame_from_crop()
        pixels = self.camera.project(points) - matrix[:, 2]
        crop_px = pixels @ np.linalg.inv(matrix[:, :2]).T
        out = np.empty(points.shape)
        out[..., :2] = (2.0 * crop_px + 1.0) / self.size_px - 1.0
        out[..., 2] = (points[..., 2] - self.centre_mm[2]) / (self.cube_mm / 2)
        return out

    def to_camera(self, uvd: ArrayLike) -> NDArray[np.float64]:
        """The inverse of `to_crop`: (..., 3) in camera mm. The cube's depth is added back here."""
        values = np.asarray(uvd, np.float64)
        matrix = self.frame_from_crop()
        crop_px = ((values[..., :2] + 1.0) * self.size_px - 1.0) / 2.0
        pixels = crop_px @ matrix[:, :2].T + matrix[:, 2]
        return self.camera.deproject_pixels(pixels, values[..., 2] * (self.cube_mm / 2) + self.centre_mm[2])


def middle_of(depth_mm: NDArray[np.float32], mask: NDArray[np.bool_], camera: Camera) -> NDArray[np.float64]:
    """(3,) the middle of a mask's pixels in camera mm: the median column, row and depth of those with depth.

    Raises:
        ValueError: If none has.
    """
    rows, columns = np.nonzero(mask & (depth_mm > 0))
    if len(rows) == 0:
        raise ValueError("no pixel of the mask has depth; expected at least one.")
    pixel = np.array([np.median(columns), np.median(rows)], np.float64)
    return camera.deproject_pixels(pixel, float(np.median(depth_mm[rows, columns])))


def crop_cube(
    depth_mm: NDArray[np.float32] | NDArray[np.uint16],
    geometry: CropGeometry,
    mask: NDArray[np.bool_] | NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """Cut a cube out of a frame.

    Args:
        depth_mm: (H, W) millimetres, 0 = no data.
        geometry: Where.
        mask: (H, W), pixels of the hand; others become background. All pixels if not given.

    Returns:
        (size_px, size_px) float32 from -1 (nearest face) to 1 (farthest face); background is 1 exactly. Depths are
        taken from the nearest pixel: two surfaces are never mixed.
    """
    depth = np.asarray(depth_mm, np.float32)
    if mask is not None:
        if mask.shape != depth.shape:
            raise ValueError(
                f"a mask of shape {mask.shape} came for a frame of {depth.shape}; expected the same shape."
            )
        depth = np.where(mask != 0, depth, np.float32(0.0))
    crop = warp_nearest(depth, geometry.frame_from_crop(), geometry.size_px)
    half = geometry.cube_mm / 2
    relative = (crop - np.float32(geometry.centre_mm[2])) / np.float32(half)
    outside = (crop <= 0) | (np.abs(relative) >= 1.0)
    relative[outside] = BACKGROUND_DEPTH
    return relative


def crop_labels(values: NDArray[np.uint8], geometry: CropGeometry) -> NDArray[np.uint8]:
    """A map of labels or parts (H, W) seen through the crop, (size_px, size_px); 0 outside the frame."""
    return warp_nearest(values, geometry.frame_from_crop(), geometry.size_px)


def paste_labels(
    crop: NDArray[np.uint8], geometry: CropGeometry, mask: NDArray[np.bool_], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """A crop's map put back into the frame: (H, W), nearest crop pixel inside `mask` and 0 elsewhere."""
    matrix = cv2.invertAffineTransform(geometry.frame_from_crop())
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    height, width = shape
    placed = cv2.warpAffine(crop, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(np.where(mask, placed, 0), crop.dtype)


def warp_nearest(image: NDArray[Any], source_from_target: NDArray[np.float64], size_px: int) -> NDArray[Any]:
    """Resample an image to (size_px, size_px) by an affine map from target to source pixels; 0 outside."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(
        image, source_from_target, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(out, image.dtype)


def lcn_kernel(size: int = LCN_KERNEL) -> NDArray[np.float32]:
    """The window's weights along one axis, (size,) with sum 1: a Gaussian of sigma size / 4."""
    offsets = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * np.square(offsets / (size / 4)))
    return np.asarray(weights / weights.sum(), np.float32)


def local_contrast_normalisation(image: NDArray[np.floating], kernel: int = LCN_KERNEL) -> NDArray[np.float32]:
    """Subtract the local mean and divide by the local deviation (Jarrett et al. 2009).

    v = x - mean(x), s = sqrt(mean(v^2)), y = v / max(s, average of s, 1e-4), with weighted means over a window. Windows
    that reach over the border count only the pixels inside.

    Args:
        image: (H, W).
        kernel: Edge of the window, odd.

    Returns:
        (H, W) float32. Adding a constant to the image changes nothing; a constant image gives 0.
    """
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(
            f"the window of local contrast normalisation is {kernel}; expected an odd number of 3 or more."
        )
    weights = lcn_kernel(kernel)
    # Means of differences from the first pixel: adding a constant to the image is then exact.
    x = np.asarray(image, np.float64)
    x = x - x.flat[0]
    coverage = _windowed(np.ones_like(x), weights)
    v = x - _windowed(x, weights) / coverage
    s = np.sqrt(_windowed(np.square(v), weights) / coverage)
    return np.asarray(v / np.maximum(s, max(float(s.mean()), LCN_FLOOR)), np.float32)


def _windowed(image: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    kernel = weights.astype(np.float64)
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT), np.float64)
