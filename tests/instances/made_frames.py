"""Frames of a few discs, without the renderer: what training and evaluation tests need."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import Instance, LabelledFrame
from graspcut.labels import HAND, OBJECT


def made_frame(seed: int, width: int = 80, height: int = 60) -> LabelledFrame:
    """Up to three discs before a wall, each an instance; the first is a hand."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    depth = np.full((height, width), 900.0, np.float32)
    instances = np.zeros((height, width), np.uint8)
    table = []
    for number in range(1, int(rng.integers(1, 4)) + 1):
        y, x, radius = rng.uniform(0.2, 0.8) * height, rng.uniform(0.2, 0.8) * width, rng.uniform(5, 14)
        inside = np.hypot(rows - y, columns - x) < radius
        depth[inside] = 500 + 20 * number
        instances[inside] = number
        table.append(Instance(number, HAND if number == 1 else OBJECT, "right hand" if number == 1 else "ball"))
    label = np.zeros(256, np.uint8)
    for entry in table:
        label[entry.id] = entry.label
    camera = Camera.from_focal_length(width, height, 0.745 * width)
    frame = Frame(depth, camera=camera, name=f"{seed:06d}")
    return LabelledFrame(frame, label[instances], instances, instance_table=tuple(table))


def made_dataset(folder: Path, count: int = 6, width: int = 80, height: int = 60) -> Path:
    """A dataset folder of them."""
    writer = DatasetWriter(folder, depth_unit_mm=0.125, description={})
    for index in range(count):
        writer.write(index, made_frame(index, width, height))
    writer.finish(count)
    return folder
