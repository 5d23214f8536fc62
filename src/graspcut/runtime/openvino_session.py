"""OpenVINO sessions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription, as_declared
from graspcut.runtime.cores import usable_cores
from graspcut.runtime.openvino_core import shared_core

MOST_COMPILED = 4
_HINTS = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}


class OpenVinoSession:
    """Runs a .onnx or .xml file; see `Session`. Several threads may call it at once.

    The graph is compiled for each size of its inputs and each value of its settings, because the engine then works out
    beforehand whatever depends on them. The last few are kept: a camera has one.

    Args:
        path: the file; of an .xml, the .bin lies beside it.
        device: "cpu".
        threads: processor threads in all; None takes the cores this process may use.
        parallel_calls: calls at the same time; each gets its share of the threads.

    Raises:
        BackendError: another device, or a file that OpenVINO cannot read.
    """

    backend = "openvino"

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, parallel_calls: int = 1) -> None:
        if device != "cpu":
            raise BackendError(f"device {device!r} was asked for, and here OpenVINO runs on the processor: use cpu")
        self._core = shared_core()
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot read {path}: {error}. Export it again.") from error
        self.description = GraphDescription.from_json(_metadata(self._model), path)
        self.device = device
        self.precision = self.description.precision
        if self.precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise BackendError(
                f"{path} is a bf16 graph, and this processor has no bfloat16 arithmetic: use the fp32 or int8 one"
            )
        self.parallel_calls = parallel_calls
        self._arrays = {
            entry.any_name: np.dtype(entry.element_type.to_dtype())
            for entry in self._model.inputs
            if entry.any_name not in self.description.settings
        }
        self._threads = max(threads or usable_cores(), parallel_calls)
        self._compiled: OrderedDict[tuple[Any, ...], LifoQueue[openvino.InferRequest]] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        settings = {name: inputs[name] for name in self.description.settings}
        arrays = {name: as_declared(inputs[name], declared) for name, declared in self._arrays.items()}
        requests = self._requests(arrays, settings)
        request = requests.get()
        try:
            found = request.infer(arrays, share_inputs=True)
            return {name: found[name] for name in self._names}
        finally:
            requests.put(request)

    @property
    def _names(self) -> list[str]:
        return [output.any_name for output in self._model.outputs]

    def _requests(
        self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, NDArray[Any]]
    ) -> LifoQueue[openvino.InferRequest]:
        key = (
            *((name, array.shape) for name, array in arrays.items()),
            *((name, array.tobytes()) for name, array in settings.items()),
        )
        with self._lock:
            if key in self._compiled:
                self._compiled.move_to_end(key)
                return self._compiled[key]
            if len(self._compiled) >= MOST_COMPILED:
                self._compiled.popitem(last=False)
            self._compiled[key] = self._compile(arrays, settings)
            return self._compiled[key]

    def _compile(
        self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, NDArray[Any]]
    ) -> LifoQueue[openvino.InferRequest]:
        model = static_model(self._model.clone(), arrays, settings)
        compiled = self._core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": self._threads,
                "NUM_STREAMS": self.parallel_calls,
                "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            },
        )
        requests: LifoQueue[openvino.InferRequest] = LifoQueue()
        for _ in range(self.parallel_calls):
            requests.put(compiled.create_infer_request())
        return requests


def static_model(
    model: openvino.Model, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, NDArray[Any]]
) -> openvino.Model:
    """The model with the sizes of these arrays and the values of these settings built in; it is changed in place."""
    for name, value in settings.items():
        parameter = model.input(name).get_node()
        constant = openvino.opset13.constant(np.asarray(value))
        parameter.output(0).replace(constant.output(0))
        model.remove_parameter(parameter)
    model.reshape({name: openvino.PartialShape(list(array.shape)) for name, array in arrays.items()})
    return model


def _metadata(model: openvino.Model) -> str:
    """The description, from ONNX metadata (which OpenVINO keeps under "framework") or from its own file."""
    for path in ([METADATA_KEY], ["framework", METADATA_KEY]):
        if model.has_rt_info(path):
            value = model.get_rt_info(path)
            return str(value.astype(str))
    return ""
