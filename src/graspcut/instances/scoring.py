"""All windows of an image from any of the networks, in PyTorch: what evaluation of a network in training uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graspcut.instances.data import resize_image
from graspcut.instances.models import DeepMask
from graspcut.instances.proposing import ScaleWindows, assembled_windows
from graspcut.instances.windows import Scale, scales_of

PADDED_TO_PX = 16


def padded_image(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image (C, H, W) with zeros below and to the right, up to whole multiples of 16 pixels."""
    below, right = (-size % PADDED_TO_PX for size in image.shape[1:])
    return np.pad(image, ((0, 0), (0, below), (0, right)))


@torch.no_grad()
def score_windows(
    network: nn.Module,
    image: NDArray[np.float32],
    focal_px: float,
    *,
    short_sides: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
) -> list[ScaleWindows]:
    """Runs a network over the pyramid of one image.

    Args:
        network: an InstanceFCN or a DeepMask, in evaluation mode, on `device`.
        image: (H, W, channels) float32, see `graspcut.instances.models.features`.
        focal_px: focal length in pixels of the image.
        short_sides: scales to run; by default those of the network.
        device: where the network is.

    Raises:
        ValueError: the network is in training mode.
    """
    if network.training:
        raise ValueError("the network is in training mode; call eval() before proposing with it")
    config: Any = network.config
    found = []
    for scale in scales_of(image.shape[0], image.shape[1], short_sides or config.geometry.short_sides):
        resized = resize_image(image, scale.resized_width, scale.resized_height, config.inputs)
        focal = torch.tensor([focal_px * scale.horizontal], dtype=torch.float32, device=device)
        if isinstance(network, DeepMask):
            found.append(_sliding(network, torch.from_numpy(resized[None]).to(device), focal, scale))
            continue
        tensor = torch.from_numpy(padded_image(resized)[None]).to(device)
        score_maps, objectness = network(tensor, focal)
        found.append(
            assembled_windows(
                scale, score_maps[0].float().cpu().numpy(), objectness[0].float().cpu().numpy(), config.geometry
            )
        )
    return found


def _sliding(network: DeepMask, tensor: torch.Tensor, focal: torch.Tensor, scale: Scale) -> ScaleWindows:
    reduced, scores = network.slide(tensor, focal)

    def masks_at(centres: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            made = network.masks_at(reduced[0], torch.from_numpy(centres).to(reduced.device))
        return np.asarray(made.float().cpu().numpy())

    return ScaleWindows(scale, scores[0].float().cpu().numpy(), masks_at)
