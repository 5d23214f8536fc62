"""Recorded frames mixed with fresh rendered ones, so that a network trained on the first does not forget the second.

A few thousand rendered frames seen again and again are soon learned by heart; these are never seen twice. What counts
is the share of the recorded frames in the batches, not their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.nn.working_scale import working_size
from graspcut.segmentation.data import segmentation_target
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.sensors.names import SensorName
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FolderSamples, RenderedSamples, SampleSource
from graspcut.train.streams import View

SENSORS: tuple[SensorName, ...] = ("sr300", "kinect")


def working_focal_px(network: nn.Module) -> float | None:
    """The focal length in pixels that a network works at; None takes every frame as it is."""
    found: float | None = getattr(getattr(network, "config", None), "working_focal_px", None)
    return found


def at_working_scale(
    depth_mm: NDArray[np.float32], focal_px: float, working: float | None
) -> tuple[NDArray[np.float32], float]:
    """A depth image at the scale a network works at, by nearest neighbour, and its focal length there.

    Args:
        depth_mm: (H, W) millimetres.
        focal_px: in pixels of this image.
        working: see `working_focal_px`.
    """
    if working is None:
        return depth_mm, focal_px
    height, width = depth_mm.shape
    new_height, new_width = working_size(height, width, focal_px, working)
    rows, columns = (np.arange(new) * old // new for new, old in ((new_height, height), (new_width, width)))
    return np.ascontiguousarray(depth_mm[rows][:, columns]), focal_px * new_width / width


def rendered_frames(seed: int) -> list[FrameGenerator]:
    """Whole frames without end, one generator for each sensor."""
    return [
        FrameGenerator(SynthConfig(sensor=sensor, colour=False, focal_jitter=0.1), seed=seed + position)
        for position, sensor in enumerate(SENSORS)
    ]


def rendered_batches(network: nn.Module, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rendered frames at a network's scale without end: (1, 1, H, W) millimetres and (1,) focal length."""
    generators, index = rendered_frames(seed), 0
    while True:
        frame = generators[index % len(generators)][index].frame
        depth, focal = at_working_scale(
            frame.depth_mm, focal_length_px(frame.camera, frame.width), working_focal_px(network)
        )
        yield torch.from_numpy(depth)[None, None], torch.tensor([focal], dtype=torch.float32)
        index += 1


def mixed_views(
    readers: Sequence[DatasetReader], working: float | None, *, recorded_share: float, batch_size: int, seed: int
) -> list[View]:
    """Views of recorded folders, by their number of frames, and of rendered frames.

    Args:
        readers: dataset folders, each with frames of one size; none gives rendered frames only.
        working: focal length in pixels that the network works at.
        recorded_share: share of the batches with recorded frames.
        batch_size: frames in a batch.
        seed: of orders and of the rendered frames.
    """

    def view(samples: SampleSource, share: float, augmentation: AugmentationConfig) -> View:
        return View(samples, segmentation_target, probability=share, batch_size=batch_size, augmentation=augmentation)

    frames = sum(len(reader) for reader in readers)
    views = []
    for reader in readers:
        height, width = reader.read_depth_and_labels(0)[0].shape
        size = None
        if working is not None:
            new_height, new_width = working_size(height, width, focal_length_px(reader.camera(0), width), working)
            size = None if (new_height, new_width) == (height, width) else (new_width, new_height)
        share = recorded_share * len(reader) / frames
        views.append(view(FolderSamples(reader, seed, size), share, AugmentationConfig.full()))
    rest = 1 - recorded_share if readers else 1.0
    return [*views, *rendered_views(working, share=rest, batch_size=batch_size, seed=seed)]


def rendered_views(working: float | None, *, share: float, batch_size: int, seed: int) -> list[View]:
    """Views of freshly rendered frames, one for each sensor.

    Args:
        working: focal length in pixels that the network works at.
        share: weight of all of them together among the views.
        batch_size: frames in a batch.
        seed: of the frames.
    """
    generators = rendered_frames(seed)
    return [
        View(
            RenderedSamples(generator, size=_size(generator.config, working)),
            segmentation_target,
            probability=share / len(generators),
            batch_size=batch_size,
            augmentation=AugmentationConfig.rendered(),
        )
        for generator in generators
    ]


def _size(config: SynthConfig, working: float | None) -> tuple[int, int] | None:
    if working is None:
        return None
    height, width = working_size(config.height, config.width, focal_length_px(config.camera(), config.width), working)
    return None if (height, width) == (config.height, config.width) else (width, height)
