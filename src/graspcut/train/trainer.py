"""Runs the training of any method's task with Lightning: run folder, logs, checkpoints, exact resume, export.

A run folder holds

    run.json              what is trained, on what data and how; a resumed run must agree with it
    checkpoints/last.ckpt newest state: weights, optimiser, schedule, position in the data, random state
    csv/part-NNN/         log table of each call of `run_training`
    tensorboard/          the same for TensorBoard
    model/                the exported model folder, written at the end

Starting a run again on its folder continues it. A run that was killed and continued gives the same weights as one that
was not, step for step, because batches depend on their number only and all random state lies in the checkpoint. What
would change that (other data, batch sizes, precision, number of processes) is refused with the difference named, unless
`RunConfig.accept_changes` says otherwise. Only the number of steps may be raised just so.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from graspcut.train.run_record import describe_run, record_or_compare

LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"


class TrainableTask(Protocol):
    """What the trainer needs of a LightningModule beside Lightning's own methods."""

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""

    @property
    def gradient_clip(self) -> float | None:
        """Largest gradient norm, or None."""

    @property
    def follows_steps(self) -> tuple[str, ...]:
        """Fields of the described "training" that may change when the run is made longer."""

    def describe(self) -> dict[str, Any]:
        """JSON-able description: what is trained and how."""

    def export(self, directory: Path, *, training: dict[str, Any], results: dict[str, float]) -> Path:
        """Writes the model folder."""


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
    """

    finished: bool
    steps: int
    model_folder: Path | None
    metrics: dict[str, float]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written under a temporary name and renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes one checkpoint; a kill leaves the previous file whole."""
        temporary = f"{path}.part"
        super().save_checkpoint(checkpoint, temporary, storage_options)
        os.replace(temporary, path)


class Checkpoints(Callback):
    """Saves `last.ckpt` by steps, by minutes and on SIGTERM, with torch's random state.

    Args:
        run: the run's configuration.
    """

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self.path = run.folder / LAST_CHECKPOINT
        self._saved_at_s = time.monotonic()
        self._saved_step = -1
        self._random_state: dict[str, Any] | None = None
        self._asked_to_stop = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock, and takes SIGTERM from Lightning.

        Lightning's own handler starts a broadcast at once, in the middle of whatever the processes of a run exchange
        just then, and several of them wait for each other for ever. Here the signal is only noted, and all processes
        agree on it between two steps.
        """
        self._saved_at_s = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._note_stop)

    def _note_stop(self, _number: int, _frame: object) -> None:
        self._asked_to_stop = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Puts the random state back, after everything that Lightning itself draws when it starts."""
        if self._random_state is not None:
            torch.set_rng_state(self._random_state["cpu"])
            if self._random_state["cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(self._random_state["cuda"])
            self._random_state = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves when it is time."""
        step, run = trainer.global_step, self.run
        if run.keep_every_steps and step % run.keep_every_steps == 0:
            trainer.save_checkpoint(self.path.with_name(f"step-{step:07d}.ckpt"), weights_only=False)
        last = step == trainer.max_steps
        if last or (run.checkpoint_every_steps and step % run.checkpoint_every_steps == 0) or self._is_time(trainer):
            self.save(trainer)
        if run.stop_after_steps is not None and step >= run.stop_after_steps and not last:
            self.save(trainer)
            trainer.should_stop = True
        asks = trainer.world_size == 1 or step % 10 == 0  # asking the other processes takes time
        if asks and trainer.strategy.reduce_boolean_decision(self._asked_to_stop, all=False):
            self.save(trainer)
            raise SIGTERMException

    def save(self, trainer: L.Trainer) -> None:
        """Writes `last.ckpt`, unless this step is already saved."""
        if self._saved_step != trainer.global_step:
            trainer.save_checkpoint(self.path, weights_only=False)
            self._saved_step = trainer.global_step
        self._saved_at_s = time.monotonic()

    def _is_time(self, trainer: L.Trainer) -> bool:
        if not self.run.checkpoint_every_minutes or trainer.global_step % 10:
            return False
        due = time.monotonic() - self._saved_at_s > 60.0 * self.run.checkpoint_every_minutes
        return bool(trainer.strategy.broadcast(due))  # clocks differ between machines; all must save together

    def state_dict(self) -> dict[str, Any]:
        """torch's random state, for the checkpoint."""
        return {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the random state until the first batch."""
        self._random_state = state_dict


def run_training(task: L.LightningModule, data: L.LightningDataModule, run: RunConfig) -> RunResult:
    """Trains a task in a run folder, from the start or from where the folder stands, and exports the model.

    Args:
        task: the LightningModule; it also has to be a `TrainableTask`. Build it after `prepare_run`.
        data: its data, whose `state_dict` holds the position in the data.
        run: where and how.

    Returns:
        How it ended. On SIGTERM the state is saved and `finished` is False.

    Raises:
        ValueError: if the folder holds a run with other settings, named in the message.
    """
    _quieten()
    trainable = _as_trainable(task)
    checkpoint = run.folder / LAST_CHECKPOINT
    trainer = _trainer(run, trainable)
    record_or_compare(run, describe_run(trainable, data, run, trainer.world_size), trainable.follows_steps)
    try:
        trainer.fit(
            task, datamodule=data, ckpt_path=str(checkpoint) if checkpoint.exists() else None, weights_only=True
        )
    except SIGTERMException:
        return RunResult(False, trainer.global_step, None, _numbers(trainer))
    if trainer.global_step >= trainable.total_steps and run.validate_every_steps:
        trainer.validate(task, datamodule=data, verbose=False)
    metrics = _numbers(trainer)
    if trainer.global_step < trainable.total_steps:
        return RunResult(False, trainer.global_step, None, metrics)
    folder = run.folder / "model"
    if trainer.is_global_zero:
        training = {"steps": trainer.global_step, "precision": run.precision, "seed": run.seed}
        trainable.export(folder, training=training, results=metrics)
    trainer.strategy.barrier("export")
    return RunResult(True, trainer.global_step, folder, metrics)


def _quieten() -> None:
    """Leaves out Lightning's advertisements and its notes on its own internals; what goes wrong is still said."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")


def prepare_run(run: RunConfig) -> None:
    """Sets threads and the torch seed; call it before building the task, so that its first weights are repeatable."""
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)


_NEEDED = ("total_steps", "gradient_clip", "follows_steps", "describe", "export")


def _as_trainable(task: L.LightningModule) -> TrainableTask:
    lacking = [name for name in _NEEDED if not hasattr(task, name)]
    if lacking:
        raise TypeError(f"{type(task).__name__} can't be trained by run_training: it has no {', '.join(lacking)}")
    trainable: Any = task
    checked: TrainableTask = trainable
    return checked


def _trainer(run: RunConfig, task: TrainableTask) -> L.Trainer:
    # Lightning empties a CSV folder that it finds, so each continuation gets its own.
    part = f"part-{len(list((run.folder / 'csv').glob('part-*'))):03d}"
    loggers: list[Logger] = [
        CSVLogger(run.folder, name="csv", version=part, flush_logs_every_n_steps=run.log_every_steps),
        TensorBoardLogger(run.folder, name="tensorboard", version=""),
    ]
    callbacks: list[Callback] = [Checkpoints(run)]
    if run.progress_bar:
        callbacks.append(TQDMProgressBar(refresh_rate=run.log_every_steps))
    return L.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        num_nodes=run.num_nodes,
        strategy=run.strategy,
        precision=run.precision,
        max_steps=task.total_steps,
        max_epochs=-1,
        val_check_interval=run.validate_every_steps or None,
        limit_val_batches=1.0 if run.validate_every_steps else 0,
        check_val_every_n_epoch=None,  # count validation steps across epochs
        num_sanity_val_steps=0,
        gradient_clip_val=task.gradient_clip,
        log_every_n_steps=run.log_every_steps,
        enable_checkpointing=False,
        enable_progress_bar=run.progress_bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
        logger=loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=run.folder,
    )


def _numbers(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
