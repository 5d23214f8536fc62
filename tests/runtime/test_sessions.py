"""Sessions over the engines: right answers, whatever is called in which order, and errors that say how to mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.runtime.contract import (
    BACKENDS,
    METADATA_KEY,
    ArraySpec,
    BackendError,
    GraphDescription,
    Session,
    TaskContract,
)
from graspcut.runtime.engines import installed_backends, is_installed, known_backend, require
from graspcut.runtime.graphs import onnx_of_network, quantized, save_openvino
from graspcut.runtime.model_folder import find_model_folder
from graspcut.runtime.opening import open_graph_file
from graspcut.runtime.openvino_cache import read_compiled
from graspcut.runtime.openvino_session import MOST_COMPILED, OpenVinoSession
from graspcut.runtime.torch_session import MOST_PREPARED, TorchSession

FREE = ("batch", "height", "width")
CONTRACT = TaskContract(
    "test",
    ("nothing", "something"),
    (ArraySpec("depth_mm", "float32", FREE),),
    (ArraySpec("focal_px", "float32", (1,)),),
    (ArraySpec("labels", "uint8", FREE), ArraySpec("probabilities", "float32", ("batch", 4, "height", "width"))),
)
DESCRIPTION = GraphDescription("test", "tiny", "fp32", ("nothing", "something"), ("focal_px",), "0.0")
READERS = [("onnxruntime", ".onnx"), ("openvino", ".onnx"), ("openvino", ".xml")]
ENGINES = [*READERS, ("pytorch", "")]

# How long a test waits for another thread before it fails; nothing waits this long when all is well.
PATIENCE_S = 30.0

Answers = dict[str, NDArray[Any]]


class Tiny(nn.Module):
    """Two outputs that depend on every input: a convolution times the focal length, and where it is positive."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        found = self.second(torch.relu(self.convolution(depth_mm.unsqueeze(1)))) * focal_px
        return (found[:, 0] > 0).to(torch.uint8), found


def inputs(size: tuple[int, ...] = (1, 24, 30), focal_px: float = 2.0, seed: int = 0) -> Answers:
    """A batch of frames and a focal length."""
    depth = np.random.default_rng(seed).random(size, dtype=np.float32)
    return {"depth_mm": depth, "focal_px": np.array([focal_px], np.float32)}


def right(given: Answers) -> Answers:
    """What the graph should say."""
    with torch.no_grad():
        labels, probabilities = Tiny()(torch.from_numpy(given["depth_mm"]), torch.from_numpy(given["focal_px"]))
    return {"labels": labels.numpy(), "probabilities": probabilities.numpy()}


def assert_right(found: Answers, expected: Answers) -> None:
    """Equal but for rounding."""
    assert found.keys() == expected.keys() and found["labels"].dtype == np.uint8
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], rtol=1e-4, atol=1e-4)
    near_zero = np.abs(expected["probabilities"][:, 0]) < 1e-3
    assert ((found["labels"] == expected["labels"]) | near_zero).all()


@pytest.fixture(scope="module")
def onnx_bytes() -> bytes:
    example = {"depth_mm": np.random.default_rng(0).random((1, 8, 8)), "focal_px": np.ones(1)}
    tiny = Tiny().eval()
    return onnx_of_network(tiny, example, CONTRACT, DESCRIPTION, [tiny.second])


@pytest.fixture(scope="module")
def files(onnx_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with tiny.onnx, tiny.xml and tiny.bin."""
    folder = tmp_path_factory.mktemp("graphs")
    (folder / "tiny.onnx").write_bytes(onnx_bytes)
    save_openvino(onnx_bytes, folder / "tiny.xml", DESCRIPTION)
    return folder


def opened(files: Path, engine: tuple[str, str], threads: int = 1, parallel_calls: int = 1) -> Session:
    """The tiny graph on an engine."""
    backend, suffix = engine
    if backend == "pytorch":
        return _tiny_in_torch()
    path = files / f"tiny{suffix}"
    session, description = open_graph_file(path, backend, threads=threads, parallel_calls=parallel_calls)
    assert description == DESCRIPTION
    return session


def _tiny_in_torch() -> TorchSession:
    def prepare(
        shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, NDArray[Any]], where: torch.device
    ) -> Callable[[Tensor], tuple[Tensor, ...]]:
        network, focal = Tiny().to(where), torch.from_numpy(settings["focal_px"]).to(where)

        def run(depth_mm: Tensor) -> tuple[Tensor, ...]:
            assert depth_mm.shape == shapes["depth_mm"]
            found: tuple[Tensor, ...] = network(depth_mm, focal)
            return found

        return run

    return TorchSession(prepare, CONTRACT)


def test_description_survives_the_way_through_text() -> None:
    assert GraphDescription.from_json(DESCRIPTION.to_json(), "tiny") == DESCRIPTION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1, 2]",
        '"text"',
        "not json",
        json.dumps({**vars(DESCRIPTION), "labels": None}),
        json.dumps({**vars(DESCRIPTION), "colour": "red"}),
        json.dumps({name: value for name, value in vars(DESCRIPTION).items() if name != "model"}),
    ],
)
def test_foreign_descriptions_are_refused(text: str) -> None:
    with pytest.raises(BackendError, match=r"a\.onnx was not written by 'graspcut export'"):
        GraphDescription.from_json(text, "a.onnx")


def test_unknown_precisions_are_refused() -> None:
    with pytest.raises(BackendError, match="precision 'int4', expected one of"):
        GraphDescription.from_json(json.dumps({**vars(DESCRIPTION), "precision": "int4"}), "a.onnx")


def test_unknown_back_ends_list_the_known_ones() -> None:
    with pytest.raises(BackendError, match="unknown back end 'tensorrt': use auto, openvino, onnxruntime, pytorch"):
        known_backend("tensorrt")
    with pytest.raises(BackendError, match="unknown back end"):
        is_installed("auto")
    assert [known_backend(name) for name in BACKENDS] == list(BACKENDS) == installed_backends()


@pytest.mark.parametrize(
    ("backend", "package", "mend"),
    [
        ("openvino", "openvino", r"OpenVINO is not installed: pip install '\.\[openvino\]' in a checkout"),
        ("onnxruntime", "onnxruntime", "ONNX Runtime is not installed: pip install onnxruntime"),
        ("pytorch", "torch", r"PyTorch is not installed: pip install '\.\[train\]' in a checkout"),
    ],
)
def test_missing_back_ends_say_how_to_install_them(
    backend: str, package: str, mend: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no other takes their place, although both that are left could read the file."""
    monkeypatch.setitem(sys.modules, package, None)  # what makes `import` fail
    assert not is_installed(backend)
    assert installed_backends() == [name for name in BACKENDS if name != backend]
    for call in (require, lambda name: open_graph_file(files / "tiny.onnx", name)):
        with pytest.raises(BackendError, match=mend) as raised:
            call(backend)
        assert f"the back end {backend} was asked for" in str(raised.value)


def test_pytorch_runs_no_exported_files(files: Path) -> None:
    with pytest.raises(BackendError, match="pytorch runs model folders: use onnxruntime or openvino"):
        open_graph_file(files / "tiny.onnx", "pytorch")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "gpu", "auto"])
def test_devices_are_never_replaced(files: Path, backend: str, device: str) -> None:
    if backend == "onnxruntime" and device.startswith("cuda"):
        onnxruntime = pytest.importorskip("onnxruntime")
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendError, match=f"device '{device}' was asked for.*use .*cpu"):
        open_graph_file(files / "tiny.onnx", backend, device=device)


@pytest.mark.parametrize(("backend", "suffix"), READERS)
def test_missing_files_are_said(backend: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=f"none{suffix} does not exist: export it with 'graspcut export'"):
        open_graph_file(tmp_path / f"none{suffix}", backend)


@pytest.mark.parametrize(("backend", "suffix"), READERS)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.97])
def test_truncated_files_are_refused(files: Path, backend: str, suffix: str, kept: float, tmp_path: Path) -> None:
    whole = (files / f"tiny{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(whole[: int(kept * len(whole))])
    (tmp_path / "cut.bin").write_bytes((files / "tiny.bin").read_bytes())
    with pytest.raises(BackendError, match=rf"(?s)cut\{suffix}.*[Ee]xport"):
        open_graph_file(tmp_path / f"cut{suffix}", backend)


@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_openvino_weights_that_are_missing_or_truncated_are_refused(
    files: Path, kept: float | None, tmp_path: Path
) -> None:
    (tmp_path / "tiny.xml").write_bytes((files / "tiny.xml").read_bytes())
    if kept is not None:
        whole = (files / "tiny.bin").read_bytes()
        (tmp_path / "tiny.bin").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(BackendError, match=r"OpenVINO cannot read .*tiny\.xml"):
        open_graph_file(tmp_path / "tiny.xml", "openvino")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_foreign_graphs_are_refused(onnx_bytes: bytes, backend: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(onnx_bytes)
    assert [entry.key for entry in model.metadata_props].count(METADATA_KEY) == 1
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(BackendError, match=r"foreign\.onnx was not written by 'graspcut export'"):
        open_graph_file(tmp_path / "foreign.onnx", backend)


def test_onnxruntime_reads_no_openvino_files(files: Path) -> None:
    with pytest.raises(BackendError, match=r"ONNX Runtime cannot read .*tiny\.xml"):
        open_graph_file(files / "tiny.xml", "onnxruntime")


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_any_size_batch_and_focal_length(files: Path, engine: tuple[str, str]) -> None:
    session = opened(files, engine)
    assert (session.backend, session.device, session.precision) == (engine[0], "cpu", "fp32")
    for size, focal in (((1, 24, 30), 2.0), ((3, 24, 30), 2.0), ((1, 7, 5), -1.5), ((2, 1, 1), 0.5)):
        given = inputs(size, focal)
        assert_right(session.run(given), right(given))


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_arrays_may_lie_in_memory_in_any_way_and_are_left_alone(files: Path, engine: tuple[str, str]) -> None:
    session, given = opened(files, engine), inputs((2, 24, 30))
    expected, depth = right(given), given["depth_mm"]
    read_only = depth.copy()
    read_only.setflags(write=False)
    for other in (read_only, np.asfortranarray(depth), np.repeat(depth, 2, axis=2)[..., ::2], depth[:, ::-1][:, ::-1]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_right(session.run({**given, "depth_mm": other}), expected)
        np.testing.assert_array_equal(other, depth)


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_results_belong_to_the_caller(files: Path, engine: tuple[str, str]) -> None:
    session = opened(files, engine)
    first, second = inputs(seed=1), inputs(seed=2)
    kept = session.run(first)
    before = {name: array.copy() for name, array in kept.items()}
    assert_right(session.run(second), right(second))
    first["depth_mm"][:] = -7.0
    for name, array in kept.items():
        np.testing.assert_array_equal(array, before[name])
        array[:] = 0  # and may be written to
    assert_right(session.run(second), right(second))


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_a_call_that_fails_does_no_harm(files: Path, engine: tuple[str, str]) -> None:
    session, given = opened(files, engine), inputs()
    for _ in range(3):
        with pytest.raises((ValueError, RuntimeError, KeyError)):
            session.run({"depth_mm": given["depth_mm"]})
        with pytest.raises(Exception, match=r"."):  # each engine has its own
            session.run({**given, "depth_mm": given["depth_mm"][0, 0]})
    assert_right(session.run(given), right(given))


def count_compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every graph that OpenVINO compiles."""
    compiled: list[int] = []
    compile_graph = OpenVinoSession._compile

    def counted(session: OpenVinoSession, *what: Any) -> Any:
        compiled.append(1)
        return compile_graph(session, *what)

    monkeypatch.setattr(OpenVinoSession, "_compile", counted)
    return compiled


def test_openvino_compiles_for_the_first_size_and_once_for_all_others(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, compiled = opened(files, ("openvino", ".onnx")), count_compilations(monkeypatch)
    cameras = [((1, 8 + number, 9), 1.0 + number % 3) for number in range(8)]
    for seed, (size, focal) in enumerate([*cameras, *reversed(cameras), *cameras * 3]):
        given = inputs(size, focal, seed)
        assert_right(session.run(given), right(given))
    assert len(compiled) == 2


def test_openvino_compiles_for_sizes_that_stay(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graspcut.runtime.openvino_session.CALLS_TO_BE_COMPILED", 3)
    session, compiled = opened(files, ("openvino", ".onnx")), count_compilations(monkeypatch)
    cameras = [inputs((1, 8, 8 + number)) for number in range(MOST_COMPILED + 2)]
    for _ in range(20):  # in turn: four get their own, and keep it
        for given in cameras:
            assert_right(session.run(given), right(given))
    assert len(compiled) == MOST_COMPILED + 1
    for _ in range(20):  # one stays: it takes the place of another
        assert_right(session.run(cameras[-1]), right(cameras[-1]))
    assert len(compiled) == MOST_COMPILED + 2


def test_openvino_reads_what_was_compiled_before(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cameras = [inputs((1, 8, 8)), inputs((1, 9, 9))]
    first = [opened(files, ("openvino", ".onnx")).run(given) for given in cameras]
    kept = sorted((tmp_path / "graspcut" / "openvino").iterdir())
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:-9])  # damaged: compiled again
    for given, expected in zip(cameras, first, strict=True):
        found = opened(files, ("openvino", ".onnx")).run(given)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert all(read_compiled(path.name) is not None for path in kept)
    monkeypatch.setenv("GRASPCUT_CACHE", "off")
    assert read_compiled(kept[1].name) is None
    assert_right(opened(files, ("openvino", ".onnx")).run(cameras[0]), right(cameras[0]))


def test_openvino_compiling_keeps_nobody_waiting(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(files, ("openvino", ".onnx"), threads=2, parallel_calls=2)
    first, second = inputs((1, 8, 8)), inputs((1, 9, 9))
    session.run(first)
    begun, done = threading.Event(), threading.Event()
    compile_graph = OpenVinoSession._compile

    def slow(own: OpenVinoSession, *what: Any) -> Any:
        begun.set()
        assert done.wait(PATIENCE_S)
        return compile_graph(own, *what)

    monkeypatch.setattr(OpenVinoSession, "_compile", slow)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(session.run, second) for _ in range(2)]  # both need the one that is being compiled
        assert begun.wait(PATIENCE_S)
        assert_right(session.run(first), right(first))
        done.set()
        for future in waiting:
            assert_right(future.result(PATIENCE_S), right(second))


def test_pytorch_prepares_few_sizes_and_always_the_right_one(files: Path) -> None:
    session = _tiny_in_torch()
    cameras = [((1, 8, 8 + number), 1.0 + number % 2) for number in range(MOST_PREPARED + 2)]
    for seed, (size, focal) in enumerate([*cameras, *reversed(cameras), *cameras]):
        given = inputs(size, focal, seed)
        assert_right(session.run(given), right(given))
        assert len(session._ready) <= MOST_PREPARED


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
@pytest.mark.parametrize("callers", [2, 4])
def test_threads_get_their_own_answers(files: Path, engine: tuple[str, str], callers: int) -> None:
    """Also when there are more threads than said, and when their frames differ in size."""
    session = opened(files, engine, threads=2, parallel_calls=2)
    assert session.parallel_calls == (1 if engine[0] == "pytorch" else 2)
    everyone = threading.Barrier(callers)
    sizes = [(1, 96, 120), (2, 60, 80)]

    def call(number: int) -> list[tuple[Answers, Answers]]:
        rounds = [inputs(sizes[number // 2], 1.0 + number, seed) for seed in range(number, number + 12)]
        everyone.wait(PATIENCE_S)
        return [(given, session.run(given)) for given in rounds]

    with ThreadPoolExecutor(callers) as pool:
        for answers in pool.map(call, range(callers)):
            for given, found in answers:
                assert_right(found, right(given))


def test_openvino_needs_no_call_to_wait_for_another(files: Path) -> None:
    """One call's share of the engine is kept busy; the other one goes on without it."""
    session = opened(files, ("openvino", ".onnx"), threads=2, parallel_calls=2)
    assert isinstance(session, OpenVinoSession)
    given = inputs()
    session.run(given)
    (compiled,) = session._compiled.values()
    requests = compiled.result()
    busy = requests.get_nowait()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(session.run, given)
        try:
            assert_right(other.result(PATIENCE_S), right(given))
        finally:
            requests.put(busy)  # or the other one would wait for ever
    assert requests.qsize() == 2


def test_int8_is_for_the_convolutions_that_the_method_names(onnx_bytes: bytes) -> None:
    """By whose weights they have, which the graph remembers; not by what their nodes are called."""
    onnx = pytest.importorskip("onnx")
    found = onnx.load_from_string(quantized(onnx_bytes, [inputs()], DESCRIPTION))
    restored = {node.output[0] for node in found.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in found.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 2
    assert [node.name for node in convolutions if node.input[1] in restored] == ["/second/Conv"]


def test_openvino_runs_all_that_is_quantized_in_int8() -> None:
    """Constants that several layers share hide them from the engine: half of this graph used to run in float32."""
    onnx = pytest.importorskip("onnx")
    path = find_model_folder("dense-attention-small") / "model.int8.onnx"
    graph = onnx.load(path).graph
    made_by = {value: node.op_type for node in graph.node for value in node.output}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    quantized_ones = sum(made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions)
    session = OpenVinoSession(path, threads=1)
    depth = np.full((1, 96, 128), 500, np.float32)
    given = {"depth_mm": depth, "focal_px": np.array([120.0]), "sensitivity": np.ones(1)}
    session.run({entry: given[entry] for entry in (*session._arrays, *session._settings)})
    (requests,) = session._compiled.values()
    compiled = requests.result().get().get_compiled_model()
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    types = [
        info["runtimePrecision"].value for info in nodes if info["layerType"].value in ("Convolution", "Deconvolution")
    ]
    assert sum(str(kind) in ("u8", "i8") for kind in types) == quantized_ones > 40


def test_quantizing_needs_convolutions_and_frames(onnx_bytes: bytes) -> None:
    example = {"depth_mm": np.ones((1, 8, 8)), "focal_px": np.ones(1)}
    without = onnx_of_network(Tiny().eval(), example, CONTRACT, DESCRIPTION)
    with pytest.raises(BackendError, match="no convolution of the graph may run in int8"):
        quantized(without, [inputs()], DESCRIPTION)
    with pytest.raises(BackendError, match="no calibration frames"):
        quantized(onnx_bytes, [], DESCRIPTION)


def test_signals_are_safe_after_sessions_were_closed_in_any_order() -> None:
    """Each OpenVINO core swaps the signal stack; two closed in the order they were made used to end the program."""
    program = """
import faulthandler, signal, subprocess, sys
import numpy as np
from graspcut.segmentation.predictor import Segmenter
faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: None)
frame = np.full((48, 64), 500.0, np.float32)
first, second = Segmenter.load(backend="openvino"), Segmenter.load(backend="openvino")
first(frame), second(frame)
del first
del second
subprocess.run([sys.executable, "-c", "pass"], check=True)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_onnx_runtime_is_opened_without_telemetry() -> None:
    script = "import graspcut.runtime.onnx_session, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    for environment, expected in ((kept, "1"), (kept | {"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
