"""What goes wrong in a training: unreadable samples, values that are not finite, damaged checkpoints, interruption."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.train.faults import Faults
from graspcut.train.run_config import LAST_CHECKPOINT, RunConfig, TrainingError
from graspcut.train.samples import Sample
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import BatchStream, TrainingData, ValidationPart, View, batch_loader
from graspcut.train.trainer import prepare_run, run_training
from tests.train.fake_frames import DepthBatch, FakeFrames, TinyNetwork, depth_target
from tests.train.test_trainer import checkpoint_tensors, train
from tests.train.tiny_task import TinyTask, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Damaged:
    """A source some of whose samples cannot be read."""

    bad: frozenset[int]

    def sample(self, index: int) -> Sample:
        if index in self.bad:
            raise FrameError(f"frame {index} is damaged")
        return RenderedSamples(FakeFrames()).sample(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_next_sample_is_taken_and_the_fault_counted(workers: int, capfd: pytest.CaptureFixture[str]) -> None:
    view = View(Damaged(frozenset({1, 2, 9})), depth_target, batch_size=4)
    found = list(batch_loader(BatchStream([view], seed=0, stop=3), workers, 2, 0))
    whole = list(BatchStream([View(Damaged(frozenset()), depth_target, batch_size=4)], seed=0, stop=3))
    depth = [np.asarray(batch.depth_mm) for batch in found]
    for place in (1, 2):
        np.testing.assert_array_equal(depth[0][place], whole[0].depth_mm[3])
    np.testing.assert_array_equal(depth[1], whole[1].depth_mm)
    assert view.faults.count == 4  # number 2 twice: in its own place and in that of 1
    assert sorted(capfd.readouterr().err.splitlines()) == [f"left out: frame {bad} is damaged" for bad in (1, 2, 9)]


def test_nothing_but_unreadable_samples_ends_the_training() -> None:
    view = View(Damaged(frozenset(range(200))), depth_target)
    with pytest.raises(TrainingError, match="50 samples in a row cannot be read; the last: frame 49 is damaged"):
        view.batch(0, 0)
    with pytest.raises(TrainingError, match="50 samples in a row"):  # from a loader process, as one line
        list(batch_loader(BatchStream([view], seed=0, stop=1), 1, 2, 0))


def test_errors_of_a_target_are_not_left_out() -> None:
    def broken(sample: Sample, rng: np.random.Generator) -> DepthBatch:
        raise KeyError("joints")

    with pytest.raises(RuntimeError, match="making a batch failed: KeyError: 'joints'"):
        list(batch_loader(BatchStream([View(Damaged(frozenset()), broken)], seed=0, stop=1), 1, 2, 0))


@pytest.mark.parametrize("workers", [0, 1])
def test_validation_leaves_out_what_cannot_be_read(workers: int) -> None:
    part = ValidationPart(Damaged(frozenset({1, 2, 3})), depth_target, 5, 2)
    data = TrainingData([View(Damaged(frozenset()), depth_target)], [part], workers=workers)
    assert [len(batch.labels) for batch in data.val_dataloader()] == [1, 1]
    assert data.left_out == 3


def test_faults_tell_each_fault_once(capsys: pytest.CaptureFixture[str]) -> None:
    faults = Faults()
    for _ in range(3):
        faults.add(FrameError("a.png is\ndamaged"))
    assert faults.count == 3 and capsys.readouterr().err == "left out: a.png is damaged\n"


class Diverging(TinyTask):
    """Its loss is not a number from step 3 on."""

    def loss_terms(self, batch: DepthBatch, step: int) -> dict[str, torch.Tensor]:
        terms = super().loss_terms(batch, step)
        return {name: term * (float("nan") if step >= 3 else 1.0) for name, term in terms.items()}


class Spoiled(TinyTask):
    """Its weights become infinite in step 3, when the loss has been worked out."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.global_step >= 3:
            with torch.no_grad():
                self.model.get_parameter("second.bias").fill_(float("inf"))


@pytest.mark.parametrize(
    ("task_class", "message"),
    [(Diverging, r"loss is nan at step 4.*step 2"), (Spoiled, r"second.bias has values .*at step 4.*step 2")],
)
def test_a_training_that_diverges_keeps_the_last_good_checkpoint(
    task_class: type[TinyTask], message: str, tmp_path: Path
) -> None:
    run = RunConfig(
        tmp_path, validate_every_steps=0, checkpoint_every_steps=2, progress_bar=False, threads=1, accelerator="cpu"
    )
    prepare_run(run)
    task = task_class(TinyNetwork(), {"name": "tiny"}, tiny_config(20))
    view = View(RenderedSamples(FakeFrames()), depth_target, batch_size=2)
    with pytest.raises(TrainingError, match=message):
        run_training(task, TrainingData([view], workers=0), run)
    assert torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)["global_step"] == 2
    assert all(bool(tensor.isfinite().all()) for tensor in checkpoint_tensors(tmp_path).values())


def test_a_first_checkpoint_is_there_before_the_first_step(tmp_path: Path) -> None:
    train(tmp_path, stop_after=1, every=0)
    (tmp_path / LAST_CHECKPOINT).unlink()
    train(tmp_path, stop_after=1, every=0)
    whole = train(tmp_path / "whole", every=0)
    assert train(tmp_path, every=0).metrics == whole.metrics


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_one_line_with_the_way_on(spoil: str, tmp_path: Path) -> None:
    train(tmp_path, stop_after=2)
    path = tmp_path / LAST_CHECKPOINT
    content = bytearray(path.read_bytes())
    if spoil == "flip":
        place = len(content) // 2
        content[place : place + 400] = bytes(value ^ 0xFF for value in content[place : place + 400])
    path.write_bytes(content if spoil == "flip" else content[: len(content) // 2] if spoil == "cut" else b"")
    with pytest.raises(TrainingError, match=r"last.ckpt is damaged .*: delete it to start again"):
        train(tmp_path)
    path.with_name("step-0000002.ckpt").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"copy step-0000002.ckpt over it"):
        train(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    run = RunConfig(tmp_path, accelerator="gpu", progress_bar=False)
    task = TinyTask(TinyNetwork(), {"name": "tiny"}, tiny_config(2))
    with pytest.raises(TrainingError) as caught:
        run_training(task, TrainingData([View(RenderedSamples(FakeFrames()), depth_target)], workers=0), run)
    assert "\n" not in str(caught.value) and "gpu" in str(caught.value).lower()


class InterruptedAtTheEnd(TinyTask):
    """The interrupt key is pressed while the finished run is scored."""

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        if self.trainer.state.fn == "validate":
            os.kill(os.getpid(), signal.SIGINT)
        return super().scores(counts)


def test_the_interrupt_key_after_the_last_step_loses_nothing(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = RunConfig(tmp_path, validate_every_steps=2, progress_bar=False, threads=1, accelerator="cpu")
        view = View(RenderedSamples(FakeFrames()), depth_target, batch_size=2)
        part = ValidationPart(RenderedSamples(FakeFrames(seed=3)), depth_target, 2)
        for task_class, finished in ((InterruptedAtTheEnd, False), (TinyTask, True)):
            prepare_run(run)
            task = task_class(TinyNetwork(), {"name": "tiny"}, tiny_config(2))
            result = run_training(task, TrainingData([view], [part], workers=0), run)
            assert (result.finished, result.interrupted, result.steps) == (finished, not finished, 2)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_folder_that_cannot_be_one_and_a_checkpoint_of_another_network(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"--folder .*is a file; expected a folder"):
        train(tmp_path / "file" / "run")
    train(tmp_path / "run", stop_after=1)
    path = tmp_path / "run" / LAST_CHECKPOINT
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["model.first.weight"] = torch.zeros(2, 2)
    torch.save(checkpoint, path)
    with pytest.raises(TrainingError, match="of another network: give the options that the run was started with"):
        train(tmp_path / "run")


def _long_run(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    result = train(folder, steps=100_000, workers=1, validate=0, every=0)
    os._exit(7 if result.interrupted and not result.finished else 8)


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


def _start_long_run(folder: Path) -> multiprocessing.context.SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_long_run, args=(folder,))
    process.start()
    log = folder / "csv" / "part-000" / "metrics.csv"
    deadline = time.monotonic() + 200
    while not (log.exists() and log.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.pid is not None and process.is_alive()
    return process


def test_the_interrupt_key_saves_and_a_killed_run_leaves_no_loader(tmp_path: Path) -> None:
    process = _start_long_run(tmp_path / "run")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(200)
    assert process.exitcode == 7
    checkpoint = torch.load(tmp_path / "run" / LAST_CHECKPOINT, weights_only=True)
    assert checkpoint["global_step"] > 0

    process = _start_long_run(tmp_path / "killed")
    assert process.pid is not None
    loaders = _children(process.pid)
    assert loaders
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{loader}").exists() for loader in loaders) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [loader for loader in loaders if Path(f"/proc/{loader}").exists()]
