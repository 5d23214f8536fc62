"""From a depth frame to instance proposals: what users call.

    proposer = InstanceProposer.load()
    result = proposer(frame)                       # a graspcut Frame, or
    result = proposer(depth_mm, camera)            # an array in millimetres
    result.masks, result.scores, result.instance_map()

Frames may have any size. Nothing here imports torch unless the PyTorch back end is chosen. Loading, back ends,
pickling: see `graspcut.runtime.predictor.Predictor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graspcut.cores import usable_cores
from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.instances.proposing import ProposalConfig, Proposals, ScaleWindows, assembled_windows, propose
from graspcut.instances.result import InstanceProposals
from graspcut.instances.windows import Scale, WindowGeometry
from graspcut.runtime.contract import ArraySpec, TaskContract
from graspcut.runtime.predictor import Inputs, Predictor

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "instance-fcn-small"
# Rendered examples: the seed is used neither in training nor in the tests of docs/instances.md.
_EXAMPLE_SEED = 777_011
CONTRACT = TaskContract(
    task="instances",
    labels=("object",),
    arrays=(ArraySpec("depth_mm", "float32", ("batch", "height", "width")),),
    settings=(ArraySpec("focal_px", "float32", (1,)),),
    outputs=(
        ArraySpec("score_maps", "float32", ("batch", "parts", "windows")),
        ArraySpec("objectness", "float32", ("batch", "windows")),
        ArraySpec("levels", "float32", ("scales", 6)),
    ),
)


class InstanceProposer(Predictor):
    """Proposes masks of hands and objects, one a thing; see `Predictor` for loading.

    The session runs the graph `graspcut.instances.graph.InstanceGraph` on some engine.

    Attributes:
        settings: how windows become proposals; may be changed at any time.
    """

    contract = CONTRACT
    default_model = DEFAULT_MODEL
    # Chosen on validation frames: docs/instances.md.
    settings = ProposalConfig(mask_probability=0.35, rescoring_width=2.0)

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        """One of `graspcut.instances.models`."""
        from graspcut.instances.models import build_model

        return build_model(config)

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """Everything between raw depth and the scores of all windows."""
        from graspcut.instances.graph import InstanceGraph

        return InstanceGraph(network)

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        """Rendered frames, in whole millimetres, which every exported graph can be given."""
        from graspcut.synth.generator import FrameGenerator, SynthConfig

        generator = FrameGenerator(SynthConfig(width=width, height=height, colour=False), _EXAMPLE_SEED + seed)
        frames = [generator[index].frame for index in range(batch)]
        depth = np.stack([np.rint(frame.depth_mm) for frame in frames])
        return inputs_of(depth, focal_length_px(frames[0].camera, width))

    def __call__(self, depth_mm: NDArray[Any] | Frame, camera: Camera | None = None) -> InstanceProposals:
        """Proposes on one frame.

        Args:
            depth_mm: a Frame, or (H, W) uint16 or float millimetres, 0 = no data.
            camera: its camera; None takes the Frame's own. If no camera is known, the focal length is taken as
                0.745 times the width.

        Returns:
            Masks and scores at the frame's own size, best first. Pixels without depth belong to no mask.

        Raises:
            FrameError: if the array is no depth image in millimetres, or the camera has another size.
        """
        depth, known_camera = depth_and_camera(depth_mm, camera)
        found = self.windows(depth, focal_length_px(known_camera, depth.shape[1]))
        masks, pixels = found.masks_along_depth(depth, threads=self._paste_threads)
        filled = pixels > 0
        if filled.all():
            return InstanceProposals(masks, found.scores, depth, known_camera)
        return InstanceProposals(masks[filled], found.scores[filled], depth, known_camera)

    @property
    def _paste_threads(self) -> int:
        """Threads for one frame's masks: its share of those that the engine has."""
        asked = None if self._options is None else self._options.threads
        return max(1, (asked or usable_cores()) // self.parallel_calls)

    def windows(self, depth_mm: NDArray[np.float32], focal_px: float) -> Proposals:
        """The proposals as windows, not yet pasted.

        Args:
            depth_mm: (H, W) float32 millimetres.
            focal_px: focal length in pixels.
        """
        outputs = self.run(inputs_of(depth_mm[np.newaxis], focal_px))
        levels = outputs["levels"]
        geometry = geometry_of(levels)
        maps, scores = outputs["score_maps"][0], outputs["objectness"][0]
        return propose(pyramid_of(maps, scores, levels, depth_mm.shape, geometry), geometry, self.settings)

    def warm_up(self, size: tuple[int, int], camera: Camera | None = None) -> None:
        """Proposes on an empty frame, so that the first real one does not wait for an engine to compile.

        Args:
            size: (width, height) of the frames in pixels.
            camera: of the frames; some engines compile for its focal length too.
        """
        width, height = size
        self(np.zeros((height, width), np.float32), camera)


def geometry_of(levels: NDArray[np.float32]) -> WindowGeometry:
    """Where the windows of a graph are, from its table of levels (scales, 6)."""
    sides = tuple(int(min(row[:2])) for row in levels)
    return WindowGeometry(int(levels[0, 4]), 21, float(levels[0, 5]), sides)


def pyramid_of(
    score_maps: NDArray[np.float32],
    objectness: NDArray[np.float32],
    levels: NDArray[np.float32],
    shape: tuple[int, ...],
    geometry: WindowGeometry,
) -> list[ScaleWindows]:
    """The windows of all scales from a graph's outputs.

    Args:
        score_maps: (k^2, N).
        objectness: (N,).
        levels: (scales, 6), see `graspcut.instances.graph.LEVEL_COLUMNS`.
        shape: (H, W) of the frame.
        geometry: see `geometry_of`.
    """
    pyramid, first = [], 0
    for resized_height, resized_width, rows, columns, *_ in levels.astype(np.int64).tolist():
        last = first + rows * columns
        scale = Scale(shape[0], shape[1], resized_height, resized_width)
        maps = score_maps[:, first:last].reshape(-1, rows, columns)
        pyramid.append(assembled_windows(scale, maps, objectness[first:last].reshape(rows, columns), geometry))
        first = last
    return pyramid


def inputs_of(depth_mm: NDArray[Any], focal_px: float) -> Inputs:
    """The graph's inputs.

    Args:
        depth_mm: (B, H, W) millimetres, 0 = no data.
        focal_px: focal length in pixels at this size.
    """
    return {"depth_mm": depth_mm, "focal_px": np.array([focal_px], dtype=np.float32)}


def depth_and_camera(frame: NDArray[Any] | Frame, camera: Camera | None) -> tuple[NDArray[np.float32], Camera | None]:
    """Depth and camera of what a predictor was given.

    Raises:
        FrameError: if it is no depth image in millimetres, or the camera has another size.
    """
    if isinstance(frame, Frame):
        depth, camera = frame.depth_mm, frame.camera if camera is None else camera
    else:
        depth = check_depth(np.asarray(frame), 1.0)
    if camera is not None and (camera.height, camera.width) != depth.shape:
        raise FrameError(
            f"depth has shape {depth.shape} but the camera is {camera.width}x{camera.height} (width x height); "
            "expected the same size. Use camera.resized(width, height) if the image was resized."
        )
    return depth, camera
