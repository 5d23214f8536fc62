"""ONNX Runtime sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.cores import usable_cores
from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription, as_declared
from graspcut.runtime.onnx_engine import onnxruntime

_NAMES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeSession:
    """Runs a .onnx file; see `Session`. Several threads may call it at once.

    Args:
        path: the file.
        device: "cpu", "cuda" or "cuda:N".
        threads: processor threads in all; None takes the cores this process may use.
        parallel_calls: calls at the same time; each gets its share of the threads.

    Raises:
        BackendError: unknown or missing device, or a file that ONNX Runtime cannot read.
    """

    backend = "onnxruntime"

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, parallel_calls: int = 1) -> None:
        kind, _, number = device.partition(":")
        provider = _PROVIDERS.get(kind)
        if provider is None or provider not in onnxruntime.get_available_providers():
            present = ", ".join(onnxruntime.get_available_providers())
            raise BackendError(
                f"device {device!r} was asked for, and this ONNX Runtime has {present}: use --device cpu, or install "
                "onnxruntime-gpu in its place"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (threads or usable_cores()) // parallel_calls)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if parallel_calls > 1:
            # Threads that wait by spinning take the core from the call beside them.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chosen: list[str | tuple[str, dict[str, str]]] = [(provider, {"device_id": number}) if number else provider]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        except Exception as error:  # its exceptions have no common base of their own
            raise BackendError(f"ONNX Runtime cannot read {path}: {error}. Export it again.") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = GraphDescription.from_json(metadata.get(METADATA_KEY, ""), path)
        self.device = device
        self.precision = self.description.precision
        self.parallel_calls = parallel_calls
        self._inputs = {entry.name: _dtype(entry.type) for entry in self._session.get_inputs()}
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        taken = {name: as_declared(inputs[name], declared) for name, declared in self._inputs.items()}
        found = self._session.run(self._outputs, taken)
        return dict(zip(self._outputs, found, strict=True))


def _dtype(kind: str) -> np.dtype[Any]:
    """numpy's type of ONNX Runtime's "tensor(float)", "tensor(uint16)", ..."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_NAMES.get(name, name))
