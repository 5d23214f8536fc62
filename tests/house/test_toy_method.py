"""The floors under one new method: trained, stopped, resumed, exported, opened on every back end, run over a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.frames.json_files import read_json
from graspcut.runtime.contract import BACKENDS, BackendError
from graspcut.runtime.export import export_model
from graspcut.runtime.folder_run import run_over_frames
from graspcut.runtime.model_folder import load_model_folder, save_model_folder
from graspcut.train.trainer import RunConfig
from tests.house.toy_method import METHOD, Nearness, NearnessJob, near_samples, train_nearness

STEPS = 40


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Model folders of a run that was not stopped and of one that was, exported for every engine."""
    folders = []
    for name, stops in (("whole", (None,)), ("stopped", (13, None))):
        run = RunConfig(tmp_path_factory.mktemp(name), accelerator="cpu", validate_every_steps=20, progress_bar=False)
        results = [
            train_nearness(near_samples(8), STEPS, dataclasses.replace(run, stop_after_steps=stop)) for stop in stops
        ]
        assert [result.finished for result in results] == [stop is None for stop in stops]
        assert results[-1].metrics["val/accuracy"] > 0.95
        folder = results[-1].model_folder
        assert folder is not None
        folders.append(folder)
    for form in ("onnx", "openvino"):
        report = export_model(METHOD, folders[0], folders[0], form=form)
        assert report.differing is not None and report.differing < 1e-3
    return folders[0], folders[1]


def test_a_stopped_run_ends_with_the_same_weights(trained: tuple[Path, Path]) -> None:
    (_, whole), (_, stopped) = (load_model_folder(folder) for folder in trained)
    assert whole.keys() == stopped.keys() and all(np.array_equal(whole[name], stopped[name]) for name in whole)


def test_another_recipe_in_the_same_folder_is_refused(trained: tuple[Path, Path]) -> None:
    run = RunConfig(trained[0].parent, accelerator="cpu", validate_every_steps=20, progress_bar=False)
    with pytest.raises(ValueError, match="seed"):
        train_nearness(near_samples(8), STEPS, dataclasses.replace(run, seed=1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(24, 32), (31, 17)])
def test_every_back_end_says_the_same(trained: tuple[Path, Path], backend: str, size: tuple[int, int]) -> None:
    predictor = Nearness.load(trained[0], backend=backend, threads=1)
    depth = np.random.default_rng(1).choice([400.0, 800.0], size).astype(np.float32)
    network = Nearness.from_network(Nearness.load_network(trained[0]), device="cpu", threads=1)
    found, expected = (each.run({"depth_mm": depth[None]})["probability"] for each in (predictor, network))
    assert np.abs(found - expected).max() < 1e-4
    assert predictor.session.backend == backend and predictor.digest


def test_a_graph_of_other_weights_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    config, weights = load_model_folder(trained[0])
    name = next(name for name in weights if name.endswith("weight"))
    folder = save_model_folder(tmp_path / "model", config, {**weights, name: 2 * weights[name]}, "")
    (folder / "model.onnx").write_bytes((trained[0] / "model.onnx").read_bytes())
    with pytest.raises(BackendError, match="stale"):
        Nearness.load(folder, backend="onnxruntime")


def test_a_folder_with_a_bad_file_is_run_over_and_continued(trained: tuple[Path, Path], tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        depth = np.full((20, 30), 400 if number else 800, np.uint16)
        depth[5:] += 50
        cv2.imwrite(str(images / f"{number}.png"), depth)
    (images / "bad.png").write_bytes(b"nothing")
    job = NearnessJob(Nearness.load(trained[0], threads=1), {"model": "toy"})
    report = run_over_frames([images], tmp_path / "out", job, depth_unit_mm=1.0)
    assert (report.done, report.skipped, [name for name, _ in report.failures]) == (3, 0, ["bad"])
    rows = {row["name"]: row["near_pixels"] for row in read_json(tmp_path / "out" / "summary.json")["frames"]}
    assert rows["0"] < 60 and rows["1"] > 540
    again = run_over_frames([images], tmp_path / "out", job, depth_unit_mm=1.0)
    assert (again.done, again.skipped) == (0, 3)
