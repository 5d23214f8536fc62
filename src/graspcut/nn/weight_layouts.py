"""How publishers name the same weights: timm, OpenMMLab and files converted from Caffe, brought to the names used here.

| who | ResNet-D's stem | shortcut of ResNet-D | VGG-16 |
|---|---|---|---|
| here | stem.0.0, stem.0.1, stem.1.0, ... | downsample.1, downsample.2 | features.0, features.2, ... |
| timm | conv1.0, conv1.1, conv1.3, conv1.4, conv1.6, bn1 | the same | the same |
| OpenMMLab | stem.0.conv, stem.0.bn, ... | downsample.0, downsample.1 where nothing is pooled | - |
| converted from Caffe | - | - | conv1_1, conv1_2, conv2_1, ... |

Everything else is called as torchvision calls it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from graspcut.nn.vgg import STAGE_CONVOLUTIONS

T = TypeVar("T")

# What training programs put before every name.
_PREFIXES = ("module.", "backbone.")
_TIMM_STEM = {
    "conv1.0.": "stem.0.0.",
    "conv1.1.": "stem.0.1.",
    "conv1.3.": "stem.1.0.",
    "conv1.4.": "stem.1.1.",
    "conv1.6.": "stem.2.0.",
    "bn1.": "stem.2.1.",
}
_MM_STEM = {
    f"stem.{number}.{theirs}.": f"stem.{number}.{ours}."
    for number in range(3)
    for theirs, ours in (("conv", 0), ("bn", 1))
}


def in_our_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under the names that the encoders of this package have; unknown names stay.

    Args:
        tensors: a state dict of any of the publishers above.
    """
    named = {_without_prefix(name): tensor for name, tensor in tensors.items()}
    if "stem.0.conv.weight" in named:
        return {_shortcut(_renamed(name, _MM_STEM), named): tensor for name, tensor in named.items()}
    if "conv1.0.weight" in named:
        return {_renamed(name, _TIMM_STEM): tensor for name, tensor in named.items()}
    if "conv1_1.weight" in named:
        return {_renamed(name, _caffe_vgg()): tensor for name, tensor in named.items()}
    return named


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _renamed(name: str, beginnings: Mapping[str, str]) -> str:
    for theirs, ours in beginnings.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _shortcut(name: str, named: Mapping[str, object]) -> str:
    """OpenMMLab counts the pool of a shortcut only where there is one."""
    found = re.fullmatch(r"(layer\d+\.\d+\.downsample\.)(\d)(\..+)", name)
    if found is None or f"{found[1]}2.weight" in named:
        return name
    return f"{found[1]}{int(found[2]) + 1}{found[3]}"


def _caffe_vgg() -> dict[str, str]:
    """conv1_1 -> features.0, conv1_2 -> features.2, and a pool behind each stage."""
    names, place = {}, 0
    for stage, count in enumerate(STAGE_CONVOLUTIONS, start=1):
        for number in range(1, count + 1):
            names[f"conv{stage}_{number}."] = f"features.{place}."
            place += 2
        place += 1
    return names
