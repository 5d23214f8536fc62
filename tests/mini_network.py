"""A segmentation network of a few thousand weights, and a frame with something of everything, for tests of engines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graspcut.runtime.model_folder import save_model_folder
from graspcut.segmentation.models import DenseAttentionSmall, DenseAttentionSmallConfig, model_config


def mini_config(working_focal_px: float = 240.0) -> DenseAttentionSmallConfig:
    """All parts of the shipped network, few channels."""
    return DenseAttentionSmallConfig(
        widths=(4, 4, 8, 8, 8),
        blocks=(0, 1, 0, 0, 0),
        context_width=8,
        squeeze_width=4,
        decoder_widths=(8, 8, 4, 4, 4),
        working_focal_px=working_focal_px,
    )


def mini_network(seed: int = 0, working_focal_px: float = 240.0) -> DenseAttentionSmall:
    """Random weights that float16 holds exactly, and batch norms that do something. In evaluation mode."""
    torch.manual_seed(seed)
    network = DenseAttentionSmall(mini_config(working_focal_px))
    randomise_batch_norms(network, seed)
    classify = network.decoder.classify
    assert isinstance(classify, nn.ConvTranspose2d) and classify.bias is not None
    with torch.no_grad():
        # So that every class is the most likely one somewhere, mostly with a margin.
        classify.weight.mul_(20.0)
        classify.bias.zero_()
    network.half().float().eval()
    return network


def randomise_batch_norms(network: nn.Module, seed: int = 0) -> None:
    """Statistics, scales and shifts as training would leave them, instead of 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0.0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0.0, 0.3, generator=generator)


def working_at(focal_px: float | None, *, takes_neighbours: bool = False) -> nn.Module:
    """Nothing of a network but the focal length that it works at."""
    network = nn.Identity()
    network.config = SimpleNamespace(working_focal_px=focal_px)  # type: ignore[assignment]
    network.takes_neighbours = takes_neighbours  # type: ignore[assignment]
    return network


def save_mini_folder(folder: Path, network: DenseAttentionSmall | None = None) -> Path:
    """A model folder without exported graphs."""
    network = network if network is not None else mini_network()
    config = {"task": "segmentation", "model": model_config(network), "labels": ["background", "hand", "object"]}
    return save_model_folder(folder, config, network.state_dict(), "# Mini")


def scene_mm(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """A tilted wall, two boxes before it, noise, and holes: (height, width) millimetres."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    depth = 800.0 + 100.0 * columns / width + 50.0 * rows / height
    for distance in (450.0, 600.0):
        top, left = int(generator.integers(0, height // 2)), int(generator.integers(0, width // 2))
        box = slice(top, top + height // 3), slice(left, left + width // 3)
        depth[box] = distance + 60.0 * rows[box] / height
    depth += generator.normal(0.0, 1.0, depth.shape)
    depth[generator.random(depth.shape) < 0.03] = 0.0
    depth[: height // 8, : width // 6] = 0.0
    return np.asarray(depth, np.float32)
