"""Public hand pose data sets as they are distributed: NYU, ICVL and MSRA. Users bring them; none is downloaded.

Every reader is a sequence of `JointFrame`: joints are in camera mm, x right, y down, z forward, whatever the files use.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_image
from graspcut.frames.opening import read_bytes
from graspcut.pose.anatomy import NYU_JOINT_NAMES, NYU_JOINTS
from graspcut.pose.evaluation import CAMERAS
from graspcut.pose.metrics import joints_from_uvd
from graspcut.pose.preprocessing import CUBE_MM, NYU_CUBE_MM
from graspcut.runtime.engines import extra_hint

# The second subject of NYU's test frames, who has smaller hands, begins here.
NYU_FIRST_SUBJECT = 2440
_NYU_PALM = 32


@dataclass(frozen=True, eq=False)
class JointFrame:
    """A frame of a hand with its joints.

    Attributes:
        frame: The depth frame with its camera.
        joints_mm: (joints, 3) float64 in the camera frame; NaN where not annotated.
        centre_mm: (3,) middle of the cube around the hand.
        cube_mm: Edge of that cube.
    """

    frame: Frame
    joints_mm: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    cube_mm: float


class _Frames(Sequence[JointFrame]):
    """Frames that are read when they are asked for."""

    joint_names: tuple[str, ...]

    def _read(self, index: int) -> JointFrame:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> JointFrame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[JointFrame]: ...
    def __getitem__(self, index: int | slice) -> JointFrame | Sequence[JointFrame]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} was asked for; there are {len(self)}")
        return self._read(index % len(self))


def unpack_nyu_depth(image: NDArray[Any], name: str = "image") -> NDArray[np.float32]:
    """NYU's packed depth: mm = green * 256 + blue, (H, W, 3) uint8 RGB to (H, W) float32; 0 = no data."""
    if image.ndim != 3 or image.shape[2] < 3 or image.dtype != np.uint8:
        raise FrameError(
            f"{name} is {image.shape} {image.dtype}; expected NYU's packed depth, (H, W, 3) uint8 with "
            f"the high byte in "
            "green and the low byte in blue."
        )
    return np.asarray(image[..., 1].astype(np.float32) * 256.0 + image[..., 2].astype(np.float32))


def read_nyu_depth(path: str | Path) -> NDArray[np.float32]:
    """Read one of NYU's depth_*.png in mm."""
    return unpack_nyu_depth(read_image(path), str(path))


class NyuReader(_Frames):
    """A part of the NYU hand pose data set: `train` or `test` with depth_K_NNNNNNN.png and joint_data.mat.

    Args:
        folder: The part's folder.
        joints: Which of the 36 joints; the 14 that are evaluated if not given.
        view: Which of the three Kinects, 1..3.
        cube_mm: Edge of the cube; by default 300 mm, and 250 mm for the second subject of the test part.

    Raises:
        FrameError: If joint_data.mat is missing or not NYU's.
        ModuleNotFoundError: If SciPy is missing.
    """

    def __init__(
        self,
        folder: str | Path,
        joints: Sequence[int] = NYU_JOINTS,
        view: int = 1,
        cube_mm: float | None = None,
    ) -> None:
        if view not in (1, 2, 3):
            raise ValueError(f"view {view} was asked for; NYU has Kinects 1, 2 and 3.")
        self.folder, self.view = Path(folder), view
        uvd = _read_nyu_joints(self.folder / "joint_data.mat")
        if max(joints) >= uvd.shape[2]:
            raise FrameError(f"joint {max(joints)} was asked for; {folder}/joint_data.mat has {uvd.shape[2]} joints.")
        self._uvd = uvd[view - 1][:, list(joints)]
        self._palm = uvd[view - 1][:, _NYU_PALM]
        self._cube_mm = cube_mm
        self._has_two_subjects = len(self._uvd) > NYU_FIRST_SUBJECT and "test" in self.folder.name
        named = dict(zip(NYU_JOINTS, NYU_JOINT_NAMES, strict=True))
        self.joint_names = tuple(named.get(joint, f"joint {joint}") for joint in joints)

    def __len__(self) -> int:
        return len(self._uvd)

    def _read(self, index: int) -> JointFrame:
        name = f"depth_{self.view}_{index + 1:07d}"
        depth = read_nyu_depth(self.folder / f"{name}.png")
        camera = CAMERAS["nyu"]
        second = self._has_two_subjects and index >= NYU_FIRST_SUBJECT
        cube_mm = self._cube_mm or (CUBE_MM if second else NYU_CUBE_MM)
        return JointFrame(
            Frame(depth, camera=camera, name=name),
            joints_from_uvd(self._uvd[index], camera),
            joints_from_uvd(self._palm[index], camera),
            cube_mm,
        )


def _read_nyu_joints(path: Path) -> NDArray[np.float64]:
    """`joint_uvd` of joint_data.mat: (3 views, frames, 36 joints, u v d)."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"reading joint_data.mat needs SciPy, which is not installed; expected: {extra_hint('pose')}."
        ) from error
    if not path.is_file():
        raise FrameError(f"{path} does not exist; expected NYU's joint_data.mat beside the depth images.")
    try:
        uvd = np.asarray(loadmat(path, variable_names=["joint_uvd"])["joint_uvd"], np.float64)
    except (KeyError, ValueError, NotImplementedError, OSError, MatReadError) as error:
        raise FrameError(f"{path} has no joint_uvd that can be read ({error}); expected NYU's own file.") from error
    if uvd.ndim != 4 or uvd.shape[0] != 3 or uvd.shape[3] != 3 or uvd.shape[2] <= _NYU_PALM:
        raise FrameError(f"{path}: joint_uvd is {uvd.shape}; expected (3, frames, 36, 3).")
    return uvd


class IcvlReader(_Frames):
    """A part of the ICVL hand posture data set.

    Args:
        labels: A label file: one line a frame, its image's path and u v d of 16 joints (Training/labels.txt,
            Testing/test_seq_1.txt).
        depth_folder: Where the images' paths begin; "Depth" beside the label file if not given.
        cube_mm: Edge of the cube around the hand.

    Raises:
        FrameError: If a line is not of this form.
    """

    joint_names = (
        "palm",
        *(f"{finger} {joint}" for finger in ("thumb", "index", "middle", "ring", "little")
          for joint in ("root", "middle", "tip")),
    )  # fmt: skip

    def __init__(self, labels: str | Path, depth_folder: str | Path | None = None, cube_mm: float = CUBE_MM) -> None:
        self._folder = Path(depth_folder) if depth_folder is not None else Path(labels).parent / "Depth"
        self._cube_mm = cube_mm
        self._images: list[str] = []
        joints: list[list[float]] = []
        for number, line in enumerate(read_bytes(labels).decode(errors="replace").splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            try:
                values = [float(field) for field in fields[1:]]
            except ValueError as error:
                raise FrameError(f"{labels}, line {number}: {error}; expected a path and 48 numbers.") from error
            if len(values) != 48:
                raise FrameError(
                    f"{labels}, line {number}: {len(values)} numbers after the path; expected u v d of 16 joints, 48."
                )
            self._images.append(fields[0])
            joints.append(values)
        self._uvd = np.array(joints, np.float64).reshape(-1, 16, 3)

    def __len__(self) -> int:
        return len(self._images)

    def _read(self, index: int) -> JointFrame:
        path = self._folder / self._images[index]
        image = read_image(path)
        if image.ndim != 2 or image.dtype != np.uint16:
            raise FrameError(f"{path} is {image.shape} {image.dtype}; expected ICVL's 16-bit depth in mm.")
        camera = CAMERAS["icvl"]
        joints = joints_from_uvd(self._uvd[index], camera)
        frame = Frame(
            image.astype(np.float32), camera=camera, name=Path(self._images[index]).with_suffix("").as_posix()
        )
        return JointFrame(frame, joints, joints[0], self._cube_mm)


class MsraReader(_Frames):
    """One gesture of one subject of MSRA (2015): a folder such as P0/1 with NNNNNN_depth.bin and joint.txt.

    The files hold a window of the depth image in mm. Joints are stored with y up and z towards the viewer.

    Args:
        folder: The folder.
        cube_mm: Edge of the cube around the hand.

    Raises:
        FrameError: If joint.txt is missing or not of this form.
    """

    joint_names = (
        "wrist",
        *(f"{finger} {joint}" for finger in ("index", "middle", "ring", "little", "thumb")
          for joint in ("mcp", "pip", "dip", "tip")),
    )  # fmt: skip

    def __init__(self, folder: str | Path, cube_mm: float = CUBE_MM) -> None:
        self.folder, self._cube_mm = Path(folder), cube_mm
        path = self.folder / "joint.txt"
        lines = read_bytes(path).decode(errors="replace").split("\n")
        try:
            count = int(lines[0])
            rows = np.array([[float(value) for value in line.split()] for line in lines[1 : count + 1]], np.float64)
        except ValueError as error:
            raise FrameError(
                f"{path} cannot be read ({error}); expected the number of frames and then 63 numbers a line."
            ) from error
        if rows.shape != (count, 63):
            raise FrameError(f"{path} says {count} frames and holds {rows.shape}; expected 63 numbers for every frame.")
        self._joints = rows.reshape(count, 21, 3) * np.array([1.0, -1.0, -1.0])

    def __len__(self) -> int:
        return len(self._joints)

    def _read(self, index: int) -> JointFrame:
        name = f"{index:06d}_depth"
        frame = Frame(read_msra_depth(self.folder / f"{name}.bin"), camera=CAMERAS["msra"], name=name)
        joints = self._joints[index]
        return JointFrame(frame, joints, joints[self.joint_names.index("middle mcp")], self._cube_mm)


def read_msra_depth(path: str | Path) -> NDArray[np.float32]:
    """Read an MSRA *_depth.bin: six int32 (width, height, left, top, right, bottom) and the window's float32 mm.

    Returns:
        (height, width) float32 mm, 0 outside the window.
    """
    data = read_bytes(path)
    if len(data) < 24:
        raise FrameError(f"{path} has {len(data)} bytes; expected a header of 24 and the window's depths.")
    width, height, left, top, right, bottom = struct.unpack_from("<6i", data)
    inside = 0 <= left < right <= width <= 10_000 and 0 <= top < bottom <= height <= 10_000
    expected = 24 + 4 * (right - left) * (bottom - top)
    if not inside or len(data) != expected:
        raise FrameError(
            f"{path}: a window of columns {left}..{right} and rows {top}..{bottom} in {width}x{height} "
            f"with {len(data)} "
            f"bytes; expected a window inside the image and {expected} bytes. The file is damaged: copy it again."
        )
    depth = np.zeros((height, width), np.float32)
    window = np.frombuffer(data, "<f4", offset=24).reshape(bottom - top, right - left)
    depth[top:bottom, left:right] = window
    return depth
