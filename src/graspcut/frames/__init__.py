"""Frames, cameras, files: depth in millimetres with everything known about it. Needs numpy and OpenCV only."""

from __future__ import annotations

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.frames.labelled import Instance, LabelledFrame

__all__ = [
    "Camera",
    "DatasetReader",
    "DatasetWriter",
    "Frame",
    "FrameError",
    "Instance",
    "LabelledFrame",
    "check_depth",
]
