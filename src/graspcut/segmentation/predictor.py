"""From a depth frame to a `Segmentation`: what users call.

    segmenter = Segmenter.load("dense-attention-small")
    result = segmenter(frame)                      # a graspcut Frame, or
    result = segmenter(depth_mm, camera)           # an array in millimetres

Frames may have any size. Networks trained at one scale run at that scale and their result is brought back to every
original pixel (see `nn/working_scale.py`), so the focal length matters: give the camera where it is known.

Nothing here imports torch unless the PyTorch back end is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.labels import LABEL_NAMES
from graspcut.runtime.contract import BACKEND_TITLES, BACKENDS, PRECISIONS, BackendError, GraphDescription, Session
from graspcut.runtime.cores import nvidia_driver_present
from graspcut.runtime.engines import installed_backends, is_installed, known_backend, require
from graspcut.runtime.model_folder import (
    ModelFolderError,
    find_model_folder,
    graph_file,
    load_model_config,
    load_model_folder,
)
from graspcut.runtime.opening import open_graph_file
from graspcut.segmentation.result import Segmentation

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "dense-attention-small"
TASK = "segmentation"
GRAPH_SUFFIXES = (".onnx", ".xml")


class Segmenter:
    """Segments depth frames into background, hand and object.

    Args:
        session: runs the graph `graspcut.segmentation.graph.SegmentationGraph` on some engine.
        name: what the model is called.
        config: the model folder's configuration, if there is one.

    Attributes:
        session: its `backend`, `device` and `precision` say what runs.
        name: what the model was loaded from.
        config: the model folder's configuration; empty for exported files.
    """

    def __init__(self, session: Session, *, name: str = "", config: dict[str, Any] | None = None) -> None:
        self.session = session
        self.name = name
        self.config: dict[str, Any] = config or {}

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        device: str = "auto",
        threads: int | None = None,
        *,
        backend: str = "auto",
        precision: str = "auto",
        parallel_calls: int = 1,
    ) -> Segmenter:
        """Loads a model that comes with the package, a model folder, or an exported graph. Nothing is downloaded.

        Args:
            name_or_path: shipped model's name, a folder written by training, or an .onnx or .xml file of `graspcut
                export`.
            device: "auto" (an NVIDIA GPU if PyTorch has one, else the processor), "cpu", "cuda" or "cuda:N".
            threads: processor threads; None takes all cores that this process may use.
            backend: "auto" takes PyTorch on a GPU, and on a processor the first of OpenVINO, ONNX Runtime and PyTorch
                that is installed and for which the model has a file; or one by name, which is taken or refused.
            precision: "auto" (what the model ships for the back end: int8 if it has such a file, else fp32; bf16 on a
                GPU), "fp32", "fp16", "bf16" or "int8".
            parallel_calls: how many threads will call the segmenter at the same time.

        Raises:
            ModelFolderError: if there is no such model or it is damaged.
            BackendError: if the back end, the device or the precision is not there.
        """
        if precision != "auto" and precision not in PRECISIONS:
            raise BackendError(f"unknown precision {precision!r}: use auto, {', '.join(PRECISIONS)}")
        for name, count in (("threads", threads), ("parallel_calls", parallel_calls)):
            if count is not None and count < 1:
                raise BackendError(f"{name} is {count}, expected 1 or more")
        if backend != "auto":
            require(known_backend(backend))
        path = Path(name_or_path)
        if path.suffix in GRAPH_SUFFIXES:
            return cls._of_file(path, str(name_or_path), device, threads, backend, precision, parallel_calls)
        folder = find_model_folder(name_or_path)
        config = load_model_config(folder)
        check_model_config(config, folder)
        chosen = _chosen_backend(folder, device, backend, precision)
        if chosen == "pytorch":
            segmenter = cls.from_network(
                load_network(folder), device=device, threads=threads, precision=_torch_precision(device, precision)
            )
        else:
            file = graph_file(folder, precision)
            if file is None:
                wanted = "" if precision == "auto" else f" in {precision}"
                how = "" if precision == "auto" else f" --precision {precision}"
                raise BackendError(
                    f"the back end {chosen} was asked for, and {folder} has no graph for it{wanted}: write one with "
                    f"'graspcut export {name_or_path}{how} --out FOLDER' and give its path, or use --backend pytorch"
                )
            segmenter = cls._of_file(file, str(name_or_path), device, threads, chosen, precision, parallel_calls)
        segmenter.name, segmenter.config = str(name_or_path), config
        return segmenter

    @classmethod
    def from_network(
        cls, network: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
    ) -> Segmenter:
        """Segments with a network of `graspcut.segmentation.models`, in PyTorch.

        Args:
            network: called as `network(depth_mm, focal_px) -> logits`; where its configuration has `working_focal_px`,
                it runs at that scale.
            device: "auto", "cpu", "cuda" or "cuda:N".
            threads: torch threads on the CPU. This is a setting of the whole process; None leaves it.
            precision: "fp32"; on a GPU also "bf16" and "fp16".
        """
        from graspcut.segmentation.graph import torch_session

        session = torch_session(network, device=device, threads=threads, precision=precision)
        return cls(session, name=type(network).__name__)

    @classmethod
    def _of_file(
        cls,
        path: Path,
        name: str,
        device: str,
        threads: int | None,
        backend: str,
        precision: str,
        parallel_calls: int,
    ) -> Segmenter:
        if backend == "auto":
            readers = ("openvino",) if path.suffix == ".xml" else ("openvino", "onnxruntime")
            present = [reader for reader in readers if is_installed(reader)]
            backend = present[0] if present else readers[-1]
        session, description = open_graph_file(
            path,
            backend,
            device="cpu" if device == "auto" else device,
            threads=threads,
            parallel_calls=parallel_calls,
        )
        check_description(description, path)
        if precision not in ("auto", description.precision):
            raise BackendError(f"{path} is a {description.precision} graph, and {precision} was asked for: export one")
        return cls(session, name=name)

    @property
    def parallel_calls(self) -> int:
        """How many threads may call at the same time and gain from it."""
        return self.session.parallel_calls

    @property
    def description(self) -> str:
        """What runs, in a few words: "OpenVINO on cpu, int8"."""
        return f"{BACKEND_TITLES[self.session.backend]} on {self.session.device}, {self.session.precision}"

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
        depth = checked[0][0][np.newaxis] if len(checked) == 1 else np.stack([depth for depth, _ in checked])
        found = self.run(depth, focals.pop())
        return [
            Segmentation(labels, probability, own_depth, own_camera)
            for labels, probability, (own_depth, own_camera) in zip(*found, checked, strict=True)
        ]

    def run(self, depth_mm: NDArray[np.float32], focal_px: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Labels and class probabilities of a batch.

        Args:
            depth_mm: (B, H, W) float32 millimetres, 0 = no data.
            focal_px: focal length in pixels at this size.

        Returns:
            (B, H, W) uint8 labels and (B, 3, H, W) float32 probabilities; certain background where there is no depth.
        """
        inputs = {"depth_mm": depth_mm, "focal_px": np.array([focal_px], dtype=np.float32)}
        found = self.session.run(inputs)
        return found["labels"], found["probabilities"]


def load_network(name_or_dir: str | Path) -> nn.Module:
    """The network of a model folder, with its weights.

    Raises:
        ModelFolderError: if there is no such model, it is damaged, or it is for another task.
    """
    from graspcut.runtime.model_folder import fill_network
    from graspcut.segmentation.models import build_model

    folder = find_model_folder(name_or_dir)
    config, weights = load_model_folder(folder)
    check_model_config(config, folder)
    network = build_model(config["model"])
    fill_network(network, weights, folder)
    return network.eval()


def check_model_config(config: dict[str, Any], folder: Path) -> None:
    """Refuses model folders for other tasks or with other labels.

    Raises:
        ModelFolderError: says what it is for.
    """
    if config.get("task") != TASK or config.get("labels") != list(LABEL_NAMES):
        raise ModelFolderError(
            f"{folder} is a model for {config.get('task')!r} with the labels {config.get('labels')}; "
            f"expected {TASK!r} with {list(LABEL_NAMES)}. Choose a segmentation model."
        )


def check_description(description: GraphDescription, path: Path) -> None:
    """Refuses exported graphs for other tasks or with other labels.

    Raises:
        BackendError: says what it is for.
    """
    if description.task != TASK or description.labels != tuple(LABEL_NAMES):
        raise BackendError(
            f"{path} is a graph for {description.task!r} with the labels {description.labels}; expected {TASK!r} with "
            f"{tuple(LABEL_NAMES)}. Choose a segmentation model."
        )


def _chosen_backend(folder: Path, device: str, backend: str, precision: str) -> str:
    if backend != "auto":
        return backend
    if device.startswith("cuda") or (device == "auto" and _gpu_present()):
        return "pytorch"
    for candidate in installed_backends():
        if candidate == "pytorch" or graph_file(folder, precision) is not None:
            return candidate
    raise BackendError(
        f"none of {', '.join(BACKENDS)} can run {folder}: install one that can, such as pip install 'graspcut[train]' "
        f"for PyTorch, or write a graph with 'graspcut export {folder} --format onnx' where PyTorch is installed"
    )


def _gpu_present() -> bool:
    """Whether PyTorch can use a GPU; torch, slow to import, is asked only where there is a driver."""
    if not (nvidia_driver_present() and is_installed("pytorch")):
        return False
    import torch

    return torch.cuda.is_available()


def _torch_precision(device: str, precision: str) -> str:
    if precision != "auto":
        return precision
    return "bf16" if device.startswith("cuda") or (device == "auto" and _gpu_present()) else "fp32"


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
