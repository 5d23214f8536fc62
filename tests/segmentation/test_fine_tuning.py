"""Fine-tuning on one's own frames: rendered frames beside them, splits and shards, and no praise that is not earned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.shards import pack_datasets
from graspcut.frames.splits import frames_of_part, split_datasets
from graspcut.segmentation import training as recipe
from graspcut.segmentation.fine_tuning import ComparedScores, Comparison, compare, save_comparison
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
