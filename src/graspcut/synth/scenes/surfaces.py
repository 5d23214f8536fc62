"""The scene's surface table: what a pixel that a ray hits is (label, instance, part) and looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.labelled import Instance
from graspcut.labels import BACKGROUND, FOREARM_PART, HAND, OBJECT
from graspcut.synth.hands.flesh import SLEEVE
from graspcut.synth.objects.catalogue import HeldObject

# Skin from dark to light, RGB; sleeves and furniture draw any colour.
SKIN_TONES = np.array(
    [[62, 41, 32], [94, 62, 46], [131, 90, 68], [172, 122, 94], [203, 152, 122], [226, 180, 152], [241, 205, 184]],
    np.float64,
)

_SKIN_STRIPES = 0.35  # at most, where white paint and paper have 1


@dataclass
class Surfaces:
    """Growing table of surfaces; index 0 is "nothing hit".

    Attributes:
        rows: One (label, instance, part, red, green, blue, stripes) a surface.
        instances: The instance table of the frame.
        relief_mm: Surfaces with folds, and how deep these are.
        skin_relief_mm: The same for skin, whose folds are finer.
    """

    rows: list[tuple[float, ...]] = field(default_factory=lambda: [(0.0,) * 7])
    instances: list[Instance] = field(default_factory=list)
    relief_mm: dict[int, float] = field(default_factory=dict)
    skin_relief_mm: dict[int, float] = field(default_factory=dict)

    def add_background(self, colour: NDArray[np.float64], stripes: float = 0.0, relief_mm: float = 0.0) -> int:
        """Add one background surface (RGB 0..255) and return its index; relief: how deep its folds are."""
        if relief_mm > 0.0:
            self.relief_mm[len(self.rows)] = relief_mm
        self.rows.append((float(BACKGROUND), 0.0, 0.0, *map(float, colour), stripes))
        return len(self.rows) - 1

    def add_hand(self, rng: np.random.Generator, name: str, *, varied: bool = False) -> tuple[int, int]:
        """Add a hand's surfaces: index + part for parts 1..21 and `SLEEVE`.

        Args:
            rng: Source of all choices.
            name: Of the instance.
            varied: Skin and cloth take up a projector's stripes, skin more weakly than objects do, and skin has folds.

        Returns:
            (index, instance id).
        """
        identity = len(self.instances) + 1
        self.instances.append(Instance(identity, HAND, name))
        tone = rng.uniform(0, len(SKIN_TONES) - 1)
        low = int(tone)
        skin = SKIN_TONES[low] + (tone - low) * (SKIN_TONES[min(low + 1, len(SKIN_TONES) - 1)] - SKIN_TONES[low])
        gloved = rng.random() < 0.08
        if gloved:  # or in projected light
            skin = rng.uniform(20, 240, 3)
        # A network that has seen stripes on objects alone tells hands by their lack; but light that enters the skin
        # blurs them to a quarter or so of those on white paint, which tells a striped flat thing from a palm.
        stripes = float(rng.uniform(0, 1)) if varied and rng.random() < 0.5 else 0.0
        cloth_stripes, stripes = stripes, stripes if gloved else _SKIN_STRIPES * stripes
        base = len(self.rows) - 1
        if varied:
            self.skin_relief_mm.update(dict.fromkeys(range(base + 1, base + 1 + FOREARM_PART), rng.uniform(0, 0.9)))
        for part in range(1, FOREARM_PART + 1):
            self.rows.append((float(HAND), float(identity), float(part), *map(float, skin), stripes))
        sleeve = rng.uniform(15, 235, 3)
        self.relief_mm[len(self.rows)] = rng.uniform(0, 3.5)
        self.rows.append((float(HAND), float(identity), float(FOREARM_PART), *map(float, sleeve), cloth_stripes))
        assert len(self.rows) - 1 == base + SLEEVE
        return base, identity

    def add_object(self, held: HeldObject, *, background: bool = False) -> tuple[int, int]:
        """Add an object's three colour slots; clutter is `background`. Returns (index of slot 0, instance id or 0)."""
        identity = 0
        if not background:
            identity = len(self.instances) + 1
            self.instances.append(Instance(identity, OBJECT, held.kind))
        label = BACKGROUND if background else OBJECT
        first = len(self.rows)
        for slot in range(3):
            self.rows.append((float(label), float(identity), 0.0, *map(float, held.colours[slot]), held.stripes))
        return first, identity

    def columns(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Return label (n,), instance (n,), part (n,) as uint8, colour (n, 3) and stripes (n,) as float32."""
        table = np.array(self.rows, np.float64)
        return (
            table[:, 0].astype(np.uint8),
            table[:, 1].astype(np.uint8),
            table[:, 2].astype(np.uint8),
            table[:, 3:6].astype(np.float32),
            table[:, 6].astype(np.float32),
        )
