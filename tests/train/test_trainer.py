"""The trainer: exact resume, SIGTERM, run folders, export."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Literal

import pytest
import torch

from graspcut.runtime.model_folder import load_model_folder
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import TrainingData, ValidationPart, View
from graspcut.train.trainer import LAST_CHECKPOINT, RunConfig, RunResult, prepare_run, run_training
from tests.train.fake_frames import FakeFrames, TinyNetwork, depth_target
from tests.train.tiny_task import TinyTask, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loader workers and loggers


def train(
    folder: Path,
    *,
    stop_after: int | None = None,
    steps: int = 4,
    workers: int = 0,
    validate: int = 2,
    every: int = 2,
    batch_size: int = 2,
    noise_mm: float = 3.0,
    data_seed: int = 0,
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
    accept: bool = False,
    processes: int = 1,
) -> RunResult:
    """One call of the trainer on fake frames of two sizes, with a penalty in the second half of the run."""
    run = RunConfig(
        folder=folder,
        seed=3,
        stop_after_steps=stop_after,
        validate_every_steps=validate,
        checkpoint_every_steps=every,
        log_every_steps=1,
        progress_bar=False,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision=precision,
        accept_changes=accept,
        threads=1,
    )
    prepare_run(run)
    task = TinyTask(TinyNetwork(), {"name": "tiny"}, tiny_config(steps))
    augmentation = AugmentationConfig(flip=0.5, noise=1.0, noise_mm=noise_mm)
    views = [
        View(RenderedSamples(FakeFrames(32, 24, 1)), depth_target, 0.5, batch_size, augmentation),
        View(RenderedSamples(FakeFrames(48, 36, 1)), depth_target, 0.5, 1, augmentation),
    ]
    data = TrainingData(
        views,
        [ValidationPart(RenderedSamples(FakeFrames(32, 24, 2)), depth_target, 3, 2)],
        seed=data_seed,
        workers=workers,
    )
    return run_training(task, data, run)


def checkpoint_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Weights, averaged weights and optimiser state of the last checkpoint, flat."""
    checkpoint = torch.load(folder / LAST_CHECKPOINT, weights_only=True)
    tensors: dict[str, torch.Tensor] = dict(checkpoint["state_dict"])
    for number, state in checkpoint["optimizer_states"][0]["state"].items():
        tensors |= {f"optimiser {number} {name}": value for name, value in state.items()}
    tensors["random state"] = checkpoint["callbacks"]["Checkpoints"]["cpu"]
    return tensors


@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_and_continued_run_equals_the_uninterrupted_one(tmp_path: Path, workers: int) -> None:
    whole = train(tmp_path / "whole")
    first = train(tmp_path / "parts", stop_after=2, workers=workers)
    assert (first.finished, first.steps, first.model_folder) == (False, 2, None)
    second = train(tmp_path / "parts", workers=workers)
    assert whole.finished and second.finished and second.steps == whole.steps == 4

    expected, found = checkpoint_tensors(tmp_path / "whole"), checkpoint_tensors(tmp_path / "parts")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert second.metrics["val/accuracy"] == whole.metrics["val/accuracy"]


def test_steps_change_the_weights(tmp_path: Path) -> None:
    train(tmp_path / "a", stop_after=2)
    train(tmp_path / "b", stop_after=3)
    first, second = checkpoint_tensors(tmp_path / "a"), checkpoint_tensors(tmp_path / "b")
    assert not torch.equal(first["model.first.weight"], second["model.first.weight"])
    assert not torch.equal(first["average.module.first.weight"], second["average.module.first.weight"])


def test_finished_run_exports_the_averaged_network(tmp_path: Path) -> None:
    result = train(tmp_path)
    assert result.model_folder == tmp_path / "model"
    config, weights = load_model_folder(tmp_path / "model")
    assert config["model"] == {"name": "tiny"}
    assert config["results"]["val/accuracy"] == pytest.approx(result.metrics["val/accuracy"], abs=1e-5)
    averaged = checkpoint_tensors(tmp_path)["average.module.second.weight"]
    torch.testing.assert_close(torch.from_numpy(weights["second.weight"]), averaged, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "model" / "card.md").read_text().startswith("# ")


def test_folder_of_another_run_is_refused_with_the_difference_named(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1)
    before = (tmp_path / "run.json").read_text()
    with pytest.raises(ValueError, match=r"(?s)steps: 4 -> 3.*--accept-changes"):
        train(tmp_path, steps=3)
    for change, message in (
        ({"batch_size": 3}, r"data.views\[0\].batch_size: 2 -> 3"),
        ({"noise_mm": 4.0}, r"data.views\[0\].augmentation.noise_mm: 3.0 -> 4.0"),
        ({"data_seed": 9}, "data.seed: 0 -> 9"),
        ({"precision": "bf16-mixed"}, "run.precision: 32-true -> bf16-mixed"),
    ):
        with pytest.raises(ValueError, match=message):
            train(tmp_path, **change)
    assert (tmp_path / "run.json").read_text() == before


def test_accepted_changes_are_kept_in_the_history(tmp_path: Path) -> None:
    train(tmp_path, stop_after=2)
    assert train(tmp_path, batch_size=3, accept=True).finished
    record = json.loads((tmp_path / "run.json").read_text())
    assert [entry["changes"] for entry in record["history"]] == [["data.views[0].batch_size: 2 -> 3"]]
    assert record["data"]["views"][0]["batch_size"] == 3


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    assert train(tmp_path).steps == 4
    longer = train(tmp_path, steps=6)
    assert (longer.finished, longer.steps) == (True, 6)
    with pytest.raises(ValueError, match="steps: 6 -> 5"):
        train(tmp_path, steps=5)


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json cannot be read as JSON.*Delete the file"):
        train(tmp_path)
    (tmp_path / "run.json").unlink()
    assert train(tmp_path).finished


def test_run_file_records_what_was_trained(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1)
    recorded = json.loads((tmp_path / "run.json").read_text())
    assert recorded["task"]["training"]["penalty"] == 0.001
    assert recorded["task"]["parameters"] == sum(p.numel() for p in TinyNetwork().parameters())
    assert recorded["run"]["seed"] == 3


def _long_run(folder: Path) -> None:
    train(folder, steps=100_000, workers=1, validate=0, every=0)


def test_sigterm_saves_the_state_and_the_run_goes_on(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_long_run, args=(tmp_path,))
    process.start()
    log = tmp_path / "csv" / "part-000" / "metrics.csv"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.pid is not None and process.is_alive()
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 0  # it ended by itself, with a result, not by the signal
    checkpoint = torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)
    steps = checkpoint["global_step"]
    assert steps > 0
    assert checkpoint["TrainingData"]["next_batch"] == steps
