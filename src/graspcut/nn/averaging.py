"""Weights between two networks of one form.

What a network has learned further can be taken in part: the average of its weights and of those that it started from
keeps most of what was won and loses less of what was known (Wortsman et al., "Robust fine-tuning of zero-shot models",
2022).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

PARTS_OF_THE_WAY = (1.0, 0.75, 0.5, 0.25)
"""How much of the way is tried, from the whole on, until nothing that counts is lost."""


def between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state of a network at a share of the way from one state to another.

    Args:
        start: state of one network.
        end: of another one of the same form; whole numbers (counters) are taken from it.
        share: of `end`, 0 to 1.

    Returns:
        new tensors of the names and types of `end`, or its own where nothing lies between.
    """
    return {name: start[name].lerp(value, share) if value.is_floating_point() else value for name, value in end.items()}
