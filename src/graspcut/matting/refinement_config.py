"""How a matte is refined (`graspcut.matting.refinement`); importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RefinementConfig:
    """How a matte is refined.

    Attributes:
        steps: gradient steps at most.
        rate: of the first step.
        growth: what the rate is multiplied by after a step that lowered the cost; 1 in the paper.
        distance_weight: weight of C2.
        boundary: pixels that C1 looks at: "visible" or "paper", see `graspcut.matting.refinement`.
        outside: what C1 sees of values outside 0..1: "leaky" or "clamp", see there.
        patience: stop after this many steps that together lower the cost by less than `settled`, as a part of it, once
            the rate has been found too large; 0 always does all steps.
        settled: see `patience`.
    """

    steps: int = 100
    rate: float = 20.0
    growth: float = 1.5
    distance_weight: float = 0.1
    boundary: Literal["visible", "paper"] = "visible"
    outside: Literal["leaky", "clamp"] = "leaky"
    patience: int = 10
    settled: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.rate > 0 or not self.growth >= 1:
            raise ValueError(
                f"steps {self.steps}, rate {self.rate}, growth {self.growth}: expected from 0, above 0, from 1 on"
            )
        if self.boundary not in ("visible", "paper") or self.outside not in ("leaky", "clamp"):
            raise ValueError(
                f"unknown boundary {self.boundary!r} or outside {self.outside!r}; expected visible or paper, and leaky "
                "or clamp"
            )
