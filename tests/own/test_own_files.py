"""Networks, losses and objects of the user's own, from their files to labels."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graspcut.frames.dataset import open_dataset
from graspcut.frames.images import read_single_channel
from graspcut.nn.own_networks import open_network_file, register_network
from graspcut.own_files import OwnFileError, run_own_file
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.own_losses import open_loss_file, weights_of
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.objects.own_kinds import open_kind_file
from tests.own.made import QUIET, run, write_dataset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def forget_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process in which no file of the user's has run yet."""
    monkeypatch.setattr("graspcut.nn.own_networks._registered", {})
    for name in [name for name in sys.modules if name.startswith("graspcut_own_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with frames in `d` and a run of the example network and loss in `run`."""
    folder = tmp_path_factory.mktemp("own")
    data = write_dataset(folder / "d")
    shutil.copy(EXAMPLES / "my_network.py", folder)
    own = ("--network-file", folder / "my_network.py", "--network-argument", "width=4")
    loss = ("--loss-file", EXAMPLES / "my_loss.py", "--loss-term", "dice=0.25")
    command = ("train", "segmentation", "--folder", folder / "run", "--data", data, "--steps", 2, "--batch-size", 2)
    assert run(*command, "--validation", data, *own, *loss, *QUIET) == 0
    return folder


def test_the_run_and_the_model_say_which_file_they_need(trained: Path) -> None:
    file = trained / "my_network.py"
    wanted = {"name": "my_network.py", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    config = json.loads((trained / "run" / "model" / "config.json").read_text())
    record = json.loads((trained / "run" / "run.json").read_text())
    assert config["model"]["file"] == record["task"]["model"]["file"] == wanted
    assert config["model"]["arguments"] == {"width": 4, "working_focal_px": 240.0}
    assert record["task"]["own_loss"]["terms"] == config["training"]["own_loss"]["terms"] == {"dice": 0.25}
    assert record["task"]["own_loss"]["file"]["name"] == "my_loss.py"


def test_without_the_file_or_with_another_the_model_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_files(monkeypatch)
    command = (
        "evaluate",
        "segmentation",
        trained / "d",
        "--model",
        trained / "run" / "model",
        "--save",
        tmp_path / "s",
    )
    digest = hashlib.sha256((trained / "my_network.py").read_bytes()).hexdigest()
    assert run(*command) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "my_network.py" in said and digest in said and "--network-file" in said
    changed = tmp_path / "my_network.py"
    changed.write_text((trained / "my_network.py").read_text() + "\n# another\n")
    assert run(*command, "--network-file", changed) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert digest in said and hashlib.sha256(changed.read_bytes()).hexdigest() in said
    assert run(*command, "--network-file", trained / "my_network.py") == 0
    assert "mean IOU" in capsys.readouterr().out


def test_the_exported_graph_needs_no_file(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file = trained / "run" / "model", trained / "my_network.py"
    forget_files(monkeypatch)
    assert run("export", model, "--out", tmp_path / "graph", "--network-file", file) == 0
    common = ("segment", trained / "d")
    assert run(*common, "--model", model, "--network-file", file, "--out", tmp_path / "torch") == 0
    forget_files(monkeypatch)
    assert run(*common, "--model", tmp_path / "graph" / "model.onnx", "--out", tmp_path / "onnx") == 0
    names = sorted(path.name for path in (tmp_path / "torch").glob("*.png"))
    assert names
    for name in names:
        ours, theirs = (read_single_channel(tmp_path / kind / name, what="label map") for kind in ("torch", "onnx"))
        assert np.mean(ours != theirs) < 1e-3


def test_a_network_registered_from_python_is_trained_like_one_of_ours(trained: Path) -> None:
    (own,) = open_network_file(trained / "my_network.py")
    network = own.build(own.config(width=3))
    depth = open_dataset(trained / "d")[0].frame.depth_mm
    assert Segmenter.from_network(network)(depth).labels.shape == depth.shape
    with pytest.raises(TypeError, match="subclass"):
        register_network(int, own.config)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dataclass"):
        register_network(own.network, dict)


class Forgetful(nn.Module):
    """Does not keep its configuration."""

    def __init__(self, config: object) -> None:
        super().__init__()


def test_a_network_that_forgets_its_configuration_is_refused(trained: Path) -> None:
    (own,) = open_network_file(trained / "my_network.py")
    register_network(Forgetful, own.config)
    from graspcut.nn.own_networks import _classes

    with pytest.raises(TypeError, match=r"self\.config"):
        _classes[Forgetful].build(own.config())


def test_files_that_fail_are_named_with_the_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import math\n\nmath.nothing()\n")
    with pytest.raises(OwnFileError, match=r"broken\.py, line 3: AttributeError"):
        run_own_file(broken)
    broken.write_text("def (:\n")
    with pytest.raises(OwnFileError, match=r"line 1: SyntaxError"):
        run_own_file(broken)
    broken.write_text("x = 1\n")
    for opener, what in ((open_network_file, "network"), (open_loss_file, "loss term"), (open_kind_file, "kind")):
        with pytest.raises(OwnFileError, match=f"registers no {what}"):
            opener(broken)
    with pytest.raises(OwnFileError, match="cannot be read"):
        run_own_file(tmp_path / "absent.py")


def test_own_losses_are_weighted_and_checked() -> None:
    losses = open_loss_file(EXAMPLES / "my_loss.py", weights_of(("dice=0.5",)))
    labels = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    logits = torch.zeros(1, 3, 2, 2)
    batch = SegmentationBatch(torch.ones(1, 1, 2, 2), torch.ones(1), labels)
    # Each probability is a third, three pixels are known: 1 - (2/3 + 1) / (1 + 1 + 1) for both classes.
    found = losses.weighted(logits, batch)
    assert found["dice"].item() == pytest.approx(0.5 * (1 - (2 / 3 + 1) / 3))
    with pytest.raises(OwnFileError, match="no loss term dise; it registers dice"):
        open_loss_file(EXAMPLES / "my_loss.py", weights_of(("dise",)))
    with pytest.raises(ValueError, match="NAME=WEIGHT"):
        weights_of(("dice=much",))


def test_an_own_kind_of_object_is_held(tmp_path: Path) -> None:
    command = ("synth", "--count", 3, "--seed", 5, "--workers", 1, "--size", "160x120")
    own = ("--object", EXAMPLES / "my_object.py")
    assert run(*command, *own, "--out", tmp_path / "own") == 0
    assert run(*command, "--out", tmp_path / "plain") == 0
    settings = json.loads((tmp_path / "own" / "synth.json").read_text())
    assert settings["own_files"][0]["name"] == "my_object.py"
    first, second = (
        [path.read_bytes() for path in sorted((tmp_path / name / "label").glob("*.png"))] for name in ("own", "plain")
    )
    assert len(first) == 3 and first != second
    # Twice the same draw is twice the same thing, and no two of a kind are equal.
    kinds = open_kind_file(EXAMPLES / "my_object.py")
    rows = [kinds.draw(np.random.default_rng(seed)).rows for seed in (1, 1, 2)]
    assert np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[0], rows[2])
