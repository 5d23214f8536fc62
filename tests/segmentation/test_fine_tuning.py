"""Fine-tuning on one's own frames: rendered frames beside them, splits and shards, and no praise that is not earned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.shards import pack_datasets
from graspcut.frames.splits import frames_of_part, split_datasets
from graspcut.runtime.model_folder import load_model_folder
from graspcut.segmentation import fine_tuning
from graspcut.segmentation import training as recipe
from graspcut.segmentation.fine_tuning import ComparedScores, Comparison, compare, save_comparison, settle
from graspcut.segmentation.training import task_config
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.train.sources import FolderSamples, RenderedSamples, ShardSamples
from tests.frames.datasets import write_dataset
from tests.mini_network import mini_network, save_mini_folder, working_at


def test_it_is_safe_by_default(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "mine", 12, recordings=4)
    training = SegmentationTraining(start="dense-attention-small", data=(tmp_path / "mine",), batch_size=2)
    config = task_config(training, len(reader))
    assert config.steps == recipe.FINE_TUNING_STEPS and config.optimisation.learning_rate == 3e-4
    assert config.optimisation.average_decay == 0.99
    views = recipe._views(training, recipe._recorded(training, working_at(240.0)), working_at(240.0))
    rendered = [view for view in views if isinstance(view.samples, RenderedSamples)]
    recorded = [view for view in views if isinstance(view.samples, FolderSamples)]
    total = sum(view.probability for view in views)
    assert sum(view.probability for view in rendered) == pytest.approx(0.5 * total)
    assert recorded and sum(view.probability for view in recorded) == pytest.approx(0.5 * total)
    for share, count in ((0.25, 2), (0.0, 1)):
        other = SegmentationTraining(start="a", data=(tmp_path / "mine",), rendered_share=share)
        views = recipe._views(other, recipe._recorded(other, working_at(240.0)), working_at(240.0))
        got = sum(view.probability for view in views if isinstance(view.samples, RenderedSamples))
        assert len(views) == count and got == pytest.approx(share * sum(view.probability for view in views))
    fresh = SegmentationTraining(data=(tmp_path / "mine",))
    assert len(recipe._views(fresh, recipe._recorded(fresh, working_at(None)), working_at(None))) == 1, (
        "a fresh network: data alone"
    )
    with pytest.raises(ValueError, match="leaves nothing"):
        SegmentationTraining(data=(tmp_path / "mine",), rendered_share=1.0)


def test_training_follows_the_split_and_reads_shards(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "mine", 12, recordings=4)
    split_datasets([tmp_path / "mine"], validation_share=0.25)
    training = SegmentationTraining(start="a", data=(tmp_path / "mine",))
    ((samples, _),) = recipe._recorded(training, working_at(None))
    assert isinstance(samples, FolderSamples) and samples.frames == frames_of_part(reader, "train")
    (part,) = recipe._validation(training, working_at(None))
    assert isinstance(part.samples, FolderSamples) and part.samples.frames == frames_of_part(reader, "validation")
    pack_datasets([tmp_path / "mine"], tmp_path / "shards")
    ((shards, _),) = recipe._recorded(SegmentationTraining(data=(tmp_path / "shards",)), working_at(None))
    assert isinstance(shards, ShardSamples) and len(shards) == 9
    assert shards.sample(0)["labels"].shape == (24, 32)


def row(before: float, after: float, frames: int = 10) -> ComparedScores:
    return ComparedScores("x", frames, (before, before, before), (after, after, after))


@pytest.mark.parametrize(
    ("own", "rendered", "better", "text"),
    [
        ((row(80, 90),), row(80, 79.5), True, "better on your frames"),
        ((row(80, 90),), row(80, 78.0), False, "NOT better: it lost 2.0 points"),
        ((row(80, 79),), row(80, 85), False, "NOT better on your held-out frames"),
        ((row(80, 82, 10), row(80, 60, 100)), row(80, 80), False, "NOT better on your held-out"),
        ((), row(80, 80), False, "no held-out frames"),
    ],
)
def test_it_is_called_better_only_if_it_is(
    own: tuple[ComparedScores, ...], rendered: ComparedScores, better: bool, text: str
) -> None:
    comparison = Comparison(own, rendered)
    assert comparison.is_better == better
    assert text in comparison.verdict


def test_the_table_is_in_the_card(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "mine", 6, recordings=3)
    split_datasets([tmp_path / "mine"], validation_share=0.34)
    first, second = save_mini_folder(tmp_path / "a", mini_network(0)), save_mini_folder(tmp_path / "b", mini_network(1))
    comparison = compare(first, second, [reader], rendered_frames=2, threads=1)
    assert comparison.own[0].frames == 2 and comparison.rendered.frames == 2
    same = compare(first, first, [reader], rendered_frames=1, threads=1)
    assert same.own[0].before == same.own[0].after and not same.is_better
    for _ in range(2):
        save_comparison(comparison, tmp_path, second)
    card = (second / "card.md").read_text()
    assert card.count("## Before and after") == 1 and "rendered, unseen kinds (2)" in card
    assert json.loads((tmp_path / "comparison.json").read_text())["is_better"] == comparison.is_better


def test_the_command_says_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "mine", 8, recordings=4)
    split_datasets([tmp_path / "mine"], validation_share=0.25)
    start = save_mini_folder(tmp_path / "start", mini_network(0))
    assert compare.__kwdefaults__ is not None
    monkeypatch.setitem(compare.__kwdefaults__, "rendered_frames", 2)
    options = ["--steps", "3", "--batch-size", "2", "--workers", "0", "--validate-every-steps", "0", "--threads", "1"]
    with pytest.raises(SystemExit) as end:
        places = ["--folder", str(tmp_path / "run"), "--start", str(start), "--data", str(tmp_path / "mine")]
        main(["train", "segmentation", *places, *options])
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "| mine, held out (2) |" in printed and "better" in printed
    assert DatasetReader(tmp_path / "mine").check() == []
    assert "## Before and after" in (tmp_path / "run" / "model" / "card.md").read_text()


def shared_out(monkeypatch: pytest.MonkeyPatch, lost: dict[float, float], gain: dict[float, float]) -> list[float]:
    """Comparisons with these losses and gains by share of the way; the shares that were asked for."""
    asked: list[float] = []
    start = mini_network(0).state_dict()

    def compared(_start: object, tuned: object, _readers: object, **_: object) -> Comparison:
        share = 1.0
        if isinstance(tuned, torch.nn.Module):
            end = mini_network(1).state_dict()
            name = next(name for name, value in start.items() if value.is_floating_point() and value.dim() > 1)
            moved, way = tuned.state_dict()[name] - start[name], end[name] - start[name]
            share = round(float(moved.norm() / way.norm()), 2)
        asked.append(share)
        return Comparison((row(80, 80 + gain[share]),), row(60, 60 - lost[share]))

    monkeypatch.setattr(fine_tuning, "compare", compared)
    return asked


LOST = {1.0: 3.0, 0.75: 2.0, 0.5: 0.9, 0.25: 0.2}
GAIN = {1.0: 9.0, 0.75: 8.0, 0.5: 6.0, 0.25: 3.0}


@pytest.mark.parametrize(
    ("largest_loss", "lost", "gain", "asked", "share", "better"),
    [
        (1.0, LOST, GAIN, [1.0, 0.75, 0.5], 0.5, True),
        (100.0, LOST, GAIN, [1.0], 1.0, True),
        (0.1, LOST, GAIN, [1.0, 0.75, 0.5, 0.25], 1.0, False),
        (1.0, LOST, {**GAIN, 0.5: -1.0}, [1.0, 0.75, 0.5, 0.25], 0.25, True),
        (1.0, LOST, {**GAIN, 1.0: -1.0}, [1.0], 1.0, False),
    ],
)
def test_less_of_the_way_is_taken_where_too_much_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest_loss: float, lost: dict[float, float],
    gain: dict[float, float], asked: list[float], share: float, better: bool,
) -> None:  # fmt: skip
    start, end = (save_mini_folder(tmp_path / name, mini_network(seed)) for seed, name in enumerate("ab"))
    before = load_model_folder(end)[1]
    got = shared_out(monkeypatch, lost, gain)
    comparison = settle(start, end, [], largest_loss=largest_loss)
    assert got == pytest.approx(asked, abs=0.01)
    assert comparison.share == share and comparison.is_better == better and comparison.lost_by_all == 3.0
    config, after = load_model_folder(end)
    unchanged = all(np.array_equal(before[name], after[name]) for name in before)
    assert unchanged == (share == 1.0) and config.get("training", {}).get("share_of_the_way", 1.0) == share
    if share < 1:
        assert f"{share:g} of the way" in comparison.verdict and "3.0 points" in comparison.verdict
        for name, value in load_model_folder(start)[1].items():
            assert after[name] == pytest.approx(value + share * (before[name] - value), rel=2e-3, abs=2e-3)


def test_what_is_known_of_the_old_network_is_not_scored_again(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "mine", 6, recordings=3)
    first, second = save_mini_folder(tmp_path / "a", mini_network(0)), save_mini_folder(tmp_path / "b", mini_network(1))
    whole = compare(first, second, [reader], rendered_frames=2, threads=1)
    again = compare("no such model", mini_network(1), [reader], rendered_frames=2, threads=1, known=whole)
    for one, other in zip((*whole.own, whole.rendered), (*again.own, again.rendered), strict=True):
        assert one.before == other.before and one.after == pytest.approx(other.after, abs=0.2)
