"""Segmenting on a machine without PyTorch, played in processes of their own where it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.images import read_single_channel, write_image_atomically
from graspcut.frames.json_files import read_json
from graspcut.runtime.model_folder import shipped_models_dir
from graspcut.segmentation.predictor import Segmenter
from tests.mini_network import save_mini_folder, scene_mm

ENGINES = ("onnxruntime", "openvino")

_BLOCK = """
import sys
BLOCKED = ("torch", "lightning", "onnx", "tensorboard")
for name in BLOCKED:
    sys.modules[name] = None
"""
_CHECK = """
found = [name for name in sys.modules if name.partition(".")[0] in BLOCKED and sys.modules[name] is not None]
assert not found, found
"""


def without_torch(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program where torch cannot be imported; fails if it was imported by another way."""
    script = "\n".join((_BLOCK, "try:", *(f"    {line}" for line in program.splitlines()), "finally:"))
    script += "".join(f"\n    {line}" for line in _CHECK.splitlines())
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def command_line(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`graspcut ARGUMENTS` where torch cannot be imported."""
    return without_torch("from graspcut.cli import main\nmain(sys.argv[1:])", *arguments)


def test_the_block_works() -> None:
    finished = without_torch("import torch")
    assert finished.returncode != 0 and "ModuleNotFoundError" in finished.stderr
    finished = without_torch("del sys.modules['onnx']\nimport onnx")
    assert finished.returncode != 0 and "AssertionError" in finished.stderr


@pytest.mark.parametrize("backend", ENGINES)
def test_a_frame_is_segmented(backend: str, tmp_path: Path) -> None:
    program = """
import graspcut
import numpy as np
segmenter = graspcut.Segmenter.load(backend=sys.argv[1], threads=1)
result = segmenter(np.load(sys.argv[2]))
np.save(sys.argv[3], result.labels)
print(segmenter.session.backend, segmenter.name, segmenter.config["task"])
"""
    depth = scene_mm(240, 320)
    np.save(tmp_path / "depth.npy", depth)
    finished = without_torch(program, backend, tmp_path / "depth.npy", tmp_path / "labels.npy")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [backend, "dense-attention-small", "segmentation"]
    labels = np.load(tmp_path / "labels.npy")
    expected = Segmenter.load(backend=backend, threads=1)(depth).labels
    assert labels.shape == (240, 320) and np.mean(labels != expected) < 1e-3


def test_the_fastest_engine_is_taken_by_itself(tmp_path: Path) -> None:
    program = """
import graspcut
print(graspcut.Segmenter.load().session.backend)
sys.modules["openvino"] = None
print(graspcut.Segmenter.load().session.backend)
sys.modules["onnxruntime"] = None
try:
    graspcut.Segmenter.load()
except ValueError as error:
    print(error)
"""
    finished = without_torch(program)
    assert finished.returncode == 0, finished.stderr
    first, second, third = finished.stdout.splitlines()
    assert (first, second) == ("openvino", "onnxruntime")
    assert "none of openvino, onnxruntime, pytorch can run" in third and "pip install" in third


@pytest.mark.parametrize("backend", ENGINES)
def test_a_folder_is_segmented_by_the_command(backend: str, tmp_path: Path) -> None:
    depths = [np.round(scene_mm(120, 160, seed)).astype(np.uint16) for seed in range(2)]
    (tmp_path / "frames").mkdir()
    for number, depth in enumerate(depths):
        write_image_atomically(tmp_path / "frames" / f"{number}.png", depth)
    finished = command_line(
        "segment",
        tmp_path / "frames",
        "--depth-unit-mm",
        "1",
        "--out",
        tmp_path / "out",
        "--backend",
        backend,
        "--overlay",
    )
    assert finished.returncode == 0, finished.stderr
    assert "2 frame(s) segmented" in finished.stdout
    assert {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[backend] in finished.stderr
    segmenter = Segmenter.load(backend=backend)
    for number, depth in enumerate(depths):
        labels = read_single_channel(tmp_path / "out" / f"{number}.png", what="label map")
        assert np.mean(labels != segmenter(depth).labels) < 1e-3
    assert read_json(tmp_path / "out" / "summary.json")["complete"] is True


@pytest.mark.parametrize("backend", ENGINES)
def test_the_demo_runs(backend: str, tmp_path: Path) -> None:
    finished = command_line("demo", "--out", tmp_path / "demo", "--backend", backend)
    assert finished.returncode == 0, finished.stderr
    assert len(list((tmp_path / "demo").iterdir())) == 2


def test_asking_for_pytorch_says_how_to_install_it(tmp_path: Path) -> None:
    wanted = "the back end pytorch was asked for, and PyTorch is not installed: pip install '.[train]' in a checkout"
    finished = without_torch('import graspcut\ngraspcut.Segmenter.load(backend="pytorch")')
    assert finished.returncode != 0 and f"BackendError: {wanted}" in finished.stderr
    for verb in (["demo"], ["segment", tmp_path]):
        finished = command_line(*verb, "--out", tmp_path / "out", "--backend", "pytorch")
        assert finished.returncode == 1
        assert finished.stderr.startswith(f"error: {wanted}") and "Traceback" not in finished.stderr
        assert not (tmp_path / "out").exists()


def test_a_model_without_graphs_says_what_is_missing(tmp_path: Path) -> None:
    folder = save_mini_folder(tmp_path / "mini")
    finished = command_line("demo", "--out", tmp_path / "out", "--model", folder)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert f"can run {folder}: install one that can, such as PyTorch (pip install '.[train]' in a" in finished.stderr
    assert f"'graspcut export {folder} --format onnx'" in finished.stderr


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_shipped_graph_is_copied(precision: str, tmp_path: Path) -> None:
    options = ("--precision", precision, "--out", tmp_path / "out")
    finished = command_line("export", "dense-attention-small", *options)
    assert finished.returncode == 0, finished.stderr
    assert "copied from" in finished.stdout
    name = "model.onnx" if precision == "fp32" else "model.int8.onnx"
    shipped = shipped_models_dir() / "dense-attention-small" / name
    assert (tmp_path / "out" / name).read_bytes() == shipped.read_bytes()


def test_exporting_says_what_to_install(tmp_path: Path) -> None:
    finished = command_line("export", "dense-attention-small", "--depth-type", "uint16", "--out", tmp_path / "out")
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert "pip install '.[train]' in a checkout" in finished.stderr
    assert not (tmp_path / "out").exists()
