"""Streams of batches: order, views, workers, resume, folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.geometry import resized
from graspcut.train.sources import FolderSamples, RenderedSamples, StoredSamples
from graspcut.train.streams import (
    ArrayView,
    BatchStream,
    TrainingData,
    ValidationPart,
    View,
    as_tensors,
    stacked,
)
from graspcut.train.workers import prepare_worker
from tests.train.fake_frames import DepthBatch, FakeFrames, depth_target

AUGMENTATION = AugmentationConfig(flip=0.5, noise=1.0, noise_mm=3.0)


def views() -> list[View]:
    return [
        View(RenderedSamples(FakeFrames(32, 24)), depth_target, 0.8, 3, AUGMENTATION),
        View(RenderedSamples(FakeFrames(48, 36)), depth_target, 0.2, 1, AUGMENTATION),
    ]


def equal(first: DepthBatch, second: DepthBatch) -> bool:
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(first, second, strict=True))


def test_batches_have_the_promised_shapes_and_types() -> None:
    stream = BatchStream(views(), seed=0, stop=20)
    sizes = set()
    for batch in map(as_tensors, stream):
        count, channels, height, width = batch.depth_mm.shape
        sizes.add((width, height, count))
        assert channels == 1 and batch.depth_mm.dtype == torch.float32
        assert batch.labels.shape == (count, height, width) and batch.labels.dtype == torch.uint8
        assert batch.focal_px.shape == (count,) and batch.focal_px.dtype == torch.float32
        assert batch.focal_px[0] == pytest.approx(475.96 * width / 640, rel=1e-5)
        assert (batch.labels[batch.depth_mm[:, 0] == 0] == 255).all()
    assert sizes == {(32, 24, 3), (48, 36, 1)}


def test_views_come_as_often_as_their_probability() -> None:
    stream = BatchStream(views(), seed=1)
    chosen = [stream.view_number(number) for number in range(2000)]
    assert 0.16 < np.mean(chosen) < 0.24


@pytest.mark.parametrize("workers", [1, 2])
def test_number_of_workers_does_not_change_the_stream(workers: int) -> None:
    expected = list(BatchStream(views(), seed=5, stop=7))
    loader = DataLoader(
        BatchStream(views(), seed=5, stop=7),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=prepare_worker,
        multiprocessing_context="fork",
    )
    found = list(loader)
    assert len(found) == 7
    assert all(equal(a, b) for a, b in zip(expected, found, strict=True))


def test_stream_starts_anywhere_and_splits_over_processes() -> None:
    whole = list(BatchStream(views(), seed=5, stop=8))
    tail = list(BatchStream(views(), seed=5, start=5, stop=8))
    assert all(equal(a, b) for a, b in zip(whole[5:], tail, strict=True))
    odd = list(BatchStream(views(), seed=5, start=2, stop=8, rank=1, world_size=2))
    assert all(equal(a, b) for a, b in zip(whole[3::2], odd, strict=True))


def test_no_frame_and_no_augmentation_comes_twice() -> None:
    stream = BatchStream([View(RenderedSamples(FakeFrames()), depth_target, 1.0, 4, AUGMENTATION)], seed=2, stop=10)
    frames = np.concatenate([batch.depth_mm for batch in stream])
    assert len({frame.tobytes() for frame in frames}) == 40
    same_frame = View(RenderedSamples(_OneFrame()), depth_target, 1.0, 4, AUGMENTATION)
    noisy = BatchStream([same_frame], seed=2).batch(0).depth_mm
    assert len({frame.tobytes() for frame in noisy}) == 4


class _OneFrame(FakeFrames):
    def __getitem__(self, index: int):  # type: ignore[no-untyped-def]
        return super().__getitem__(0)


def test_seed_changes_views_and_augmentation() -> None:
    first, second = BatchStream(views(), seed=0), BatchStream(views(), seed=1)
    assert [first.view_number(i) for i in range(50)] != [second.view_number(i) for i in range(50)]
    single = [View(RenderedSamples(FakeFrames()), depth_target, 1.0, 4, AUGMENTATION)]
    assert not equal(BatchStream(single, seed=0).batch(0), BatchStream(single, seed=1).batch(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = DatasetWriter(tmp_path / "set", depth_unit_mm=0.125, description={})
    for index in range(5):
        writer.write(index, FakeFrames(32, 24, 3)[index])
    writer.finish(5)
    return tmp_path / "set"


def test_folder_samples_give_every_frame_once_an_epoch_in_another_order(folder: Path) -> None:
    reader = DatasetReader(folder)
    source = FolderSamples(reader, seed=4)
    in_order = [FolderSamples(reader, seed=None).sample(i)["depth_mm"].tobytes() for i in range(5)]
    epochs = [[source.sample(5 * epoch + i)["depth_mm"].tobytes() for i in range(5)] for epoch in range(4)]
    assert all(sorted(epoch) == sorted(in_order) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert source.sample(0)["depth_mm"].tobytes() == epochs[0][0]  # an earlier epoch again
    first = source.sample(0)
    assert first.focal_px == pytest.approx(475.96 / 20, rel=1e-5)
    np.testing.assert_allclose(
        FolderSamples(reader, seed=None).sample(2)["depth_mm"], FakeFrames(32, 24, 3)[2].frame.depth_mm, atol=0.0626
    )


def test_folder_samples_of_one_part_of_a_split(folder: Path) -> None:
    reader = DatasetReader(folder)
    whole = [FolderSamples(reader, seed=None).sample(i)["depth_mm"].tobytes() for i in range(5)]
    part = FolderSamples(reader, seed=None, frames=(3, 1))
    assert [part.sample(i)["depth_mm"].tobytes() for i in range(4)] == [whole[3], whole[1], whole[3], whole[1]]
    shuffled = FolderSamples(reader, seed=4, frames=(0, 2, 4))
    for epoch in range(3):
        found = {shuffled.sample(3 * epoch + i)["depth_mm"].tobytes() for i in range(3)}
        assert found == {whole[0], whole[2], whole[4]}


def test_resizing_scales_the_focal_length_and_invents_no_depth(folder: Path) -> None:
    reader = DatasetReader(folder)
    full = FolderSamples(reader, seed=None).sample(1)
    half = FolderSamples(reader, seed=None, size=(16, 12)).sample(1)
    assert half["depth_mm"].shape == half["labels"].shape == (12, 16)
    assert half.focal_px == pytest.approx(full.focal_px / 2)
    assert set(half["depth_mm"].flat) <= set(full["depth_mm"].flat)
    with pytest.raises(ValueError, match="aspect"):
        resized(full, 16, 16)


def test_mixed_sizes_in_one_batch_are_refused() -> None:
    small, large = (
        depth_target(RenderedSamples(FakeFrames(width)).sample(0), np.random.default_rng(0)) for width in (32, 40)
    )
    with pytest.raises(ValueError, match="one size, got depth_mm of"):
        stacked([small, large])
    with pytest.raises(ValueError, match="at least one view"):
        BatchStream([], seed=0)
    with pytest.raises(ValueError, match="positive probability"):
        View(RenderedSamples(FakeFrames()), depth_target, 0.0)


def test_focal_length_without_a_camera() -> None:
    assert focal_length_px(None, 640) == pytest.approx(476.8)
    assert focal_length_px(Camera(400.0, 410.0, 320.0, 240.0, 640, 480), 640) == 405.0


def test_validation_set_is_fixed_and_complete() -> None:
    parts = [
        ValidationPart(RenderedSamples(FakeFrames(32, 24, 9)), depth_target, 5, 2),
        ValidationPart(RenderedSamples(FakeFrames(48, 36, 9)), depth_target, 2, 2),
    ]
    data = TrainingData(views(), parts, workers=1)
    first, again = list(data.val_dataloader()), list(data.val_dataloader())
    assert [tuple(batch.labels.shape) for batch in first] == [(2, 24, 32), (2, 24, 32), (1, 24, 32), (2, 36, 48)]
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    np.testing.assert_array_equal(first[1].depth_mm[1, 0].numpy(), FakeFrames(32, 24, 9)[3].frame.depth_mm)


def test_the_stream_goes_on_where_the_state_says() -> None:
    data = TrainingData(views(), seed=3)
    data.load_state_dict({"next_batch": 7, "seed": 3})
    assert equal(next(iter(data.train_dataloader())), BatchStream(views(), seed=3).batch(7))


def test_a_worker_survives_the_first_sigterm_and_ends_at_the_second() -> None:
    script = (
        "import os, signal, time\n"
        "from graspcut.train.workers import prepare_worker\n"
        "prepare_worker()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('alive', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('still alive', flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


def test_arrays_give_every_item_once_an_epoch() -> None:
    arrays: dict[str, NDArray[Any]] = {"crops": np.arange(30, dtype=np.float32).reshape(10, 3), "kinds": np.arange(10)}

    def target(items: dict[str, NDArray[Any]], rng: np.random.Generator) -> DepthBatch:
        return DepthBatch(items["crops"], items["kinds"], rng.random(len(items["kinds"])))

    view = ArrayView(arrays, target, batch_size=5, order_seed=3)
    stream = BatchStream([view], seed=1, stop=4)
    batches = list(stream)
    for first in (0, 2):
        seen = np.concatenate([batch.focal_px for batch in batches[first : first + 2]])
        assert sorted(seen) == list(range(10))
    assert [batch.focal_px.tolist() for batch in batches[:2]] != [batch.focal_px.tolist() for batch in batches[2:]]
    for batch in batches:
        np.testing.assert_array_equal(batch.depth_mm[:, 0], 3 * batch.focal_px)
    assert equal(stream.batch(3), batches[3])
    changed = ArrayView({**arrays, "kinds": np.arange(10)[::-1]}, target, batch_size=5, order_seed=3)
    assert view.describe() != changed.describe()
    with pytest.raises(ValueError, match="one length"):
        ArrayView({"a": np.zeros(3), "b": np.zeros(4)}, target)


def test_samples_kept_in_memory() -> None:
    kept = StoredSamples([RenderedSamples(FakeFrames()).sample(index) for index in range(4)], seed=2)
    for epoch in range(2):
        found = {kept.sample(4 * epoch + index)["depth_mm"].tobytes() for index in range(4)}
        assert found == {sample["depth_mm"].tobytes() for sample in kept.samples}


def test_fields_that_are_no_arrays_become_tuples() -> None:
    batch = stacked([DepthBatch(np.zeros(2), "a", 1.5), DepthBatch(np.ones(2), "b", 2.5)])
    assert batch.focal_px == ("a", "b") and batch.labels.tolist() == [1.5, 2.5]
    assert as_tensors(batch).depth_mm.shape == (2, 2) and as_tensors(batch).focal_px == ("a", "b")
