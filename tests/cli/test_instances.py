"""`graspcut evaluate instances`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.images import read_single_channel, write_image_atomically
from tests.cli.test_verbs import run
from tests.instances.made_coco import made_coco
from tests.instances.mini_proposer import save_mini_folder, scene_mm
from tests.mini_network import save_mini_folder as save_segmentation_folder


@pytest.mark.parametrize("option, rows", [((), "AP50"), (("--proposals",), "AR@1000"), (("--regions",), "mAP^r")])
def test_evaluates_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...], rows: str
) -> None:
    truth, results = made_coco(tmp_path)
    saved = tmp_path / "saved.json"
    files = ["--groundtruth", str(truth), "--results", str(results), "--save", str(saved)]
    assert run(["evaluate", "instances", *files, *option]) == 0
    assert rows in capsys.readouterr().out
    assert json.loads(saved.read_text())["title"] == "results.json against truth.json"


def test_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, _ = made_coco(tmp_path)
    assert run(["evaluate", "instances", "--groundtruth", str(truth), "--results", str(truth)]) != 0
    assert "list of COCO results" in capsys.readouterr().err


def test_proposes_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    write_image_atomically(inputs / "one.png", scene_mm(60, 80).astype(np.uint16))
    model = save_mini_folder(tmp_path / "mini")
    labels = save_segmentation_folder(tmp_path / "labels")
    options = ["--model", str(model), "--labels-model", str(labels), "--depth-unit-mm", "1", "--most", "5"]
    arguments = ["propose", str(inputs), "--out", str(tmp_path / "out"), *options]
    assert run([*arguments, "--backend", "pytorch", "--device", "cpu", "--threads", "1"]) == 0
    assert "1 frame(s) done" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "proposals.json").read_text())
    assert 0 < len(results) <= 5 and {"image_id", "category_id", "score", "segmentation"} <= set(results[0])
    ids = read_single_channel(tmp_path / "out" / "one.png", what="id map")
    assert ids.shape == (60, 80) and (tmp_path / "out" / "overlay" / "one.png").exists()
