"""Many hands as small windows: what pose networks are trained on, rendered once and stored in one file.

A window is a small frame with its own camera, around one hand, wider than the networks' cube: turning, shifting and
mirroring the cube inside it (`HandCrops.sample`) gives new views without rendering again.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.opening import read_bytes
from graspcut.labels import FOREARM_PART, JOINT_NAMES
from graspcut.pose.preprocessing import CUBE_MM, CropGeometry, crop_cube, crop_labels, middle_of, warp_nearest

WINDOW_PX = 96
WINDOW_MM = 400.0
# Wide enough for a forearm: what the hand is looked for in.
ARM_WINDOW_MM = 900.0
DEPTH_UNIT_MM = 0.125
CENTRE_JOINT, WRIST_JOINT = JOINT_NAMES.index("middle_mcp"), JOINT_NAMES.index("wrist")
# What the locator finds: the cube's centre, and where the hand begins.
LOCATED_JOINTS = (CENTRE_JOINT, WRIST_JOINT)


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
        joints: (joints, 3) float32, (u, v, d) of the crop; NaN where not annotated.
        visible: (joints,) bool.
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
        joints_mm: (n, joints, 3) float32, camera frame; NaN where not annotated.
        visible: (n, joints) bool.
        right: (n,) bool.
        intrinsics: (n, 4) float64: fx, fy, cx, cy of each window's camera.
        centre_mm: (n, 3) float64, the hand's centre, camera frame.
    """

    depth: NDArray[np.uint16]
    parts: NDArray[np.uint8]
    joints_mm: NDArray[np.float32]
    visible: NDArray[np.bool_]
    right: NDArray[np.bool_]
    intrinsics: NDArray[np.float64]
    centre_mm: NDArray[np.float64]

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
        centre = self.centre_mm[index] + np.array(view.shift_mm)
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

    def at_knuckles(self) -> HandCrops:
        """The same windows, but cubes lie around the middle knuckle, where it is known, also of hands with arms."""
        knuckles = self.joints_mm[:, CENTRE_JOINT].astype(np.float64)
        known = np.isfinite(knuckles).all(axis=1, keepdims=True)
        return dataclasses.replace(self, centre_mm=np.where(known, knuckles, self.centre_mm))

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
    def join(cls, parts: Sequence[HandCrops]) -> HandCrops:
        """Several sets one after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(cls)))

    @classmethod
    def stack(cls, windows: list[tuple[Any, ...]]) -> HandCrops:
        """Join windows of `hand_windows`."""
        if not windows:
            raise ValueError("no hand was found in the frames; expected frames with hands and their joints.")
        return cls(*(np.stack(column) for column in zip(*windows, strict=True)))


def hand_windows(
    labelled: LabelledFrame, *, least_px: int = 150, least_joints: int = 14, arm: bool = False
) -> Iterator[tuple[Any, ...]]:
    """The window of every hand that is seen well enough, in the order of the fields of `HandCrops`.

    Args:
        labelled: A frame with instances and joints.
        least_px: Fewest hand pixels (without the forearm, where parts are known) of a hand that is taken.
        least_joints: Fewest joints inside the picture.
        arm: Windows of hand and forearm around `middle_of` instead, to learn where the hand is.
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
        parts = None if labelled.parts is None else np.where(mask, labelled.parts, 0).astype(np.uint8)
        centre = middle_of(depth_mm, mask, camera) if arm else joints[CENTRE_JOINT].astype(np.float64)
        yield _window(
            np.where(mask, depth_mm, np.float32(0)), parts, camera, centre, joints, labelled.joints_visible[row],
            hand.name != "left hand", ARM_WINDOW_MM if arm else WINDOW_MM,
        )  # fmt: skip


def joint_window(
    frame: Frame,
    joints_mm: NDArray[np.floating],
    centre_mm: NDArray[np.floating],
    mask: NDArray[np.bool_] | None = None,
    right: bool = True,
) -> tuple[Any, ...]:
    """The window of a hand whose joints alone are known, such as one of a public data set.

    Args:
        frame: With a camera.
        joints_mm: (joints, 3); NaN where not annotated.
        centre_mm: (3,) the hand's centre.
        mask: (H, W) its pixels; all inside the window's cube if not given.
        right: It is a right hand.

    Returns:
        The fields of `HandCrops`, with parts that are 0 everywhere.
    """
    if frame.camera is None:
        raise FrameError(f"{frame.name} has no camera; expected intrinsics, without which joints have no place.")
    depth_mm = frame.depth_mm.astype(np.float32)
    if mask is not None:
        depth_mm = np.where(mask, depth_mm, np.float32(0))
    near = np.abs(depth_mm - np.float32(centre_mm[2])) < WINDOW_MM / 2
    joints = np.asarray(joints_mm, np.float32)
    known = np.asarray(np.isfinite(joints).all(axis=1))
    return _window(
        np.where(near, depth_mm, np.float32(0)), None, frame.camera, np.asarray(centre_mm, np.float64), joints, known,
        right,
    )  # fmt: skip


def _window(
    depth_mm: NDArray[np.float32], parts: NDArray[np.uint8] | None, camera: Camera, centre: NDArray[np.float64],
    joints: NDArray[np.float32], visible: NDArray[np.bool_], right: bool, window_mm: float = WINDOW_MM,
) -> tuple[Any, ...]:  # fmt: skip
    place = (float(centre[0]), float(centre[1]), float(centre[2]))
    matrix = CropGeometry(camera, place, window_mm, WINDOW_PX).frame_from_crop()
    depth = warp_nearest(depth_mm, matrix, WINDOW_PX)
    shown = np.zeros((WINDOW_PX, WINDOW_PX), np.uint8) if parts is None else warp_nearest(parts, matrix, WINDOW_PX)
    intrinsics = np.array(
        [
            camera.fx / matrix[0, 0],
            camera.fy / matrix[1, 1],
            (camera.cx - matrix[0, 2]) / matrix[0, 0],
            (camera.cy - matrix[1, 2]) / matrix[1, 1],
        ]
    )
    units = np.clip(np.rint(depth / DEPTH_UNIT_MM), 0, 65535).astype(np.uint16)
    return units, shown, joints, visible, np.bool_(right), intrinsics, centre


def render_crops(
    frame: Callable[[int], LabelledFrame],
    count: int,
    *,
    accept: Callable[[NDArray[np.float32], bool], bool] | None = None,
    first: int = 0,
    arm: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> HandCrops:
    """Render frames until `count` hands are collected.

    Args:
        frame: Frame i, such as `FrameGenerator.__getitem__`.
        count: Number of hands.
        accept: Called with a hand's joints (21, 3) in mm and whether it is a right hand; False leaves it out.
        first: First frame.
        arm: See `hand_windows`.
        progress: Called with (hands, count).
    """
    windows: list[tuple[Any, ...]] = []
    index = first
    while len(windows) < count:
        for window in hand_windows(frame(index), arm=arm):
            if len(windows) < count and (accept is None or accept(window[2], bool(window[4]))):
                windows.append(window)
        index += 1
        if index - first > 200 and not windows:
            raise ValueError(f"none of {index - first} frames has a hand that is accepted; widen what is accepted.")
        if progress is not None:
            progress(len(windows), count)
    return HandCrops.stack(windows)
