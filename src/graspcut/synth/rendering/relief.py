"""Folds of cloth, hair and skin on a rendered view."""

from __future__ import annotations

import cv2
import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.rendering.ray_casting import RenderedView


def add_folds(
    rng: np.random.Generator,
    view: RenderedView,
    relief_mm: dict[int, float],
    surfaces: int,
    camera: Camera,
    size_mm: tuple[float, float] = (12.0, 45.0),
) -> None:
    """Add folds to the depth of cloth, hair and skin, in place: smooth noise, longer in one direction.

    Args:
        rng: Source of all choices.
        view: What the camera sees.
        relief_mm: Surfaces with folds, and how deep these are.
        surfaces: How many surfaces there are.
        camera: The camera.
        size_mm: Smallest and largest size of the folds.
    """
    depth, surface = view
    height, width = depth.shape
    relief = np.zeros(surfaces, np.float32)
    for index, amount_mm in relief_mm.items():
        relief[index] = amount_mm
    amplitude = relief[surface]
    folded = amplitude > 0.0
    if not folded.any():
        return
    # Their size in pixels follows the distance of the cloth.
    pixels_per_mm = camera.fx / float(np.median(depth[folded]))
    cells = [max(2, int(side / max(pixels_per_mm * rng.uniform(*size_mm), 2.0))) for side in (height, width)]
    noise = rng.standard_normal((cells[0], cells[1]), dtype=np.float32)
    field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    depth += np.where(folded, amplitude * np.clip(field, -2.5, 2.5), np.float32(0.0))
