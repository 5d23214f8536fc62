"""`graspcut train` and `graspcut evaluate` from options to files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.cli.train import report
from graspcut.frames.images import write_image_atomically
from graspcut.train.run_config import RunResult


def run(*arguments: str | int | Path) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def plain_folder(tmp_path: Path) -> Path:
    """A folder with depth/ and label/ of three small frames in millimetres."""
    rng = np.random.default_rng(4)
    for name in ("depth", "label"):
        (tmp_path / "plain" / name).mkdir(parents=True)
    for number in range(3):
        labels = np.zeros((48, 64), dtype=np.uint8)
        labels[10:30, 10:30], labels[10:30, 30:40], labels[:, 60:] = 1, 2, 255
        depth = rng.integers(400, 500, (48, 64)) + 300 * (labels == 0)
        write_image_atomically(tmp_path / "plain" / "depth" / f"{number}.png", depth.astype(np.uint16))
        write_image_atomically(tmp_path / "plain" / "label" / f"{number}.png", labels)
    return tmp_path / "plain"


def test_train_then_evaluate(plain_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--steps", 2, "--batch-size", 2, "--workers", 0, "--threads", 1, "--no-progress-bar")
    data = ("--data", plain_folder, "--validation", plain_folder, "--depth-unit-mm", 1, "--focal-px", 240)
    command = ("train", "segmentation", "--folder", tmp_path / "run", *data, *options)
    assert run(*command, "--stop-after-steps", 1) == 1
    assert "continues" in capsys.readouterr().out
    assert run(*command) == 0
    model = tmp_path / "run" / "model"
    assert str(model) in capsys.readouterr().out

    saved = tmp_path / "scores.json"
    evaluate = ("evaluate", "segmentation", plain_folder, "--model", model, "--focal-px", 240, "--save", saved)
    assert run(*evaluate) == 1
    assert "--depth-unit-mm" in capsys.readouterr().err
    assert run(*evaluate, "--depth-unit-mm", 1) == 0
    assert "mean IOU" in capsys.readouterr().out
    scores = json.loads(saved.read_text())
    assert scores["images"] == 3
    assert 0 <= scores["overall"]["mean_iou"] <= 1


def test_predictions_against_labels(plain_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for number in range(3):
        labels = np.zeros((48, 64), dtype=np.uint8)
        # The hand is found whole, half of the object is called hand.
        labels[10:30, 10:35], labels[10:30, 35:40] = 1, 2
        write_image_atomically(predictions / f"{number}.png", labels)
    saved = tmp_path / "scores.json"
    command = ("evaluate", "segmentation", "--predictions", predictions, "--labels", plain_folder / "label")
    assert run(*command, "--save", saved) == 0
    assert "mean IOU" in capsys.readouterr().out
    background, hand, held = json.loads(saved.read_text())["overall"]["iou"]
    assert (background, hand, held) == (1.0, 20 / 25, 5 / 10)


@pytest.mark.parametrize(
    "arguments", [(), ("--predictions", "a"), ("--labels", "a"), ("a", "--predictions", "b", "--labels", "c")]
)
def test_evaluate_wants_one_way_of_saying_it(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "segmentation", *arguments) == 2
    assert "--predictions together with --labels" in capsys.readouterr().err


def test_evaluate_goes_on_past_bad_frames_and_looks_at_its_file_first(
    plain_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("evaluate", "segmentation", "--predictions", plain_folder / "label", "--labels", plain_folder / "label")
    assert run(*command, "--save", tmp_path) == 1
    assert f"--save {tmp_path} is a folder" in capsys.readouterr().err
    assert run(*command, "--save", plain_folder / "label" / "0.png" / "scores.json") == 1
    assert "0.png is a file" in capsys.readouterr().err
    (plain_folder / "label" / "1.png").write_bytes(b"no picture")
    saved = tmp_path / "new" / "scores.json"
    assert run(*command, "--save", saved) == 1
    shown = capsys.readouterr()
    assert "2 images" in shown.out and "1.png" in shown.err and "Traceback" not in shown.err
    assert [name for name, _ in json.loads(saved.read_text())["failures"]] == ["1.png"]


@pytest.mark.parametrize(("finished", "interrupted", "code"), [(True, False, 0), (False, False, 1), (False, True, 130)])
def test_one_process_of_a_training_tells_how_it_ended(
    capsys: pytest.CaptureFixture[str], finished: bool, interrupted: bool, code: int
) -> None:
    result = RunResult(finished, 7, Path("model"), {"val/mean_iou": 0.5}, interrupted=interrupted)
    assert report(dataclasses.replace(result, first_process=False)) == code
    assert capsys.readouterr() == ("", "")
    assert report(result) == code
    assert "0.5000" in (told := capsys.readouterr().out) and "7 steps" in told
