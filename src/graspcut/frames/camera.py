"""Pinhole cameras with the inverse Brown-Conrady distortion of Intel's depth cameras.

Pixel (u, v) = (column, row) with pixel centres at whole numbers; camera frame x right, y down, z forward, millimetres.

Deviation from most libraries: the distortion polynomial is applied when going from image to ray (no iteration), so
projecting is the side that has to iterate. Source: librealsense `rsutil.h`, model
`RS2_DISTORTION_INVERSE_BROWN_CONRADY`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graspcut.frames.camera_files import read_intrinsics
from graspcut.frames.camera_presets import preset_intrinsics
from graspcut.frames.distortion import image_to_ray, ray_to_image
from graspcut.frames.errors import FrameError
from graspcut.frames.intrinsics import FocalLength, Intrinsics, check_field_of_view, of_numbers

IDENTITY_ROTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)

# One SR300 unit's calibration at 640x480, seen in public code.
_SR300_DISTORTION = (0.1437, 0.0462, 0.00426, 0.00561, 0.1072)

DEFAULT_FOCAL_PER_WIDTH = 0.745


@dataclass(frozen=True)
class Camera:
    """One camera: intrinsics in pixels, distortion, and where it sits beside the reference (depth) camera.

    Attributes:
        fx, fy: Focal lengths, pixels.
        cx, cy: Principal point (column, row), pixels; the first pixel's centre is (0, 0).
        width, height: Image size, pixels.
        distortion: (k1, k2, p1, p2, k3) of the inverse Brown-Conrady model, in librealsense's order: p1 and p2 are
            the tangential ones.
        rotation: Nine floats, row-major R; a point x of the reference camera is `R x + t` in this camera.
        translation_mm: t, millimetres.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, ...] = NO_DISTORTION
    rotation: tuple[float, ...] = IDENTITY_ROTATION
    translation_mm: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            value = float(getattr(self, name))
            if not math.isfinite(value) or (name in ("fx", "fy") and value <= 0):
                raise FrameError(
                    f"camera {name} is {value}; expected a finite number of pixels, above 0 for fx and fy. "
                    "Take the intrinsics of this stream from the camera's calibration."
                )
            object.__setattr__(self, name, value)
        for name in ("width", "height"):
            try:
                size = int(getattr(self, name))
            except (TypeError, ValueError, OverflowError):
                size = 0
            if not 1 <= size <= 1_000_000 or size != getattr(self, name):
                raise FrameError(
                    f"camera {name} is {str(getattr(self, name))[:60]}; expected a whole number of pixels >= 1."
                )
            object.__setattr__(self, name, size)
        check_field_of_view(self.width, self.height, self.fx, self.fy)
        for name, count in (("distortion", 5), ("rotation", 9), ("translation_mm", 3)):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), count))
        matrix = self.rotation_matrix
        if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix) < 0:
            raise FrameError(
                f"camera rotation {self.rotation} is not a rotation matrix (R R^T = 1, determinant +1). "
                "Give nine numbers row by row; librealsense stores them column by column, so transpose those."
            )

    @classmethod
    def sr300(cls, width: int = 640, height: int = 480, *, distorted: bool = False) -> Camera:
        """Depth camera of an Intel RealSense SR300 (one unit's calibration); other sizes are scaled by width, then
        cropped or padded evenly at the top and bottom.

        Args:
            width, height: Image size, pixels.
            distorted: Also take that unit's distortion; off by default because most files are stored without it.
        """
        camera = cls.preset("sr300", width, height)
        return replace(camera, distortion=_SR300_DISTORTION) if distorted else camera

    @classmethod
    def kinect(cls, width: int = 640, height: int = 480) -> Camera:
        """Depth camera of a Kinect of the first generation, with the values published for the NYU hand pose frames."""
        return cls.preset("kinect", width, height)

    @classmethod
    def kinect_v2(cls, width: int = 512, height: int | None = None) -> Camera:
        """Depth camera of a Kinect for Xbox One, 512x424, with libfreenect2's default values."""
        return cls.preset("kinect_v2", width, height)

    @classmethod
    def azure_kinect(cls, width: int = 640, height: int | None = None) -> Camera:
        """Depth camera of an Azure Kinect: 640x576 and 320x288 narrow, 1024x1024 and 512x512 wide."""
        return cls.preset("azure_kinect", width, height)

    @classmethod
    def d405(cls, width: int = 848, height: int | None = None) -> Camera:
        """RealSense D405, from its data sheet's focal length; usual sizes are 1280x720, 848x480 and 640x480."""
        return cls.preset("d405", width, height)

    @classmethod
    def d415(cls, width: int = 848, height: int | None = None) -> Camera:
        """RealSense D415; see `d405`."""
        return cls.preset("d415", width, height)

    @classmethod
    def d435(cls, width: int = 848, height: int | None = None) -> Camera:
        """RealSense D435 and D435i; see `d405`."""
        return cls.preset("d435", width, height)

    @classmethod
    def d455(cls, width: int = 848, height: int | None = None) -> Camera:
        """RealSense D455; see `d405`."""
        return cls.preset("d455", width, height)

    @classmethod
    def l515(cls, width: int = 640, height: int | None = None) -> Camera:
        """RealSense L515, from its data sheet's field of view; usual sizes are 1024x768 and 640x480."""
        return cls.preset("l515", width, height)

    @classmethod
    def preset(cls, name: str, width: int | None = None, height: int | None = None) -> Camera:
        """A camera of `camera_presets.PRESETS` with its published values, by name."""
        return cls.of(preset_intrinsics(name, width, height))

    @classmethod
    def load(cls, path: str | Path, width: int | None = None, height: int | None = None) -> Camera:
        """Reads a camera from a file: this program's JSON or recording.json; a matrix K as text, JSON or .npy; ROS
        camera_info or OpenCV YAML; RealSense, Open3D or BOP JSON.

        Args:
            path: The file.
            width, height: Size of the pictures; needed where the file does not say it, else the camera is scaled to it.

        Raises:
            FrameError: If the file has no camera, or the size is unknown or of another shape.
        """
        return cls.of(read_intrinsics(path), width, height)

    @classmethod
    def of(cls, value: CameraLike, width: int | None = None, height: int | None = None) -> Camera:
        """A camera from what people have: a Camera, (fx, fy, cx, cy), a matrix K, `Intrinsics`, a preset's name, or
        the focal length alone.

        Args:
            value: The camera.
            width, height: Size of its pictures, pixels; may be left out where `value` knows it.

        Raises:
            FrameError: If it is none of these, or belongs to a picture of another shape.
        """
        if isinstance(value, Camera):
            return value
        if isinstance(value, FocalLength):
            if width is None or height is None:
                raise FrameError("a focal length alone came; expected the width and height of the pictures, too.")
            return cls.from_focal_length(width, height, value.pixels)
        if isinstance(value, str):
            known = preset_intrinsics(value, width, height)
        else:
            known = value if isinstance(value, Intrinsics) else of_numbers(value)
        width, height = known.width if width is None else width, known.height if height is None else height
        if width is None or height is None:
            raise FrameError(f"{known.origin}: the size of the pictures is not known; expected width and height, too.")
        across, down = known.scale_to(width, height)
        camera = cls(
            *(known.fx, known.fy, known.cx, known.cy),
            known.width or width,
            known.height or height,
            known.distortion,
            known.rotation,
            known.translation_mm,
        )
        return camera if across == down == 1 else camera.resized(width, height)

    @classmethod
    def from_focal_length(cls, width: int, height: int, focal_px: float) -> Camera:
        """A camera of which only the focal length is known: its axis goes through the middle of the image."""
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)

    @property
    def rotation_matrix(self) -> NDArray[np.float64]:
        """R as a (3, 3) float64 array."""
        return np.array(self.rotation, dtype=np.float64).reshape(3, 3)

    @property
    def is_distorted(self) -> bool:
        """Whether any distortion coefficient differs from 0."""
        return any(self.distortion)

    def rays(self) -> NDArray[np.float64]:
        """Direction of every pixel, (H, W, 3) float64 with z = 1. The array is shared and read-only."""
        return _rays(self)

    def deproject(self, depth_mm: NDArray[Any]) -> NDArray[np.float64]:
        """Points of a depth image in this camera's own frame.

        Args:
            depth_mm: (H, W) numbers, millimetres along z; 0 = no data and gives the point (0, 0, 0).

        Returns:
            (H, W, 3) float64, millimetres.

        Raises:
            FrameError: If the image is not of the camera's size.
        """
        if depth_mm.shape != (self.height, self.width):
            raise FrameError(
                f"a depth image of shape {depth_mm.shape} came for a camera of {self.width}x{self.height} pixels; "
                f"expected shape {(self.height, self.width)}. Use camera.resized(width, height) or camera.cropped(...) "
                "to match."
            )
        points: NDArray[np.float64] = self.rays() * depth_mm[..., None]
        return points

    def deproject_pixels(self, pixels: ArrayLike, depth_mm: ArrayLike) -> NDArray[np.float64]:
        """Points of single pixels in this camera's own frame.

        Args:
            pixels: (..., 2) numbers, (column, row), may lie between pixels.
            depth_mm: (...) millimetres along z.

        Returns:
            (..., 3) float64, millimetres.
        """
        image = np.asarray(pixels, dtype=np.float64)
        depth = np.asarray(depth_mm, dtype=np.float64)
        x, y = (image[..., 0] - self.cx) / self.fx, (image[..., 1] - self.cy) / self.fy
        if self.is_distorted:
            x, y = image_to_ray(self.distortion, x, y)
        return np.stack([x * depth, y * depth, depth * np.ones_like(x)], axis=-1)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels of points given in this camera's own frame (use `from_reference` first for points of the depth
        camera).

        Args:
            points: (..., 3) millimetres.

        Returns:
            (..., 2) float64 (column, row); NaN for points with z <= 0 and for directions that the distortion polynomial
            reaches from no pixel.
        """
        point = np.asarray(points, dtype=np.float64)
        depth = np.where(point[..., 2] > 0, point[..., 2], np.nan)
        x, y = point[..., 0] / depth, point[..., 1] / depth
        if self.is_distorted:
            x, y = ray_to_image(self.distortion, x, y)
        return np.stack([x * self.fx + self.cx, y * self.fy + self.cy], axis=-1)

    def from_reference(self, points: ArrayLike) -> NDArray[np.float64]:
        """Reference-camera points (..., 3), mm, expressed in this camera's frame: R x + t."""
        moved: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ self.rotation_matrix.T
        return np.asarray(moved + np.array(self.translation_mm))

    def to_reference(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3), mm, of this camera's frame expressed in the reference camera's: R^T (x - t)."""
        moved: NDArray[np.float64] = np.asarray(points, dtype=np.float64) - np.array(self.translation_mm)
        return np.asarray(moved @ self.rotation_matrix)

    def resized(self, width: int, height: int) -> Camera:
        """The same camera after resizing its image to `width` x `height` pixels."""
        across, down = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * across,
            fy=self.fy * down,
            # Half a pixel lies between a pixel's centre and the image's corner, which is what scaling keeps in place.
            cx=(self.cx + 0.5) * across - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
            width=width,
            height=height,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """The same camera after cutting out the window whose first pixel is (x, y); it may reach past the image."""
        return replace(self, cx=self.cx - x, cy=self.cy - y, width=width, height=height)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON."""
        return {
            "fx": self.fx,
            "fy": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "width": self.width,
            "height": self.height,
            "distortion": list(self.distortion),
            "rotation": list(self.rotation),
            "translation_mm": list(self.translation_mm),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Camera:
        """Reads what `to_dict` wrote; distortion and extrinsics may be left out.

        Raises:
            FrameError: If an entry is missing, unknown or of the wrong kind.
        """
        required = ("fx", "fy", "cx", "cy", "width", "height")
        optional = ("distortion", "rotation", "translation_mm")
        if not isinstance(values, Mapping):
            raise FrameError(
                f"a camera came as {type(values).__name__}; expected an object with {', '.join(required)}."
            )
        missing = [name for name in required if name not in values]
        unknown = [name for name in values if name not in required + optional]
        if missing or unknown:
            raise FrameError(
                f"a camera needs {', '.join(required)} and may have {', '.join(optional)}; "
                f"missing: {', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}."
            )
        entries: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        try:
            return cls(**entries)
        except FrameError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise FrameError(f"a camera entry is not a number or list of numbers: {str(error)[:120]}.") from error


@lru_cache(maxsize=8)
def _rays(camera: Camera) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    directions = camera.deproject_pixels(np.stack([columns, rows], axis=-1), 1.0)
    directions.setflags(write=False)
    return directions


def _numbers(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"camera {name} is {str(values)[:80]}; expected {count} numbers.") from error
    if len(numbers) != count or not all(math.isfinite(value) for value in numbers):
        raise FrameError(f"camera {name} is {numbers}; expected {count} finite numbers.")
    return numbers


CameraLike = Camera | Intrinsics | FocalLength | str | Sequence[float] | NDArray[Any]
"""What `Camera.of` takes."""


def given_camera(camera: CameraLike | None, focal_px: float | None) -> CameraLike | None:
    """What is said of frames without a camera, in one of two ways or not at all.

    Args:
        camera: Whatever `Camera.of` takes.
        focal_px: Focal length in pixels.

    Raises:
        FrameError: If both came, or the focal length is not above 0.
    """
    if focal_px is None:
        return camera
    if camera is not None:
        raise FrameError("a camera and a focal length came, which both say the focal length; expected one of them.")
    return FocalLength(focal_px)


def focal_length_px(camera: Camera | None, width: int) -> float:
    """Focal length of a picture: the mean of fx and fy, or 0.745 * width when no camera is known.

    Args:
        camera: intrinsics at the picture's own resolution, or None.
        width: picture width in pixels.

    Returns:
        Pixels.
    """
    return DEFAULT_FOCAL_PER_WIDTH * width if camera is None else 0.5 * (camera.fx + camera.fy)
