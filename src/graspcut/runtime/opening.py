"""Opens exported graphs on an engine; the engine is imported when a session is opened."""

from __future__ import annotations

from pathlib import Path

from graspcut.runtime.contract import BackendError, GraphDescription, Session
from graspcut.runtime.engines import require


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
