"""From a depth frame to a `Segmentation`: what users call.

    segmenter = Segmenter.load("dense-attention-small")
    result = segmenter(frame)                      # a graspcut Frame, or
    result = segmenter(depth_mm, camera)           # an array in millimetres

Frames may have any size. Networks trained at one scale run at that scale and their result is brought back to every
original pixel (see `models/working_scale.py`), so the focal length matters: give the camera where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.labels import BACKGROUND, LABEL_NAMES
from graspcut.runtime.model_folder import ModelFolderError, fill_network, find_model_folder, load_model_folder
from graspcut.segmentation.data import focal_length_px
from graspcut.segmentation.models import WorkingScale, build_model
from graspcut.segmentation.result import Segmentation

DEFAULT_MODEL = "dense-attention-small"
_SMALLEST_SIDE_PX = 16


class Segmenter:
    """Segments depth frames into background, hand and object.

    Args:
        network: called as `network(depth_mm, focal_px) -> logits`, see `graspcut.segmentation.models`. A network whose
            configuration has `working_focal_px` is run at that scale.
        device: see `choose_device`.
        threads: torch threads on the CPU. This is a setting of the whole process; None leaves it.

    Attributes:
        name: what the model was loaded from.
        config: the model folder's configuration.
        device: where it runs.
    """

    def __init__(self, network: nn.Module, *, device: str = "auto", threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = choose_device(device)
        self.name = type(network).__name__
        self.config: dict[str, Any] = {}
        focal = getattr(getattr(network, "config", None), "working_focal_px", None)
        scaled = network if focal is None else WorkingScale(network, float(focal))
        self.network = scaled.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @classmethod
    def load(
        cls, name_or_dir: str | Path = DEFAULT_MODEL, device: str = "auto", threads: int | None = None
    ) -> Segmenter:
        """Loads a model that comes with the package, or a model folder. Nothing is downloaded.

        Args:
            name_or_dir: shipped model's name, or a folder written by training.
            device: "auto", "cpu", "cuda" or "cuda:N".
            threads: torch threads on the CPU; None leaves torch's setting.

        Raises:
            ModelFolderError: if there is no such model or it is damaged.
            ValueError: if the device is not there.
        """
        folder = find_model_folder(name_or_dir)
        config, weights = load_model_folder(folder)
        if config.get("task") != "segmentation" or config.get("labels") != list(LABEL_NAMES):
            raise ModelFolderError(
                f"{folder} is a model for {config.get('task')!r} with the labels {config.get('labels')}; "
                f"expected 'segmentation' with {list(LABEL_NAMES)}. Choose a segmentation model."
            )
        network = build_model(config["model"])
        fill_network(network, weights, folder)
        segmenter = cls(network, device=device, threads=threads)
        segmenter.name, segmenter.config = str(name_or_dir), config
        return segmenter

    def __call__(self, depth_mm: NDArray[Any] | Frame, camera: Camera | None = None) -> Segmentation:
        """Segments one frame.

        Args:
            depth_mm: a Frame, or (H, W) uint16 or float millimetres, 0 = no data.
            camera: its camera; None takes the Frame's own. If no camera is known, the focal length is taken as
                0.745 times the width.

        Returns:
            Labels, probabilities and areas at the frame's own size. Pixels without depth are background.

        Raises:
            FrameError: if the array is no depth image in millimetres, or the camera has another size.
        """
        return self.segment_batch([depth_mm], camera)[0]

    def segment_batch(self, frames: Sequence[NDArray[Any] | Frame], camera: Camera | None = None) -> list[Segmentation]:
        """Segments frames of one size and one camera together; faster on a GPU, about equal on a CPU.

        Args:
            frames: see `__call__`; all of one size and focal length.
            camera: the camera of all of them.

        Raises:
            FrameError: if sizes or focal lengths differ, or a frame is unusable.
        """
        if not frames:
            return []
        checked = [_depth_and_camera(frame, camera) for frame in frames]
        shapes = {depth.shape for depth, _ in checked}
        focals = {round(focal_length_px(own, depth.shape[1]), 3) for depth, own in checked}
        if len(shapes) != 1 or len(focals) != 1:
            raise FrameError(
                f"one batch has frames of (H, W) {sorted(shapes)} and focal lengths {sorted(focals)} px; expected one "
                "size and one camera. Segment them one by one, or sort them into batches."
            )
        depth = np.stack([depth for depth, _ in checked])
        probabilities = self.probabilities(depth, focals.pop())
        return [
            Segmentation(_labels(probability, own_depth), probability, own_depth, own_camera)
            for probability, (own_depth, own_camera) in zip(probabilities, checked, strict=True)
        ]

    def probabilities(self, depth_mm: NDArray[np.float32], focal_px: float) -> NDArray[np.float32]:
        """Class probabilities of a batch.

        Args:
            depth_mm: (B, H, W) float32 millimetres, 0 = no data.
            focal_px: focal length in pixels at this size.

        Returns:
            (B, 3, H, W) float32; certain background where there is no depth.
        """
        count, height, width = depth_mm.shape
        # The networks need some pixels a side; what is added has no depth.
        add = ((0, 0), (0, max(0, _SMALLEST_SIDE_PX - height)), (0, max(0, _SMALLEST_SIDE_PX - width)))
        padded = np.pad(depth_mm, add) if height < _SMALLEST_SIDE_PX or width < _SMALLEST_SIDE_PX else depth_mm
        depth = torch.from_numpy(np.ascontiguousarray(padded)).unsqueeze(1).to(self.device)
        focal = torch.full((count,), focal_px, dtype=torch.float32, device=self.device)
        with torch.no_grad():  # not inference_mode: that would spoil the network for a later export
            probabilities: Tensor = torch.softmax(self.network(depth, focal).float(), dim=1)
            certain = torch.zeros_like(probabilities)
            certain[:, BACKGROUND] = 1.0
            probabilities = torch.where(depth > 0, probabilities, certain)[..., :height, :width]
        found: NDArray[np.float32] = probabilities.cpu().contiguous().numpy()
        return found


def choose_device(device: str) -> torch.device:
    """The device to run on; what is asked for by name is never replaced by another.

    Args:
        device: "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: if the name is unknown or the device is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:0") from error
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:0")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices: "
            "install a CUDA build of torch and the driver, or use --device cpu"
        )
    return chosen


def _depth_and_camera(frame: NDArray[Any] | Frame, camera: Camera | None) -> tuple[NDArray[np.float32], Camera | None]:
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


def _labels(probability: NDArray[np.float32], depth_mm: NDArray[np.float32]) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = probability.argmax(axis=0).astype(np.uint8)
    labels[depth_mm <= 0] = BACKGROUND
    return labels
