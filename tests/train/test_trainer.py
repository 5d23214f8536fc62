"""The trainer: exact resume, SIGTERM, run folders, export."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from graspcut.runtime.model_folder import load_model_folder
from graspcut.segmentation.augmentation import AugmentationConfig
from graspcut.segmentation.data import RenderedSamples, SegmentationData, ValidationPart, View
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.train.trainer import LAST_CHECKPOINT, RunConfig, RunResult, prepare_run, run_training
from tests.segmentation.fake_frames import FakeFrames, TinyNetwork

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loader workers and loggers


def train(
    folder: Path, *, stop_after: int | None = None, steps: int = 4, workers: int = 0, validate: int = 2, every: int = 2
) -> RunResult:
    """One call of the trainer on fake frames of two sizes, with the last step in the contour phase."""
    run = RunConfig(
        folder=folder,
        seed=3,
        stop_after_steps=stop_after,
        validate_every_steps=validate,
        checkpoint_every_steps=every,
        log_every_steps=1,
        progress_bar=False,
    )
    prepare_run(run)
    config = TaskConfig(steps=steps, contour_steps=1, average_decay=0.9, gradient_clip=1.0, batch_norm_penalty=0.001)
    task = SegmentationTask({"name": "tiny"}, config, model=TinyNetwork())
    augmentation = AugmentationConfig(flip=0.5, noise=1.0, noise_mm=3.0)
    views = [
        View(RenderedSamples(FakeFrames(32, 24, 1)), 0.5, 2, augmentation),
        View(RenderedSamples(FakeFrames(48, 36, 1)), 0.5, 1, augmentation),
    ]
    data = SegmentationData(views, [ValidationPart(RenderedSamples(FakeFrames(32, 24, 2)), 3, 2)], workers=workers)
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
    assert second.metrics["val/mean_iou"] == whole.metrics["val/mean_iou"]


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
    assert config["results"]["val/mean_iou"] == pytest.approx(result.metrics["val/mean_iou"], abs=1e-5)
    averaged = checkpoint_tensors(tmp_path)["average.module.second.weight"]
    torch.testing.assert_close(torch.from_numpy(weights["second.weight"]), averaged, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "model" / "card.md").read_text().startswith("# ")


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1)
    with pytest.raises(ValueError, match=r"another run.*training"):
        train(tmp_path, steps=7)


def test_run_file_records_what_was_trained(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1)
    recorded = json.loads((tmp_path / "run.json").read_text())
    assert recorded["task"]["training"]["batch_norm_penalty"] == 0.001
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
    assert checkpoint["SegmentationData"]["next_batch"] == steps
