"""Checked export: a method's model as one graph, compared with PyTorch, or scored, before it is kept.

    export_model(METHOD, "my-model", "my-model", form="onnx", precision="int8")

What is written carries the digest of the weights it was made from. Into the model's own folder it is written under the
name by which opening finds it, in every precision and format.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graspcut.frames.atomic_writing import make_output_folder, write_bytes_atomically
from graspcut.runtime import graphs
from graspcut.runtime.contract import BackendError, GraphDescription
from graspcut.runtime.engines import is_installed, require
from graspcut.runtime.graph_files import files_of_graph, find_graphs, graph_name
from graspcut.runtime.method import Method, Samples
from graspcut.runtime.model_folder import find_model_folder, load_model_config, model_digest
from graspcut.runtime.opening import open_graph_file
from graspcut.runtime.predictor import Predictor
from graspcut.version import __version__

if TYPE_CHECKING:
    from torch import nn

LARGEST_INT8_LOSS = 0.5
CALIBRATION_SAMPLES = 64
TEST_SAMPLES = 200
PARITY_SIZES = ((320, 240), (512, 424), (640, 480))
_TRACED_SIZE = (640, 480)

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares.

    Attributes:
        path: the .onnx or .xml file.
        precision: "fp32", "fp16", "bf16" or "int8".
        megabytes: size of the file or files.
        differing: fraction of the values of whole-numbered outputs (labels) that are not PyTorch's, over all examples;
            None where there are no such outputs.
        largest_difference: of any other output value.
        score_name: what `exact_score` and `int8_score` are.
        copied_from: the graph that was there already, where it was copied; nothing is then compared.
        exact_score, int8_score: for int8, percent of PyTorch's float32 and of the int8 graph on samples that were not
            used for calibration; None otherwise.
    """

    path: Path
    precision: str
    megabytes: float
    differing: float | None
    largest_difference: float
    score_name: str = ""
    exact_score: float | None = None
    int8_score: float | None = None
    copied_from: Path | None = None


def _copied(model: str | Path, out: str | Path, form: str, precision: str, reader: str) -> ExportReport | None:
    """The graph that a model folder has already, copied; None where it has none of its own weights.

    Without PyTorch nothing can be exported, but what ships is the same as what would be.
    """
    folder = find_model_folder(model)
    source = find_graphs(folder).get((form, precision))
    if source is None or open_graph_file(source, reader)[1].weights != model_digest(folder):
        return None
    target = make_output_folder(out) / source.name
    for file in files_of_graph(source):
        copy = target.with_suffix(file.suffix)
        if not (copy.exists() and file.samefile(copy)):
            write_bytes_atomically(copy, file.read_bytes())
    megabytes = sum(file.stat().st_size for file in files_of_graph(target)) / 1e6
    return ExportReport(target, precision, megabytes, None, 0.0, copied_from=source)


@dataclass(frozen=True)
class Parity:
    """How far two predictors are apart on examples.

    Attributes:
        differing: see `ExportReport`.
        largest: largest difference of any value of the other outputs.
        largest_relative: the same as a fraction of the largest value of its output.
    """

    differing: float | None
    largest: float
    largest_relative: float


class Int8LossError(BackendError):
    """The int8 graph loses too much; nothing was written."""


def export_model(
    method: Method,
    model: str | Path,
    out: str | Path,
    *,
    form: Literal["onnx", "openvino"] = "onnx",
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32",
    depth_type: Literal["float32", "uint16"] = "float32",
    samples: Samples | None = None,
    largest_loss: float = LARGEST_INT8_LOSS,
    progress: ProgressCallback | None = None,
    network_file: str | Path | None = None,
) -> ExportReport:
    """Writes OUT/model[.precision].onnx or .xml.

    Args:
        method: of the model's task.
        model: shipped model's name or model folder.
        out: folder; is made if missing. A model folder's own is a good choice: the graph is then found there.
        form: "onnx", or "openvino" for an .xml and a .bin.
        precision: "fp32"; "fp16" stores weights rounded to float16; "bf16" (OpenVINO, on processors that have it)
            computes convolutions in bfloat16; "int8" in 8-bit integers.
        depth_type: what the graph takes for `depth_mm`: float32, or whole millimetres as uint16.
        samples: for int8: a quarter calibrates, the rest tests. None takes the method's own.
        largest_loss: points of the score that int8 may lose.
        progress: called with (samples done, samples in all) while int8 is tested.
        network_file: see `Predictor.load`.

    Raises:
        BackendError: a precision that the format or the method has not, an engine that is not installed, or a graph
            that does not agree with PyTorch.
        Int8LossError: int8 loses more than `largest_loss`.
    """
    if form == "onnx" and precision == "bf16":
        raise BackendError(
            "ONNX Runtime has no bfloat16 convolutions on processors: use --format openvino, or --precision int8"
        )
    if precision == "int8" and method.quantization is None:
        raise BackendError(f"{method.task} models are not offered in int8: use --precision fp32, fp16 or bf16")
    if depth_type != "float32" and "depth_mm" not in [spec.name for spec in method.predictor.contract.arrays]:
        raise BackendError(f"{method.task} models take no depth: leave --depth-type out")
    reader = "openvino" if form == "openvino" else "onnxruntime"
    require(reader)
    if not is_installed("pytorch") and depth_type == "float32" and samples is None:
        copied = _copied(model, out, form, precision, reader)
        if copied is not None:
            return copied
    calibration: _Part | None = None
    tests: _Part | None = None
    if precision == "int8" and method.quantization is not None:
        calibration, tests = _int8_samples(method.quantization.default_samples() if samples is None else samples)
    network = method.predictor.load_network(model, network_file)
    make_output_folder(out)
    folder = find_model_folder(model)
    description = describe_graph(method, Path(model).name, precision, model_digest(folder))
    description = replace(description, network=load_model_config(folder)["model"])
    graph = onnx_of_model(method, network, replace(description, precision="fp32"))
    if calibration is not None and method.quantization is not None:
        graph = graphs.quantized(graph, map(method.quantization.inputs, calibration), description)
    elif precision == "fp16" and form == "onnx":
        graph = graphs.with_half_weights(graph, description)
    if depth_type == "uint16":
        graph = graphs.with_uint16_input(graph, "depth_mm")
    path = Path(out) / graph_name(form, precision)
    trial = path.with_name(f".trial-{path.name}")
    try:
        if form == "onnx":
            trial.write_bytes(graph)
        else:
            graphs.save_openvino(graph, trial, description)
        report = _compared(method, network, trial, reader, precision, tests, largest_loss, progress)
        if form == "openvino":
            os.replace(trial.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(trial, path)
    finally:
        for leftover in (trial, trial.with_suffix(".bin")):
            leftover.unlink(missing_ok=True)
    return replace(report, path=path)


def onnx_of_model(method: Method, network: nn.Module, description: GraphDescription) -> bytes:
    """The float32 graph of a network as the bytes of an ONNX file, for any batch and frame size.

    Args:
        method: of the network's task.
        network: one of the method's.
        description: for the metadata.
    """
    from graspcut.nn.folding import replace_small_deconvolutions

    prepared = copy.deepcopy(network).eval()
    replace_small_deconvolutions(prepared)
    graph = method.predictor.graph(prepared).eval()
    int8_modules = () if method.quantization is None else method.quantization.modules(graph)
    example = method.predictor.example(*_TRACED_SIZE)
    return graphs.onnx_of_network(graph, example, method.predictor.contract, description, int8_modules)


def describe_graph(method: Method, name: str, precision: str, weights: str = "") -> GraphDescription:
    """What an exported graph of a method says of itself.

    Args:
        method: the method.
        name: of the model.
        precision: one of `PRECISIONS`.
        weights: digest of the model folder.
    """
    contract = method.predictor.contract
    settings = tuple(spec.name for spec in contract.settings)
    return GraphDescription(contract.task, name, precision, contract.labels or (), settings, __version__, weights)


def parity(reference: Predictor, other: Predictor) -> Parity:
    """How far two predictors are apart on examples of three sizes, alone and two at a time."""
    contract = reference.contract
    batched = all(spec.axes and spec.axes[0] == "batch" for spec in contract.arrays)
    values = differing = 0
    largest = relative = 0.0
    for width, height in PARITY_SIZES:
        inputs = reference.example(width, height, 2 if batched else 1)
        first = {spec.name: inputs[spec.name][:1] if batched else inputs[spec.name] for spec in contract.arrays}
        for given in ({**inputs, **first}, inputs) if batched else (inputs,):
            expected, found = reference.run(given), other.run(given)
            for spec in contract.outputs:
                ours, theirs = expected[spec.name], found[spec.name]
                if np.issubdtype(ours.dtype, np.floating):
                    difference = float(np.abs(ours - theirs).max(initial=0.0))
                    # A value that is not a number compares as neither more nor less.
                    difference = float("inf") if np.isnan(difference) else difference
                    largest = max(largest, difference)
                    relative = max(relative, difference / max(float(np.abs(ours).max(initial=0.0)), 1e-30))
                else:
                    values += ours.size
                    differing += int(np.count_nonzero(ours != theirs))
    return Parity(differing / values if values else None, largest, relative)


def _compared(
    method: Method,
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
    reference = method.predictor.from_network(network, device="cpu")
    predictor = method.predictor.load(trial, backend=reader)
    found = parity(reference, predictor)
    megabytes = sum(file.stat().st_size for file in files_of_graph(trial)) / 1e6
    report = ExportReport(trial, precision, megabytes, found.differing, found.largest)
    if tests is not None:
        return _scored(method, report, (reference, predictor), tests, largest_loss, progress)
    is_far = (
        found.largest_relative > method.largest_difference[precision]
        if found.differing is None
        else found.differing > method.most_differing[precision]
    )
    if is_far:
        labels = "" if found.differing is None else f"{100 * found.differing:.3f} % of the labels differ, "
        raise BackendError(
            f"the exported graph does not agree with PyTorch: {labels}other values by up to {found.largest:.2g}. "
            "Nothing was written; please report this with the model"
        )
    return report


def _scored(
    method: Method,
    report: ExportReport,
    predictors: tuple[Predictor, Predictor],
    tests: _Part,
    largest_loss: float,
    progress: ProgressCallback | None,
) -> ExportReport:
    """The report with the scores of float32 and int8.

    Raises:
        Int8LossError: int8 loses too much.
    """
    assert method.quantization is not None
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, 2 * len(tests))

    name = method.quantization.score_name
    exact, int8 = (method.quantization.score(predictor, tests, count) for predictor in predictors)
    if not exact - int8 <= largest_loss:
        raise Int8LossError(
            f"int8 scores {int8:.2f} and float32 {exact:.2f} percent {name} on {len(tests)} frames: a loss of "
            f"{exact - int8:.2f} points, more than {largest_loss}. Nothing was written. Give calibration frames that "
            "look like yours, or use --precision bf16 or fp32"
        )
    return replace(report, score_name=name, exact_score=exact, int8_score=int8)


def _int8_samples(samples: Samples) -> tuple[_Part, _Part]:
    count = min(CALIBRATION_SAMPLES, len(samples) // 4)
    if count == 0:
        raise BackendError(f"there are {len(samples)} calibration frames, expected at least 4, better 100")
    return _Part(samples, 0, count), _Part(samples, count, min(count + TEST_SAMPLES, len(samples)))


@dataclass(frozen=True)
class _Part:
    """Some samples of a longer sequence, loaded one at a time."""

    samples: Samples
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Any]:
        return (self.samples[index] for index in range(self.start, self.stop))
