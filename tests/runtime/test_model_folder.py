"""Model folders: round trip, strictness, errors that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graspcut.runtime import model_folder
from graspcut.runtime.model_folder import (
    ModelFolderError,
    fill_network,
    find_model_folder,
    load_model_config,
    load_model_folder,
    save_model_folder,
    shipped_model_names,
)

CONFIG = {"task": "test", "model": {"name": "tiny", "width": 4}}


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model_folder(tmp_path / "model", CONFIG, small_network().state_dict(), "# Card")


def test_round_trip_within_half_precision(folder: Path) -> None:
    config, weights = load_model_folder(folder)
    assert config == {"format": 1, **CONFIG}
    expected = small_network().state_dict()
    assert weights.keys() == expected.keys()
    assert weights["0.weight"].dtype == np.float32
    np.testing.assert_array_equal(weights["0.weight"], expected["0.weight"].half().float().numpy())
    assert weights["1.num_batches_tracked"].dtype == np.int64
    assert (folder / "card.md").read_text() == "# Card\n"
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["model"]  # no temporary folder is left


def test_filled_network_has_the_weights(folder: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    fill_network(network, load_model_folder(folder)[1], folder)
    torch.testing.assert_close(
        network.state_dict()["0.weight"], small_network().state_dict()["0.weight"], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3)), "unexpected: 1.bias"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)), "missing: 2.bias, 2.weight"),
        (nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4)), r"wrong shape: 0.weight \(4, 1, 3, 3\) instead of"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder: Path, network: nn.Module, message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        fill_network(network, load_model_folder(folder)[1], folder)


def test_values_beyond_half_precision_stay_float32(tmp_path: Path) -> None:
    save_model_folder(tmp_path / "m", CONFIG, {"large": np.array([1e6, 1.0], np.float32)}, "")
    np.testing.assert_array_equal(load_model_folder(tmp_path / "m")[1]["large"], np.array([1e6, 1.0], np.float32))


def test_diverged_weights_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="weight w has values that are not finite"):
        save_model_folder(tmp_path / "m", CONFIG, {"w": torch.tensor([float("nan")])}, "")
    assert list(tmp_path.iterdir()) == []


def test_saving_again_replaces_the_folder_and_nothing_else(folder: Path) -> None:
    save_model_folder(folder, {"task": "new"}, {"only": torch.ones(2)}, "# New")
    config, weights = load_model_folder(folder)
    assert config["task"] == "new" and list(weights) == ["only"]
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["model"]
    other = folder.parent / "precious"
    other.mkdir()
    (other / "notes.txt").write_text("keep")
    with pytest.raises(ModelFolderError, match="no model folder"):
        save_model_folder(other, CONFIG, {}, "")
    assert (other / "notes.txt").read_text() == "keep"


def test_failed_replacement_keeps_the_old_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model_folder, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model_folder(folder, {"task": "new"}, {"only": torch.ones(2)}, "")
    assert load_model_folder(folder)[0]["task"] == "test"
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["model"]


def test_unknown_model_lists_the_shipped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model_folder(tmp_path / "alpha", CONFIG, {}, "")
    save_model_folder(tmp_path / "beta", CONFIG, {}, "")
    monkeypatch.setattr(model_folder, "shipped_models_dir", lambda: tmp_path)
    assert shipped_model_names() == ["alpha", "beta"]
    assert find_model_folder("alpha") == tmp_path / "alpha"
    with pytest.raises(ModelFolderError, match=r"no model 'gamma'.*shipped: alpha, beta"):
        find_model_folder("gamma")


def test_broken_folders_say_what_is_wrong(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:50])
    with pytest.raises(ModelFolderError, match="not a complete safetensors file"):
        load_model_folder(folder)
    weights.unlink()
    with pytest.raises(ModelFolderError, match=r"no model\.safetensors"):
        load_model_folder(folder)
    (folder / "config.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelFolderError, match="format 99"):
        load_model_config(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelFolderError, match="not valid JSON"):
        load_model_config(folder)


def test_reading_needs_no_torch(folder: Path) -> None:
    program = (
        "import sys; from graspcut.runtime.model_folder import load_model_folder; "
        f"load_model_folder({str(folder)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", 3, "field 'task' is 3, expected a text"),
        ("model", [1, 2], "field 'model' is .1, 2., expected an object"),
        ("model", {"class": "X", "arguments": 7}, "'model.arguments' is no object"),
        ("labels", "hand", "field 'labels' is 'hand', expected a list of texts"),
        ("labels", ["hand", 4], "expected a list of texts"),
    ],
)
def test_fields_of_other_types_are_refused(folder: Path, field: str, value: object, message: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(ModelFolderError, match=rf"config\.json: .*{message}"):
        load_model_config(folder)


def test_deep_nesting_and_weights_that_are_no_numbers_are_refused(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["0.bias"] = np.full_like(weights["0.bias"], np.nan)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match=r"the weight 0\.bias has values that are not finite"):
        load_model_folder(folder)
    (folder / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ModelFolderError, match="not valid JSON"):
        load_model_config(folder)


def test_weights_and_folder_have_the_user_s_mask(tmp_path: Path) -> None:
    import os

    before = os.umask(0o027)
    try:
        made = save_model_folder(tmp_path / "m", CONFIG, small_network().state_dict(), "")
    finally:
        os.umask(before)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in made.iterdir()}
    assert set(modes.values()) == {0o640} and made.stat().st_mode & 0o777 == 0o750
