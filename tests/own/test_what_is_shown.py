"""What `info`, `repr`, `dir` and the shell's completion show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graspcut
from graspcut.cli.info import grouped
from graspcut.runtime.model_folder import shipped_models_dir
from graspcut.version import __version__
from tests.mini_network import save_mini_folder
from tests.own.made import QUIET, run, write_dataset

ROOT = Path(__file__).resolve().parents[2]


def test_dir_shows_the_api_alone() -> None:
    assert dir(graspcut) == sorted(graspcut.__all__)
    assert graspcut.LabelledFrame.__name__ == "LabelledFrame"  # others are found all the same


def test_reprs_fit_on_a_line(tmp_path: Path) -> None:
    frame = graspcut.open_source(write_dataset(tmp_path / "d", colour=True))[0]
    segmenter = graspcut.Segmenter.load(save_mini_folder(tmp_path / "mini"), backend="pytorch")
    labelled = graspcut.DatasetReader(tmp_path / "d")[0]
    shown = [repr(thing) for thing in (frame, segmenter, segmenter(frame), labelled)]
    for text, parts in zip(
        shown,
        (("Frame(", "64x48", "500..", "colour 64x48"), ("Segmenter(", "mini", "PyTorch on cpu"),
         ("Segmentation(64x48", "hand", "px"), ("LabelledFrame(Frame(", "hand 2.0%")),
        strict=True,
    ):  # fmt: skip
        assert all(part in text for part in parts), text
        assert len(text) < 200 and "\n" not in text and "array(" not in text
    assert "no data" in repr(graspcut.Frame(np.zeros((4, 5), np.float32)))


def test_equal_faults_are_grouped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["a/0001.png is no image", "a/0002.png is no image", "frame 3: no camera", "a/0003.png is no image"]
    assert grouped(faults) == [("a/0001.png is no image", 2), ("frame 3: no camera", 0)]
    folder = write_dataset(tmp_path / "d", count=6)
    for path in sorted((folder / "depth").glob("*.png"))[1:]:
        path.write_bytes(b"no picture")
    assert run("info", folder) == 1
    shown = capsys.readouterr().err
    assert "5 fault(s)" in shown and "(and 4 more like it)" in shown
    assert len(shown.strip().splitlines()) == 2


def test_info_knows_graphs_runs_checkpoints_and_shipped_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, start = write_dataset(tmp_path / "d"), save_mini_folder(tmp_path / "mini")
    command = ("train", "segmentation", "--folder", tmp_path / "run", "--start", start, "--data", data, *QUIET)
    assert run(*command, "--rendered-share", 0, "--steps", 1, "--batch-size", 2) == 0
    capsys.readouterr()
    shipped = shipped_models_dir() / "dense-attention-small"
    for path, parts in (
        (shipped / "model.onnx", ("exported graph", "fp32", "dense-attention-small")),
        (tmp_path / "run", ("run folder", "segmentation", "without validation data", "run/model")),
        (tmp_path / "run" / "checkpoints" / "last.ckpt", ("checkpoint", "step")),
        ("dense-attention-small", ("model folder", "model.int8.onnx")),
    ):
        assert run("info", path) == 0
        shown = capsys.readouterr().out
        assert all(part in shown for part in parts), shown
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    for path in (checkpoint, tmp_path / "run"):
        assert run("info", path) == 1
        assert "is damaged" in capsys.readouterr().err


def test_the_shell_completes_verbs_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    script = tmp_path / "graspcut.bash"
    assert run("--install-completion", "--shell", "bash", "--output", script) == 0
    text = script.read_text()
    assert all(word in text for word in ("segment", "compare", "--overlay", "--network-file"))


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: {re.escape(__version__)}$", text, re.MULTILINE)
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert template.read_text().startswith(("name: ", "blank_issues"))
