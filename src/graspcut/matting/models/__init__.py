"""The matting networks and their table.

Every network is called as `network(image, trimap) -> alpha`, with the image (B, 3, H, W) RGB in 0..1, the trimap
(B, 1, H, W) of 0, 128/255 and 1, and alpha (B, 1, H, W), not bounded. Sides are multiples of `size_multiple`.
`encode` and `decode` are its two halves; only the second is run again by the backpropagating refinement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from graspcut.matting.models.decoder import MattingDecoder, Modulation
from graspcut.matting.models.lsa_matting import LSAMatting, LSAMattingConfig
from graspcut.matting.models.lsa_matting_small import LSAMattingSmall, LSAMattingSmallConfig
from graspcut.nn.building import NetworkTable, build_network, network_config

MODELS: NetworkTable = {
    "LSAMattingSmall": (LSAMattingSmall, LSAMattingSmallConfig),
    "LSAMatting": (LSAMatting, LSAMattingConfig),
}
MODEL_NAMES: dict[str, dict[str, Any]] = {
    "lsa-matting-small": {"class": "LSAMattingSmall"},
    "lsa-matting-on-closed-form": {
        "class": "LSAMattingSmall",
        "arguments": {"begins_with": "closed-form", "reach_px": 64},
    },
    "lsa-matting": {"class": "LSAMatting"},
}
UNKNOWN_VALUE = 128.0 / 255.0


class MattingNetwork(Protocol):
    """What refinement needs of a network."""

    decoder: MattingDecoder
    size_multiple: int

    def encode(self, image: Tensor, trimap: Tensor) -> list[Tensor]:
        """The part that refinement does not touch."""
        ...

    def decode(self, encoded: list[Tensor], modulation: Modulation | None = None) -> Tensor:
        """Alpha from the encoded image."""
        ...


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """The network of a stored configuration; see `graspcut.nn.building.build_network`."""
    return build_network(config, MODELS)


def model_config(network: nn.Module) -> dict[str, Any]:
    """The configuration of a network; see `graspcut.nn.building.network_config`."""
    return network_config(network, MODELS)
