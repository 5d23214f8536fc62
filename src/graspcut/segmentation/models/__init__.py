"""The segmentation networks and their construction by name.

Every network is called as `network(depth_mm, focal_px) -> logits`, with depth (B, 1, H, W) float32 millimetres (0 = no
data), focal length (B,) float32 pixels at this resolution and logits (B, classes, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from torch import nn

from graspcut.segmentation.models.deeplabv3plus import DeepLabV3Plus, DeepLabV3PlusConfig
from graspcut.segmentation.models.dense_attention import DenseAttentionSeg, DenseAttentionSegConfig
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmall, DenseAttentionSmallConfig
from graspcut.segmentation.models.working_scale import WorkingScale

MODELS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "DenseAttentionSmall": (DenseAttentionSmall, DenseAttentionSmallConfig),
    "DenseAttentionSeg": (DenseAttentionSeg, DenseAttentionSegConfig),
    "DeepLabV3Plus": (DeepLabV3Plus, DeepLabV3PlusConfig),
}


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """Build a network from the configuration stored with its weights.

    Args:
        config: `class`, a name of `MODELS`, and optionally `arguments`, the fields of its config dataclass (lists stand
            for tuples, as in JSON). Other keys are not looked at.

    Returns:
        the network, randomly initialised.

    Raises:
        ValueError: unknown class or argument; the message lists the known ones.
    """
    name = config.get("class")
    if name not in MODELS:
        raise ValueError(f"unknown network class {name!r}, expected one of {', '.join(MODELS)}")
    network, config_class = MODELS[name]
    arguments = dict(config.get("arguments") or {})
    known = [field.name for field in fields(config_class)]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(f"{name} has no argument {', '.join(unknown)}; it takes {', '.join(known)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return network(config_class(**values))


def model_config(model: nn.Module) -> dict[str, Any]:
    """The configuration from which `build_model` builds the same network, ready for JSON.

    Raises:
        TypeError: the module is none of `MODELS`.
    """
    core = model.core if isinstance(model, WorkingScale) else model
    name = type(core).__name__
    if name not in MODELS or not isinstance(core, MODELS[name][0]):
        raise TypeError(f"{name} is not a segmentation network, expected one of {', '.join(MODELS)}")
    return {"class": name, "arguments": asdict(core.config)}  # type: ignore[call-overload]


__all__ = [
    "MODELS",
    "DeepLabV3Plus",
    "DeepLabV3PlusConfig",
    "DenseAttentionSeg",
    "DenseAttentionSegConfig",
    "DenseAttentionSmall",
    "DenseAttentionSmallConfig",
    "WorkingScale",
    "build_model",
    "model_config",
]
