"""Table 2 in miniature: two rows, a few images, stopped and continued, tables and figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from graspcut.frames.dataset import open_dataset
from graspcut.segmentation import comparison
from graspcut.segmentation.comparison import ComparisonConfig, network_config, run_comparison, task_config, with_times
from graspcut.segmentation.comparison_rows import ABLATIONS, ROWS, TABLE_2, TABLE_3
from graspcut.segmentation.comparison_tables import attention_maps, heat, write_figures, write_tables
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention import DenseAttentionSeg

TINY = ComparisonConfig(
    rows=("dense-attention-seg-contour",),
    images=4,
    contour_images=2,
    frames=4,
    test_frames=3,
    width=64,
    height=48,
    batch_size=2,
    workers=0,
    threads=1,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("comparison")
    return out, run_comparison(out, TINY, lambda _: None)


def test_a_row_brings_the_one_it_goes_on_from(finished: tuple[Path, list[dict[str, Any]]]) -> None:
    _, results = finished
    assert [entry["row"] for entry in results] == ["dense-attention-seg", "dense-attention-seg-contour"]
    for entry in results:
        assert 0 <= entry["pixel_accuracy"] <= 1 and entry["parameters"] > 1e5 and entry["macs"] > 1e6


def test_rows_are_timed_together_and_equal_networks_alike(finished: tuple[Path, list[dict[str, Any]]]) -> None:
    out, results = finished
    timed = with_times(results, TINY, open_dataset(out / "frames" / "test"))
    assert [{**entry, "milliseconds": None} for entry in timed] == [
        {**entry, "milliseconds": None} for entry in results
    ]
    first, with_contour_loss = timed
    assert first["milliseconds"] == with_contour_loss["milliseconds"] > 0
    assert with_times([], TINY, open_dataset(out / "frames" / "test")) == []


def test_finished_rows_are_not_repeated(
    finished: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, results = finished
    monkeypatch.setattr(comparison, "_run_row", lambda *_: pytest.fail("trained again"))
    assert run_comparison(out, TINY, lambda _: None) == results


def test_a_stopped_row_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(comparison, "_run_row", lambda *_: None)
    monkeypatch.setattr(comparison, "_frames", lambda *_: (None, None, None))
    assert run_comparison(tmp_path, TINY, said.append) == []
    assert said[-1] == "stopped; the same command continues"


def test_another_recipe_is_refused_by_name(finished: tuple[Path, list[dict[str, Any]]]) -> None:
    out, _ = finished
    with pytest.raises(ValueError, match=r"images 4 -> 8"):
        run_comparison(out, dataclasses.replace(TINY, images=8), lambda _: None)


def test_tables_hold_ours_and_the_published_values(finished: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    _, results = finished
    table2, table3 = write_tables(tmp_path, results, TINY, "graspcut benchmark segmentation --out x")
    text = table2.read_text()
    own = next(entry for entry in results if entry["row"] == "dense-attention-seg")
    assert f"| {100 * own['pixel_accuracy']:.2f} |" in text
    assert "| DenseAttentionSeg + contour loss | 93.94 | 99.75 | 97.67 | 95.99 | 99.51 | 53.7 |" in text
    assert "| FCN-32s | - | - |" in text  # not trained: no number
    assert "| DenseAttentionSeg without attention | 92.81 | - | - | - | - | 51.1 |" in table3.read_text()


def test_figures_are_drawn(finished: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    out, _ = finished
    tests = open_dataset(out / "frames" / "test")
    written = write_figures(tmp_path, out, TINY, tests, frames=[0, 1])
    assert [path.name for path in written] == ["figure6.png", "figure7.png", "figure8.png"]
    for path in written:
        picture = cv2.imread(str(path))
        assert picture is not None and picture.std() > 5


def test_attention_is_empty_at_the_two_ends() -> None:
    torch.manual_seed(0)
    network = build_model(network_config(ROWS["dense-attention-seg"], TINY)).eval()
    assert isinstance(network, DenseAttentionSeg)
    fine, coarse = attention_maps(network, torch.full((1, 1, 48, 64), 500.0), torch.tensor([120.0]))
    assert [entry is None for entry in fine] == [True, False, False, False, False, False]
    assert [entry is None for entry in coarse] == [False, False, False, False, False, True]
    second = fine[1]
    assert second is not None and second.shape == (12, 16) and heat(second, (64, 48)).shape == (48, 64, 3)


def test_every_row_builds_and_has_a_recipe() -> None:
    assert len(TABLE_2) == 8 and len({row.name for row in (*TABLE_2, *TABLE_3, *ABLATIONS)}) == len(ROWS)
    for row in ROWS.values():
        with torch.device("meta"):
            build_model(network_config(row, TINY))
        config = task_config(row, TINY)
        assert (config.contour_steps > 0) == (row.start is not None)
    assert task_config(ROWS["contour-logits-0.05"], TINY).contour_on == "logits"
    # Without batch norm the recipe's rate would end the training.
    rates = {name: task_config(ROWS[name], TINY).optimisation.learning_rate for name in ("fcn-8s", "deeplabv3plus")}
    assert rates["fcn-8s"] == pytest.approx(0.15 * rates["deeplabv3plus"])
    for name in ("aspp-near", "deeplabv3plus-aspp-near"):
        network = build_model(network_config(ROWS[name], TINY))
        asked = [module.dilation[0] for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
        assert sorted(set(asked)) == [1, 2, 4]


def test_all_networks_see_the_same_input() -> None:
    for name in ("fcn-32s", "refinenet", "dense-attention-seg"):
        config = network_config(ROWS[name], dataclasses.replace(TINY, encoding="geometry"))
        assert config["arguments"]["encoding"] == "geometry"


def test_wrong_settings_say_what_is_expected() -> None:
    with pytest.raises(ValueError, match="unknown rows unet, choose of fcn-32s"):
        ComparisonConfig(rows=("unet",))
    with pytest.raises(ValueError, match="belong together"):
        ComparisonConfig(data=Path("frames"))
