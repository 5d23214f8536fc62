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

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from graspcut.frames.atomic_writing import make_output_folder, remove_abandoned_files, write_bytes_atomically
from graspcut.runtime.folder_lock import folder_lock
from graspcut.train.checkpoints import AtomicCheckpointIO, Checkpoints, check_checkpoint
from graspcut.train.run_config import LAST_CHECKPOINT, RunConfig, RunResult, TrainingError
from graspcut.train.run_record import describe_run, record_or_compare
from graspcut.train.streams import TrainingData
from graspcut.train.task import BaseTask


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


def run_training(
    task: L.LightningModule,
    data: L.LightningDataModule,
    run: RunConfig,
    *,
    files: Mapping[str, bytes] | None = None,
) -> RunResult:
    """Trains a task in a run folder, from the start or from where the folder stands, and exports the model.

    Args:
        task: the LightningModule; it also has to be a `TrainableTask`. Build it after `prepare_run`.
        data: its data, whose `state_dict` holds the position in the data.
        run: where and how.
        files: what else the run folder is to hold, by name; written once it is sure that the folder is this run's.

    Returns:
        How it ended. On SIGTERM and on the interrupt key the state is saved and `finished` is False.

    Raises:
        TrainingError: the folder holds a run with other settings, its checkpoint is damaged, the loss or the weights
            are no longer finite, or Lightning cannot run as asked.
    """
    _quieten()
    trainable = _as_trainable(task)
    with _in_one_line():
        checkpoints = Checkpoints(run)
        trainer = _trainer(run, trainable, checkpoints)
    make_output_folder(run.folder, option="--folder")
    # One process of a run holds the folder for all of them.
    with folder_lock(run.folder) if trainer.is_global_zero else contextlib.nullcontext():
        record_or_compare(run, describe_run(trainable, data, run, trainer.world_size), trainable.follows_steps)
        for name, content in (files or {}).items() if trainer.is_global_zero else ():
            write_bytes_atomically(run.folder / name, content)
        try:
            with _interruptible():
                return _trained(task, trainable, data, run, trainer)
        except (SIGTERMException, _InterruptError) as stop:
            interrupted = checkpoints.interrupted or isinstance(stop, _InterruptError)
            return _result(trainer, data, None, interrupted=interrupted)


def _trained(
    task: L.LightningModule, trainable: TrainableTask, data: L.LightningDataModule, run: RunConfig, trainer: L.Trainer
) -> RunResult:
    """The training itself, and what follows its last step: statistics, scores, the model folder."""
    checkpoint = run.folder / LAST_CHECKPOINT
    remove_abandoned_files(checkpoint.parent)
    start = str(checkpoint) if checkpoint.exists() else None
    if start is not None:
        check_checkpoint(checkpoint)
    with _in_one_line():
        trainer.fit(task, datamodule=data, ckpt_path=start, weights_only=True)
    if trainer.global_step < trainable.total_steps:
        return _result(trainer, data, None)
    if isinstance(task, BaseTask) and isinstance(data, TrainingData):
        task.take_statistics(data.statistics_batches())
    if run.validate_every_steps:
        trainer.validate(task, datamodule=data, verbose=False)
    folder = run.folder / "model"
    if trainer.is_global_zero:
        training = {"steps": trainer.global_step, "precision": run.precision, "seed": run.seed}
        trainable.export(folder, training=training, results=_numbers(trainer))
    trainer.strategy.barrier("export")
    return _result(trainer, data, folder)


class _InterruptError(BaseException):
    """The interrupt key outside of the training loop; Lightning ends the process at a KeyboardInterrupt."""


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """The interrupt key before and after the training loop, where `Checkpoints` does not watch it."""

    def interrupt(_number: int, _frame: object) -> None:
        raise _InterruptError

    watched = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if watched else signal.SIG_IGN
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _result(trainer: L.Trainer, data: Any, folder: Path | None, *, interrupted: bool = False) -> RunResult:
    left_out = int(getattr(data, "left_out", 0))
    return RunResult(
        folder is not None,
        trainer.global_step,
        folder,
        _numbers(trainer),
        left_out,
        interrupted,
        trainer.is_global_zero,
    )


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Lightning's own errors in one line; the first sentence says what is wrong, the rest is advice on its API."""
    try:
        yield
    except MisconfigurationException as error:
        text = " ".join(str(error).split())
        if "No supported gpu backend" in text or "accelerator can not run" in text:
            text = (
                f"{text} --accelerator asks for a processor that PyTorch {torch.__version__} does not see here; leave "
                "it out to take what there is, or see graspcut doctor"
            )
        raise TrainingError(text if len(text) <= 300 else f"{text[:297]}...") from error
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise TrainingError(
            "the checkpoint in the run folder is of another network: give the options that the run was started with, "
            "or choose another --folder"
        ) from error


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


def _trainer(run: RunConfig, task: TrainableTask, checkpoints: Checkpoints) -> L.Trainer:
    # Lightning empties a CSV folder that it finds, so each continuation gets its own.
    part = f"part-{len(list((run.folder / 'csv').glob('part-*'))):03d}"
    loggers: list[Logger] = [
        CSVLogger(run.folder, name="csv", version=part, flush_logs_every_n_steps=run.log_every_steps),
        TensorBoardLogger(run.folder, name="tensorboard", version=""),
    ]
    callbacks: list[Callback] = [checkpoints]
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


__all__ = ["LAST_CHECKPOINT", "RunConfig", "RunResult", "TrainableTask", "TrainingError", "prepare_run", "run_training"]
