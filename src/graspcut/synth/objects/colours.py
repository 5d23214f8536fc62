"""Plausible colours of held objects: named families with ranges of hue, saturation and value."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

from graspcut.synth.objects.building_blocks import Draws

# Hue (turns), saturation and value ranges. Chosen by eye to look like household things; nothing measured.
COLOUR_FAMILIES: dict[str, tuple[float, float, float, float, float, float]] = {
    "white": (0.05, 0.65, 0.0, 0.08, 0.82, 0.98),
    "dark": (0.0, 1.0, 0.0, 0.25, 0.06, 0.22),
    "grey": (0.5, 0.7, 0.0, 0.12, 0.35, 0.7),
    "metal": (0.55, 0.65, 0.0, 0.08, 0.55, 0.82),
    "paint": (0.0, 1.0, 0.55, 0.95, 0.45, 0.95),
    "pastel": (0.0, 1.0, 0.15, 0.4, 0.75, 0.95),
    "wood": (0.06, 0.1, 0.35, 0.65, 0.45, 0.8),
    "cardboard": (0.075, 0.1, 0.3, 0.45, 0.6, 0.75),
    "paper": (0.1, 0.16, 0.0, 0.12, 0.88, 0.99),
    "cream": (0.09, 0.13, 0.1, 0.3, 0.8, 0.95),
    "leather": (0.02, 0.08, 0.4, 0.75, 0.15, 0.45),
    "red": (0.97, 1.02, 0.65, 0.92, 0.55, 0.9),
    "yellow": (0.12, 0.16, 0.65, 0.95, 0.8, 0.97),
    "green": (0.22, 0.36, 0.45, 0.8, 0.35, 0.75),
    "plush": (0.04, 0.12, 0.25, 0.6, 0.4, 0.85),
    "glass": (0.35, 0.6, 0.03, 0.2, 0.65, 0.9),
}
# What "any" is, by share: saturated paints first, then white, black, grey, pastel, wood.
ANY = ("paint",) * 9 + ("white",) * 4 + ("dark",) * 3 + ("grey", "pastel", "pastel", "wood")


def draw_colour(family: str, draws: Draws) -> tuple[int, int, int]:
    """One RGB colour (0..255) of a family of `COLOUR_FAMILIES` or of "any"."""
    if family == "any":
        family = draws.pick(ANY)
    h0, h1, s0, s1, v0, v1 = COLOUR_FAMILIES[family]
    r, g, b = colorsys.hsv_to_rgb(draws.between(h0, h1) % 1.0, draws.between(s0, s1), draws.between(v0, v1))
    return int(r * 255.0 + 0.5), int(g * 255.0 + 0.5), int(b * 255.0 + 0.5)


def draw_colours(families: tuple[str, str, str], draws: Draws) -> npt.NDArray[np.uint8]:
    """The three colours of an object, (3, 3) uint8 RGB."""
    return np.array([draw_colour(family, draws) for family in families], dtype=np.uint8)
