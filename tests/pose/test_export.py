"""The three networks as graphs: exported, compared with PyTorch, loaded without it and run on any number of crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graspcut.catalogue import method_of, method_of_model
from graspcut.pose.models import build_model, model_config
from graspcut.pose.models.hand_locator import HandLocator, HandLocatorConfig
from graspcut.pose.models.joint_network import (
    SeparateJointConfig,
    SeparateJointNetworks,
    SharedJointConfig,
    SharedJointNetwork,
)
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork
from graspcut.runtime.export import export_model
from graspcut.runtime.model_folder import save_model_folder

SMALL: dict[str, nn.Module] = {
    "pose-parts": PartNetwork(PartNetworkConfig(21, (4, 6, 8), 10)),
    "pose-joints": VotingJointNetwork(VotingJointConfig(channels=(4, 6, 8), dilations=(1, 2))),
    "pose-locator": HandLocator(HandLocatorConfig((4, 4, 4))),
}


@pytest.mark.parametrize("task", SMALL)
def test_graph_agrees_with_pytorch(task: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SMALL[task]
    folder = tmp_path / task
    config: dict[str, Any] = {"task": task, "model": model_config(network), "labels": []}
    save_model_folder(folder, config, network.state_dict(), "test")
    method = method_of_model(folder)
    report = export_model(method, folder, folder)
    assert report.path == folder / "model.onnx"
    predictor = method.predictor
    by_engine = predictor.load(folder, backend="onnxruntime", device="cpu", threads=1)
    by_torch = predictor.load(folder, backend="pytorch", device="cpu")
    inputs = predictor.example(64, 64, batch=3)
    found, expected = by_engine.run(inputs), by_torch.run(inputs)
    assert set(found) == {spec.name for spec in method_of(task).predictor.contract.outputs}
    for name in expected:
        assert len(found[name]) == 3
        if found[name].dtype == np.uint8:
            assert (found[name] != expected[name]).mean() < 1e-3
        else:
            np.testing.assert_allclose(found[name], expected[name], atol=2e-4)


def test_configurations_build_the_same_networks() -> None:
    networks = [
        *SMALL.values(),
        SharedJointNetwork(SharedJointConfig(hidden=12, channels=6)),
        SeparateJointNetworks(SeparateJointConfig(hidden=4)),
    ]
    for network in networks:
        again = build_model(model_config(network))
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        assert {name: tuple(value.shape) for name, value in again.state_dict().items()} == shapes
