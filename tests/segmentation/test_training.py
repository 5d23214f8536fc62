"""What `train_segmentation` puts together, and short real runs of it on a few small frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.nn.normalisation import recompute_batch_norms
from graspcut.runtime.model_folder import load_model_folder
from graspcut.segmentation import training as recipe
from graspcut.segmentation.data import WorkingTarget
from graspcut.segmentation.models import MODEL_NAMES, DenseAttentionSeg, DenseAttentionSmall
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import QUICK_CLASS_WEIGHTS, TaskConfig
from graspcut.segmentation.training import build_start, task_config, train_segmentation
from graspcut.segmentation.training_options import NetworkName, SegmentationTraining
from graspcut.train.sources import FolderSamples, RenderedSamples
from graspcut.train.streams import as_tensors, stacked
from graspcut.train.trainer import RunConfig
from tests.mini_network import save_mini_folder, working_at


def write_dataset(folder: Path, *, count: int = 4, width: int = 64, height: int = 48, focal_px: float = 240.0) -> Path:
    """Frames with a near square that is half hand, half object."""
    rng = np.random.default_rng(1)
    writer = DatasetWriter(folder, depth_unit_mm=0.125, description={})
    for index in range(count):
        depth = (900 + rng.normal(0, 2, (height, width))).astype(np.float32)
        labels = np.zeros((height, width), dtype=np.uint8)
        depth[height // 4 : height // 2, width // 4 : width // 2] = 500
        labels[height // 4 : height // 2, width // 4 : width // 2] = 1
        labels[height // 4 : height // 2, width // 3 : width // 2] = 2
        writer.write(index, LabelledFrame(Frame(depth, Camera.from_focal_length(width, height, focal_px)), labels))
    writer.finish(count)
    return folder


def quiet(folder: Path, stop_after_steps: int | None = None) -> RunConfig:
    """A run without validation and progress bar."""
    return RunConfig(folder, threads=1, validate_every_steps=0, progress_bar=False, stop_after_steps=stop_after_steps)


def test_presets() -> None:
    quick = task_config(SegmentationTraining(steps=500, learning_rate=0.004, class_weights=(1.0, 2.0, 3.0)), 0)
    assert (quick.steps, quick.contour_steps, quick.optimisation.learning_rate) == (500, 50, 0.004)
    assert quick.class_weights == (1.0, 2.0, 3.0)
    assert task_config(SegmentationTraining(steps=500), 0) == TaskConfig.quick(500)
    assert task_config(SegmentationTraining(), 0).class_weights == QUICK_CLASS_WEIGHTS
    paper = SegmentationTraining(preset="paper")
    assert paper.frames_per_batch == 4
    assert task_config(paper, 0) == TaskConfig.paper()
    assert task_config(paper, 46_720) == TaskConfig.paper()
    assert task_config(paper, 9).steps == 150 * 3  # 9 frames are 3 batches of at most 4
    short = task_config(SegmentationTraining(preset="paper", steps=1500, contour_weight=0.5), 0)
    assert (short.steps, short.contour_steps, short.contour_weight) == (1500, 100, 0.5)
    assert short.optimisation.schedule == "step"


def test_the_preset_chooses_the_network() -> None:
    with torch.device("meta"):
        assert isinstance(build_start(SegmentationTraining())[1], DenseAttentionSmall)
        assert isinstance(build_start(SegmentationTraining(preset="paper"))[1], DenseAttentionSeg)
        chosen = SegmentationTraining(preset="paper", network="dense-attention-small")
        assert isinstance(build_start(chosen)[1], DenseAttentionSmall)


def test_every_network_can_be_chosen_by_name() -> None:
    assert set(get_args(NetworkName)) == set(MODEL_NAMES)


def test_the_default_frames_are_those_of_the_shipped_weights() -> None:
    views = recipe._views(SegmentationTraining(), [], working_at(240.0))
    shown = []
    for view in views:
        assert isinstance(view.samples, RenderedSamples) and view.samples.size is None
        synth = view.samples.frames.config  # type: ignore[attr-defined]
        assert (synth.width, synth.height, synth.focal_jitter) == (320, 240, 0.1)
        shown.append((synth.window, round(view.probability, 3), view.batch_size))
    assert shown == [(None, 0.3, 3), ((128, 128), 0.35, 8), ((176, 144), 0.35, 8)]


@pytest.mark.parametrize(("width", "size"), [(None, (640, 480)), (320, (656, 496)), (1280, (640, 480))])
def test_rendered_frames_have_the_scale_of_the_network(width: int | None, size: tuple[int, int]) -> None:
    (view,) = recipe._views(SegmentationTraining(preset="paper", width=width), [], working_at(480.0))
    assert isinstance(view.samples, RenderedSamples) and view.target == WorkingTarget(480.0, size)
    assert view.samples.frames.config.width == (width or 640)  # type: ignore[attr-defined]


def test_folders_are_brought_to_the_scale_of_the_network(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", width=128, height=96, focal_px=480.0)
    training = SegmentationTraining(data=(folder,), batch_size=2)
    (view,) = recipe._views(training, recipe._recorded(training, working_at(240.0)), working_at(240.0))
    assert isinstance(view.samples, FolderSamples)
    sample = view.samples.sample(0)
    assert sample["depth_mm"].shape == (48, 64)
    assert sample.focal_px == 240.0
    (whole,) = recipe._views(training, recipe._recorded(training, working_at(None)), working_at(None))
    assert whole.samples.sample(0)["depth_mm"].shape == (96, 128)


def test_a_network_with_neighbours_is_shown_what_sampling_passes_over(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", width=128, height=96, focal_px=480.0)
    training = SegmentationTraining(data=(folder,), batch_size=2)
    network = working_at(240.0, takes_neighbours=True)
    (view,) = recipe._views(training, recipe._recorded(training, network), network)
    sample = view.samples.sample(0)
    depth = sample["depth_mm"]
    assert depth.shape == (96, 128)
    item = view.target(sample, np.random.default_rng(0))
    assert item.depth_mm.shape == (1, 48, 64) and item.labels.shape == (48, 64) and item.focal_px == 240.0
    passed_over = np.stack([depth[::2, 1::2], depth[1::2, ::2], depth[::2, ::2]])
    np.testing.assert_array_equal(item.neighbours_mm, passed_over)
    np.testing.assert_array_equal(item.depth_mm[0], depth[1::2, 1::2])


def test_trains_exports_and_goes_on_from_the_export(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "d")
    training = SegmentationTraining(data=(data,), validation=data, steps=2, batch_size=2, workers=0)
    stopped = train_segmentation(training, quiet(tmp_path / "run", stop_after_steps=1))
    assert (stopped.finished, stopped.steps, stopped.model_folder) == (False, 1, None)
    result = train_segmentation(training, quiet(tmp_path / "run"))
    assert (result.finished, result.steps) == (True, 2)
    assert result.model_folder is not None
    depth = open_dataset(data)[0].frame.depth_mm
    assert Segmenter.load(result.model_folder)(depth).labels.shape == (48, 64)

    _, weights = load_model_folder(result.model_folder)
    _, model = build_start(SegmentationTraining(start=str(result.model_folder)))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name])
    tuned = SegmentationTraining(data=(data,), start=str(result.model_folder), steps=1, batch_size=2, workers=0)
    assert train_segmentation(tuned, quiet(tmp_path / "tuned")).finished


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "d")
    training = SegmentationTraining(data=(data,), steps=2, batch_size=2, workers=0)
    train_segmentation(training, quiet(tmp_path / "run", stop_after_steps=1))
    other = SegmentationTraining(data=(data,), steps=2, batch_size=2, workers=0, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"learning_rate: 0\.0025 -> 0\.5"):
        train_segmentation(other, quiet(tmp_path / "run"))


def test_other_data_or_another_batch_size_are_refused(tmp_path: Path) -> None:
    first, second = write_dataset(tmp_path / "a"), write_dataset(tmp_path / "b", count=3)
    common = {"steps": 2, "workers": 0}
    training = SegmentationTraining(data=(first,), batch_size=2, **common)  # type: ignore[arg-type]
    train_segmentation(training, quiet(tmp_path / "run", stop_after_steps=1))
    for other, message in (
        (SegmentationTraining(data=(first,), batch_size=3, **common), "batch_size: 2 -> 3"),  # type: ignore[arg-type]
        (
            SegmentationTraining(data=(second,), batch_size=2, **common),  # type: ignore[arg-type]
            r"(?s)reader.directory: .*a -> .*b\n.*reader.frames: 4 -> 3",
        ),
        (
            SegmentationTraining(data=(first,), validation=second, batch_size=2, **common),  # type: ignore[arg-type]
            "data.validation",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            train_segmentation(other, quiet(tmp_path / "run"))


def test_plain_folders_need_a_unit_and_take_a_focal_length(tmp_path: Path) -> None:
    for name in ("depth", "label"):
        (tmp_path / "p" / name).mkdir(parents=True)
    write_image_atomically(tmp_path / "p" / "depth" / "a.png", np.full((20, 30), 4000, dtype=np.uint16))
    write_image_atomically(tmp_path / "p" / "label" / "a.png", np.zeros((20, 30), dtype=np.uint8))
    with pytest.raises(FrameError, match="--depth-unit-mm"):
        open_dataset(tmp_path / "p")
    reader = open_dataset(tmp_path / "p", depth_unit_mm=0.125, focal_px=33.0)
    camera = reader.camera(0)
    assert camera is not None
    assert (camera.fx, camera.cx, camera.cy, camera.width, camera.height) == (33.0, 14.5, 9.5, 30, 20)
    assert reader[0].frame.depth_mm[0, 0] == 500.0
    with pytest.raises(FrameError):
        open_dataset(tmp_path / "p", depth_unit_mm=0.125, focal_px=-1.0)


def test_a_folder_of_several_sizes_trains_and_damaged_frames_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mixed"
    for name in ("depth", "label"):
        (folder / name).mkdir(parents=True)
        for number, height in enumerate((48, 48, 32, 48)):
            value = 4000 if name == "depth" else number % 3
            image = np.full((height, 64), value, dtype=np.uint16 if name == "depth" else np.uint8)
            write_image_atomically(folder / name / f"{number}.png", image)
    (folder / "depth" / "3.png").write_bytes((folder / "depth" / "3.png").read_bytes()[:60])
    training = SegmentationTraining(
        data=(folder,), validation=folder, depth_unit_mm=0.125, focal_px=240.0, steps=4, batch_size=2, workers=0
    )
    result = train_segmentation(training, quiet(tmp_path / "run"))
    assert result.finished and result.left_out > 0
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("left out")]
    assert len(told) == 1 and "3.png" in told[0]
    views = recipe._views(training, recipe._recorded(training, working_at(240.0)), working_at(240.0))
    assert sorted(len(view.samples.frames or ()) for view in views) == [1, 3]  # type: ignore[attr-defined]


def test_batch_norm_statistics_are_taken_over_whole_frames_at_the_end(tmp_path: Path) -> None:
    start = save_mini_folder(tmp_path / "start")
    training = SegmentationTraining(
        start=str(start), steps=1, batch_size=2, workers=0, width=64, height=48, validation_count=0, statistics_count=4
    )
    found = {}
    for count in (0, 4):
        chosen = dataclasses.replace(training, statistics_count=count)
        result = train_segmentation(chosen, quiet(tmp_path / f"run-{count}"))
        assert result.model_folder is not None
        found[count] = load_model_folder(result.model_folder)[1]
    differing = {name for name, value in found[0].items() if not np.array_equal(value, found[4][name])}
    assert differing and all("running_" in name or "num_batches" in name for name in differing)
    network = build_start(dataclasses.replace(training, start=str(tmp_path / "run-0" / "model")))[1]
    (part,) = recipe._statistics(training, network)
    recompute_batch_norms(network, [as_tensors(stacked(part.items(0, 4))).inputs])
    for name in differing - {name for name in differing if "num_batches" in name}:
        np.testing.assert_allclose(found[4][name], network.state_dict()[name].numpy(), rtol=2e-3, atol=1e-3)
