"""`graspcut segment`, `demo` and `doctor` with a tiny real model: files in, files out, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.images import read_image, write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.labels import LABEL_COLOURS, LABEL_NAMES
from graspcut.runtime import engines, soaking
from graspcut.runtime.contract import BACKEND_TITLES
from graspcut.runtime.engines import installed_backends
from graspcut.runtime.model_folder import save_model_folder
from graspcut.segmentation.demo import point_colours, run_demo
from graspcut.segmentation.models import DenseAttentionSmall, DenseAttentionSmallConfig, model_config
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a very small random network."""
    torch.manual_seed(3)
    network = DenseAttentionSmall(
        DenseAttentionSmallConfig(
            widths=(4, 4, 8, 8, 8), blocks=(1, 1, 1, 1, 1), squeeze_width=4, decoder_widths=(8, 8, 8, 4, 4)
        )
    )
    config = {"task": "segmentation", "model": model_config(network), "labels": list(LABEL_NAMES)}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return save_model_folder(folder, config, network.state_dict(), "# tiny")


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    """Two depth frames of odd size, with noise so that a random network says different things."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(2):
        depth = rng.integers(400, 900, (47, 63)).astype(np.uint16)
        depth[:5] = 0
        write_image_atomically(folder / f"{number:04d}.png", depth)
    return folder


def run(*arguments: str | int | Path) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_segment_writes_what_the_segmenter_says(depth_folder: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("segment", depth_folder, "--out", out, "--model", model, "--depth-unit-mm", 1, "--overlay") == 0
    segmenter = Segmenter.load(model)
    for number in range(2):
        depth = read_image(depth_folder / f"{number:04d}.png")
        labels = read_image(out / f"{number:04d}.png")
        np.testing.assert_array_equal(labels, segmenter(depth).labels)
        assert read_image(out / "overlay" / f"{number:04d}.png").shape == (47, 63, 3)
    assert json.loads((out / "summary.json").read_text())["settings"]["model"] == str(model)


def test_segment_reports_a_bad_file_and_continues(
    depth_folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = depth_folder / "0000.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:200])
    command = ("segment", depth_folder, "--out", tmp_path / "out", "--model", model, "--depth-unit-mm", 1)
    assert run(*command) == 1
    shown = capsys.readouterr()
    assert "1 frame(s) segmented" in shown.out
    assert "0000.png" in shown.err and "Traceback" not in shown.err
    assert (tmp_path / "out" / "0001.png").exists() and not (tmp_path / "out" / "0000.png").exists()
    bad.write_bytes(whole)
    assert run(*command) == 0
    assert "1 were there already" in capsys.readouterr().out


def test_unknown_model_and_unit(
    depth_folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", depth_folder, "--out", out, "--model", "dense", "--depth-unit-mm", 1) == 1
    assert "'dense'" in capsys.readouterr().err
    assert not out.exists()
    assert run("segment", depth_folder, "--out", out, "--model", model) == 1
    assert "--depth-unit-mm" in capsys.readouterr().err


def demo_recording(folder: Path, model: Path) -> None:
    """A recording whose truth is what the model says, except that one column of the truth is unknown."""
    rng = np.random.default_rng(6)
    segmenter = Segmenter.load(model)
    camera = Camera.sr300(64, 48)
    (folder / "label").mkdir(parents=True)
    with RecordingWriter(folder, camera, 1.0) as writer:
        for number in range(3):
            depth = rng.integers(400, 900, (48, 64)).astype(np.uint16)
            labels = segmenter(depth, camera).labels.copy()
            labels[:, 0] = 255
            write_image_atomically(folder / "label" / f"{number:06d}.png", labels)
            writer.append(depth, None, number / 30)


def test_demo_measures_and_draws(model: Path, tmp_path: Path) -> None:
    demo_recording(tmp_path / "rec", model)
    segmenter = Segmenter.load(model)
    report = run_demo(segmenter, tmp_path / "out", recording_folder=tmp_path / "rec")
    found, files = dict(report.columns), dict(report.files)
    assert (found["frames"], found["size"], found["mean IoU"]) == ("3", "64x48", "1.000")
    assert float(found["ms per frame"]) > 0
    assert read_image(files["contact sheet"]).shape[2] == 3
    assert b"element vertex 3072\n" in files["point cloud"].read_bytes()[:400]
    # A truth that is wrong everywhere must be seen.
    for path in (tmp_path / "rec" / "label").iterdir():
        labels = read_image(path)
        write_image_atomically(path, np.where(labels == 255, 255, (labels + 1) % 3).astype(np.uint8))
    again = run_demo(segmenter, tmp_path / "out", recording_folder=tmp_path / "rec")
    assert dict(again.columns)["mean IoU"] == "0.000"


def test_point_colours() -> None:
    colours = point_colours(np.array([[0, 1, 2]], dtype=np.uint8))
    np.testing.assert_array_equal(colours[0, 1:], LABEL_COLOURS[1:])
    assert colours[0, 0, 0] == colours[0, 0, 1] == colours[0, 0, 2] > 100


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--no-time") == 0
    shown = capsys.readouterr().out
    assert torch.__version__ in shown
    for word in ("processor", "cores", "memory", "PyTorch", "ONNX Runtime", "OpenVINO", "Will be used"):
        assert word in shown
    assert "because" in shown and " ms at " not in shown


def test_doctor_times_every_installed_back_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soaking, "SIZES", ((64, 48),))
    assert run("doctor") == 0
    # One section for each shipped model: its times, then what will be used of it.
    _, *sections = capsys.readouterr().out.split("Speed of ")
    times, chosen = next(text for text in sections if text.startswith(DEFAULT_MODEL)).split("Will be used")
    lines = [line for line in times.splitlines() if line.endswith(" ms at 64x48")]
    assert len(lines) == len({line.split("  ")[1] for line in lines})
    for backend in installed_backends():
        assert any(line.strip().startswith(f"{BACKEND_TITLES[backend]} on ") for line in lines)
    assert Segmenter.load().description in chosen


def test_doctor_says_what_cannot_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda backend: False)
    assert run("doctor") == 0
    assert "none can run" in capsys.readouterr().out
