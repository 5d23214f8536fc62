"""The networks of instance proposals, and what the command line calls them.

Every fully convolutional one is called as `network(image, focal_px) -> (score_maps, objectness)`; see
`graspcut.instances.models.features` for the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graspcut.instances.models.deepmask import DeepMask, DeepMaskConfig
from graspcut.instances.models.instance_fcn import InstanceFCN, InstanceFCNConfig
from graspcut.instances.models.instance_fcn_small import InstanceFCNSmall, InstanceFCNSmallConfig
from graspcut.nn.building import build_network, network_config

MODELS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "InstanceFCNSmall": (InstanceFCNSmall, InstanceFCNSmallConfig),
    "InstanceFCN": (InstanceFCN, InstanceFCNConfig),
    "DeepMask": (DeepMask, DeepMaskConfig),
}

MODEL_NAMES = {
    "instance-fcn-small": "InstanceFCNSmall",
    "instance-fcn": "InstanceFCN",
    "deepmask": "DeepMask",
}


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """A network of `MODELS` from the configuration stored with its weights (see `build_network`)."""
    return build_network(config, MODELS)


def model_config(model: nn.Module) -> dict[str, Any]:
    """The configuration from which `build_model` builds the same network, defaults included, ready for JSON."""
    return network_config(model, MODELS)


__all__ = [
    "MODELS",
    "MODEL_NAMES",
    "DeepMask",
    "DeepMaskConfig",
    "InstanceFCN",
    "InstanceFCNConfig",
    "InstanceFCNSmall",
    "InstanceFCNSmallConfig",
    "build_model",
    "model_config",
]
