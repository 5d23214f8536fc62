"""One small interface over the inference engines.

A session runs one graph on one engine: arrays by name in, arrays by name out. Engines are imported when a session is
opened, so a machine needs only the one it uses:

    PyTorch        a model folder's weights; the only one for NVIDIA GPUs
    ONNX Runtime   a .onnx file
    OpenVINO       a .onnx or .xml file; fastest on x86 processors

What is asked for by name is opened or refused, never replaced.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BACKENDS = ("openvino", "onnxruntime", "pytorch")
BACKEND_TITLES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "pytorch": "PyTorch"}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
METADATA_KEY = "graspcut"

_PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "pytorch": "torch"}
_INSTALL = {
    "openvino": "pip install 'graspcut[openvino]'",
    "onnxruntime": "pip install onnxruntime",
    "pytorch": "pip install 'graspcut[train]'",
}


class BackendError(ValueError):
    """An engine is missing or cannot run a graph; the text says what to install or choose."""


@dataclass(frozen=True)
class GraphDescription:
    """What an exported graph says of itself.

    Attributes:
        task: such as "segmentation".
        model: name of the model it was exported from.
        precision: one of `PRECISIONS`; how convolutions are meant to be computed.
        labels: names of the classes.
        settings: names of the inputs that change rarely, such as a focal length; engines may build them in.
        graspcut: version that exported it.
    """

    task: str
    model: str
    precision: str
    labels: tuple[str, ...]
    settings: tuple[str, ...] = ()
    graspcut: str = ""

    def to_json(self) -> str:
        """For the metadata of a file."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str, origin: str | Path) -> GraphDescription:
        """Reads what `to_json` wrote.

        Raises:
            BackendError: the text is missing or something else.
        """
        try:
            stored = json.loads(text)
            stored["labels"], stored["settings"] = tuple(stored["labels"]), tuple(stored["settings"])
            description = cls(**stored)
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(
                f"{origin} was not written by 'graspcut export': its metadata has no description of the graph. "
                "Export the model folder again."
            ) from error
        if description.precision not in PRECISIONS:
            raise BackendError(f"{origin} has the precision {description.precision!r}, expected one of {PRECISIONS}")
        return description


def as_declared(array: NDArray[Any], declared: np.dtype[Any]) -> NDArray[Any]:
    """An array as a graph wants it: contiguous, in its type; fractions are rounded where it takes whole numbers."""
    if np.issubdtype(declared, np.integer) and not np.issubdtype(array.dtype, np.integer):
        limits = np.iinfo(declared)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return np.ascontiguousarray(array, dtype=declared)


class Session(Protocol):
    """A graph on an engine.

    Attributes:
        backend: one of `BACKENDS`.
        device: "cpu", "cuda:0", ...
        precision: one of `PRECISIONS`.
        parallel_calls: how many threads may call `run` at the same time and gain from it.
    """

    @property
    def backend(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def parallel_calls(self) -> int: ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name. They belong to the caller: a later call does not change them.

        Args:
            inputs: all inputs of the graph by name; they are brought to the types it was exported with. Others are not
                looked at: a network that has no use for a setting has no such input.
        """


def is_installed(backend: str) -> bool:
    """Whether the engine's package is there; nothing is imported.

    Raises:
        BackendError: unknown name.
    """
    package = _PACKAGES[known_backend(backend)]
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a blocked module
        return False


def known_backend(name: str) -> str:
    """`name`, if there is such an engine.

    Raises:
        BackendError: lists the known ones.
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown back end {name!r}: use auto, {', '.join(BACKENDS)}")
    return name


def require(backend: str) -> None:
    """Refuses an engine that is not installed.

    Raises:
        BackendError: says how to install it.
    """
    if not is_installed(backend):
        raise BackendError(
            f"the back end {backend} was asked for, and {BACKEND_TITLES[backend]} is not installed: "
            f"{_INSTALL[backend]}, or choose another with --backend"
        )


def installed_backends() -> list[str]:
    """Engines that are installed, fastest on an x86 processor first."""
    return [backend for backend in BACKENDS if is_installed(backend)]


def open_graph_file(
    path: str | Path,
    backend: str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    parallel_calls: int = 1,
) -> tuple[Session, GraphDescription]:
    """Opens an exported file.

    Args:
        path: .onnx, or the .xml of an OpenVINO model, with its .bin beside it.
        backend: "onnxruntime" (only .onnx) or "openvino".
        device: "cpu"; "cuda" with an ONNX Runtime that has it.
        threads: processor threads in all; None takes the cores this process may use.
        parallel_calls: threads that will call `run` at the same time; they share the processor threads.

    Raises:
        BackendError: the engine is missing, or cannot read the file.
    """
    file = Path(path)
    require(backend)
    if not file.is_file():
        raise BackendError(f"{file} does not exist: export it with 'graspcut export'")
    if backend == "openvino":
        from graspcut.runtime.openvino_session import OpenVinoSession

        opened = OpenVinoSession(file, device=device, threads=threads, parallel_calls=parallel_calls)
        return opened, opened.description
    if backend == "onnxruntime":
        from graspcut.runtime.onnx_session import OnnxRuntimeSession

        session = OnnxRuntimeSession(file, device=device, threads=threads, parallel_calls=parallel_calls)
        return session, session.description
    raise BackendError(f"{file} is an exported graph, and {backend} runs model folders: use onnxruntime or openvino")
