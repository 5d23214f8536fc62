"""Opens models: a shipped name, a model folder or an exported file, on an engine, against a task's contract.

    options = OpenOptions("my-model", backend="openvino", threads=2)
    opened = open_model(options, CONTRACT, torch_session)
    outputs = opened.session.run({"depth_mm": depth, "focal_px": focal})

What is asked for by name is opened or refused, never replaced; "auto" takes what is fastest here. An engine is imported
when a session is opened, so a machine needs only the one it uses. Most callers use `graspcut.runtime.predictor`, which
brings this together with what users call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graspcut.cores import nvidia_driver_present
from graspcut.own_files import OwnFile, check_own_file, file_of_config
from graspcut.runtime.contract import BACKENDS, PRECISIONS, BackendError, GraphDescription, Session, TaskContract
from graspcut.runtime.engines import install_hint, installed_backends, is_installed, known_backend, require
from graspcut.runtime.graph_files import GRAPH_SUFFIXES, READABLE, find_graph
from graspcut.runtime.model_folder import ModelFolderError, find_model_folder, load_model_config, model_digest


@dataclass(frozen=True)
class OpenOptions:
    """Which model, and what it is to run on.

    Attributes:
        model: shipped model's name, a model folder, or an .onnx or .xml file of `graspcut export`.
        device: "auto" (an NVIDIA GPU if PyTorch has one, else the processor), "cpu", "cuda" or "cuda:N".
        backend: "auto" takes PyTorch on a GPU, and on a processor the first of OpenVINO, ONNX Runtime and PyTorch that
            is installed and for which the model has a file; or one by name, which is taken or refused.
        precision: "auto" (what the model ships for the back end: int8 if it has such a file, else fp32), "fp32",
            "fp16", "bf16" or "int8".
        threads: processor threads; None takes all cores that this process may use.
        parallel_calls: how many threads will call at the same time.
        network_file: Python file of a network of the user's own; run only where PyTorch builds that network.

    Raises:
        BackendError: a value that no model could be opened with.
    """

    model: str | Path
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    parallel_calls: int = 1
    network_file: str | Path | None = None

    def __post_init__(self) -> None:
        if self.precision != "auto" and self.precision not in PRECISIONS:
            raise BackendError(f"unknown precision {self.precision!r}: use auto, {', '.join(PRECISIONS)}")
        for name, count in (("threads", self.threads), ("parallel_calls", self.parallel_calls)):
            if count is not None and count < 1:
                raise BackendError(f"{name} is {count}, expected 1 or more")
        if self.backend != "auto":
            known_backend(self.backend)

    @property
    def is_file(self) -> bool:
        """Whether an exported file is named, not a model folder."""
        return Path(self.model).suffix in GRAPH_SUFFIXES.values()


@dataclass(frozen=True)
class OpenedModel:
    """A model that runs.

    Attributes:
        session: runs its graph.
        options: what was asked for.
        config: the model folder's configuration; for exported files "model" alone, as far as they say it.
        digest: of the weights, see `model_digest`; empty if an exported file does not say it.
    """

    session: Session
    options: OpenOptions
    config: dict[str, Any]
    digest: str


TorchOpener = Callable[[Path, str, str, int | None], Session]
"""(model folder, device, precision, threads) -> a PyTorch session; called only where PyTorch is chosen."""


def open_model(options: OpenOptions, contract: TaskContract, torch_session: TorchOpener) -> OpenedModel:
    """Opens a model. Nothing is downloaded.

    Args:
        options: which, and on what.
        contract: what its graph must promise.
        torch_session: builds the network and runs it.

    Raises:
        ModelFolderError: if there is no such model, it is damaged, or for another task.
        BackendError: if the back end, the device or the precision is not there, or a graph is not that of the weights.
    """
    if options.backend != "auto":
        require(options.backend)
    if options.is_file:
        session, description = _open_file(Path(options.model), options, contract, options.backend)
        return OpenedModel(session, options, {"model": description.network}, description.weights)
    folder = find_model_folder(options.model)
    config = load_model_config(folder)
    check_model_config(config, folder, contract)
    backend = _chosen_backend(folder, options)
    digest = model_digest(folder)
    wanted = file_of_config(config.get("model") or {})
    if wanted is not None and options.network_file is not None:
        check_own_file(wanted, OwnFile.of(options.network_file), str(config["model"].get("class")))
    if backend == "pytorch":
        if wanted is not None and options.network_file is not None:
            from graspcut.nn.own_networks import open_network_file

            open_network_file(options.network_file)
        session = torch_session(folder, options.device, _torch_precision(options), options.threads)
        return OpenedModel(session, options, config, digest)
    path = find_graph(folder, backend, options.precision)
    if path is None:
        raise BackendError(_no_graph(folder, backend, options))
    session, description = _open_file(path, options, contract, backend)
    if description.weights != digest:
        raise BackendError(
            f"{path} was not made from the weights beside it (or by a version that did not say so): it is stale. Renew "
            f"it with '{export_command(folder, path, description.precision)}', delete it, or use --backend pytorch"
        )
    return OpenedModel(session, options, config, digest)


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


def reader_of(path: Path) -> str:
    """The installed back end that `auto` takes for an exported file."""
    readers = [backend for backend in BACKENDS if _form(path) in READABLE[backend]]
    return next((backend for backend in readers if is_installed(backend)), readers[-1])


def check_model_config(config: dict[str, Any], folder: Path, contract: TaskContract) -> None:
    """Refuses model folders for other tasks or with other labels.

    Raises:
        ModelFolderError: says what it is for.
    """
    labels = tuple(config.get("labels") or ())
    if config.get("task") != contract.task or contract.labels not in (None, labels):
        raise ModelFolderError(
            f"{folder} is a model for {config.get('task')!r} with the labels {config.get('labels')}; expected "
            f"{contract.task!r} with {list(contract.labels or ())}. Choose a {contract.task} model."
        )


def check_description(description: GraphDescription, path: Path, contract: TaskContract) -> None:
    """Refuses exported graphs for other tasks or with other labels.

    Raises:
        BackendError: says what it is for.
    """
    if description.task != contract.task or contract.labels not in (None, description.labels):
        raise BackendError(
            f"{path} is a graph for {description.task!r} with the labels {description.labels}; expected "
            f"{contract.task!r} with {contract.labels or ()}. Choose a {contract.task} model."
        )


def export_command(folder: Path, path: Path, precision: str) -> str:
    """What to type to write a graph of a model folder again."""
    form, kind = ("openvino" if path.suffix == ".xml" else "onnx"), "" if precision == "fp32" else precision
    options = f"{' --format openvino' if form == 'openvino' else ''}{f' --precision {kind}' if kind else ''}"
    return f"graspcut export {folder}{options} --out {folder}"


def _open_file(
    path: Path, options: OpenOptions, contract: TaskContract, backend: str
) -> tuple[Session, GraphDescription]:
    session, description = open_graph_file(
        path,
        reader_of(path) if backend == "auto" else backend,
        device="cpu" if options.device == "auto" else options.device,
        threads=options.threads,
        parallel_calls=options.parallel_calls,
    )
    check_description(description, path, contract)
    if options.precision not in ("auto", description.precision):
        raise BackendError(
            f"{path} is a {description.precision} graph, and {options.precision} was asked for: export one"
        )
    return session, description


def _form(path: Path) -> str:
    return next(form for form, suffix in GRAPH_SUFFIXES.items() if suffix == path.suffix)


def _no_graph(folder: Path, backend: str, options: OpenOptions) -> str:
    wanted = "" if options.precision == "auto" else f" in {options.precision}"
    how = "" if options.precision == "auto" else f" --precision {options.precision}"
    return (
        f"the back end {backend} was asked for, and {folder} has no graph for it{wanted}: write one with "
        f"'graspcut export {options.model}{how} --out FOLDER' and give its path, or use --backend pytorch"
    )


def _chosen_backend(folder: Path, options: OpenOptions) -> str:
    if options.backend != "auto":
        return options.backend
    if _wants_gpu(options.device):
        return "pytorch"
    for candidate in installed_backends():
        if candidate == "pytorch" or find_graph(folder, candidate, options.precision) is not None:
            return candidate
    raise BackendError(
        f"none of {', '.join(BACKENDS)} can run {folder}: install one that can, such as PyTorch "
        f"({install_hint('pytorch')}), or write a graph with 'graspcut export {folder} --format onnx' where PyTorch is "
        "installed"
    )


def _wants_gpu(device: str) -> bool:
    """Whether a GPU is asked for, or there is one; torch, slow to import, is asked only where there is a driver."""
    if device.startswith("cuda"):
        return True
    if device != "auto" or not (nvidia_driver_present() and is_installed("pytorch")):
        return False
    import torch

    return torch.cuda.is_available()


def _torch_precision(options: OpenOptions) -> str:
    # On a GPU, too: half precision gains small networks nothing there and costs pose a hundredth (docs/performance.md).
    return "fp32" if options.precision == "auto" else options.precision
