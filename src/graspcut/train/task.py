"""The base of every method's training task: of it a method writes its loss terms, its counts and its scores.

    @dataclass(frozen=True)
    class PoseConfig:
        optimisation: Optimisation
        joint_weight: float = 1.0

    class PoseTask(BaseTask[PoseBatch, PoseConfig]):
        task_name = "pose"
        shown_score = "joint_error_mm"

        def loss_terms(self, batch, step):              # weighted terms, their sum is minimised
            return {"joints": self.config.joint_weight * joint_loss(self.model(batch.depth_mm), batch.joints_mm)}

        def counts(self, batch):                        # of the network that would be exported; summed over all batches
            error = (self.best_model()(batch.depth_mm) - batch.joints_mm).norm(dim=-1)
            return {"error_mm": error.sum(), "joints": error.numel()}

        def scores(self, counts):
            return {"joint_error_mm": float(counts["error_mm"] / counts["joints"])}

        def interface(self):                            # goes into the model folder's config.json
            return {"joints": list(JOINT_NAMES), "input": {"depth_mm": "float32 (B,1,48,48) millimetres"}}

Counts are summed over batches and over all processes before scores are made of them, so that no score is a mean of
means. Optimiser, schedule, averaged weights, logging, the run folder's description and the model folder are here.
"""

from __future__ import annotations

import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from graspcut.nn.normalisation import batch_norms, recompute_batch_norms
from graspcut.runtime.model_folder import save_model_folder
from graspcut.train.optimisation import Optimisation, averaged_model, build_optimiser
from graspcut.version import __version__


class TaskConfiguration(Protocol):
    """A frozen dataclass with the field `optimisation` beside the method's own."""

    @property
    def optimisation(self) -> Optimisation:
        """How the weights are learned."""


Batch = TypeVar("Batch")
Config = TypeVar("Config", bound=TaskConfiguration)


class BaseTask(L.LightningModule, Generic[Batch, Config]):
    """A network with its losses, optimiser and validation (see the module).

    Args:
        model: the network to train, from its first weights.
        model_config: what a model folder builds it from, written out in full.
        config: how to train it.

    Attributes:
        task_name: of the method, as in model folders.
        shown_score: the score on the progress bar.
        follows_steps: fields of the configuration that may change when a run is made longer.
        model: the network that is trained.
        average: its moving average, if there is one.
    """

    task_name: ClassVar[str]
    shown_score: ClassVar[str | None] = None
    follows_steps: ClassVar[tuple[str, ...]] = ("optimisation.steps",)

    def __init__(self, model: nn.Module, model_config: Mapping[str, Any], config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self.model_config = dict(model_config)
        if config.optimisation.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decay = config.optimisation.average_decay
        self.average: AveragedModel | None = None if decay is None else averaged_model(self.model, decay)
        self._counts: dict[str, NDArray[Any]] = {}

    @abstractmethod
    def loss_terms(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Weighted terms of the loss of `self.model`; their sum is minimised.

        Args:
            batch: tensors on the task's device.
            step: steps done before this one.
        """

    @abstractmethod
    def counts(self, batch: Batch) -> Mapping[str, Tensor | NDArray[Any] | float]:
        """What one validation batch adds to the counts, for `self.best_model()`."""

    @abstractmethod
    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Scores of the summed counts; logged as "val/NAME"."""

    @abstractmethod
    def interface(self) -> dict[str, Any]:
        """What a model folder says of its inputs and outputs: JSON-able entries of config.json."""

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.config.optimisation.steps

    @property
    def gradient_clip(self) -> float | None:
        """Largest gradient norm, or None."""
        return self.config.optimisation.gradient_clip

    def describe(self) -> dict[str, Any]:
        """Everything that a run folder records about this task."""
        return {
            "task": self.task_name,
            "model": self.model_config,
            "training": dataclasses.asdict(self.config),  # type: ignore[call-overload]
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    def best_model(self) -> nn.Module:
        """The network that is validated and exported: the averaged one when there is one."""
        return self.model if self.average is None else self.average.module

    def forward(self, *inputs: Tensor) -> Any:
        """What the network that would be exported gives."""
        return self.best_model()(*inputs)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One batch: the summed loss. Values are logged only on log steps, since each costs time."""
        terms = self.loss_terms(batch, self.global_step)
        total = torch.stack(list(terms.values())).sum()
        if (self.global_step + 1) % getattr(self.trainer, "log_every_n_steps", 1) == 0:
            self.log("train/loss", total.detach(), prog_bar=True)
            self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()})
            self.log("train/learning_rate", self.config.optimisation.learning_rate_at(self.global_step))
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step of the optimiser, then of the averaged weights."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the counts of one batch."""
        for name, value in self.counts(batch).items():
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
            wide = np.float64 if np.issubdtype(array.dtype, np.floating) else np.int64
            self._counts[name] = self._counts.get(name, 0) + array.astype(wide)

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the counts of all batches and processes."""
        summed = {name: self._over_processes(array) for name, array in sorted(self._counts.items())}
        self._counts = {}
        if not summed:
            return
        scores = self.scores(summed)
        # They are equal on all processes already; sync_dist only tells Lightning so.
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, sync_dist=True)
        if self.shown_score in scores:
            self.log(f"val_{self.shown_score}", scores[self.shown_score], prog_bar=True, logger=False, sync_dist=True)

    def _over_processes(self, array: NDArray[Any]) -> NDArray[Any]:
        own = torch.from_numpy(np.asarray(array)).to(self.device)
        summed = self.trainer.strategy.reduce(own, reduce_op="sum")
        result: NDArray[Any] = (summed if isinstance(summed, Tensor) else own).cpu().numpy()
        return result

    def network_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the network is called with for a batch; needed for `take_statistics` only."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its network is called with")

    def take_statistics(self, batches: Iterable[Batch]) -> None:
        """Takes the batch-norm statistics of the network that would be exported anew, over given batches.

        Averaged weights carry statistics that were averaged beside them over windows and changing weights.

        Args:
            batches: as from `TrainingData.statistics_batches`; none changes nothing.
        """
        inputs = (tuple(part.to(self.device) for part in self.network_inputs(batch)) for batch in batches)
        first = next(inputs, None)
        network = self.best_model()
        if first is not None and batch_norms(network):
            recompute_batch_norms(network, itertools.chain([first], inputs))

    def configure_optimizers(self) -> Any:
        """The configured optimiser, with its learning rate per step."""
        optimiser, schedule = build_optimiser(self.model, self.config.optimisation)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def export(self, directory: Path, *, training: dict[str, Any], results: dict[str, float]) -> Path:
        """Writes the model folder of the network that validation scores.

        Args:
            directory: the model folder.
            training: how the run went, for config and card.
            results: last logged metrics.

        Returns:
            The folder.
        """
        settings = dataclasses.asdict(self.config)  # type: ignore[call-overload]
        settings = {**settings.pop("optimisation"), **settings, **training}
        config = {
            "task": self.task_name,
            "model": self.model_config,
            **self.interface(),
            "graspcut": __version__,
            "training": settings,
            "results": {name: round(value, 5) for name, value in sorted(results.items()) if name.startswith("val/")},
        }
        return save_model_folder(directory, config, self.best_model().state_dict(), self.card(config))

    def card(self, config: Mapping[str, Any]) -> str:
        """A first card.md: what config.json says, for a person to complete with data and measured results.

        Args:
            config: the folder's config.json.
        """
        lines = [f"# {self.task_name.capitalize()}", ""]
        lines += [f"- {name}: {text}" for name, text in config.get("input", {}).items()] + [""]
        for title, section in (("Network", "model"), ("Training", "training"), ("Validation", "results")):
            lines += [f"## {title}", ""]
            lines += [f"- {name}: {value}" for name, value in config[section].items()] or ["- none"]
            lines.append("")
        return "\n".join(lines)
