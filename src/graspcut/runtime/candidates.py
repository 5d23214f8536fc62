"""What `measuring` times: a network on every engine, in every precision.

Each row is opened on its own and may be refused on its own, where an engine is missing. Files that are not there are
exported into a temporary folder; their int8 is calibrated with a few samples, which is enough for its time and for
nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graspcut.runtime.contract import BACKEND_TITLES, BackendError
from graspcut.runtime.engines import is_installed
from graspcut.runtime.graph_files import find_graphs, graph_name
from graspcut.runtime.method import Method
from graspcut.runtime.model_folder import find_model_folder, load_model_config
from graspcut.runtime.opening import check_model_config
from graspcut.runtime.peak_rates import PeakConvolution
from graspcut.runtime.predictor import Predictor

if TYPE_CHECKING:
    from torch import nn

_CALIBRATION_SAMPLES = 3
ROWS = (
    ("pytorch", "fp32"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)
"""(back end, precision) of a model's rows."""


@dataclass(frozen=True)
class SpeedConfig:
    """What is timed.

    Attributes:
        width, height: of the frame in pixels.
        threads: processor threads.
        repeats: counted calls of a row; rows slower than 100 ms get a third.
        model: shipped model's name or model folder; empty for the method's shipped one.
        peak: the convolution that gives the rate of the cores.
    """

    width: int = 640
    height: int = 480
    threads: int = 2
    repeats: int = 30
    model: str = ""
    peak: PeakConvolution = field(default_factory=PeakConvolution)

    def __post_init__(self) -> None:
        for name in ("threads", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class Candidate:
    """A row that can be opened.

    Attributes:
        network, backend, precision: as in `graspcut.runtime.measuring.Row`.
        open: gives the predictor; raises `BackendError` or `ModuleNotFoundError` where something is missing.
        work: MACs and elements of one frame, or None without PyTorch.
        is_reference: ratios are taken to it.
    """

    network: str
    backend: str
    precision: str
    open: Callable[[], Predictor]
    work: Callable[[], tuple[int, int] | None]
    is_reference: bool = False


@contextmanager
def model_rows(method: Method, config: SpeedConfig) -> Iterator[list[Candidate]]:
    """The rows of a model; exported files live until the end of the `with`.

    Args:
        method: of the model's task.
        config: which model, and what is timed.

    Raises:
        ModelFolderError: there is no such model, or it is damaged or for another task.
    """
    model = config.model or method.predictor.default_model
    folder = find_model_folder(model)
    check_model_config(load_model_config(folder), folder, method.predictor.contract)
    graphs = {precision: path for (form, precision), path in find_graphs(folder).items() if form == "onnx"}
    # Engines may still have files of it open, which some systems do not delete.
    with tempfile.TemporaryDirectory(prefix="graspcut-speed-", ignore_cleanup_errors=True) as temporary:
        network = TimedNetwork(
            method, Path(model).name, lambda: method.predictor.load_network(folder), Path(temporary), config, graphs
        )
        yield [network.candidate(*row) for row in ROWS if method.quantization is not None or row[1] != "int8"]


class TimedNetwork:
    """A network that is built, counted and exported when first asked for.

    Args:
        method: of its task.
        title: what the table calls it.
        build: makes it; needs PyTorch.
        folder: for exported files; is made when there is one.
        config: size of the frame and number of threads.
        graphs: exported files that are there already, by precision.
    """

    def __init__(
        self,
        method: Method,
        title: str,
        build: Callable[[], nn.Module],
        folder: Path,
        config: SpeedConfig,
        graphs: Mapping[str, Path] | None = None,
    ) -> None:
        self._method, self._title, self._build, self._folder, self._config = method, title, build, folder, config
        self._graphs = dict(graphs or {})

    def candidate(self, backend: str, precision: str) -> Candidate:
        """The row of an engine and a precision."""
        return Candidate(self._title, backend, precision, partial(self._open, backend, precision), self._work)

    def plain_candidate(self) -> Candidate:
        """The row of the network in PyTorch as it was written: nothing folded, nothing worked out beforehand."""
        return Candidate(self._title, "pytorch", "fp32", self._open_plain, self._work, is_reference=True)

    @cached_property
    def _module(self) -> nn.Module:
        if not is_installed("pytorch"):
            raise BackendError("PyTorch, which builds and exports it, is not installed")
        return self._build().eval()

    def _open(self, backend: str, precision: str) -> Predictor:
        if not is_installed(backend):
            raise BackendError(f"{BACKEND_TITLES[backend]} is not installed")
        predictor, threads = self._method.predictor, self._config.threads
        if backend == "pytorch":
            return predictor.from_network(self._module, device="cpu", threads=threads, precision=precision)
        return predictor.load(self._file(precision), "cpu", threads, backend=backend, precision=precision)

    def _open_plain(self) -> Predictor:
        import torch

        from graspcut.runtime.torch_session import TorchSession

        graph = self._method.predictor.graph(self._module).eval()

        def prepare(shapes: Any, settings: Mapping[str, Any], where: Any) -> Callable[..., Any]:
            constants = [torch.from_numpy(np.array(value)) for value in settings.values()]
            return lambda *arrays: graph(*arrays, *constants)

        contract = self._method.predictor.contract
        session = TorchSession(prepare, contract, device="cpu", threads=self._config.threads)
        return self._method.predictor(session, name=self._title)

    def _work(self) -> tuple[int, int] | None:
        return self._counted if is_installed("pytorch") else None

    @cached_property
    def _counted(self) -> tuple[int, int]:
        import torch

        from graspcut.nn.counting import count_work

        predictor = self._method.predictor
        example = predictor.ordered(predictor.example(self._config.width, self._config.height))
        counted = count_work(predictor.graph(self._module), *map(torch.from_numpy, example))
        return counted.macs, counted.elements

    def _file(self, precision: str) -> Path:
        """The exported file."""
        if precision not in self._graphs:
            self._folder.mkdir(exist_ok=True)
            self._graphs[precision] = self._exported(precision)
        return self._graphs[precision]

    def _exported(self, precision: str) -> Path:
        from graspcut.runtime import graphs
        from graspcut.runtime.export import describe_graph, onnx_of_model

        path = self._folder / graph_name("openvino" if precision == "bf16" else "onnx", precision)
        description = describe_graph(self._method, self._title, precision)
        if precision == "fp32":
            path.write_bytes(onnx_of_model(self._method, self._module, description))
            return path
        exact = self._file("fp32").read_bytes()
        if precision == "int8":
            assert self._method.quantization is not None
            samples = self._method.quantization.default_samples()
            given = [self._method.quantization.inputs(samples[index]) for index in range(_CALIBRATION_SAMPLES)]
            path.write_bytes(graphs.quantized(exact, given, description))
        else:
            graphs.save_openvino(exact, path, description)
        return path
