"""A whole method in a few dozen lines: which pixels are nearer than some distance, learned from frames.

It stands on `train/`, `runtime/` and `nn/` alone. If a method as small as this needs more than about 150 lines, the
floors have gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_single_channel
from graspcut.nn.blocks import convolution_bn_relu
from graspcut.nn.building import build_network, network_config
from graspcut.runtime.contract import ArraySpec, TaskContract
from graspcut.runtime.folder_run import FrameResult
from graspcut.runtime.method import Method
from graspcut.runtime.pipeline import LimitedCalls
from graspcut.runtime.predictor import Inputs, Predictor
from graspcut.train.optimisation import Optimisation
from graspcut.train.samples import DEPTH, LABELS, Map, Sample
from graspcut.train.sources import StoredSamples
from graspcut.train.streams import TrainingData, ValidationPart, View
from graspcut.train.task import BaseTask
from graspcut.train.trainer import RunConfig, RunResult, prepare_run, run_training

AXES = ("batch", "height", "width")
CONTRACT = TaskContract(
    task="nearness",
    labels=("near",),
    arrays=(ArraySpec("depth_mm", "float32", AXES),),
    settings=(),
    outputs=(ArraySpec("near", "uint8", AXES), ArraySpec("probability", "float32", AXES)),
)


@dataclass(frozen=True)
class NearnessConfig:
    width: int = 4


class NearnessNetwork(nn.Module):
    def __init__(self, config: NearnessConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(convolution_bn_relu(1, config.width), nn.Conv2d(config.width, 1, 1))

    def forward(self, depth_mm: Tensor) -> Tensor:
        logits: Tensor = self.layers(depth_mm.unsqueeze(1) / 1000.0)
        return logits[:, 0]


NETWORKS = {"NearnessNetwork": (NearnessNetwork, NearnessConfig)}


class Batch(NamedTuple):
    depth_mm: Any
    near: Any


def target(sample: Sample, _rng: np.random.Generator) -> Batch:
    return Batch(sample["depth_mm"], sample["labels"].astype(np.float32))


@dataclass(frozen=True)
class TaskConfig:
    optimisation: Optimisation


class NearnessTask(BaseTask[Batch, TaskConfig]):
    task_name: ClassVar[str] = "nearness"
    shown_score: ClassVar[str | None] = "accuracy"

    def loss_terms(self, batch: Batch, step: int) -> dict[str, Tensor]:
        logits = self.model(batch.depth_mm)
        return {"cross_entropy": nn.functional.binary_cross_entropy_with_logits(logits, batch.near)}

    def counts(self, batch: Batch) -> dict[str, Any]:
        right = (self(batch.depth_mm) > 0).float() == batch.near
        return {"right": right.sum(), "all": right.numel()}

    def scores(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        return {"accuracy": float(counts["right"] / counts["all"])}

    def interface(self) -> dict[str, Any]:
        return {"labels": ["near"], "input": {"depth_mm": "float32 (B,H,W) millimetres"}}


def train_nearness(samples: list[Sample], steps: int, run: RunConfig) -> RunResult:
    prepare_run(run)
    network = NearnessNetwork(NearnessConfig())
    config = TaskConfig(Optimisation(steps, learning_rate=0.05, average_decay=0.9))
    views = [View(StoredSamples(samples), target, batch_size=4)]
    data = TrainingData(views, [ValidationPart(StoredSamples(samples, None), target, count=4)], workers=0)
    return run_training(NearnessTask(network, network_config(network, NETWORKS), config), data, run)


class NearnessGraph(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, depth_mm: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(self.network(depth_mm))
        return (probability > 0.5).to(torch.uint8), probability


class Nearness(Predictor):
    contract = CONTRACT

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        return build_network(config, NETWORKS)

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        return NearnessGraph(network)

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        return {"depth_mm": np.random.default_rng(seed).uniform(300, 900, (batch, height, width)).astype(np.float32)}

    def __call__(self, frame: Frame) -> NDArray[np.uint8]:
        near: NDArray[np.uint8] = self.run({"depth_mm": frame.depth_mm[np.newaxis]})["near"][0]
        return near


METHOD = Method(predictor=Nearness)


@dataclass(frozen=True)
class NearnessJob:
    predictor: Nearness
    settings: Mapping[str, Any]

    @property
    def identity(self) -> str:
        return self.predictor.digest

    @property
    def parallel_calls(self) -> int | None:
        return None

    def outputs(self, name: str) -> tuple[str, ...]:
        return (f"{name}.png",)

    def process(self, frame: Frame, name: str, limited: LimitedCalls) -> FrameResult:
        near = limited(lambda: self.predictor(frame))
        return FrameResult({f"{name}.png": encode_image(near, ".png")}, {"near_pixels": int(near.sum())})

    def reread(self, name: str, folder: Path) -> dict[str, Any]:
        return {"near_pixels": int(read_single_channel(folder / f"{name}.png", what="mask").sum())}


def near_samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    depths = [rng.choice([400.0, 800.0], (12, 16)).repeat(2, 0).repeat(2, 1).astype(np.float32) for _ in range(count)]
    return [Sample({"depth_mm": Map(d, DEPTH), "labels": Map((d < 600).astype(np.uint8), LABELS)}) for d in depths]
