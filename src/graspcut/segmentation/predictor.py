"""From a depth frame to a `Segmentation`: what users call.

    segmenter = Segmenter.load("dense-attention-small")
    result = segmenter(frame)                      # a graspcut Frame, or
    result = segmenter(depth_mm, camera)           # an array in millimetres
    segmenter.sensitivity = 0.3                    # fewer false hands and objects, and fewer true ones

Frames may have any size. Networks trained at one scale run at that scale and their result is brought back to every
original pixel (see `nn/working_scale.py`), so the focal length matters: give the camera where it is known.

Nothing here imports torch unless the PyTorch back end is chosen. Loading, back ends, pickling: see `Predictor`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, CameraLike, focal_length_px
from graspcut.frames.depth_values import examine_depth
from graspcut.frames.errors import FrameError, FrameWarning
from graspcut.frames.frame import Frame
from graspcut.frames.intrinsics import check_field_of_view
from graspcut.frames.notes import DOUBT
from graspcut.labels import LABEL_NAMES
from graspcut.runtime.contract import ArraySpec, TaskContract
from graspcut.runtime.predictor import Inputs, Predictor
from graspcut.segmentation.careful import CarefulSegmenter
from graspcut.segmentation.result import Segmentation, labels_of
from graspcut.segmentation.stream import SegmentationStream, StreamConfig

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "dense-attention-small"
# Rendered examples: the seed is used neither in training nor in the tests of docs/results.md.
_EXAMPLE_SEED = 777_001
_OF_THE_RENDERER = ("numba", "llvmlite")
CONTRACT = TaskContract(
    task="segmentation",
    labels=tuple(LABEL_NAMES),
    arrays=(ArraySpec("depth_mm", "float32", ("batch", "height", "width")),),
    settings=(ArraySpec("focal_px", "float32", (1,)), ArraySpec("sensitivity", "float32", (1,))),
    outputs=(
        ArraySpec("labels", "uint8", ("batch", "height", "width")),
        ArraySpec("probabilities", "float32", ("batch", len(LABEL_NAMES), "height", "width")),
    ),
)


class Segmenter(Predictor):
    """Segments depth frames into background, hand and object; see `Predictor` for loading.

    The session runs the graph `graspcut.segmentation.graph.SegmentationGraph` on some engine.
    """

    contract = CONTRACT
    default_model = DEFAULT_MODEL
    results_are_new = True  # see `graspcut.segmentation.interfaces.ProbabilitySegmenter`
    _sensitivity = 1.0
    _said_doubt = False  # every frame of an empty room would say it again

    @property
    def sensitivity(self) -> float:
        """What the odds of hand and object against background are multiplied by; 1 takes the likeliest class.

        Above 1 more is found, and more of what is found is false. Probabilities stay as they are.

        Raises:
            ValueError: when it is set to something else than a positive number.
        """
        return self._sensitivity

    @sensitivity.setter
    def sensitivity(self, value: float) -> None:
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"the sensitivity is {value}, expected a positive number: 1 takes the likeliest class")
        self._sensitivity = float(value)

    def __reduce__(self) -> tuple[Any, ...]:
        """See `Predictor`; the sensitivity comes along."""
        return (*super().__reduce__(), {"_sensitivity": self._sensitivity})

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        """One of `graspcut.segmentation.models`."""
        from graspcut.segmentation.models import build_model

        return build_model(config)

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """Everything between raw depth and labels."""
        from graspcut.segmentation.graph import SegmentationGraph

        return SegmentationGraph(network)

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        """Rendered frames, in whole millimetres, which every exported graph can be given.

        Where the renderer is not installed (the extra `synth`), those of the bundled recording, at this size.
        """
        try:
            from graspcut.synth.generator import FrameGenerator, SynthConfig
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _OF_THE_RENDERER:
                raise
            return _bundled_example(width, height, batch, seed)
        generator = FrameGenerator(
            SynthConfig(width=width, height=height, profile="v1", colour=False), _EXAMPLE_SEED + seed
        )
        frames = [generator[index].frame for index in range(batch)]
        depth = np.stack([np.rint(frame.depth_mm) for frame in frames])
        return inputs_of(depth, focal_length_px(frames[0].camera, width))

    def __call__(self, depth_mm: NDArray[Any] | Frame, camera: CameraLike | None = None) -> Segmentation:
        """Segments one frame.

        Args:
            depth_mm: a Frame, or (H, W) uint16 or float millimetres, 0 = no data.
            camera: its camera, also as (fx, fy, cx, cy) or a matrix K; None takes the Frame's own. If no camera is
                known, the focal length is taken as 0.745 times the width.

        Returns:
            Labels, probabilities and areas at the frame's own size. Pixels without depth are background.

        Warns:
            FrameWarning: once, if an array in millimetres shows distances that a hand camera hardly measures.

        Raises:
            FrameError: if the array is no depth image in millimetres, or the camera has another size.
        """
        return self.segment_batch([depth_mm], camera)[0]

    def stream(self, config: StreamConfig | None = None) -> SegmentationStream:
        """For frames in order of time: `result, state = stream.step(frame, state)`, or `stream.smooth(recording)`.

        Args:
            config: how much the frames around are believed.
        """
        return SegmentationStream(self, config)

    def careful(self) -> CarefulSegmenter:
        """Segments frames more exactly, above all small objects, in two to four times the time."""
        return CarefulSegmenter(self)

    def segment_batch(
        self, frames: Sequence[NDArray[Any] | Frame], camera: CameraLike | None = None
    ) -> list[Segmentation]:
        """Segments frames of one size and one camera together; faster on a GPU, about equal on a CPU.

        Args:
            frames: see `__call__`; all of one size and focal length.
            camera: the camera of all of them.

        Raises:
            FrameError: if sizes or focal lengths differ, or a frame is unusable.
        """
        if not frames:
            return []
        checked = []
        for frame in frames:
            depth, own, doubts = _depth_and_camera(frame, camera)
            checked.append((depth, own))
            if doubts and not self._said_doubt:
                self._said_doubt = True
                said = "; ".join(doubts)
                warnings.warn(f"depth in millimetres was expected: {said}", FrameWarning, stacklevel=3)
        shapes = {depth.shape for depth, _ in checked}
        focals = {round(focal_length_px(own, depth.shape[1]), 3) for depth, own in checked}
        if len(shapes) != 1 or len(focals) != 1:
            raise FrameError(
                f"one batch has frames of (H, W) {sorted(shapes)} and focal lengths {sorted(focals)} px; expected one "
                "size and one camera. Segment them one by one, or sort them into batches."
            )
        depth = checked[0][0][np.newaxis] if len(checked) == 1 else np.stack([depth for depth, _ in checked])
        found = self.run(inputs_of(depth, focals.pop(), self.sensitivity))
        if self.sensitivity != 1.0 and not self._graph_takes_sensitivity:
            found["labels"] = labels_of(found["probabilities"], self.sensitivity)
        return [
            Segmentation(labels, probability, own_depth, own_camera)
            for labels, probability, (own_depth, own_camera) in zip(
                found["labels"], found["probabilities"], checked, strict=True
            )
        ]

    @property
    def _graph_takes_sensitivity(self) -> bool:
        """Graphs of the first version do not; their labels are then made from the probabilities."""
        description = getattr(self.session, "description", None)
        return description is None or "sensitivity" in description.settings

    def warm_up(self, size: tuple[int, int], camera: Camera | None = None) -> None:
        """Labels an empty frame, so that the first real one does not wait for an engine to compile.

        Args:
            size: (width, height) of the frames in pixels.
            camera: of the frames; some engines compile for its focal length too.
        """
        width, height = size
        self(np.zeros((height, width), np.float32), camera)


def _bundled_example(width: int, height: int, batch: int, seed: int) -> Inputs:
    """Frames of the bundled recording, by nearest neighbour, for `Segmenter.example`."""
    from graspcut.frames.recording import Recording
    from graspcut.segmentation.demo import demo_recording_folder

    recording = Recording(demo_recording_folder())
    frames = [recording[(seed + index) % len(recording)] for index in range(batch)]
    rows = np.arange(height) * frames[0].height // height
    columns = np.arange(width) * frames[0].width // width
    depth = np.stack([np.rint(frame.depth_mm)[rows[:, np.newaxis], columns] for frame in frames])
    return inputs_of(depth, focal_length_px(frames[0].camera, frames[0].width) * width / frames[0].width)


def inputs_of(depth_mm: NDArray[Any], focal_px: float, sensitivity: float = 1.0) -> Inputs:
    """The graph's inputs.

    Args:
        depth_mm: (B, H, W) millimetres, 0 = no data.
        focal_px: focal length in pixels at this size.
        sensitivity: see `Segmenter.sensitivity`.
    """
    return {
        "depth_mm": depth_mm,
        "focal_px": np.array([focal_px], dtype=np.float32),
        "sensitivity": np.array([sensitivity], dtype=np.float32),
    }


def _depth_and_camera(
    frame: NDArray[Any] | Frame, camera: CameraLike | None
) -> tuple[NDArray[np.float32], Camera | None, list[str]]:
    """Millimetres, the camera if there is one, and what is doubtful about an array."""
    doubts = []
    if isinstance(frame, Frame):
        depth, camera = frame.depth_mm, frame.camera if camera is None else camera
    else:
        examined = examine_depth(np.asarray(frame), 1.0)
        depth = examined.depth_mm
        doubts = [note.text for note in examined.notes if note.kind == DOUBT]
    if camera is None:
        # No camera is known: the assumed one must be possible, or the working picture would grow without bound.
        focal_px = focal_length_px(None, depth.shape[1])
        check_field_of_view(depth.shape[1], depth.shape[0], focal_px, focal_px)
    elif not isinstance(camera, Camera):
        camera = Camera.of(camera, depth.shape[1], depth.shape[0])
    if camera is not None and (camera.height, camera.width) != depth.shape:
        raise FrameError(
            f"depth has shape {depth.shape} but the camera is {camera.width}x{camera.height} (width x height); "
            "expected the same size. Use camera.resized(width, height) if the image was resized."
        )
    return depth, camera, doubts
