"""The networks of hand pose and their construction by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graspcut.nn.building import build_network, network_config
from graspcut.pose.models.hand_locator import HandLocator, HandLocatorConfig
from graspcut.pose.models.joint_cascade import JointCascade, JointCascadeConfig
from graspcut.pose.models.joint_network import (
    SeparateJointConfig,
    SeparateJointNetworks,
    SharedJointConfig,
    SharedJointNetwork,
)
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork

MODELS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "HandLocator": (HandLocator, HandLocatorConfig),
    "JointCascade": (JointCascade, JointCascadeConfig),
    "PartNetwork": (PartNetwork, PartNetworkConfig),
    "SharedJointNetwork": (SharedJointNetwork, SharedJointConfig),
    "SeparateJointNetworks": (SeparateJointNetworks, SeparateJointConfig),
    "VotingJointNetwork": (VotingJointNetwork, VotingJointConfig),
}


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """A network of `MODELS` from the configuration stored with its weights."""
    return build_network(config, MODELS)


def model_config(model: nn.Module) -> dict[str, Any]:
    """The configuration from which `build_model` builds the same network, ready for JSON."""
    return network_config(model, MODELS)
