"""OpenVINO sessions."""

from __future__ import annotations

import functools
import hashlib
import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.cores import usable_cores
from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription, as_declared
from graspcut.runtime.graph_files import files_of_graph
from graspcut.runtime.openvino_cache import cache_key, keep_compiled, read_compiled
from graspcut.runtime.openvino_core import openvino, shared_core

MOST_COMPILED = 4
CALLS_TO_BE_COMPILED = 100
_MOST_COUNTED = 1000
_PREPARATION = 2  # of graphs, before they are compiled: to be raised with every change, for those that are kept
_HINTS = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}

_Key = tuple[Any, ...]
_Requests = LifoQueue["openvino.InferRequest"]


class OpenVinoSession:
    """Runs a .onnx or .xml file; see `Session`. Several threads may call it at once.

    The graph is compiled for the size of the first inputs and the value of their settings, because the engine then
    works out beforehand whatever depends on them: a camera has one of each. Compiling takes a hundred times as long as
    a call, so whatever else comes shares one graph for all sizes, which is half again as slow; what is called many
    times gets a graph of its own, and when there are enough of them, what is called many times in a row one in place
    of the longest unused. The two kinds agree to the seventh digit of a probability. A thread that compiles keeps
    nobody waiting but those who need the same graph. Compiled graphs are kept on disk, see `openvino_cache`.

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
        self._digest = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files_of_graph(path)]
        self.description = GraphDescription.from_json(_metadata(self._model), path)
        self.device = device
        self.precision = self.description.precision
        if self.precision == "int8":
            give_own_constants(self._model)
        if self.precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise BackendError(
                f"{path} is a bf16 graph, and this processor has no bfloat16 arithmetic: use the fp32 or int8 one"
            )
        self.parallel_calls = parallel_calls
        types = {entry.any_name: np.dtype(entry.element_type.to_dtype()) for entry in self._model.inputs}
        self._settings = {name: types[name] for name in self.description.settings}
        self._arrays = {name: declared for name, declared in types.items() if name not in self._settings}
        self._names = [output.any_name for output in self._model.outputs]
        self._threads = max(threads or usable_cores(), parallel_calls)
        self._compiled: OrderedDict[_Key, Future[_Requests]] = OrderedDict()
        self._for_all: Future[_Requests] | None = None
        self._calls = 0
        self._used_at: dict[_Key, int] = {}
        self._calls_without: Counter[_Key] = Counter()
        self._row_without: tuple[_Key | None, int] = (None, 0)
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        settings = {name: as_declared(inputs[name], declared) for name, declared in self._settings.items()}
        arrays = {name: as_declared(inputs[name], declared) for name, declared in self._arrays.items()}
        requests, is_for_all = self._requests(arrays, settings)
        request = requests.get()
        try:
            found = request.infer({**arrays, **settings} if is_for_all else arrays, share_inputs=True)
            return {name: found[name] for name in self._names}
        finally:
            requests.put(request)

    def _requests(
        self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, NDArray[Any]]
    ) -> tuple[_Requests, bool]:
        """Requests of the graph to call, and whether it is the one for all sizes, which takes the settings too."""
        key = (
            *((name, array.shape) for name, array in arrays.items()),
            *((name, array.tobytes()) for name, array in settings.items()),
        )
        begun: Future[_Requests] | None = None
        with self._lock:
            self._calls += 1
            chosen = self._compiled.get(key)
            if chosen is None and self._deserves_its_own(key):
                if len(self._compiled) >= MOST_COMPILED:
                    del self._used_at[self._compiled.popitem(last=False)[0]]
                chosen = begun = self._compiled[key] = Future()
            if chosen is not None:
                self._compiled.move_to_end(key)
                self._used_at[key] = self._calls
            elif self._for_all is None:
                begun = self._for_all = Future()
            waited = self._for_all if chosen is None else chosen
        assert waited is not None
        if begun is not None:
            if chosen is None:
                self._compile_into(begun, "all", self._model.clone, lambda: setattr(self, "_for_all", None))
            else:
                self._compile_into(
                    begun,
                    key,
                    lambda: static_model(self._model.clone(), arrays, settings),
                    lambda: (self._compiled.pop(key, None), self._used_at.pop(key, None)),
                )
        return waited.result(), chosen is None

    def _deserves_its_own(self, key: _Key) -> bool:
        """Whether to compile for a size and settings: the first, or one that is called again and again."""
        if not self._compiled:
            return True
        last, in_a_row = self._row_without
        self._row_without = (key, in_a_row + 1 if key == last else 1)
        if len(self._compiled) < MOST_COMPILED:
            if len(self._calls_without) > _MOST_COUNTED:
                self._calls_without.clear()
            self._calls_without[key] += 1
            return self._calls_without[key] > CALLS_TO_BE_COMPILED
        idle_calls = self._calls - self._used_at[next(iter(self._compiled))]
        return min(idle_calls, self._row_without[1]) > CALLS_TO_BE_COMPILED

    def _compile_into(
        self,
        future: Future[_Requests],
        what: object,
        model: Callable[[], openvino.Model],
        forget: Callable[[], object],
    ) -> None:
        """Compiles outside of the lock; whoever waits for the same graph gets it, or the same exception."""
        try:
            future.set_result(self._compile(what, model))
        except BaseException as error:
            with self._lock:
                forget()
            future.set_exception(error)

    def _compile(self, what: object, model: Callable[[], openvino.Model]) -> _Requests:
        settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": self.parallel_calls,
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
        }
        # Threads and streams are given anew when it is read.
        key = cache_key(self._digest, what, self.precision, _PREPARATION, *_machine())
        compiled = compile_or_read(key, model, settings)
        requests: _Requests = LifoQueue()
        for _ in range(self.parallel_calls):
            requests.put(compiled.create_infer_request())
        return requests


def compile_or_read(
    key: str, model: Callable[[], openvino.Model], settings: Mapping[str, Any]
) -> openvino.CompiledModel:
    """A compiled graph, from the cache if it is there."""
    kept = read_compiled(key)
    if kept is not None:
        try:
            return shared_core().import_model(kept, "CPU", dict(settings))
        except RuntimeError:  # of an engine that calls itself the same and is not
            pass
    compiled = shared_core().compile_model(model(), "CPU", dict(settings))
    try:
        content = compiled.export_model()
    except RuntimeError:  # an engine that cannot
        return compiled
    keep_compiled(key, content.getvalue() if isinstance(content, io.BytesIO) else bytes(content))
    return compiled


@functools.cache
def _machine() -> tuple[str, ...]:
    """What a compiled graph depends on beside the graph."""
    core = shared_core()
    properties = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    return (openvino.get_version(), *(str(core.get_property("CPU", name)) for name in properties))


def give_own_constants(model: openvino.Model) -> None:
    """Gives every operation constants that no other one reads, in place.

    A file holds equal constants once. The engine does not recognise a convolution whose weights, scale or zero point
    are another one's too as one of int8, and computes it in float32.
    """
    for node in model.get_ops():
        if node.get_type_name() == "Constant":
            for reader in sorted(node.output(0).get_target_inputs(), key=lambda entry: entry.get_index())[1:]:
                own = openvino.op.Constant(node.get_element_type(), node.get_output_shape(0), node.get_data().ravel())
                reader.replace_source_output(own.output(0))


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
