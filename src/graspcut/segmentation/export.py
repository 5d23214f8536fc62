"""Exports a segmentation model: one graph from raw millimetres to labels, for engines without torch.

What is written is compared with PyTorch first, at two sizes and two batch sizes, or, for int8, scored beside it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import LABEL_NAMES
from graspcut.nn.folding import replace_small_deconvolutions
from graspcut.runtime import export as graphs
from graspcut.runtime.contract import BackendError, GraphDescription
from graspcut.runtime.engines import require
from graspcut.segmentation.graph import INPUT_NAMES, OUTPUT_NAMES, SegmentationGraph
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import TASK, Segmenter, load_network
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.version import __version__

FORMATS = ("onnx", "openvino")
LARGEST_INT8_LOSS = 0.5
CALIBRATION_FRAMES = 64
TEST_FRAMES = 200

# Rendered frames for parity and int8: these seeds are used neither in training nor in the tests of docs/results.md.
_PARITY_SEED, _INT8_SEED = 777_001, 777_002
_PARITY_SIZES = ((240, 320), (424, 512), (480, 640))
_DIFFERING_PIXELS = {"fp32": 1e-4, "fp16": 2e-3, "bf16": 2e-2}

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares.

    Attributes:
        path: the .onnx or .xml file.
        precision: "fp32", "fp16", "bf16" or "int8".
        megabytes: size of the file or files.
        differing_pixels: fraction of pixels whose label is not PyTorch's, over all parity frames.
        largest_difference: of any probability.
        exact_iou, int8_iou: for int8, mean IOU of hand and object in percent of PyTorch's float32 and of the int8 graph
            on frames that were not used for calibration; None otherwise.
    """

    path: Path
    precision: str
    megabytes: float
    differing_pixels: float
    largest_difference: float
    exact_iou: float | None = None
    int8_iou: float | None = None


class LabelledFrames(Protocol):
    """Labelled frames that can be counted and fetched one by one: a dataset reader, a frame generator with an end."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> LabelledFrame: ...


class Int8LossError(BackendError):
    """The int8 graph loses too much; nothing was written."""


def graph_name(form: str, precision: str) -> str:
    """File name of an exported graph: model.onnx, model.int8.onnx, model.xml, model.bf16.xml, ..."""
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[form]
    return f"model{'' if precision == 'fp32' else f'.{precision}'}{suffix}"


def export_model(
    model: str | Path,
    out: str | Path,
    *,
    form: Literal["onnx", "openvino"] = "onnx",
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32",
    depth_type: Literal["float32", "uint16"] = "float32",
    frames: LabelledFrames | None = None,
    largest_loss: float = LARGEST_INT8_LOSS,
    progress: ProgressCallback | None = None,
) -> ExportReport:
    """Writes OUT/model[.precision].onnx or .xml.

    Args:
        model: shipped model's name or model folder.
        out: folder; is made if missing. A model folder's own is a good choice: the graph is then found there.
        form: "onnx", or "openvino" for an .xml and a .bin.
        precision: "fp32"; "fp16" stores weights rounded to float16; "bf16" (OpenVINO, on processors that have it)
            computes convolutions in bfloat16; "int8" in 8-bit integers.
        depth_type: what the graph takes: float32, or whole millimetres as uint16.
        frames: labelled frames for int8: a quarter calibrates, the rest tests. None renders some.
        largest_loss: points of mean IOU that int8 may lose.
        progress: called with (frames done, frames in all) while int8 is calibrated and tested.

    Raises:
        BackendError: a precision that the format has not, an engine that is not installed, or a graph that does not
            agree with PyTorch.
        Int8LossError: int8 loses more than `largest_loss`.
    """
    if form == "onnx" and precision == "bf16":
        raise BackendError(
            "ONNX Runtime has no bfloat16 convolutions on processors: use --format openvino, or --precision int8"
        )
    reader = "openvino" if form == "openvino" else "onnxruntime"
    require(reader)
    network = load_network(model)
    description = describe_graph(Path(model).name, precision)
    graph = onnx_of_model(network, Path(model).name)
    tests: _Part | None = None
    if precision == "int8":
        calibration, tests = _int8_frames(_Rendered() if frames is None else frames)
        graph = graphs.quantized(graph, calibration_inputs(calibration), description, runs_in_int8)
    elif precision == "fp16" and form == "onnx":
        graph = graphs.with_half_weights(graph, description)
    if depth_type == "uint16":
        graph = graphs.with_uint16_input(graph, INPUT_NAMES[0])
    path = Path(out) / graph_name(form, precision)
    trial = path.with_name(f".trial-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if form == "onnx":
            trial.write_bytes(graph)
        else:
            graphs.save_openvino(graph, trial, description)
        report = _compared(network, trial, reader, precision, tests, largest_loss, progress)
        if form == "openvino":
            os.replace(trial.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(trial, path)
    finally:
        for leftover in (trial, trial.with_suffix(".bin")):
            leftover.unlink(missing_ok=True)
    return replace(report, path=path)


def onnx_of_model(network: nn.Module, name: str) -> bytes:
    """The float32 graph of a network as the bytes of an ONNX file, for any batch and frame size.

    Args:
        network: one of `graspcut.segmentation.models`.
        name: for the description.
    """
    prepared = copy.deepcopy(network).eval()
    replace_small_deconvolutions(prepared)
    example = {"depth_mm": torch.full((1, 480, 640), 500.0), "focal_px": torch.tensor([480.0])}
    return graphs.onnx_of_network(
        SegmentationGraph(prepared).eval(),
        dict(zip(INPUT_NAMES, example.values(), strict=True)),
        dict(
            zip(
                OUTPUT_NAMES,
                ({0: "batch", 1: "height", 2: "width"}, {0: "batch", 2: "height", 3: "width"}),
                strict=True,
            )
        ),
        describe_graph(name, "fp32"),
        {"depth_mm": {0: "batch", 1: "height", 2: "width"}},
    )


def parity(reference: Segmenter, other: Segmenter) -> tuple[float, float]:
    """How far two segmenters are apart on rendered frames of three sizes, alone and two at a time.

    Depth is rounded to whole millimetres, which every exported graph can be given.

    Returns:
        fraction of pixels with another label, and the largest difference of a probability.
    """
    pixels = differing = 0
    largest = 0.0
    for height, width in _PARITY_SIZES:
        rendered = [labelled.frame for labelled in _rendered(2, width, height)]
        frames = [np.rint(frame.depth_mm) for frame in rendered]
        camera = rendered[0].camera
        for batch in (frames[:1], frames):
            pairs = zip(reference.segment_batch(batch, camera), other.segment_batch(batch, camera), strict=True)
            for expected, found in pairs:
                pixels += expected.labels.size
                differing += int(np.count_nonzero(expected.labels != found.labels))
                largest = max(largest, float(np.abs(expected.probabilities - found.probabilities).max()))
    return differing / pixels, largest


def _compared(
    network: nn.Module,
    trial: Path,
    reader: str,
    precision: str,
    tests: _Part | None,
    largest_loss: float,
    progress: ProgressCallback | None,
) -> ExportReport:
    """The report of a file on trial.

    Raises:
        BackendError: it is too far from PyTorch.
    """
    reference, segmenter = Segmenter.from_network(network, device="cpu"), Segmenter.load(trial, backend=reader)
    differing, largest = parity(reference, segmenter)
    exact_iou = int8_iou = None
    if tests is not None:
        exact_iou, int8_iou = _int8_scores(reference, segmenter, tests, progress)
        if exact_iou - int8_iou > largest_loss:
            raise Int8LossError(
                f"int8 scores {int8_iou:.2f} and float32 {exact_iou:.2f} percent mean IOU on {len(tests)} frames: a "
                f"loss of {exact_iou - int8_iou:.2f} points, more than {largest_loss}. Nothing was written. Give "
                "calibration frames that look like yours, or use --precision bf16 or fp32"
            )
    elif differing > _DIFFERING_PIXELS[precision]:
        raise BackendError(
            f"the exported graph does not agree with PyTorch: {100 * differing:.3f} % of the labels differ, "
            f"probabilities by up to {largest:.2g}. Nothing was written; please report this with the model"
        )
    files = [trial, *trial.parent.glob(f"{trial.stem}.bin")]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return ExportReport(trial, precision, megabytes, differing, largest, exact_iou, int8_iou)


def describe_graph(name: str, precision: str) -> GraphDescription:
    """What an exported segmentation graph says of itself."""
    return GraphDescription(TASK, name, precision, tuple(LABEL_NAMES), (INPUT_NAMES[1],), __version__)


def runs_in_int8(node: str) -> bool:
    """Whether a convolution is the network's: those of the encoding work in millimetres."""
    return "/core/" in node and "/encoding/" not in node


def _rendered(count: int, width: int, height: int) -> list[LabelledFrame]:
    generator = FrameGenerator(SynthConfig(width=width, height=height, colour=False), _PARITY_SEED)
    return [generator[index] for index in range(count)]


def _int8_frames(frames: LabelledFrames) -> tuple[_Part, _Part]:
    count = min(CALIBRATION_FRAMES, len(frames) // 4)
    if count == 0:
        raise BackendError(f"there are {len(frames)} calibration frames, expected at least 4, better 100")
    return _Part(frames, 0, count), _Part(frames, count, min(count + TEST_FRAMES, len(frames)))


@dataclass(frozen=True)
class _Part:
    """Some frames of a longer sequence, loaded one at a time."""

    frames: LabelledFrames
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self.frames[index] for index in range(self.start, self.stop))


class _Rendered:
    """As many rendered frames as int8 takes."""

    def __init__(self) -> None:
        self._generator = FrameGenerator(SynthConfig(width=320, height=240, colour=False), _INT8_SEED)

    def __len__(self) -> int:
        return 4 * CALIBRATION_FRAMES + TEST_FRAMES

    def __getitem__(self, index: int) -> LabelledFrame:
        return self._generator[index]


def calibration_inputs(frames: Iterable[LabelledFrame]) -> Iterator[dict[str, NDArray[Any]]]:
    """Frames as `graspcut.runtime.export.quantized` takes them."""
    for labelled in frames:
        frame = labelled.frame
        focal = focal_length_px(frame.camera, frame.width)
        yield {"depth_mm": frame.depth_mm[np.newaxis], "focal_px": np.array([focal], dtype=np.float32)}


def _int8_scores(
    reference: Segmenter, segmenter: Segmenter, frames: _Part, progress: ProgressCallback | None
) -> tuple[float, float]:
    exact, found = ConfusionCounts(), ConfusionCounts()
    for position, labelled in enumerate(frames):
        exact.add(labelled.labels, reference(labelled.frame).labels)
        found.add(labelled.labels, segmenter(labelled.frame).labels)
        if progress is not None:
            progress(position + 1, len(frames))
    return 100 * exact.scores().mean_iou, 100 * found.scores().mean_iou
