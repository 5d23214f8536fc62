"""Every file of examples/ runs; networks, losses and objects of one's own are in test_own_files.py."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graspcut
from graspcut.frames.images import read_image, read_single_channel, write_image_atomically
from graspcut.frames.live_sources import PlayedRecording
from graspcut.runtime.model_folder import shipped_models_dir
from graspcut.segmentation.demo import demo_recording_folder
from tests.mini_network import save_mini_folder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of the bundled recording as 16-bit PNG in millimetres."""
    place = tmp_path_factory.mktemp("depth")
    recording = graspcut.Recording(demo_recording_folder())
    for index in (0, len(recording) // 2):
        depth = np.rint(recording[index].depth_mm).astype(np.uint16)
        write_image_atomically(place / f"{index}.png", depth)
    return place


def test_a_folder_in_ten_lines(folder: Path, tmp_path: Path) -> None:
    lines = (EXAMPLES / "segment_folder.py").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith(("import", "from", '"""'))]) <= 10
    command = [sys.executable, *map(str, (EXAMPLES / "segment_folder.py", folder, "1", tmp_path / "out"))]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout.count("Segmentation(") == 2
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_the_graph_needs_numpy_and_onnxruntime_alone(folder: Path, tmp_path: Path) -> None:
    depth = read_image(sorted(folder.glob("*.png"))[0])
    np.save(tmp_path / "depth.npy", depth)
    graph = shipped_models_dir() / "dense-attention-small" / "model.onnx"
    script = (
        "import sys\nfor name in ('graspcut', 'cv2', 'torch', 'openvino', 'onnx'): sys.modules[name] = None\n"
        "import runpy\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    files = [EXAMPLES / "only_onnxruntime.py", graph, tmp_path / "depth.npy", tmp_path / "labels.npy"]
    finished = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    expected = graspcut.Segmenter.load(backend="onnxruntime", precision="fp32")(depth)
    assert np.mean(np.load(tmp_path / "labels.npy") != expected.labels) < 1e-3
    assert "hand pixels" in finished.stdout


def test_a_recording_plays_as_a_camera(tmp_path: Path) -> None:
    segmenter = graspcut.Segmenter.load(save_mini_folder(tmp_path / "mini"))
    recording = graspcut.Recording(demo_recording_folder())
    found, stop = [], threading.Event()
    for number, result in load("camera_loop").labelled(PlayedRecording(recording, "demo"), segmenter, stop):
        found.append(number)
        assert result.labels.shape == recording[0].depth_mm.shape
        if len(found) == 3:
            stop.set()
    assert found == [1, 2, 3]


def test_a_realsense_is_labelled(tmp_path: Path) -> None:
    camera_module = pytest.importorskip("tests.importing.software_camera")
    from graspcut.frames.live_sources import RealSenseCamera

    camera = camera_module.SoftwareCamera()
    source = RealSenseCamera(lambda: camera.device, width=camera_module.WIDTH, height=camera_module.HEIGHT)
    segmenter, stop = graspcut.Segmenter.load(save_mini_folder(tmp_path / "mini")), threading.Event()
    found: list[int] = []

    def loop() -> None:
        for number, result in load("camera_loop").labelled(source, segmenter, stop):
            assert result.depth_mm[0, 0] == pytest.approx(0.125 * 4000, rel=0.01)
            found.append(number)

    thread = threading.Thread(target=loop)
    thread.start()
    end = time.monotonic() + 30
    given = 0
    while len(found) < 3 and time.monotonic() < end:
        given += 1
        camera.give(given)
        time.sleep(0.05)
    stop.set()
    thread.join(10)
    assert len(found) >= 3 and not thread.is_alive()


def another_user(*places: Path) -> dict[str, Any]:
    """Arguments of `subprocess.run` for a user without rights, where there may be such and it can run this Python."""
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", "import cv2"], check=True, cwd="/", capture_output=True, **nobody)
    except (OSError, subprocess.CalledProcessError):
        return {}
    for place in places:
        for folder in (place, *place.parents[:-2]):
            folder.chmod(folder.stat().st_mode | 0o755)
    return nobody


def test_what_the_container_runs_needs_no_home_and_writes_its_results_alone(folder: Path, tmp_path: Path) -> None:
    """No Docker here: the image's environment and user are played, on a machine whose root is not its to write."""
    text = (EXAMPLES / "Dockerfile").read_text()
    settings = dict(re.findall(r"(\w+)=(\S+)", text[text.rindex("\nENV ") : text.rindex("\nWORKDIR")]))
    settings["PATH"] = os.environ["PATH"]
    (entry,) = re.findall(r'ENTRYPOINT \["(\w+)"\]', text)
    documented = re.search(r"graspcut (segment /in .*)", text)
    assert documented is not None and entry == "graspcut"
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    places = {"/in": str(folder), "/out": str(out)}
    arguments = [places.get(word, word) for word in shlex.split(documented[1])]
    as_nobody = another_user(folder, tmp_path)
    environment = {**settings, "PYTHONPATH": str(Path(graspcut.__file__).parents[1])}
    before = {path for path in Path(graspcut.__file__).parent.rglob("*") if path.suffix != ".pyc"}
    finished = subprocess.run(
        [sys.executable, "-m", "graspcut.cli", *arguments],
        env=environment, cwd="/", capture_output=True, text=True, check=False, **as_nobody,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    labels = [read_single_channel(path, what="label map") for path in sorted(out.glob("*.png"))]
    assert len(labels) == 2 and all(values.any() for values in labels)
    assert {path for path in Path(graspcut.__file__).parent.rglob("*") if path.suffix != ".pyc"} == before
