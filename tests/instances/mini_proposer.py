"""A proposal network of a few thousand weights, and frames with things in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.instances.models import InstanceFCNSmall, InstanceFCNSmallConfig, model_config
from graspcut.runtime.model_folder import save_model_folder
from tests.instances.made_frames import made_frame
from tests.instances.test_models import TINY
from tests.mini_network import randomise_batch_norms


def mini_network(seed: int = 0) -> InstanceFCNSmall:
    """Random weights that float16 holds exactly; scores and masks of all kinds. In evaluation mode."""
    torch.manual_seed(seed)
    network = InstanceFCNSmall(InstanceFCNSmallConfig(short_sides=(48, 72), grid=3, **TINY))
    randomise_batch_norms(network, seed)
    with torch.no_grad():
        for head in (network.heads.masks, network.heads.scores):
            for parameter in head.parameters():
                parameter.normal_(0.0, 0.3)
    network.half().float().eval()
    return network


def save_mini_folder(folder: Path) -> Path:
    """A model folder without exported graphs."""
    network = mini_network()
    config = {"task": "instances", "model": model_config(network), "labels": ["object"]}
    return save_model_folder(folder, config, network.state_dict(), "# Mini")


def scene_mm(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Discs before a wall, in whole millimetres."""
    return np.rint(made_frame(seed, width, height).frame.depth_mm)
