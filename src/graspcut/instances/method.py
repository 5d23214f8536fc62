"""What instance proposals give to the verbs that work on any task; see `graspcut.runtime.method`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.labelled import LabelledFrame
from graspcut.instances.predictor import InstanceProposer, inputs_of
from graspcut.runtime.method import Method, Quantization
from graspcut.runtime.predictor import Inputs

if TYPE_CHECKING:
    from torch import nn

# Composed frames for int8: the seed is used neither in training nor in the tests of docs/instances.md.
_INT8_SEED = 777_012
_INT8_FRAMES = 128


class _Composed:
    """Composed frames, such as the shipped network is trained on."""

    def __init__(self) -> None:
        from graspcut.instances.composing import ComposedConfig, ComposedFrames  # the renderer is the extra `synth`

        self._frames = ComposedFrames(ComposedConfig(width=320, height=240), _INT8_SEED)

    def __len__(self) -> int:
        return _INT8_FRAMES

    def __getitem__(self, index: int) -> LabelledFrame:
        return self._frames[index]


def int8_modules(graph: nn.Module) -> list[nn.Module]:
    """The network without its encoding, which works in millimetres."""
    features = graph.get_submodule("network.features")
    parts = [module for name, module in features.named_children() if name != "encoding"]
    return [*parts, graph.get_submodule("network.heads")]


def calibration_inputs(labelled: LabelledFrame) -> Inputs:
    """The graph's inputs of a labelled frame."""
    frame = labelled.frame
    return inputs_of(frame.depth_mm[np.newaxis], focal_length_px(frame.camera, frame.width))


def average_recall(proposer: Any, frames: Iterable[LabelledFrame], done: Callable[[], None]) -> float:
    """AR@100 (COCO's mean), in percent."""
    from graspcut.instances.evaluation import evaluate_proposals
    from graspcut.instances.truth import frames_groundtruth, mask_results

    labelled, found = [], []
    for frame in frames:
        result = proposer(frame.frame)
        labelled.append(frame)
        found.append((result.masks, result.scores))
        done()
    report = evaluate_proposals(frames_groundtruth(labelled), mask_results(found), limits=(100,))
    return 100 * report.average_recall[100]


def timed_call(proposer: InstanceProposer, width: int, height: int) -> Callable[[], object]:
    """One frame, from an array in millimetres to masks: a slope with three balls before it.

    How many windows are looked at depends on the scores, so the time depends a little on what is in the picture.
    """
    column, row = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    depth = (600.0 + 100.0 * row / height).astype(np.uint16)
    for place in (-0.25, 0.0, 0.25):
        depth[np.hypot(column - place * width, row) < 0.1 * width] = 400
    camera = Camera.sr300(width, height)
    return lambda: proposer(depth, camera)


METHOD = Method(
    predictor=InstanceProposer,
    quantization=Quantization(
        modules=int8_modules,
        default_samples=_Composed,
        inputs=calibration_inputs,
        score=average_recall,
        score_name="AR@100",
    ),
    timed_call=timed_call,
)
