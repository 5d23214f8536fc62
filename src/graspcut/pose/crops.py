"""Many hands as small windows: what pose networks are trained on, rendered once and stored in one file.

A window is a small frame with its own camera, around one hand, wider than the networks' cube: turning, shifting and
mirroring the cube inside it (`HandCrops.sample`) gives new views without rendering again.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_bytes, write_bytes_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import FOREARM_PART, JOINT_NAMES
from graspcut.pose.preprocessing import CUBE_MM, CropGeometry, crop_cube, crop_labels, warp_nearest

WINDOW_PX = 96
WINDOW_MM = 400.0
DEPTH_UNIT_MM = 0.125
CENTRE_JOINT = JOINT_NAMES.index("middle_mcp")


@dataclass(frozen=True)
class View:
    """How the cube lies in a window.

    Attributes:
        shift_mm: (x, y, z) from the hand's centre to the cube's.
        roll_deg: Turn about the viewing axis.
        mirrored: Flip left-right: a left hand becomes a right one.
        cube_mm: Edge of the cube.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    roll_deg: float = 0.0
    mirrored: bool = False
    cube_mm: float = CUBE_MM


@dataclass(frozen=True, eq=False)
class HandSample:
    """One hand as the networks are trained on it.

    Attributes:
        crop: (48, 48) float32 of `crop_cube`.
        parts: (48, 48) uint8: 0 background, 1..20 parts, 21 forearm.
        joints: (21, 3) float32, (u, v, d) of the crop; NaN where not annotated.
        visible: (21,) bool.
        right: The hand is a right one, as it is seen in the crop.
        geometry: Where the crop lies in the window.
    """

    crop: NDArray[np.float32]
    parts: NDArray[np.uint8]
    joints: NDArray[np.float32]
    visible: NDArray[np.bool_]
    right: bool
    geometry: CropGeometry


@dataclass(frozen=True, eq=False)
class HandCrops:
    """Windows around hands.

    Attributes:
        depth: (n, 96, 96) uint16 in 1/8 mm, 0 where the hand is not.
        parts: (n, 96, 96) uint8 part map; 0 everywhere where parts are not known.
        joints_mm: (n, 21, 3) float32, camera frame.
        visible: (n, 21) bool.
        right: (n,) bool.
        intrinsics: (n, 4) float64: fx, fy, cx, cy of each window's camera.
    """

    depth: NDArray[np.uint16]
    parts: NDArray[np.uint8]
    joints_mm: NDArray[np.float32]
    visible: NDArray[np.bool_]
    right: NDArray[np.bool_]
    intrinsics: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.depth)

    def camera(self, index: int) -> Camera:
        """Camera of one window."""
        fx, fy, cx, cy = (float(value) for value in self.intrinsics[index])
        size = self.depth.shape[1]
        return Camera(fx, fy, cx, cy, size, size)

    def depth_mm(self, index: int) -> NDArray[np.float32]:
        """(96, 96) float32 millimetres of one window."""
        return np.asarray(self.depth[index] * np.float32(DEPTH_UNIT_MM))

    def geometry(self, index: int, view: View = View()) -> CropGeometry:
        """The cube of one view, in the window's camera."""
        centre = self.joints_mm[index, CENTRE_JOINT].astype(np.float64) + np.array(view.shift_mm)
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        return CropGeometry(self.camera(index), place, view.cube_mm, roll_deg=view.roll_deg, mirrored=view.mirrored)

    def sample(self, index: int, view: View = View(), *, forearm: bool = True) -> HandSample:
        """One hand, cut out.

        Args:
            index: Which.
            view: How the cube lies.
            forearm: Keep forearm pixels; otherwise they are background.
        """
        geometry = self.geometry(index, view)
        parts = self.parts[index]
        mask = None if forearm else parts != FOREARM_PART
        crop = crop_cube(self.depth_mm(index), geometry, mask)
        labels = crop_labels(parts, geometry)
        labels[crop >= 1.0] = 0
        return HandSample(
            crop,
            labels,
            geometry.to_crop(self.joints_mm[index]).astype(np.float32),
            self.visible[index],
            bool(self.right[index]) != view.mirrored,
            geometry,
        )

    def subset(self, chosen: slice | NDArray[Any]) -> HandCrops:
        """Some of the hands."""
        return HandCrops(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def save(self, path: str | Path, description: dict[str, Any] | None = None) -> None:
        """Write everything into one .npz, under a temporary name first."""
        buffer = io.BytesIO()
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        np.savez(buffer, description=np.array(json.dumps(description or {})), **arrays)
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> HandCrops:
        """Read what `save` wrote; never unpickles.

        Raises:
            FrameError: If the file is missing or something else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as stored:
                return cls(*(stored[field.name] for field in dataclasses.fields(cls)))
        except (KeyError, ValueError, EOFError) as error:
            raise FrameError(f"{path} holds no hand crops ({error}); render them again.") from error

    @classmethod
    def stack(cls, windows: list[tuple[Any, ...]]) -> HandCrops:
        """Join windows of `hand_windows`."""
        if not windows:
            raise ValueError("no hand was found in the frames; expected frames with hands and their joints.")
        return cls(*(np.stack(column) for column in zip(*windows, strict=True)))


def hand_windows(labelled: LabelledFrame, *, least_px: int = 150, least_joints: int = 14) -> Iterator[tuple[Any, ...]]:
    """The window of every hand that is seen well enough, in the order of the fields of `HandCrops`.

    Args:
        labelled: A frame with instances and joints.
        least_px: Fewest hand pixels (without the forearm, where parts are known) of a hand that is taken.
        least_joints: Fewest joints inside the picture.
    """
    frame, camera = labelled.frame, labelled.frame.camera
    if camera is None or labelled.instances is None or len(labelled.joints_mm) == 0:
        return
    depth_mm = frame.depth_mm.astype(np.float32)
    for row, hand in enumerate(labelled.hands):
        joints = labelled.joints_mm[row]
        mask = labelled.instances == hand.id
        seen = mask if labelled.parts is None else mask & (labelled.parts != FOREARM_PART)
        u, v = camera.project(joints).T
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        if np.count_nonzero(seen & (depth_mm > 0)) < least_px or np.count_nonzero(inside) < least_joints:
            continue
        centre = tuple(float(value) for value in joints[CENTRE_JOINT])
        geometry = CropGeometry(camera, (centre[0], centre[1], centre[2]), WINDOW_MM, WINDOW_PX)
        matrix = geometry.frame_from_crop()
        depth = warp_nearest(np.where(mask, depth_mm, np.float32(0)), matrix, WINDOW_PX)
        parts = np.zeros((WINDOW_PX, WINDOW_PX), np.uint8)
        if labelled.parts is not None:
            parts = warp_nearest(np.where(mask, labelled.parts, 0).astype(np.uint8), matrix, WINDOW_PX)
        intrinsics = np.array(
            [
                camera.fx / matrix[0, 0],
                camera.fy / matrix[1, 1],
                (camera.cx - matrix[0, 2]) / matrix[0, 0],
                (camera.cy - matrix[1, 2]) / matrix[1, 1],
            ]
        )
        units = np.clip(np.rint(depth / DEPTH_UNIT_MM), 0, 65535).astype(np.uint16)
        yield units, parts, joints, labelled.joints_visible[row], np.bool_(hand.name != "left hand"), intrinsics


def render_crops(
    frame: Callable[[int], LabelledFrame],
    count: int,
    *,
    accept: Callable[[NDArray[np.float32], bool], bool] | None = None,
    first: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> HandCrops:
    """Render frames until `count` hands are collected.

    Args:
        frame: Frame i, such as `FrameGenerator.__getitem__`.
        count: Number of hands.
        accept: Called with a hand's joints (21, 3) in mm and whether it is a right hand; False leaves it out.
        first: First frame.
        progress: Called with (hands, count).
    """
    windows: list[tuple[Any, ...]] = []
    index = first
    while len(windows) < count:
        for window in hand_windows(frame(index)):
            if len(windows) < count and (accept is None or accept(window[2], bool(window[4]))):
                windows.append(window)
        index += 1
        if index - first > 200 and not windows:
            raise ValueError(f"none of {index - first} frames has a hand that is accepted; widen what is accepted.")
        if progress is not None:
            progress(len(windows), count)
    return HandCrops.stack(windows)
