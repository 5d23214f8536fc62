"""`graspcut compare`, several models in `graspcut evaluate`, and learning curves."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import pytest

from graspcut.runtime.model_folder import ModelFolderError, find_model_folder
from graspcut.segmentation.model_comparison import find_entry
from graspcut.train.learning_curves import read_curves
from tests.mini_network import save_mini_folder
from tests.own.made import QUIET, run, write_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames `d`, a run `scored` with validation, a run `alone` without, and a model folder `mini`."""
    folder = tmp_path_factory.mktemp("compare")
    data = write_dataset(folder / "d")
    start = save_mini_folder(folder / "mini")
    command = ("train", "segmentation", "--start", start, "--data", data, "--rendered-share", 0, "--steps", 2, *QUIET)
    more = ("--batch-size", 2, "--log-every-steps", 1)
    assert run(*command, *more, "--folder", folder / "scored", "--validation", data) == 0
    assert run(*command, *more, "--folder", folder / "alone", "--validation-count", 0) == 0
    return folder


def test_one_table_as_text_markdown_csv_and_plots(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = (made / "scored", made / "alone", made / "mini")
    assert run("compare", *models, "--data", made / "d", "--out", tmp_path / "out", "--threads", 1) == 0
    shown = capsys.readouterr()
    for heading in ("mean IOU", "mean IU", "object IoU", "parameters", "MACs", "ms", "of hand and object"):
        assert heading in shown.out
    assert f"{made / 'alone'} was trained without validation data" in shown.err
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert all(str(model) in text for model in models) and "background, hand and object" in text
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open()))
    assert [row["model"] for row in rows] == [str(model) for model in models]
    assert all(0 <= float(row["mean_iou"]) <= 1 and float(row["milliseconds"]) > 0 for row in rows)
    assert len({row["parameters"] for row in rows}) == 1 and int(rows[0]["macs"]) > 10_000
    for name in ("learning-curves.png", "iou-by-size.png"):
        header = (tmp_path / "out" / name).read_bytes()[:24]
        assert header[1:4] == b"PNG" and struct.unpack(">2I", header[16:])[0] > 400


def test_evaluate_takes_several_models_and_says_the_same(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single, both = tmp_path / "single.json", tmp_path / "both.json"
    model = made / "scored" / "model"
    assert run("evaluate", "segmentation", made / "d", "--model", model, "--save", single) == 0
    assert "mean IU: of background, hand and object" in capsys.readouterr().out
    assert run("evaluate", "segmentation", made / "d", "--model", model, made / "mini", "--save", both) == 0
    saved = json.loads(both.read_text())["models"]
    assert set(saved) == {str(model), str(made / "mini")}
    assert saved[str(model)]["overall"] == json.loads(single.read_text())["overall"]


def test_curves_are_those_of_the_logs(made: Path, tmp_path: Path) -> None:
    curves = read_curves(made / "scored")
    assert curves["train/loss"].steps and curves["val/mean_iou"].steps == (2,)
    assert not any(name.startswith("val/") for name in read_curves(made / "alone"))
    for part, text in (("part-000", "step,a\n1,5\n2,6\n3,"), ("part-001", "step,a\n2,7\nx,1\n4,nan\n")):
        (tmp_path / "csv" / part).mkdir(parents=True)
        (tmp_path / "csv" / part / "metrics.csv").write_text(text)
    curve = read_curves(tmp_path)["a"]
    assert (curve.steps, curve.values) == ((1, 2), (5.0, 7.0))


def test_runs_and_misspelt_models_are_recognised(made: Path, tmp_path: Path) -> None:
    assert find_entry(str(made / "scored")).model == str(made / "scored" / "model")
    assert find_entry(str(made / "scored" / "model")).run == (made / "scored").resolve()
    with pytest.raises(ModelFolderError, match=r"did you mean .*scored/model"):
        find_model_folder(made / "scored")
    with pytest.raises(ModelFolderError, match="Did you mean dense-attention-small"):
        find_model_folder("dense-atention-smal")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="has no model yet"):
        find_entry(str(tmp_path))


def test_a_model_is_compared_with_others(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", made / "mini", made / "mini", "--data", made / "d") == 1
    assert "more than once" in capsys.readouterr().err
