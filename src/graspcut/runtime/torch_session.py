"""PyTorch sessions: the processor, or an NVIDIA GPU with one CUDA graph a size of frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graspcut.cores import usable_cores
from graspcut.runtime.contract import PRECISIONS, BackendError, TaskContract, as_declared

MOST_PREPARED = 4
_WARM_UP_RUNS = 3

Prepared = Callable[..., tuple[Tensor, ...]]
"""Tensors of the arrays, in the order of the contract -> tensors of the outputs, in its order."""


class Prepare(Protocol):
    """Makes a function of the arrays alone, with everything worked out that depends on sizes and settings only."""

    def __call__(
        self, shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, NDArray[Any]], device: torch.device, /
    ) -> Prepared:
        """The function for arrays of these shapes; on a GPU it must not depend on values (a CUDA graph is made)."""


@dataclass
class _CapturedGraph:
    """A CUDA graph and the memory it reads and writes."""

    graph: torch.cuda.CUDAGraph
    given: tuple[Tensor, ...]
    found: tuple[Tensor, ...]

    def __call__(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        for place, array in zip(self.given, arrays, strict=True):
            place.copy_(array, non_blocking=True)
        self.graph.replay()
        return self.found


class TorchSession:
    """Runs a PyTorch graph; see `Session`. Calls wait for each other.

    Args:
        prepare: see `Prepare`.
        contract: names and types of inputs and outputs.
        device: see `choose_device`.
        precision: "fp32"; on a GPU also "bf16" and "fp16".
        threads: torch threads; a setting of the whole process; None leaves it, if the process may use so many.

    Raises:
        BackendError: a precision that the device has not.
    """

    backend = "pytorch"

    def __init__(
        self,
        prepare: Prepare,
        contract: TaskContract,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        chosen = choose_device(device)
        allowed = PRECISIONS[:3] if chosen.type == "cuda" else PRECISIONS[:1]
        if precision not in allowed:
            raise BackendError(
                f"PyTorch on {chosen.type} runs {', '.join(allowed)} here, not {precision!r}: choose another, "
                "or --backend openvino"
            )
        if threads is None and usable_cores() < torch.get_num_threads():
            threads = usable_cores()  # torch does not look at a container's quota
        if threads is not None:
            torch.set_num_threads(threads)
        self._prepare, self._device = prepare, chosen
        self._arrays = {spec.name: np.dtype(spec.dtype) for spec in contract.arrays}
        self._settings = {spec.name: np.dtype(spec.dtype) for spec in contract.settings}
        self._outputs = [spec.name for spec in contract.outputs]
        self.device, self.precision, self.parallel_calls = str(chosen), precision, 1
        self._ready: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        # Torch has no read-only tensors and warns of arrays that are.
        arrays = {
            name: torch.from_numpy(np.require(as_declared(inputs[name], declared), requirements=["C", "W"]))
            for name, declared in self._arrays.items()
        }
        settings = {name: as_declared(inputs[name], declared) for name, declared in self._settings.items()}
        with self._lock, torch.no_grad():
            found = self._prepared(arrays, settings)(*arrays.values())
            # numpy has no bfloat16, and the contracts promise float32.
            whole = (value.float() if value.is_floating_point() else value for value in found)
            return {name: value.cpu().numpy() for name, value in zip(self._outputs, whole, strict=True)}

    def _prepared(self, arrays: Mapping[str, Tensor], settings: Mapping[str, NDArray[Any]]) -> Prepared:
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        key = (*shapes.values(), *(value.tobytes() for value in settings.values()))
        if key in self._ready:
            self._ready.move_to_end(key)
            return self._ready[key]
        if len(self._ready) >= MOST_PREPARED:
            self._ready.popitem(last=False)
        function = self._prepare(shapes, settings, self._device)
        self._ready[key] = self._captured(function, arrays) if self._device.type == "cuda" else function
        return self._ready[key]

    def _captured(self, function: Prepared, arrays: Mapping[str, Tensor]) -> Prepared:
        """The function as a CUDA graph: one launch instead of hundreds."""
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast("cuda", dtype=half, enabled=half is not None, cache_enabled=False):
            given = tuple(array.to(self._device) for array in arrays.values())
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP_RUNS):
                    function(*given)
            torch.cuda.current_stream(self._device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                found = function(*given)
        return _CapturedGraph(graph, given, found)


def session_of_graph(
    graph: torch.nn.Module,
    contract: TaskContract,
    *,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> TorchSession:
    """A module that takes the contract's inputs in order and returns its outputs, in PyTorch, channels last.

    Args:
        graph: in evaluation mode. It may have a method `prepare`, see `Prepare`; without one it is called with the
            settings as tensors behind the arrays.
        contract, device, precision, threads: see `TorchSession`.
    """

    def prepare(
        shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, NDArray[Any]], where: torch.device
    ) -> Prepared:
        placed = graph.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if hasattr(placed, "prepare"):
            prepared: Prepared = placed.prepare(shapes, settings, where)
            return prepared
        constants = [torch.from_numpy(np.array(value)).to(where) for value in settings.values()]

        def run(*arrays: Tensor) -> tuple[Tensor, ...]:
            found = placed(*(array.to(where) for array in arrays), *constants)
            return found if isinstance(found, tuple) else (found,)

        return run

    return TorchSession(prepare, contract, device=device, precision=precision, threads=threads)


def choose_device(device: str) -> torch.device:
    """The device to run on; what is asked for by name is never replaced by another.

    Args:
        device: "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        BackendError: if the name is unknown or the device is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BackendError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:0") from error
    if chosen.type not in ("cpu", "cuda"):
        raise BackendError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:0")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device {device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices: "
            "install a CUDA build of torch and the driver, or use --device cpu"
        )
    return chosen
