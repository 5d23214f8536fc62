"""A canvas of several samples a pixel side: what is drawn hard on it has exact coverage in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SAMPLES = 3


@dataclass(frozen=True)
class Cutout:
    """A foreground.

    Attributes:
        premultiplied: (H, W, 3) float32 in 0..1, colour times alpha.
        alpha: (H, W) float32 in 0..1, exact.
        kind: what it is, such as "hair".
    """

    premultiplied: Floats
    alpha: Floats
    kind: str = ""


class Canvas:
    """Draws opaque things over one another and averages `SAMPLES` x `SAMPLES` samples to a pixel.

    Args:
        height: in pixels.
        width: in pixels.

    Attributes:
        colours: (H * SAMPLES, W * SAMPLES, 3) uint8.
        cover: (H * SAMPLES, W * SAMPLES) uint8, 255 where something is drawn.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.colours = np.zeros((height * SAMPLES, width * SAMPLES, 3), np.uint8)
        self.cover = np.zeros((height * SAMPLES, width * SAMPLES), np.uint8)

    def line(self, points: NDArray[np.float64], colour: NDArray[np.floating], width_px: float) -> None:
        """A line through (n, 2) points in pixels; as thin as one sample."""
        stops = np.rint(points * SAMPLES).astype(np.int32)
        thickness = max(1, round(width_px * SAMPLES))
        cv2.polylines(self.colours, [stops], False, _bytes(colour), thickness)
        cv2.polylines(self.cover, [stops], False, 255, thickness)

    def tapered_line(self, points: NDArray[np.float64], colour: NDArray[np.floating], width_px: float) -> None:
        """A line that ends as thin as a sample; three pieces of falling width."""
        third = max(2, len(points) // 3)
        for piece in range(3):
            part = points[piece * third : (piece + 1) * third + 1] if piece < 2 else points[2 * third :]
            if len(part) > 1:
                self.line(part, colour, width_px * (1.0, 0.6, 0.25)[piece])

    def fill(self, points: NDArray[np.float64], surface: Floats | NDArray[np.floating]) -> None:
        """A polygon (n, 2) in pixels with one colour (3,) or a surface (H, W, 3) in 0..1."""
        stops = np.rint(points * SAMPLES).astype(np.int32)
        if surface.ndim == 1:
            cv2.fillPoly(self.colours, [stops], _bytes(surface))
            cv2.fillPoly(self.cover, [stops], 255)
            return
        mask = np.zeros(self.cover.shape, np.uint8)
        cv2.fillPoly(mask, [stops], 255)
        large = cv2.resize((surface * 255).astype(np.uint8), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        cv2.copyTo(large, mask, self.colours)
        self.cover |= mask

    def cutout(self, kind: str) -> Cutout:
        """The pixels of what was drawn."""
        size = (self.width, self.height)
        cover = self.cover.astype(np.float32) / 255.0
        alpha = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
        premultiplied = cv2.resize(
            self.colours.astype(np.float32) * (cover / 255.0)[..., None], size, interpolation=cv2.INTER_AREA
        )
        return Cutout(np.clip(premultiplied, 0, 1), np.clip(alpha, 0, 1), kind)


def _bytes(colour: NDArray[np.floating]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(np.asarray(colour) * 255.0, 0, 255))
    return red, green, blue
