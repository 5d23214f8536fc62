"""Checkpoints of a run: when they are saved, that they are whole, and that they are worth going on from."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.train.run_config import LAST_CHECKPOINT, RunConfig, TrainingError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes one checkpoint; a kill, a power cut or a full disk leaves the previous file whole."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes_atomically(path, buffer.getbuffer())


def check_checkpoint(path: Path) -> None:
    """Compares the checksums of all parts of a checkpoint; torch does not look at them when it reads.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, zlib.error) as error:
        damaged = str(error) or type(error).__name__
    if damaged is None:
        return
    kept = sorted(path.parent.glob("step-*.ckpt"))
    way_on = f"copy {kept[-1].name} over it to go on from there" if kept else "delete it to start again"
    raise TrainingError(f"{path} is damaged ({damaged}): {way_on}, or restore the file")


class Checkpoints(Callback):
    """Saves `last.ckpt` by steps, by minutes, on SIGTERM and on the interrupt key, with torch's random state.

    A state with values that are not finite is never saved: the run stops, and the last good checkpoint stays.

    Args:
        run: the run's configuration.

    Attributes:
        interrupted: whether the interrupt key was pressed.
    """

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self.path = run.folder / LAST_CHECKPOINT
        self._saved_at_s = time.monotonic()
        self._saved_step = -1
        self._random_state: dict[str, Any] | None = None
        self._asked_to_stop = False
        self.interrupted = False
        self._signals: dict[int, Any] = {}
        self._finite: Tensor | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock, saves the first state, and takes SIGTERM and SIGINT from Lightning.

        Lightning's own handler starts a broadcast at once, in the middle of whatever the processes of a run exchange
        just then, and several of them wait for each other for ever. Here the signal is only noted, and all processes
        agree on it between two steps.
        """
        self._saved_at_s = time.monotonic()
        # So that a run that diverges at once has something to go back to. Saving is done by all processes together, and
        # one that came late would find the file that the first has just written.
        if not trainer.strategy.broadcast(self.path.exists()):
            self.save(trainer)
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGTERM, self._note_stop), (signal.SIGINT, self._note_interrupt)):
                if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background jobs ignore the key
                    self._signals[number] = signal.signal(number, handler)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gives the signals back."""
        self._restore_signals()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._restore_signals()

    def _restore_signals(self) -> None:
        for number, handler in self._signals.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._signals = {}

    def _note_stop(self, _number: int, _frame: object) -> None:
        self._asked_to_stop = True

    def _note_interrupt(self, _number: int, _frame: object) -> None:
        self._asked_to_stop = self.interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the second one ends at once
        os.write(2, b"\nstopping after this step; press again to end at once without saving\n")

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
        """Saves when it is time.

        Raises:
            TrainingError: the loss or a weight is not finite.
        """
        step, run = trainer.global_step, self.run
        self._check_loss(trainer, outputs)
        if run.keep_every_steps and step % run.keep_every_steps == 0:
            self._check_weights(trainer)
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
            self._check_weights(trainer)
            trainer.save_checkpoint(self.path, weights_only=False)
            self._saved_step = trainer.global_step
        self._saved_at_s = time.monotonic()

    def _check_loss(self, trainer: L.Trainer, outputs: Any) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor):
            return
        finite = torch.isfinite(loss.detach()).all()
        self._finite = finite if self._finite is None else self._finite & finite
        # Looking at a value makes the processor wait for a GPU, so there only now and then.
        if loss.is_cuda and trainer.global_step % 10:
            return
        looked_at, self._finite = self._finite, None
        # All processes must stop together; gradients are shared, so that a loss that is not finite spoils all of them.
        several = trainer.world_size > 1
        if not bool(trainer.strategy.reduce_boolean_decision(bool(looked_at)) if several else looked_at):
            self._diverged(trainer, f"the loss is {float(loss):g}" if not finite else "a loss was not finite")

    def _check_weights(self, trainer: L.Trainer) -> None:
        for name, tensor in trainer.lightning_module.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                self._diverged(trainer, f"{name} has values that are not finite")

    def _diverged(self, trainer: L.Trainer, what: str) -> None:
        kept = f"{self.path} (step {self._saved_step})" if self._saved_step >= 0 else str(self.path)
        raise TrainingError(
            f"{what} at step {trainer.global_step}: training stopped, the last good checkpoint is {kept}. Try a lower "
            "--learning-rate in a new --folder"
        )

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
