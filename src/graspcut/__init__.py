"""GraspCut cuts hands and the objects they hold out of depth frames.

    import graspcut

    segmenter = graspcut.Segmenter.load("dense-attention-small")
    for frame in graspcut.open_source("my-recording"):
        result = segmenter(frame.depth_mm, frame.camera)
        print(frame.name, result.areas)

The names below are loaded when they are first used: importing this package imports neither torch nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graspcut.version import __version__

if TYPE_CHECKING:
    from graspcut.frames.camera import Camera
    from graspcut.frames.dataset import DatasetReader, DatasetWriter
    from graspcut.frames.errors import FrameError
    from graspcut.frames.frame import Frame
    from graspcut.frames.recording import Recording, RecordingWriter
    from graspcut.frames.sources import open_source
    from graspcut.instances.predictor import InstanceProposer
    from graspcut.matting.predictor import Matter
    from graspcut.pose.predictor import PoseEstimator
    from graspcut.segmentation.predictor import Segmenter
    from graspcut.segmentation.result import Segmentation
    from graspcut.synth.generator import FrameGenerator, SynthConfig

__all__ = [
    "Camera",
    "DatasetReader",
    "DatasetWriter",
    "Frame",
    "FrameError",
    "FrameGenerator",
    "InstanceProposer",
    "Matter",
    "PoseEstimator",
    "Recording",
    "RecordingWriter",
    "Segmentation",
    "Segmenter",
    "SynthConfig",
    "__version__",
    "open_source",
]

# Fifteen names are shown; others that code already uses, such as LabelledFrame, are still found.
_HOMES = {
    "Camera": "frames.camera",
    "DatasetReader": "frames.dataset",
    "DatasetWriter": "frames.dataset",
    "Frame": "frames.frame",
    "FrameError": "frames.errors",
    "FrameGenerator": "synth.generator",
    "InstanceProposer": "instances.predictor",
    "LabelledFrame": "frames.labelled",
    "PoseEstimator": "pose.predictor",
    "Matter": "matting.predictor",
    "Recording": "frames.recording",
    "RecordingWriter": "frames.recording",
    "Segmentation": "segmentation.result",
    "Segmenter": "segmentation.predictor",
    "SynthConfig": "synth.generator",
    "open_source": "frames.sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
