"""The three recipes on tiny data: they learn, stop and go on, and leave model folders that load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.catalogue import method_of_model
from graspcut.pose.crops import HandCrops, View, render_crops
from graspcut.pose.data import ALL_VIEWS, UPRIGHT_VIEWS, CropTarget, PoseBatch, arrays_of, mirrored_where
from graspcut.pose.training import (
    JointsTraining,
    PartsTraining,
    WeakTraining,
    train_joints,
    train_parts,
    train_weakly,
)
from graspcut.pose.training_data import load_part_network, predict_parts
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig
from graspcut.train.trainer import RunConfig

HANDS = 12
SCENE = SceneConfig(nothing=0.0, object_only=0.0, hand_only=0.7, two_hands=0.0, background_none=1.0)


@pytest.fixture(scope="session")
def crops() -> HandCrops:
    config = SynthConfig(sensor="ideal", colour=False, window=(200, 200), scene=SCENE, cut_background=0.0)
    return render_crops(FrameGenerator(config, seed=5).__getitem__, HANDS)


@pytest.fixture(scope="session")
def crop_file(crops: HandCrops, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "hands.npz"
    crops.save(path)
    return path


def run(folder: Path, **changes: object) -> RunConfig:
    options = {"accelerator": "cpu", "progress_bar": False, "validate_every_steps": 4, "log_every_steps": 1, **changes}
    return RunConfig(folder, **options)  # type: ignore[arg-type]


def test_windows_hold_the_hand_and_its_joints(crops: HandCrops, crop_file: Path) -> None:
    loaded = HandCrops.load(crop_file)
    for name in arrays_of(crops):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(crops, name))
    near = total = 0
    for index in range(len(crops)):
        sample = crops.sample(index, View(roll_deg=40.0))
        np.testing.assert_allclose(sample.geometry.to_camera(sample.joints), crops.joints_mm[index], atol=0.05)
        seen = sample.visible & (np.abs(sample.joints) < 0.95).all(axis=1)
        columns, rows = np.rint((sample.joints[seen, :2].T + 1) * 24 - 0.5).astype(int)
        near += int((sample.parts[rows, columns] > 0).sum())
        total += int(seen.sum())
        assert ((sample.parts > 0) == (sample.crop < 1.0)).mean() > 0.99
    assert near > 0.9 * total  # visible joints lie on hand pixels


def test_mirror_image_of_a_view(crops: HandCrops) -> None:
    plain, mirrored = (crops.sample(3, View(mirrored=flag)) for flag in (False, True))
    np.testing.assert_allclose(mirrored.joints * [-1, 1, 1], plain.joints, atol=1e-5)
    assert (mirrored.parts[:, ::-1] == plain.parts).mean() > 0.97 and mirrored.right != plain.right
    batch = CropTarget(UPRIGHT_VIEWS, fixed=True)(arrays_of(crops), np.random.default_rng(0))
    assert batch.right.all() and batch.parts.max() <= 20
    twice = mirrored_where(mirrored_where(batch, np.ones(HANDS, bool)), np.ones(HANDS, bool))
    np.testing.assert_array_equal(twice.crop, batch.crop)
    np.testing.assert_array_equal(twice.joints, batch.joints)


def test_views_depend_on_the_generator_alone(crops: HandCrops) -> None:
    target = CropTarget(ALL_VIEWS)
    first, again, other = (target(arrays_of(crops), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.crop, again.crop)
    assert (first.crop != other.crop).any()
    assert isinstance(first, PoseBatch) and first.crop.shape == (HANDS, 48, 48)


def test_recipes(crops: HandCrops, crop_file: Path, tmp_path: Path) -> None:
    """Parts, stopped and continued; joints with its masks; weak supervision with its report."""
    held = tmp_path / "held.npz"
    crops.subset(slice(0, 3)).save(held)
    small: dict[str, Any] = {"crops": (crop_file,), "validation": held, "workers": 0, "upright": True}
    parts = PartsTraining(steps=6, batch_size=2, **small)
    stopped = train_parts(parts, run(tmp_path / "parts", stop_after_steps=3))
    assert not stopped.finished and stopped.steps == 3
    finished = train_parts(parts, run(tmp_path / "parts"))
    assert finished.finished and finished.model_folder is not None
    whole = train_parts(parts, run(tmp_path / "whole"))
    assert whole.metrics["val/per_pixel"] == finished.metrics["val/per_pixel"]
    network = load_part_network(finished.model_folder)
    config = json.loads((finished.model_folder / "config.json").read_text())
    assert config["task"] == "pose-parts" and len(config["labels"]) == 20
    crop = np.full((1, 48, 48), 1.0, np.float32)
    crop[0, 10:30, 10:30] = 0.1
    found = predict_parts(network, crop)
    assert ((found[0] > 0) == (crop[0] < 1)).all() and predict_parts(network, crop, output_stride=2).shape == (
        1,
        48,
        48,
    )

    joints = JointsTraining(
        parts=str(finished.model_folder),
        network="shared",
        hidden=32,
        steps=12,
        batch_size=12,
        views_per_hand=1,
        **small,
    )
    result = train_joints(joints, run(tmp_path / "joints", validate_every_steps=3))
    assert result.finished and 0 < result.metrics["val/mean_3d_mm"] < 200
    assert {"val/visible_3d_mm", "val/handedness", "val/visibility", "val/mean_2d_mm"} <= set(result.metrics)

    locator = JointsTraining(network="locator", steps=2, batch_size=12, views_per_hand=1, **small)
    located = train_joints(locator, run(tmp_path / "locator"))
    assert located.model_folder is not None
    assert method_of_model(located.model_folder).task == "pose-locator"
    assert method_of_model(finished.model_folder).task == "pose-parts"

    weak = WeakTraining(
        parts=str(finished.model_folder), target=(crop_file,), steps=3, batch_size=2, dictionary_share=0.5,
        threads_of_search=1, **small,
    )  # fmt: skip
    assert train_weakly(weak, run(tmp_path / "weak")).finished
    report = json.loads((tmp_path / "weak" / "weak.json").read_text())
    assert report["hands"] == HANDS and 0 <= report["rejected_share"] <= 1
    assert report["accepted"] == round(HANDS * (1 - report["rejected_share"]))
    with pytest.raises(ValueError, match="no --target"):
        train_weakly(WeakTraining(**small), run(tmp_path / "none"))


def test_paper_preset_uses_every_pixel_and_plain_sgd() -> None:
    from graspcut.pose.task import JointsConfig, PartsConfig

    config = PartsConfig.paper(1000)
    assert config.optimisation.learning_rate_at(100_000) == pytest.approx(0.05)
    assert config.strided_share < 0 and config.optimisation.momentum == 0
    assert JointsConfig.paper(10).optimisation.learning_rate == 0.05
