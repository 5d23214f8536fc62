"""Adaptation without labels: what it writes, what it refuses, and that it can be stopped and taken back."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.frames.dataset import open_dataset
from graspcut.frames.errors import FrameError
from graspcut.labels import UNKNOWN
from graspcut.runtime.model_folder import load_model_config, load_model_folder
from graspcut.segmentation import adaptation, self_training
from graspcut.segmentation.adaptation import adapt_to_recordings
from graspcut.segmentation.adaptation_figures import Figures, RenderedTest, figures_of
from graspcut.segmentation.adaptation_task import AdaptationTask
from graspcut.segmentation.data import HeldBatch, SegmentationBatch
from graspcut.segmentation.mixing import mixed_views
from graspcut.segmentation.models import build_model
from graspcut.segmentation.self_training import AdaptationConfig
from graspcut.segmentation.task import TaskConfig
from graspcut.synth.dataset import generate_dataset
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.place import PlaceConfig
from graspcut.train.views import as_tensors

TINY = AdaptationConfig(quick=True, test_frames=2, workers=0, batch_size=2, steps=2, rounds=1, most_frames=6)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of one rendered scene, the camera moving sideways."""
    folder = tmp_path_factory.mktemp("recording")
    generator = FrameGenerator(SynthConfig(colour=False, cut_background=0.0), seed=5)
    labelled = next(frame for frame in (generator[index] for index in range(40)) if (frame.labels == 1).mean() > 0.05)
    for number in range(6):
        depth = np.roll(labelled.frame.depth_mm, 2 * number, axis=1)
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.rint(depth).astype(np.uint16))
    return folder


def weights_of(folder: str | Path) -> dict[str, NDArray[Any]]:
    return load_model_folder(folder)[1]


def test_quick_changes_statistics_and_nothing_else(recording: Path, tmp_path: Path) -> None:
    stages: set[str] = set()
    report = adapt_to_recordings(
        [recording],
        tmp_path / "mine",
        depth_unit_mm=1.0,
        focal_px=238.0,
        config=replace(TINY, largest_loss=100.0),
        progress=lambda what, done, total: stages.add(what) if done <= total else None,
    )
    assert report.finished and not report.kept_old and report.frames == 6 and report.model_folder is not None
    before, after = weights_of("dense-attention-small"), weights_of(tmp_path / "mine")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed and all("running_" in name or "num_batches" in name for name in changed)
    assert stages == {"looking for hands", "rendering test frames", "scoring before", "scoring statistics"}
    stored = json.loads((tmp_path / "mine-adaptation" / "report.json").read_text())
    assert stored["frames"] == 6 and stored["after"]["rendered_iou"] == pytest.approx(report.after.rendered_iou)
    picture = cv2.imread(str(tmp_path / "mine-adaptation" / "before_after.png"))
    assert picture is not None and picture.shape[1] > 600
    assert load_model_config(tmp_path / "mine")["training"]["adapted"]["quick"] is True
    assert "statistics only" in (tmp_path / "mine" / "card.md").read_text()


def test_a_round_trains_on_sure_labels_and_can_be_repeated(recording: Path, tmp_path: Path) -> None:
    config = replace(TINY, quick=False, largest_loss=100.0, certainty=0.95)
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, focal_px=238.0, config=config)
    assert report.finished and len(report.rounds) == 2
    before, after = weights_of("dense-attention-small"), weights_of(tmp_path / "mine")
    assert any(not np.array_equal(before[name], after[name]) for name in before if "running_" not in name)
    teacher = open_dataset(tmp_path / "mine-adaptation" / "round-1" / "teacher-0")
    assert len(teacher) == 6
    depth, labels = teacher.read_depth_and_labels(0)
    assert (labels == UNKNOWN).any() and (labels == 1).any() and (depth > 0).any()
    again = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, focal_px=238.0, config=config)
    assert again.after == report.after


def test_the_old_network_is_kept_when_too_much_is_lost(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([80.0, 75.0, 76.0, 77.0, 78.0])  # less of the recording does not help
    monkeypatch.setattr(adaptation, "figures_of", lambda *_: Figures(next(falling), 60.0, 1.0, 2.0, 3.0))
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, config=TINY)
    assert report.kept_old and report.after == report.before and report.shares == (0.25,)
    before, after = weights_of("dense-attention-small"), weights_of(tmp_path / "mine")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert "old weights" in (tmp_path / "mine" / "card.md").read_text()


def test_the_old_network_is_kept_when_close_ups_alone_lose(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The statistics cost next to nothing, any part of the way to the end of the round much.
    close_ups = iter([70.0, 69.9, 66.0, 66.5, 67.0, 68.0, 69.9])
    monkeypatch.setattr(adaptation, "figures_of", lambda *_: Figures(50.0, next(close_ups), 1.0, 2.0, 3.0))
    monkeypatch.setattr(adaptation, "train_round", lambda *_: True)
    config = replace(TINY, quick=False)
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, config=config)
    assert not report.kept_old and report.after.close_up_iou == 69.9
    assert [figures.close_up_iou for figures in report.rounds] == [69.9, 68.0] and report.shares == (1.0, 0.25)


def test_what_the_statistics_cost_training_may_win_back(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_ups = iter([70.0, 65.0, 69.5])
    monkeypatch.setattr(adaptation, "figures_of", lambda *_: Figures(50.0, next(close_ups), 1.0, 2.0, 3.0))
    monkeypatch.setattr(adaptation, "train_round", lambda *_: True)
    config = replace(TINY, quick=False)
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, config=config)
    assert not report.kept_old and report.after.close_up_iou == 69.5 and report.shares == (1.0, 1.0)


def test_less_is_taken_from_a_recording_that_would_cost_too_much(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([80.0, 78.0, 79.5])
    monkeypatch.setattr(adaptation, "figures_of", lambda *_: Figures(next(falling), 60.0, 1.0, 2.0, 3.0))
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, config=TINY)
    assert not report.kept_old and report.shares == (0.75,) and report.after.rendered_iou == 79.5
    before, after = weights_of("dense-attention-small"), weights_of(tmp_path / "mine")
    assert any(not np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("flicker", "agreement", "kept"), [(1.2, 1.8, True), (1.2, 2.5, False), (0.8, 1.8, False)])
def test_the_old_network_is_kept_where_the_recording_gets_worse(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flicker: float, agreement: float, kept: bool
) -> None:
    figures = iter([Figures(80.0, 60.0, 1.0, 2.0, 3.0), *[Figures(80.0, 60.0, flicker, agreement, 2.0)] * 4])
    monkeypatch.setattr(adaptation, "figures_of", lambda *_: next(figures))
    report = adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, config=TINY)
    assert report.kept_old == kept and report.shares == ((0.25,) if kept else (1.0,))


def test_scoring_ends_where_one_kind_of_rendered_frames_lost_too_much(recording: Path) -> None:
    network = build_model({"class": "DenseAttentionSmall", "arguments": {"widths": [8, 8, 8, 8, 8]}}).eval()
    recordings = self_training.Recordings([recording], 1.0, (238.0, 238.0, 160.0, 120.0), 3)
    rendered = RenderedTest(*([FrameGenerator(SynthConfig(colour=False), seed=seed)[0]] for seed in (5, 6)))
    own = figures_of(network, recordings, rendered, TINY, lambda *_: None, "before")
    assert own is not None and own.lost(own) == 0

    def stages(before: Figures) -> tuple[Figures | None, int]:
        done: list[int] = []
        found = figures_of(network, recordings, rendered, TINY, lambda _, number, __: done.append(number), "x", before)
        return found, done[-1]

    assert stages(own) == (own, 5)
    assert stages(replace(own, rendered_iou=own.rendered_iou + 1.1)) == (None, 1)
    assert stages(replace(own, close_up_iou=own.close_up_iou + 1.1)) == (None, 2)


def test_recordings_without_hands_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "wall"
    folder.mkdir()
    wall = np.full((240, 320), 1500, np.uint16)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), wall)
    with pytest.raises(FrameError, match="could be a hand was found in 0 of 3 frames"):
        adapt_to_recordings([folder], tmp_path / "mine", depth_unit_mm=1.0, config=TINY)
    assert not (tmp_path / "mine").exists()


def test_a_scene_that_cannot_be_read_is_said_before_anything_is_made(recording: Path, tmp_path: Path) -> None:
    place = PlaceConfig(str(tmp_path / "nowhere"))
    with pytest.raises(FrameError, match="nowhere"):
        adapt_to_recordings([recording], tmp_path / "mine", depth_unit_mm=1.0, scene=place, config=TINY)
    assert not any(tmp_path.iterdir())


def test_bad_frames_are_named_and_left_out(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for path in recording.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "003.png").write_bytes(b"\x89PNG nothing")
    report = adapt_to_recordings([folder], tmp_path / "mine", depth_unit_mm=1.0, config=TINY)
    assert report.frames == 5
    assert [name for name, _ in report.failures] == ["003"]


def test_recorded_frames_have_their_share(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    generate_dataset(SynthConfig(width=640, height=480, colour=False), seed=3, count=3, out=folder, workers=1)
    network = build_model({"class": "DenseAttentionSmall", "arguments": {"neighbours": True}})
    place = PlaceConfig(str(recording), 1.0, 238.0)
    reader = open_dataset(folder)
    views = mixed_views([reader], network, recorded_share=0.4, batch_size=2, seed=1, scene=place)
    assert [view.probability for view in views] == pytest.approx([0.4, 0.3, 0.3])
    batches = [view.batch(0, 1) for view in views]
    for batch in batches:
        height, width = batch.depth_mm.shape[-2:]
        assert batch.depth_mm.shape == (2, 1, height, width) and batch.neighbours_mm.shape == (2, 3, height, width)
        assert 100 < height < width < 420  # frames of 640x480 are halved
        assert height % 16 == 0 and width % 16 == 0
    assert (batches[0].labels == UNKNOWN).any()  # recorded: nobody knows what is in the holes


def test_long_recordings_are_used_in_stretches_spread_over_them() -> None:
    frames: Any = list(range(1000))
    assert self_training.in_stretches(frames, 1000) == frames
    chosen: Any = self_training.in_stretches(frames, 180)
    assert chosen == [*range(60), *range(470, 530), *range(940, 1000)]
    assert self_training.in_stretches(frames, 20) == frames[:20]


def test_wrong_settings_say_what_is_expected() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        AdaptationConfig(recording_share=1.0)
    with pytest.raises(ValueError, match="1 or more"):
        AdaptationConfig(rounds=0)


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(self_training, "STATISTICS_FRAMES", 4)
    monkeypatch.setattr(adaptation, "_SAMPLE_FRAMES", 4)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_rendered_frames_hold_the_network_to_what_it_said(tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    generate_dataset(SynthConfig(colour=False), seed=3, count=2, out=folder, workers=1)
    config = {"class": "DenseAttentionSmall", "arguments": {"widths": [8, 8, 8, 8, 8]}}
    torch.manual_seed(0)
    network = build_model(config)
    views = mixed_views([open_dataset(folder)], network, recorded_share=0.4, batch_size=2, seed=1, held=True)
    assert [view.probability for view in views] == pytest.approx([0.4, 0.3, 0.3])
    assert [view.samples.frames.config.profile for view in views[1:]] == ["v2", "v1"]  # type: ignore[attr-defined]
    recorded, held = as_tensors(views[0].batch(0, 1)), as_tensors(views[2].batch(0, 1))
    assert not isinstance(recorded, HeldBatch) and isinstance(held, HeldBatch)
    task = AdaptationTask(config, TaskConfig.quick(2), network, copy.deepcopy(network))
    statistics = {name: value.clone() for name, value in network.named_buffers()}

    def gradient(batch: SegmentationBatch) -> float:
        network.zero_grad()
        torch.stack(list(task.loss_terms(batch, 0).values())).sum().backward()  # type: ignore[no-untyped-call]
        return float(torch.cat([own.grad.flatten() for own in network.parameters() if own.grad is not None]).norm())

    assert gradient(held) < 1e-4 < 1e-2 < gradient(recorded)  # nothing to correct while it says what it said
    with torch.no_grad():
        for own in network.parameters():
            own.add_(0.05 * torch.randn_like(own))
    assert gradient(held) > 1e-2
    assert all(torch.equal(value, statistics[name]) for name, value in network.named_buffers())
    assert not any("before" in name for name in task.state_dict())
