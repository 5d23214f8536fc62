"""Which reader opens a foreign file: by its ending and what is in it."""

from __future__ import annotations

from pathlib import Path

from graspcut.frames.errors import FrameError
from graspcut.frames.folders import DEPTH_SUFFIXES
from graspcut.frames.importing.azure_kinect import open_azure_kinect
from graspcut.frames.importing.image_pairs import open_image_pairs
from graspcut.frames.importing.realsense import open_realsense
from graspcut.frames.importing.record3d import open_record3d
from graspcut.frames.importing.ros import open_ros
from graspcut.frames.importing.stream import Stream

# RealSense files are bags whose topics begin so.
_REALSENSE_TOPIC = b"/device_0/sensor_"
_LOOKED_AT_BYTES = 4 * 2**20


def open_foreign(
    source: str | Path,
    *,
    colour: str | Path | None = None,
    registered: bool = False,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera_file: str | Path | None = None,
    frames_per_s: float | None = None,
    depth_topic: str | None = None,
    colour_topic: str | None = None,
) -> Stream:
    """Opens a RealSense file, ROS bag, MCAP, Azure Kinect or Record3D file, or a folder of depth images.

    Args:
        source: The file or folder.
        colour, focal_px, camera_file, frames_per_s: For folders; see `open_image_pairs`.
        depth_unit_mm: Millimetres per step of folders, and of bags whose whole numbers are not millimetres.
        registered: Colour lies pixel by pixel on depth (folders, bags).
        depth_topic, colour_topic: For bags; see `open_ros`.

    Raises:
        FrameError: If it is none of these or cannot be read.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    if (path.is_dir() and not (path / "metadata.yaml").exists()) or (path.is_file() and suffix in DEPTH_SUFFIXES):
        return open_image_pairs(
            path,
            colour,
            depth_unit_mm=depth_unit_mm,
            focal_px=focal_px,
            camera_file=camera_file,
            registered=registered,
            frames_per_s=frames_per_s,
        )
    if not path.exists():
        raise FrameError(f"{path} does not exist; expected a recording of a camera or a folder of depth images.")
    if suffix == ".r3d":
        return open_record3d(path)
    if suffix == ".mkv":
        return open_azure_kinect(path)
    if suffix in (".db3", ".bag") and depth_topic is None and _is_realsense(path):
        return open_realsense(path)
    if suffix in (".db3", ".bag", ".mcap") or path.is_dir():
        return open_ros(
            path,
            depth_topic=depth_topic,
            colour_topic=colour_topic,
            registered=registered,
            depth_unit_mm=depth_unit_mm,
        )
    raise FrameError(
        f"{path} ends in {suffix or 'nothing'}; expected .db3, .bag or .mcap (RealSense, ROS), .mkv (Azure Kinect), "
        ".r3d (Record3D), or a folder of depth images."
    )


def _is_realsense(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT_BYTES)
        file.seek(max(0, path.stat().st_size - _LOOKED_AT_BYTES))
        return _REALSENSE_TOPIC in start or _REALSENSE_TOPIC in file.read()
