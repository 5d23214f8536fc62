"""The whole recipe from the command line and from a file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch

from graspcut.cli.recipe import with_recipe
from graspcut.cli.verbs import build_app
from graspcut.segmentation.models import DenseAttentionSeg
from graspcut.segmentation.starting import build_start
from graspcut.segmentation.training import _augmentation, task_config
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.train.augmentation import AugmentationConfig
from tests.own.made import QUIET, run, write_dataset

RECIPE = """
workers = 0
[data]
steps = 4
batch-size = 2
[network]
network = "dense-attention-seg"
attention = "mul"
network_argument = ["trunk_width=8", "squeeze_width=4", "decoder_widths=[16, 16, 16, 8, 4, 4]"]
[loss]
class_weights = [1, 2, 3.5]
area_exponent = 0.5
contour_per_class = true
[optimisation]
optimiser = "sgd"
schedule = "step"
decay_steps = 3
average_decay = 0
[augmentation]
augmentation = "none"
flip = 0.25
"""


def test_a_recipe_file_reaches_every_part_and_what_is_typed_wins(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    data = write_dataset(tmp_path / "d")
    command = ("train", "segmentation", "--folder", tmp_path / "run", "--data", data, *QUIET[2:])
    assert run(*command, "--config", tmp_path / "recipe.toml", "--steps", 1, "--schedule=inverse") == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    training, model = record["task"]["training"], record["task"]["model"]
    assert model["class"] == "DenseAttentionSeg" and model["arguments"]["attention"] == "mul"
    assert model["arguments"]["decoder_widths"] == [16, 16, 16, 8, 4, 4]
    assert training["class_weights"] == [1.0, 2.0, 3.5] and training["contour_per_class"] is True
    assert training["area_exponent"] == 0.5
    optimisation = training["optimisation"]
    assert (optimisation["optimiser"], optimisation["schedule"], optimisation["steps"]) == ("sgd", "inverse", 1)
    assert optimisation["average_decay"] is None
    augmentation = record["data"]["views"][0]["augmentation"]
    assert augmentation["flip"] == 0.25 and augmentation["warp"] == 0.0
    stored = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())
    assert stored["data"]["steps"] == 1 and stored["optimisation"]["schedule"] == "inverse"
    # The stored recipe alone trains the same.
    assert (
        run("train", "segmentation", "--folder", tmp_path / "again", "--config", tmp_path / "run" / "recipe.toml") == 0
    )
    again = json.loads((tmp_path / "again" / "run.json").read_text())
    assert again["task"] == record["task"] and again["data"] == record["data"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[loss]\nclass_weight = [1, 1, 2]", "did you mean class_weights?)"),
        ("[los]\ncontour_weight = 1.0", "did you mean loss?)"),
        ("[loss]\nflip = 0.5", r"flip is in the table [loss], expected it in [augmentation]"),
        ("steps = ", "no TOML file"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    assert run("train", "segmentation", "--folder", tmp_path / "run", "--config", tmp_path / "recipe.toml") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_other_trainings_take_recipes_too(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[training]\nsteps = 7\n[run]\nprogress_bar = false\nthreads = 2\n")
    typed = ["train", "matting", "--folder", "x", "--config", str(tmp_path / "r.toml"), "--threads", "1"]
    assert with_recipe(build_app(), typed) == [*typed, "--steps=7", "--no-progress-bar"]
    assert with_recipe(build_app(), ["segment", "--config", "a"]) == ["segment", "--config", "a"]


def test_options_change_the_preset_and_nothing_else() -> None:
    preset = task_config(SegmentationTraining(), 0)
    changed = task_config(SegmentationTraining(optimiser="adam", gradient_clip=0, contour_on="logits"), 0)
    assert changed.optimisation.optimiser == "adam" and changed.optimisation.gradient_clip is None
    assert changed.contour_on == "logits" and changed.class_weights == preset.class_weights
    assert changed.optimisation.learning_rate == preset.optimisation.learning_rate
    full = AugmentationConfig.full()
    assert _augmentation(SegmentationTraining(), full) == full
    assert _augmentation(SegmentationTraining(augmentation="none"), full) == AugmentationConfig()
    with pytest.raises(ValueError, match="did you mean refinenet"):
        SegmentationTraining(network="refinnet")
    with pytest.raises(ValueError, match="--loss-file"):
        SegmentationTraining(loss_term=("dice",))


def test_pretrained_weights_fill_the_encoder_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slim = ("trunk_width=8", "squeeze_width=4", "decoder_widths=[16,16,16,8,4,4]")
    training = SegmentationTraining(network="dense-attention-seg", network_argument=slim, encoding="geometry")
    torch.manual_seed(0)
    _, source = build_start(training)
    assert isinstance(source, DenseAttentionSeg)
    torch.save({**source.trunk.state_dict(), "fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet.pth")
    torch.manual_seed(1)
    chosen = SegmentationTraining(
        network="dense-attention-seg", network_argument=slim, encoding="geometry", pretrained=tmp_path / "resnet.pth"
    )
    _, filled = build_start(chosen)
    assert isinstance(filled, DenseAttentionSeg)
    for name, value in source.trunk.state_dict().items():
        assert torch.equal(value, filled.trunk.state_dict()[name])
    assert not torch.equal(next(source.decoder.parameters()), next(filled.decoder.parameters()))
    assert "encoder filled" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no encoder"):
        build_start(SegmentationTraining(pretrained=tmp_path / "resnet.pth"))
    with pytest.raises(ValueError, match="taken as it is"):
        build_start(SegmentationTraining(start="dense-attention-small", attention="mul"))
    with pytest.raises(ValueError, match="has no argument depth"):
        build_start(SegmentationTraining(network_depth=101))
