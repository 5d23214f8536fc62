"""`graspcut train matting`: a few steps, stopped and continued, and the model used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graspcut
from graspcut.frames.images import read_colour
from graspcut.matting.data import open_images
from graspcut.matting.images import read_trimap
from graspcut.matting.procedural.dataset import generate_mattes
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.task import MattingConfig
from graspcut.matting.training import task_config, train_matting
from graspcut.matting.training_options import MattingTraining
from graspcut.runtime.model_folder import load_model_folder
from graspcut.train.run_config import RunConfig


@pytest.fixture(scope="module")
def mattes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn set of three."""
    folder = tmp_path_factory.mktemp("mattes")
    generate_mattes(ProceduralMattes(64, 64, 1), count=3, out=folder, workers=1)
    return folder


def run_in(folder: Path, stop: int | None = None) -> RunConfig:
    """A run on one thread of the processor."""
    return RunConfig(
        folder, accelerator="cpu", threads=1, progress_bar=False, validate_every_steps=4, stop_after_steps=stop
    )


def test_stopped_and_continued_gives_the_same_weights_and_a_model_that_mattes(mattes: Path, tmp_path: Path) -> None:
    training = MattingTraining(data=mattes, validation=mattes, steps=4, batch_size=2, size=64, workers=0)
    whole = train_matting(training, run_in(tmp_path / "whole"))
    assert whole.finished and whole.model_folder is not None and 0 < whole.metrics["val/mad"] < 1
    assert not train_matting(training, run_in(tmp_path / "parts", stop=2)).finished
    parts = train_matting(training, run_in(tmp_path / "parts"))
    assert parts.model_folder is not None
    first, second = (load_model_folder(folder)[1] for folder in (whole.model_folder, parts.model_folder))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    entry = open_images(mattes)[0]
    matter = graspcut.Matter.load(whole.model_folder, device="cpu", backend="pytorch")
    matte = matter(read_colour(entry.image), read_trimap(entry.trimap))
    assert matte.alpha.shape == (64, 64) and np.isfinite(matte.alpha).all()


def test_the_paper_s_schedule() -> None:
    config = MattingConfig.paper(2_694)
    rates = [config.optimisation.learning_rate_at(epoch * 2_694) for epoch in (0, 19, 20, 40, 99)]
    np.testing.assert_allclose(rates, [5e-5, 5e-5, 2.5e-5, 1.25e-5, 5e-5 / 16])
    assert config.optimisation.steps == 269_400 and config.optimisation.optimiser == "adam"
    training = MattingTraining(preset="paper", data=Path("AIM"))
    assert (training.items_per_batch, training.side) == (16, 640)
    assert task_config(training, 43_100).optimisation == config.optimisation
    with pytest.raises(ValueError, match="--data"):
        MattingTraining(preset="paper")


def test_a_size_that_the_network_cannot_take_is_refused(mattes: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        train_matting(MattingTraining(data=mattes, steps=1, size=100, workers=0), run_in(tmp_path / "run"))


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\nfrom graspcut.cli import main\nmain(['train', 'matting', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--encoder-weights" in done.stdout, done.stderr
