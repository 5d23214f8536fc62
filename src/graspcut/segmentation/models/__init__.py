"""The segmentation networks and their construction by name.

Every network is called as `network(depth_mm, focal_px) -> logits`, with depth (B, 1, H, W) float32 millimetres (0 = no
data), focal length (B,) float32 pixels at this resolution and logits (B, classes, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graspcut.nn.building import build_network, network_config
from graspcut.nn.own_networks import register_network
from graspcut.nn.working_scale import WorkingScale
from graspcut.segmentation.models.deeplabv3plus import DeepLabV3Plus, DeepLabV3PlusConfig
from graspcut.segmentation.models.dense_attention import DenseAttentionSeg, DenseAttentionSegConfig
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmall, DenseAttentionSmallConfig
from graspcut.segmentation.models.fcn import FCN, FCNConfig
from graspcut.segmentation.models.large_kernel_matters import LargeKernelMatters, LargeKernelMattersConfig
from graspcut.segmentation.models.refinenet import RefineNet, RefineNetConfig

MODELS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "DenseAttentionSmall": (DenseAttentionSmall, DenseAttentionSmallConfig),
    "DenseAttentionSeg": (DenseAttentionSeg, DenseAttentionSegConfig),
    "DeepLabV3Plus": (DeepLabV3Plus, DeepLabV3PlusConfig),
    "FCN": (FCN, FCNConfig),
    "LargeKernelMatters": (LargeKernelMatters, LargeKernelMattersConfig),
    "RefineNet": (RefineNet, RefineNetConfig),
}

# What the command line calls them: Table 2 of the DenseAttentionSeg paper, and the compact network.
MODEL_NAMES: dict[str, dict[str, Any]] = {
    "dense-attention-small": {"class": "DenseAttentionSmall", "arguments": {}},
    "dense-attention-seg": {"class": "DenseAttentionSeg", "arguments": {}},
    "deeplabv3plus": {"class": "DeepLabV3Plus", "arguments": {}},
    "fcn-32s": {"class": "FCN", "arguments": {"stride": 32}},
    "fcn-16s": {"class": "FCN", "arguments": {"stride": 16}},
    "fcn-8s": {"class": "FCN", "arguments": {"stride": 8}},
    "large-kernel-matters": {"class": "LargeKernelMatters", "arguments": {}},
    "refinenet": {"class": "RefineNet", "arguments": {}},
}


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """A network of `MODELS` from the configuration stored with its weights (see `build_network`)."""
    return build_network(config, MODELS)


def model_config(model: nn.Module) -> dict[str, Any]:
    """The configuration from which `build_model` builds the same network, defaults included, ready for JSON."""
    return network_config(model, MODELS)


__all__ = [
    "FCN",
    "MODELS",
    "MODEL_NAMES",
    "DeepLabV3Plus",
    "DeepLabV3PlusConfig",
    "DenseAttentionSeg",
    "DenseAttentionSegConfig",
    "DenseAttentionSmall",
    "DenseAttentionSmallConfig",
    "FCNConfig",
    "LargeKernelMatters",
    "LargeKernelMattersConfig",
    "RefineNet",
    "RefineNetConfig",
    "WorkingScale",
    "build_model",
    "model_config",
    "register_network",
]
