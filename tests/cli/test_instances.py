"""`graspcut evaluate instances`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_verbs import run
from tests.instances.made_coco import made_coco


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
