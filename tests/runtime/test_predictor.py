"""What all predictors share: other processes, warming up, the engines' own manners."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.catalogue import METHODS, method_of, method_of_model
from graspcut.frames.camera import Camera
from graspcut.runtime.contract import BACKENDS, BackendError
from graspcut.runtime.graph_files import GRAPH_SUFFIXES, find_graph, find_graphs, graph_name
from graspcut.runtime.model_folder import find_model_folder, model_digest, shipped_model_names
from graspcut.runtime.model_inspection import describe_model_folder
from graspcut.runtime.opening import OpenOptions
from graspcut.segmentation.predictor import CONTRACT, DEFAULT_MODEL, Segmenter
from tests.mini_network import mini_network, save_mini_folder, scene_mm


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_predictor_is_sent_to_another_process(backend: str) -> None:
    segmenter = Segmenter.load(backend=backend, threads=1, device="cpu")
    again = pickle.loads(pickle.dumps(segmenter))
    depth = scene_mm(48, 64)
    np.testing.assert_array_equal(again(depth).probabilities, segmenter(depth).probabilities)
    assert (again.description, again.digest, again.name) == (segmenter.description, segmenter.digest, DEFAULT_MODEL)
    with pytest.raises(TypeError, match=r"network in memory.*save_model_folder"):
        pickle.dumps(Segmenter.from_network(mini_network(), device="cpu"))


def _call(segmenter: Segmenter, answers: Any) -> None:
    try:
        segmenter(np.full((48, 64), 500, np.uint16))
        answers.put("labelled")
    except BackendError as error:
        answers.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_after_a_fork_it_says_what_to_do_instead_of_hanging(backend: str) -> None:
    segmenter = Segmenter.load(backend=backend, threads=2)
    segmenter(np.full((48, 64), 500, np.uint16))
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=_call, args=(segmenter, answers), daemon=True)
    child.start()
    child.join(30)
    assert not child.is_alive() and "load it in the child" in answers.get()


def test_warming_up_is_a_frame_of_that_size(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter.load(backend="onnxruntime", threads=1)
    shapes: list[tuple[int, ...]] = []
    run = segmenter.session.run

    def seen(inputs: Any) -> Any:
        shapes.append(inputs["depth_mm"].shape)
        return run(inputs)

    monkeypatch.setattr(segmenter.session, "run", seen)
    segmenter.warm_up((64, 48))
    assert shapes == [(1, 48, 64)]


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_many_cameras_in_turn_are_labelled_as_alone(precision: str) -> None:
    """The shipped model on the back end that `auto` takes; also fills the cache of compiled graphs."""
    in_turn = Segmenter.load(threads=2, device="cpu", precision=precision)
    scenes = [(scene_mm(240, 320), 238.0 + number) for number in range(3)] + [(scene_mm(120, 160), 119.0)]
    for depth, focal in scenes:
        camera = Camera.from_focal_length(depth.shape[1], depth.shape[0], focal)
        alone = Segmenter.load(threads=2, device="cpu", precision=precision)(depth, camera)
        found = in_turn(depth, camera)
        if precision == "fp32":
            np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=1e-5)
            assert np.mean(found.labels != alone.labels) < 1e-4
        else:  # in int8 the last bit of a float may round to the next whole number, and what follows differs a little
            assert np.mean(found.labels != alone.labels) < 0.005
            assert np.abs(found.probabilities - alone.probabilities).mean() < 0.002


def test_openvino_tells_nobody_that_it_was_started(tmp_path: Path) -> None:
    """Its telemetry looks up a host and writes into the home directory."""
    program = """
import socket, sys
def refuse(*_):
    raise AssertionError("the network was used")
socket.getaddrinfo = socket.create_connection = refuse
import numpy as np
from graspcut.segmentation.predictor import Segmenter
Segmenter.load(backend="openvino", threads=1)(np.full((48, 64), 500, np.uint16))
assert "openvino" in sys.modules and "openvino_telemetry" not in sys.modules
"""
    environment = {**os.environ, "HOME": str(tmp_path), "GRASPCUT_CACHE": "off"}
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)
    assert not (tmp_path / "intel").exists()


def test_options_refuse_what_no_model_has() -> None:
    for wrong, message in (
        ({"precision": "int4"}, "unknown precision"),
        ({"backend": "tensorrt"}, "unknown back end"),
        ({"threads": 0}, "threads is 0"),
        ({"parallel_calls": 0}, "parallel_calls is 0"),
    ):
        with pytest.raises(BackendError, match=message):
            OpenOptions(DEFAULT_MODEL, **wrong)


def test_names_of_graphs_are_found_again(tmp_path: Path) -> None:
    names = {graph_name(form, precision) for form in GRAPH_SUFFIXES for precision in ("fp32", "fp16", "bf16", "int8")}
    assert len(names) == 8
    for name in names:
        (tmp_path / name).touch()
    assert {path.name for path in find_graphs(tmp_path).values()} == names
    assert find_graph(tmp_path, "openvino", "auto") == tmp_path / "model.int8.xml"
    assert find_graph(tmp_path, "onnxruntime", "auto") == tmp_path / "model.int8.onnx"
    assert find_graph(tmp_path, "onnxruntime", "fp16") == tmp_path / "model.fp16.onnx"
    assert find_graph(tmp_path, "pytorch", "auto") is None
    (tmp_path / "model.int8.xml").unlink()
    assert find_graph(tmp_path, "openvino", "auto") == tmp_path / "model.int8.onnx"


def test_the_digest_is_of_network_and_weights_and_of_nothing_else(tmp_path: Path) -> None:
    first, other = save_mini_folder(tmp_path / "a"), save_mini_folder(tmp_path / "b", mini_network(seed=1))
    digest = model_digest(first)
    assert digest != model_digest(other)
    (first / "card.md").write_text("# Another card")
    config = (first / "config.json").read_text()
    (first / "config.json").write_text(config.replace('"task"', '"results": {"iou": 1}, "task"'))
    assert model_digest(first) == digest
    (first / "config.json").write_text(config.replace('"class"', '"working": 1, "class"'))
    assert model_digest(first) != digest


def test_info_tells_stale_and_damaged_graphs(tmp_path: Path) -> None:
    folder = save_mini_folder(tmp_path / "mini")
    facts, faults = describe_model_folder(folder, CONTRACT)
    assert not faults and dict(facts)["graphs"].startswith("none")
    assert "depth_mm float32 (batch, height, width)" in dict(facts)["in"]
    (folder / "model.onnx").write_bytes((find_model_folder(DEFAULT_MODEL) / "model.onnx").read_bytes())
    (folder / "model.int8.onnx").write_bytes(b"no graph")
    facts, faults = describe_model_folder(folder, CONTRACT)
    assert len(faults) == 2 and any("is stale" in fault and "graspcut export" in fault for fault in faults)
    assert describe_model_folder(DEFAULT_MODEL, CONTRACT)[1] == ()


def test_the_catalogue_knows_every_shipped_model_by_its_task(tmp_path: Path) -> None:
    for task in METHODS:
        assert method_of(task).task == task
    for name in shipped_model_names():
        assert method_of_model(name).predictor.load(name).session
    graph = find_model_folder(DEFAULT_MODEL) / "model.onnx"
    assert method_of_model(graph).task == "segmentation" == method_of_model(None).task
    with pytest.raises(BackendError, match="unknown task 'knitting': this version of graspcut has segmentation"):
        method_of("knitting")
