"""What `graspcut.segmentation.speed` times: the small network and its peers on every engine, in every precision.

Each is opened on its own and may be refused on its own, where an engine is missing. Files that are not shipped are
exported into a temporary folder; their int8 is calibrated with a few frames, which is enough for its time and for
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
from numpy.typing import NDArray

from graspcut.frames.camera import focal_length_px
from graspcut.runtime.contract import BACKEND_TITLES, BackendError
from graspcut.runtime.engines import is_installed
from graspcut.runtime.model_folder import find_model_folder, graph_file, load_model_config
from graspcut.runtime.peak_rates import PeakConvolution
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter, check_model_config, load_network
from graspcut.segmentation.timing import example_frame
from graspcut.synth.generator import FrameGenerator, SynthConfig

if TYPE_CHECKING:
    from torch import nn

_CALIBRATION_FRAMES, _CALIBRATION_SEED = 3, 777_004
_SMALL_ROWS = (
    ("pytorch", "fp32"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)
_PAPER_ROWS = (("pytorch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))


@dataclass(frozen=True)
class Peer:
    """A network with random weights.

    Attributes:
        title: what the table calls it.
        config: see `graspcut.segmentation.models.build_model`.
    """

    title: str
    config: Mapping[str, Any]


PAPER = Peer("DenseAttentionSeg (ResNet-50)", {"class": "DenseAttentionSeg"})
REFERENCE = Peer("DeepLabv3+ (ResNet-50)", {"class": "DeepLabV3Plus"})


@dataclass(frozen=True)
class SpeedConfig:
    """What is timed.

    Attributes:
        width, height: of the frame in pixels.
        threads: processor threads.
        repeats: counted calls of a row; rows slower than 100 ms get a third.
        model: the small network: shipped model's name or model folder.
        peers: False: only the small network.
        paper: the network of the paper, on PyTorch and OpenVINO.
        reference: what ratios are taken to, in plain PyTorch: nothing folded, nothing worked out beforehand.
        peak: the convolution that gives the rate of the cores.
    """

    width: int = 640
    height: int = 480
    threads: int = 2
    repeats: int = 30
    model: str = DEFAULT_MODEL
    peers: bool = True
    paper: Peer = PAPER
    reference: Peer = REFERENCE
    peak: PeakConvolution = field(default_factory=PeakConvolution)

    def __post_init__(self) -> None:
        for name in ("threads", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class Candidate:
    """A row that can be opened.

    Attributes:
        network, backend, precision: as in `graspcut.segmentation.speed.Row`.
        open: gives the segmenter; raises `BackendError` or `ModuleNotFoundError` where something is missing.
        work: MACs and elements of one frame, or None without PyTorch.
        is_small: of the small network.
        is_reference: ratios are taken to it.
    """

    network: str
    backend: str
    precision: str
    open: Callable[[], Segmenter]
    work: Callable[[], tuple[int, int] | None]
    is_small: bool = False
    is_reference: bool = False


class PlainSession:
    """A network in PyTorch as it was written; see `graspcut.runtime.contract.Session`.

    Args:
        network: one of `graspcut.segmentation.models`.
        threads: torch threads; a setting of the whole process.
    """

    backend, device, precision, parallel_calls = "pytorch", "cpu", "fp32", 1

    def __init__(self, network: nn.Module, threads: int) -> None:
        import torch

        from graspcut.segmentation.graph import SegmentationGraph

        torch.set_num_threads(threads)
        self._graph = SegmentationGraph(network).eval()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        import torch

        with torch.no_grad():
            found = self._graph(torch.from_numpy(inputs["depth_mm"]), torch.from_numpy(inputs["focal_px"]))
        return {name: value.numpy() for name, value in zip(("labels", "probabilities"), found, strict=True)}


@contextmanager
def candidate_rows(config: SpeedConfig) -> Iterator[list[Candidate]]:
    """All rows in the order of the table; exported files live until the end of the `with`.

    Raises:
        ModelFolderError: there is no such model, or it is damaged or for another task.
    """
    small = find_model_folder(config.model)
    check_model_config(load_model_config(small), small)
    shipped = {precision: graph_file(small, precision) for precision in ("fp32", "int8")}
    graphs = {precision: path for precision, path in shipped.items() if path is not None}
    # Engines may still have files of it open, which some systems do not delete.
    with tempfile.TemporaryDirectory(prefix="graspcut-speed-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        network = _Network(Path(config.model).name, lambda: load_network(small), folder / "small", config, graphs)
        rows = [network.candidate(*row, is_small=True) for row in _SMALL_ROWS]
        if config.peers:
            paper = _Network(config.paper.title, lambda: _random_network(config.paper), folder / "paper", config, {})
            rows += [paper.candidate(*row) for row in _PAPER_ROWS]
            reference = _Network(
                config.reference.title, lambda: _random_network(config.reference), folder / "reference", config, {}
            )
            rows.append(reference.plain_candidate())
        yield rows


class _Network:
    """A network that is built, counted and exported when first asked for.

    Args:
        title: what the table calls it.
        build: makes it; needs PyTorch.
        folder: for exported files; is made when there is one.
        config: size of the frame and number of threads.
        graphs: exported files that are there already, by precision.
    """

    def __init__(
        self, title: str, build: Callable[[], nn.Module], folder: Path, config: SpeedConfig, graphs: Mapping[str, Path]
    ) -> None:
        self._title, self._build, self._folder, self._config = title, build, folder, config
        self._graphs = dict(graphs)

    def candidate(self, backend: str, precision: str, *, is_small: bool = False) -> Candidate:
        """The row of an engine and a precision."""
        return Candidate(
            self._title, backend, precision, partial(self._open, backend, precision), self._work, is_small=is_small
        )

    def plain_candidate(self) -> Candidate:
        """The row of the network as it was written."""
        return Candidate(self._title, "pytorch", "fp32", self._open_plain, self._work, is_reference=True)

    @cached_property
    def _module(self) -> nn.Module:
        if not is_installed("pytorch"):
            raise BackendError("PyTorch, which builds and exports it, is not installed")
        return self._build().eval()

    def _open(self, backend: str, precision: str) -> Segmenter:
        if not is_installed(backend):
            raise BackendError(f"{BACKEND_TITLES[backend]} is not installed")
        threads = self._config.threads
        if backend == "pytorch":
            return Segmenter.from_network(self._module, device="cpu", threads=threads, precision=precision)
        return Segmenter.load(self._file(precision), "cpu", threads, backend=backend, precision=precision)

    def _open_plain(self) -> Segmenter:
        return Segmenter(PlainSession(self._module, self._config.threads), name=self._title)

    def _work(self) -> tuple[int, int] | None:
        return self._counted if is_installed("pytorch") else None

    @cached_property
    def _counted(self) -> tuple[int, int]:
        import torch

        from graspcut.nn.counting import count_work
        from graspcut.segmentation.graph import SegmentationGraph

        depth, camera = example_frame(self._config.width, self._config.height)
        focal = torch.tensor([focal_length_px(camera, self._config.width)])
        given = torch.from_numpy(depth.astype(np.float32))[np.newaxis]
        counted = count_work(SegmentationGraph(self._module), given, focal)
        return counted.macs, counted.elements

    def _file(self, precision: str) -> Path:
        """The exported file."""
        if precision not in self._graphs:
            self._folder.mkdir(exist_ok=True)
            self._graphs[precision] = self._exported(precision)
        return self._graphs[precision]

    def _exported(self, precision: str) -> Path:
        from graspcut.runtime import export as graphs
        from graspcut.segmentation.export import (
            calibration_inputs,
            describe_graph,
            graph_name,
            onnx_of_model,
            runs_in_int8,
        )

        path = self._folder / graph_name("openvino" if precision == "bf16" else "onnx", precision)
        if precision == "fp32":
            path.write_bytes(onnx_of_model(self._module, self._title))
            return path
        exact, description = self._file("fp32").read_bytes(), describe_graph(self._title, precision)
        if precision == "int8":
            generator = FrameGenerator(
                SynthConfig(width=320, height=240, profile="v1", colour=False), _CALIBRATION_SEED
            )
            frames = (generator[index] for index in range(_CALIBRATION_FRAMES))
            path.write_bytes(graphs.quantized(exact, calibration_inputs(frames), description, runs_in_int8))
        else:
            graphs.save_openvino(exact, path, description)
        return path


def _random_network(peer: Peer) -> nn.Module:
    import torch

    from graspcut.segmentation.models import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(peer.config)
