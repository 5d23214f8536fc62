"""Tiny labelled frames and a tiny network, so that tests of training need neither the renderer nor a real model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.train.samples import Sample


@dataclass(frozen=True)
class FakeFrames:
    """Endless frames with a hand square at 500 mm and an object square at 450 mm; frame i depends on (seed, i)."""

    width: int = 32
    height: int = 24
    seed: int = 0

    def __getitem__(self, index: int) -> LabelledFrame:
        rng = np.random.default_rng([self.seed, index])
        depth = np.full((self.height, self.width), 900.0, dtype=np.float32)
        labels = np.zeros((self.height, self.width), dtype=np.uint8)
        for label, distance in ((1, 500.0), (2, 450.0)):
            x, y = int(rng.integers(self.width - 10)), int(rng.integers(self.height - 10))
            depth[y : y + 10, x : x + 10] = distance + rng.random((10, 10), dtype=np.float32)
            labels[y : y + 10, x : x + 10] = label
        depth[rng.random(depth.shape) < 0.05] = 0.0
        return LabelledFrame(Frame(depth, Camera.sr300(self.width, self.height)), labels)


class DepthBatch(NamedTuple):
    """An item, or a batch, of depth with labels."""

    depth_mm: Any
    focal_px: Any
    labels: Any


def depth_target(sample: Sample, _rng: np.random.Generator) -> DepthBatch:
    """Depth (1, H, W), focal length and labels (H, W)."""
    return DepthBatch(sample["depth_mm"][np.newaxis], np.float32(sample.focal_px), sample["labels"])


class TinyNetwork(nn.Module):
    """Two convolutions with batch norm and dropout, so that running statistics and random state matter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Conv2d(6, 3, 1)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        """Logits (B, 3, H, W)."""
        scaled = depth_mm / 500.0 + 0.0 * focal_px.reshape(-1, 1, 1, 1)
        logits: Tensor = self.second(self.dropout(torch.relu(self.norm(self.first(scaled)))))
        return logits
