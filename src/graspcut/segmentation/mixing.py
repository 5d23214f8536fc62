"""Frames at the scale of a network, and recorded frames mixed with fresh rendered ones, so that none is forgotten.

A few thousand rendered frames seen again and again are soon learned by heart; these are never seen twice. What counts
is the share of the recorded frames in the batches, not their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.frame import Frame
from graspcut.nn.working_scale import STRIDE_PX, working_size
from graspcut.segmentation.data import HeldTarget, WorkingTarget, segmentation_target
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.place import PlaceConfig, open_place
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FolderSamples, RenderedSamples
from graspcut.train.streams import Target, View

SCENE_SHARE = 0.5  # of the rendered batches, where frames of an empty place are given


def working_focal_px(network: nn.Module) -> float | None:
    """The focal length in pixels that a network works at; None takes every frame as it is."""
    found: float | None = getattr(getattr(network, "config", None), "working_focal_px", None)
    return found


def size_at_scale(height: int, width: int, focal_px: float, working: float | None) -> tuple[int, int] | None:
    """(width, height) that brings frames to the scale of a network; None leaves them as they are.

    Args:
        height, width: of the frames in pixels.
        focal_px: of their camera, in pixels.
        working: see `working_focal_px`.
    """
    if working is None:
        return None
    new_height, new_width = working_size(height, width, focal_px, working)
    return None if (new_height, new_width) == (height, width) else (new_width, new_height)


def target_at_scale(network: nn.Module, height: int, width: int, focal_px: float) -> Target:
    """What makes items of samples as the network meets them in use.

    Args:
        network: says its scale, and whether it is told of neighbours.
        height, width: of the frames in pixels; the items have the size that these take at the network's scale, filled
            up to whole multiples of its stride.
        focal_px: of their camera, in pixels. Frames of other focal lengths give items of the same size.
    """
    working = working_focal_px(network)
    if working is None:
        return segmentation_target
    size = size_at_scale(height, width, focal_px, working) or (width, height)
    filled = (-(-size[0] // STRIDE_PX) * STRIDE_PX, -(-size[1] // STRIDE_PX) * STRIDE_PX)
    return WorkingTarget(working, filled, bool(getattr(network, "takes_neighbours", False)))


def rendered_samples(synth: SynthConfig, seed: int, network: nn.Module) -> tuple[RenderedSamples, Target]:
    """Rendered frames, or windows of them, and what makes items at the scale of the network of them.

    Args:
        synth: what frames; cameras of a mix have many focal lengths, the items have the size that a frame of the
            preset's own camera would have.
        seed: of the frames.
        network: that will meet them.
    """
    width, height = synth.window or (synth.width, synth.height)
    target = target_at_scale(network, height, width, focal_length_px(synth.camera(), synth.width))
    return RenderedSamples(FrameGenerator(synth, seed)), target


def frame_batch(frame: Frame) -> tuple[Tensor, Tensor]:
    """(1, 1, H, W) millimetres and (1,) focal length, as `graspcut.nn.working_scale.WorkingScale` takes them."""
    focal_px = focal_length_px(frame.camera, frame.width)
    return torch.from_numpy(frame.depth_mm)[None, None], torch.tensor([focal_px], dtype=torch.float32)


def mixed_views(
    readers: Sequence[DatasetReader],
    network: nn.Module,
    *,
    recorded_share: float,
    batch_size: int,
    seed: int,
    scene: PlaceConfig | None = None,
    held: bool = False,
) -> list[View]:
    """Views of recorded folders, by their number of frames, and of rendered frames.

    Args:
        readers: dataset folders, each with frames of one size; none gives rendered frames only.
        network: that is trained on them.
        recorded_share: share of the batches with recorded frames.
        batch_size: frames in a batch.
        seed: of orders and of the rendered frames.
        scene, held: see `rendered_views`.
    """
    frames = sum(len(reader) for reader in readers)
    views = []
    for reader in readers:
        height, width = reader.read_depth_and_labels(0)[0].shape
        target = target_at_scale(network, height, width, focal_length_px(reader.camera(0), width))
        share = recorded_share * len(reader) / frames
        # Turned and zoomed frames have steps that no camera makes, and the network would learn these too.
        samples, augmentation = FolderSamples(reader, seed), AugmentationConfig.rendered()
        views.append(View(samples, target, probability=share, batch_size=batch_size, augmentation=augmentation))
    rest = 1 - recorded_share if readers else 1.0
    return [*views, *rendered_views(network, share=rest, batch_size=batch_size, seed=seed, scene=scene, held=held)]


def rendered_views(
    network: nn.Module,
    *,
    share: float,
    batch_size: int,
    seed: int,
    scene: PlaceConfig | None = None,
    held: bool = False,
) -> list[View]:
    """Views of freshly rendered whole frames.

    Args:
        network: that is trained on them.
        share: weight of all of them together among the views.
        batch_size: frames in a batch.
        seed: of the frames.
        scene: real frames of an empty place; half of the batches then show rendered hands in these, with their labels.
        held: not to teach the renderer's labels, but to hold the network to what it said (`HeldBatch`), on frames of
            both versions of the renderer, half each: close-ups alone, and all cameras and places.
    """

    def view(samples: RenderedSamples, target: Target, share: float) -> View:
        # The renderer knows what is in shadows and holes: both sides of an outline teach.
        return View(
            samples,
            target,
            probability=share,
            batch_size=batch_size,
            augmentation=AugmentationConfig.rendered(),
            missing_depth_label=None,
        )

    plain = SynthConfig(colour=False, focal_jitter=0.1)
    kinds = [plain, replace(plain, profile="v1", sensor="sr300")] if held else [plain]
    rest = share if scene is None else (1 - SCENE_SHARE) * share
    views = []
    for number, synth in enumerate(kinds):
        samples, target = rendered_samples(synth, seed + 2 * number, network)
        views.append(view(samples, HeldTarget(target) if held else target, rest / len(kinds)))
    if scene is None:
        return views
    first = open_place(scene)[0]
    height, width = first.depth_mm.shape
    size = size_at_scale(height, width, first.camera.fx, working_focal_px(network)) or (width, height)
    in_place = RenderedSamples(
        FrameGenerator(SynthConfig(width=size[0], height=size[1], colour=False, place=scene), seed + 1)
    )
    target = target_at_scale(network, size[1], size[0], first.camera.fx * size[0] / width)
    return [*views, view(in_place, target, SCENE_SHARE * share)]
