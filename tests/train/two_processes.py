"""A training with two processes, started as a script because Lightning starts the second one as the first was started.

python -m tests.train.two_processes FOLDER STEPS SECONDS_A_FRAME SECONDS_LATE

SECONDS_LATE is how much later than the first process the second one begins to train.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graspcut.frames.labelled import LabelledFrame
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.checkpoints import Checkpoints
from graspcut.train.first_process import say
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import TrainingData, ValidationPart, View
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training
from tests.train.fake_frames import FakeFrames, TinyNetwork, depth_target
from tests.train.tiny_task import TinyTask, tiny_config


@dataclass(frozen=True)
class _SlowFrames:
    seconds: float

    def __getitem__(self, index: int) -> LabelledFrame:
        time.sleep(self.seconds)
        return FakeFrames(32, 24, 1)[index]

    def describe(self) -> str:
        """The same training whatever the speed."""
        return "slow frames"


def train(folder: Path, steps: int, seconds: float) -> RunResult:
    """One call of the trainer with two processes on the processor."""
    run = RunConfig(
        folder,
        seed=3,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        threads=1,
        validate_every_steps=steps,
        checkpoint_every_steps=0,
        log_every_steps=1,
        progress_bar=False,
    )
    prepare_run(run)
    say("two processes begin")
    task = TinyTask(TinyNetwork(), {"name": "tiny"}, tiny_config(steps))
    views = [View(RenderedSamples(_SlowFrames(seconds)), depth_target, 1.0, 2, AugmentationConfig(flip=0.5))]
    validation = [ValidationPart(RenderedSamples(FakeFrames(32, 24, 2)), depth_target, 6, 2)]
    return run_training(task, TrainingData(views, validation, workers=0), run)


def begin_late(seconds: float) -> None:
    """Lets this process wait after the last time that all of them meet before they train."""
    begin = Checkpoints.on_train_start

    def wait_and_begin(*args: Any) -> None:
        time.sleep(seconds)
        begin(*args)

    setattr(Checkpoints, "on_train_start", wait_and_begin)  # noqa: B010 - a method must not be assigned to, says mypy


if __name__ == "__main__":
    if os.environ.get("LOCAL_RANK") == "1":
        begin_late(float(sys.argv[4]))
    result = train(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    if result.first_process:
        print("finished" if result.finished else "stopped", result.steps, result.metrics.get("val/batches"), flush=True)
