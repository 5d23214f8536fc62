"""One depth frame, checked when it is made, so that everything above can trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.depth_values import ExaminedDepth, examine_depth
from graspcut.frames.depth_values import check_depth as check_depth
from graspcut.frames.depth_values import check_unit as check_unit
from graspcut.frames.errors import FrameError
from graspcut.frames.notes import Note


@dataclass(frozen=True, eq=False)
class Frame:
    """A depth image in millimetres with what is known about it.

    Attributes:
        depth_mm: (H, W) float32, millimetres along z, 0 = no data.
        camera: Intrinsics of the depth pixels, or None if unknown; (fx, fy, cx, cy) or a matrix K become a Camera.
        colour: (H', W', 3) uint8 RGB, or None.
        colour_camera: The colour image's own camera; None means that colour is registered to the depth pixels.
        timestamp_s: Seconds, from any fixed origin, or None.
        name: For messages and file names.
        notes: What was assumed, mended or is doubtful about the depth. It is found when the frame is made; give it only
            with depth that `depth_values.examine_depth` returned.

    Raises:
        FrameError: If an array has another type or shape than stated here, sizes do not agree, or no camera measures
            such distances in millimetres.
    """

    depth_mm: NDArray[np.float32]
    camera: Camera | None = None
    colour: NDArray[np.uint8] | None = None
    colour_camera: Camera | None = None
    timestamp_s: float | None = None
    name: str = ""
    notes: tuple[Note, ...] | None = None

    def __post_init__(self) -> None:
        try:
            examined = self._examined()
            object.__setattr__(self, "depth_mm", examined.depth_mm)
            object.__setattr__(self, "notes", examined.notes)
            self._check_camera()
            self._check_colour()
        except FrameError as error:
            raise FrameError(f"frame {self.name}: {error}" if self.name else str(error)) from error
        if self.timestamp_s is not None and not math.isfinite(self.timestamp_s):
            raise FrameError(f"frame {self.name}: timestamp is {self.timestamp_s}; expected seconds or None.")

    def __repr__(self) -> str:
        height, width = self.depth_mm.shape
        valid = self.depth_mm[self.depth_mm > 0]
        parts = [f"{self.name!r}"] if self.name else []
        parts.append(f"{width}x{height}")
        parts.append(
            f"{valid.min():.0f}..{valid.max():.0f} mm, {valid.size / self.depth_mm.size:.0%} with data"
            if valid.size
            else "no data"
        )
        parts.append("no camera" if self.camera is None else f"fx {self.camera.fx:.1f} px")
        parts += [] if self.colour is None else [f"colour {self.colour.shape[1]}x{self.colour.shape[0]}"]
        parts += [] if self.timestamp_s is None else [f"{self.timestamp_s:.3f} s"]
        return f"Frame({', '.join(parts)})"

    def _examined(self) -> ExaminedDepth:
        if self.notes is not None and isinstance(self.depth_mm, np.ndarray) and self.depth_mm.dtype == np.float32:
            return ExaminedDepth(self.depth_mm, self.notes)
        # A unit of 1 says "these are millimetres", which the field's name already promises.
        is_float = isinstance(self.depth_mm, np.ndarray) and self.depth_mm.dtype.kind == "f"
        return examine_depth(self.depth_mm, 1.0 if is_float else None)

    def _check_camera(self) -> None:
        shape = self.depth_mm.shape
        if self.camera is not None and not isinstance(self.camera, Camera):
            object.__setattr__(self, "camera", Camera.of(self.camera, shape[1], shape[0]))
        if self.camera is not None and (self.camera.height, self.camera.width) != shape:
            raise FrameError(
                f"depth has shape {shape} but its camera is {self.camera.width}x{self.camera.height} (width x "
                "height); expected the same size. Use camera.resized(width, height) if the image was resized."
            )

    def _check_colour(self) -> None:
        if self.colour is None:
            return
        colour = self.colour
        if not isinstance(colour, np.ndarray) or colour.ndim != 3 or colour.shape[2] != 3 or colour.dtype != np.uint8:
            came = f"{colour.shape} {colour.dtype}" if isinstance(colour, np.ndarray) else type(colour).__name__
            raise FrameError(f"colour came as {came}; expected (height, width, 3) uint8 in RGB order.")
        if self.colour_camera is None:
            expected, reason = self.depth_mm.shape, "colour without its own camera is registered to the depth pixels"
        else:
            expected, reason = (self.colour_camera.height, self.colour_camera.width), "its camera has this size"
        if colour.shape[:2] != expected:
            raise FrameError(
                f"colour has {colour.shape[1]}x{colour.shape[0]} pixels; expected {expected[1]}x{expected[0]}, because "
                f"{reason}. Give the colour camera, or the registered image."
            )

    @property
    def height(self) -> int:
        """Rows of the depth image."""
        return int(self.depth_mm.shape[0])

    @property
    def width(self) -> int:
        """Columns of the depth image."""
        return int(self.depth_mm.shape[1])

    def points_mm(self) -> NDArray[np.float64]:
        """(H, W, 3) points in the depth camera's frame, mm; (0, 0, 0) where there is no data.

        Raises:
            FrameError: If the camera is unknown.
        """
        if self.camera is None:
            raise FrameError(
                f"frame {self.name} has no camera; expected intrinsics to compute points. Give fx, fy, cx, cy."
            )
        return self.camera.deproject(self.depth_mm)
