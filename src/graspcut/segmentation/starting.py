"""The network that a training begins with: a fresh one, one of the user's own, or that of a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.nn.own_networks import OwnNetwork, open_network_file
from graspcut.nn.pretrained import load_pretrained
from graspcut.nn.vgg import VGG16Trunk
from graspcut.own_files import OwnFile, OwnFileError
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.models import MODEL_NAMES, build_model
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.train.first_process import say

_SHOWN = 5


def build_start(training: SegmentationTraining) -> tuple[dict[str, Any], nn.Module]:
    """Configuration and network that a training begins with.

    Raises:
        ValueError: an argument that the network does not have, weights that do not fit, or options that contradict
            each other.
        OwnFileError: see `open_network_file`.
    """
    own = [] if training.network_file is None else open_network_file(training.network_file)
    if training.start is not None:
        if arguments_of(training) or training.pretrained is not None:
            raise ValueError(
                f"the network of {training.start} is taken as it is; leave out the options that change a network"
            )
        folder_config, weights = load_model_folder(training.start)
        config = dict(folder_config["model"])
        model = build_model(config)
        fill_network(model, weights, training.start)
        return config, model
    config = _fresh(training, own)
    config["arguments"] = {**config.get("arguments", {}), **arguments_of(training)}
    model = build_model(config)
    if training.pretrained is not None:
        _fill_encoder(model, training.pretrained)
    return config, model


def arguments_of(training: SegmentationTraining) -> dict[str, Any]:
    """The arguments of the network's configuration that are given.

    Raises:
        ValueError: one of `network_argument` is no NAME=VALUE.
    """
    found: dict[str, Any] = {}
    named: tuple[tuple[str, object], ...] = (
        ("attention", training.attention),
        ("depth", training.network_depth),
        ("encoding", training.encoding),
    )
    for text in training.network_argument:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"the network argument {text!r} is not understood; expected NAME=VALUE, such as width=32")
        try:
            found[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            found[name.strip()] = value
    return found | {name: value for name, value in named if value is not None}


def _fresh(training: SegmentationTraining, own: list[OwnNetwork]) -> dict[str, Any]:
    if own:
        chosen = [entry for entry in own if training.network in (None, entry.network.__name__)]
        if len(chosen) != 1:
            names = ", ".join(entry.network.__name__ for entry in own)
            asked = "several" if training.network is None else f"no {training.network}"
            raise OwnFileError(f"{training.network_file} has {asked}; choose one with --network: {names}")
        return chosen[0].description
    name = training.network
    if name is None:
        name = "dense-attention-seg" if training.preset == "paper" else "dense-attention-small"
    return dict(MODEL_NAMES[name])


def _fill_encoder(model: nn.Module, path: Path) -> None:
    trunk = getattr(model, "trunk", None)
    if not isinstance(trunk, nn.Module):
        raise ValueError(
            f"{type(model).__name__} has no encoder for ImageNet weights (no module `trunk`): choose a network with a "
            "ResNet or VGG, such as --network dense-attention-seg"
        )
    stem = "features.0.weight" if isinstance(trunk, VGG16Trunk) else "conv1.weight"
    report = load_pretrained(trunk, path, stem=stem, head_prefixes=("fc.", "classifier."))
    said = [f"{path}: encoder filled"]
    if report.stem_converted:
        said.append("its first convolution changed from colour to depth")
    for title, names in (("missing", report.missing), ("not used", report.unexpected)):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            said.append(f"{title}: {', '.join(names[:_SHOWN])}{more}")
    say("; ".join(said))


def describe_pretrained(training: SegmentationTraining) -> dict[str, str] | None:
    """Name and digest of the pretrained weights, for run.json."""
    if training.pretrained is None:
        return None
    file = OwnFile.of(training.pretrained)
    return {"name": file.name, "sha256": file.sha256}
