"""What segmentation gives to the verbs that work on any task; see `graspcut.runtime.method`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.labelled import LabelledFrame
from graspcut.runtime.export import CALIBRATION_SAMPLES, TEST_SAMPLES
from graspcut.runtime.folder_run import FolderReport, ProgressCallback
from graspcut.runtime.method import Method, Quantization
from graspcut.runtime.predictor import Inputs
from graspcut.segmentation.batch import segment_folder
from graspcut.segmentation.demo import run_demo
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter, inputs_of

if TYPE_CHECKING:
    from torch import nn

# Rendered frames for int8: the seed is used neither in training nor in the tests of docs/results.md.
_INT8_SEED = 777_002


class _Rendered:
    """As many rendered frames as int8 takes."""

    def __init__(self) -> None:
        from graspcut.synth.generator import FrameGenerator, SynthConfig  # the renderer is the extra `synth`

        self._generator = FrameGenerator(SynthConfig(width=320, height=240, profile="v1", colour=False), _INT8_SEED)

    def __len__(self) -> int:
        return 4 * CALIBRATION_SAMPLES + TEST_SAMPLES

    def __getitem__(self, index: int) -> LabelledFrame:
        return self._generator[index]


def int8_modules(graph: nn.Module) -> list[nn.Module]:
    """The network without its encoding, which works in millimetres."""
    core = graph.get_submodule("scaled.core")
    return [module for name, module in core.named_children() if name != "encoding"]


def calibration_inputs(labelled: LabelledFrame) -> Inputs:
    """The graph's inputs of a labelled frame."""
    frame = labelled.frame
    return inputs_of(frame.depth_mm[np.newaxis], focal_length_px(frame.camera, frame.width))


def mean_iou(segmenter: Any, frames: Iterable[LabelledFrame], done: Callable[[], None]) -> float:
    """Mean of hand and object IoU, in percent."""
    counts = ConfusionCounts()
    for labelled in frames:
        counts.add(labelled.labels, segmenter(labelled.frame).labels)
        done()
    return 100 * counts.scores().mean_iou


def timed_call(segmenter: Segmenter, width: int, height: int) -> Callable[[], object]:
    """One frame, from an array in millimetres to a `Segmentation`: a slope with a ball before it.

    The time does not depend on what is in the picture.
    """
    column, row = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    depth = (600.0 + 100.0 * row / height).astype(np.uint16)
    depth[np.hypot(column, row) < 0.15 * width] = 400
    camera = Camera.sr300(width, height)
    return lambda: segmenter(depth, camera)


def run_folder(
    inputs: Sequence[Path],
    out: Path,
    segmenter: Segmenter,
    *,
    depth_unit_mm: float,
    focal_px: float,
    progress: ProgressCallback | None = None,
) -> FolderReport:
    """`segment_folder`, as `graspcut segment` calls it."""
    return segment_folder(
        inputs,
        out,
        segmenter,
        model_name=segmenter.name,
        depth_unit_mm=depth_unit_mm,
        focal_px=focal_px,
        progress=progress,
    )


METHOD = Method(
    predictor=Segmenter,
    quantization=Quantization(
        modules=int8_modules,
        default_samples=_Rendered,
        inputs=calibration_inputs,
        score=mean_iou,
        score_name="mean IOU",
    ),
    demo=run_demo,
    run_folder=run_folder,
    timed_call=timed_call,
)
