"""Where a training runs and how it ended. No torch here, so that options can be explained without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"


class TrainingError(ValueError):
    """A training cannot start or go on; one line says why and what to do."""


@dataclass(frozen=True)
class RunConfig:
    """Where and on what a training runs.

    What changes the result: seed, precision, and the number of processes (devices times machines), each of which trains
    on its own batch, so that their number multiplies the batch. These are recorded in the run folder.

    Attributes:
        folder: the run folder.
        seed: seed of the initial weights' and all other torch randomness (data have their own).
        accelerator: "cpu", "gpu" or "auto", as Lightning's Trainer takes it.
        devices: how many devices on each machine, their numbers, or "auto", as Lightning's Trainer takes it.
        num_nodes: number of machines.
        strategy: how several devices share the work ("auto", "ddp", ...), as Lightning's Trainer takes it.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        threads: torch threads of this process; None leaves torch's default. Leave cores to the loader workers: threads
            that wait for one another on a busy core are slower than one thread alone.
        validate_every_steps: steps between validations; 0 validates never.
        checkpoint_every_steps: steps between checkpoints; 0 for none by step.
        checkpoint_every_minutes: minutes between checkpoints; 0 for none by time.
        keep_every_steps: steps between checkpoints that are kept for good as `step-NNNNNNN.ckpt`; 0 keeps none.
        log_every_steps: steps between log lines.
        progress_bar: whether to show one.
        accept_changes: go on although settings differ from those that the run folder records. The result is then not
            that of one uninterrupted run; run.json keeps a history of the changes.
        stop_after_steps: end this process early at that step, as if it had been killed after a checkpoint; None goes on
            to the end. For runs in pieces and for tests.
    """

    folder: Path
    seed: int = 0
    accelerator: str = "auto"
    devices: int | list[int] | str = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    threads: int | None = None
    validate_every_steps: int = 1000
    checkpoint_every_steps: int = 1000
    checkpoint_every_minutes: float = 10.0
    keep_every_steps: int = 0
    log_every_steps: int = 50
    progress_bar: bool = True
    accept_changes: bool = False
    stop_after_steps: int | None = None


@dataclass(frozen=True)
class RunResult:
    """How a call of `run_training` ended.

    Attributes:
        finished: whether the run reached its last step; False when it was stopped and can be continued.
        steps: optimiser steps done.
        model_folder: the exported model, or None when not finished.
        metrics: the last logged values.
        left_out: how often a sample could not be read and another one was taken.
        interrupted: whether the interrupt key stopped it.
        first_process: False in the further processes of a run, which all return the same: one of them tells it, and
            works on with the model.
    """

    finished: bool
    steps: int
    model_folder: Path | None
    metrics: dict[str, float]
    left_out: int = 0
    interrupted: bool = False
    first_process: bool = True
