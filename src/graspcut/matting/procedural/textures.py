"""Noise, colours and backgrounds: float32 arrays in 0..1, all from a generator that is handed in."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def fractal_noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    coarsest_px: float = 128.0,
    octaves: int = 5,
    gain: float = 0.5,
) -> Floats:
    """Smooth noise: octaves of random grids, each half as wide and `gain` times as strong.

    Returns:
        (H, W) float32, stretched to 0..1.
    """
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    for octave in range(octaves):
        cell = max(coarsest_px / 2**octave, 1.0)
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = rng.random((rows, columns), dtype=np.float32)
        scaled = cv2.resize(grid, (int(columns * cell) + 1, int(rows * cell) + 1), interpolation=cv2.INTER_CUBIC)
        y = int(rng.integers(max(scaled.shape[0] - height, 0) + 1))
        x = int(rng.integers(max(scaled.shape[1] - width, 0) + 1))
        total += np.float32(strength) * scaled[y : y + height, x : x + width]
        strength *= gain
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), dtype=np.float32)


def random_colour(rng: np.random.Generator, *, vivid: float = 0.5) -> Floats:
    """A colour, (3,) float32: with the chance `vivid` any, otherwise near grey or brown."""
    if rng.random() < vivid:
        return rng.random(3, dtype=np.float32)
    grey = rng.random(dtype=np.float32)
    tint = rng.normal(0.0, 0.08, 3).astype(np.float32) + np.float32(rng.uniform(0, 0.15)) * np.array(
        [1.0, 0.3, -0.6], np.float32
    )
    return np.clip(grey + tint, 0.0, 1.0).astype(np.float32)


def ramp(rng: np.random.Generator, values: Floats, colours: int = 3, vivid: float = 0.5) -> Floats:
    """Values 0..1 as colours of a random ramp; any shape in, the same shape with 3 channels out."""
    stops = np.stack([random_colour(rng, vivid=vivid) for _ in range(colours)])
    position = np.clip(values, 0.0, 1.0) * (colours - 1)
    low = np.minimum(position.astype(np.int32), colours - 2)
    part = (position - low)[..., None].astype(np.float32)
    return np.asarray(stops[low] * (1.0 - part) + stops[low + 1] * part, dtype=np.float32)


def texture(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A surface: noise, stripes or spots in colours of a ramp, shaded; (H, W, 3) float32 in 0..1."""
    kind = rng.random()
    octaves = int(rng.integers(1, 7))
    noise = fractal_noise(rng, height, width, coarsest_px=float(rng.uniform(20, 200)), octaves=octaves)
    if kind < 0.25:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        phase = (x * np.cos(angle) + y * np.sin(angle)) / period + 2.0 * noise * rng.uniform(0, 1)
        values = (0.5 + 0.5 * np.sin(2 * np.pi * phase)).astype(np.float32)
        if rng.random() < 0.5:
            values = (values > 0.5).astype(np.float32)
    elif kind < 0.4:
        values = (noise > rng.uniform(0.4, 0.7)).astype(np.float32)
    else:
        values = noise
    coloured = ramp(rng, values, int(rng.integers(2, 5)))
    light = 0.6 + 0.6 * fractal_noise(rng, height, width, coarsest_px=max(height, width) / 1.5, octaves=2)
    grain = rng.normal(0.0, rng.uniform(0.0, 0.04), (height, width, 1)).astype(np.float32)
    return np.clip(coloured * light[..., None] + grain, 0.0, 1.0).astype(np.float32)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A background: overlapping things of many sizes over a surface, often out of focus; (H, W, 3) float32 in 0..1.

    Photographs look much like heaps of things whose sizes follow a power law, each hiding those below.
    """
    picture: NDArray[Any] = texture(rng, height, width)
    if rng.random() < 0.2:
        # A wall or a sky.
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(8, 40)))
    side = max(height, width)
    surfaces = [texture(rng, height, width) for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(0, 60))):
        radius = min(4.0 / (1.0 - rng.random() * 0.985), 0.4 * side)
        centre = rng.uniform(0, 1, 2) * (width, height)
        mask = np.zeros((height, width), np.uint8)
        points = blob_outline(
            rng, centre, radius, roughness=float(rng.uniform(0.0, 0.5)), corners=int(rng.integers(3, 12))
        )
        cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        x0, y0 = np.maximum(points.min(axis=0).astype(int) - 1, 0)
        x1, y1 = np.minimum(points.max(axis=0).astype(int) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            continue
        window = np.s_[y0:y1, x0:x1]
        weight = mask[window][..., None].astype(np.float32) / 255.0
        own = random_colour(rng)
        surface = surfaces[int(rng.integers(len(surfaces)))][window]
        mix = np.float32(rng.uniform(0.1, 1.0))
        picture[window] = picture[window] * (1 - weight) + weight * (mix * own + (1 - mix) * surface)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 7.0)))
    if rng.random() < 0.7:
        picture = picture + rng.normal(0.0, rng.uniform(0.0, 0.03), picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture, 0.0, 1.0), dtype=np.float32)


def blob_outline(
    rng: np.random.Generator,
    centre: NDArray[np.float64],
    radius: float,
    *,
    roughness: float = 0.3,
    corners: int = 9,
    stretch: float = 0.4,
) -> NDArray[np.float64]:
    """A closed smooth outline round a centre; (96, 2) of x and y."""
    angles = np.linspace(0.0, 2 * np.pi, 96, endpoint=False)
    knots = radius * (1.0 + roughness * rng.uniform(-1, 1, corners))
    position = angles / (2 * np.pi) * corners
    low = position.astype(int) % corners
    part = position - position.astype(int)
    part = part * part * (3 - 2 * part)
    lengths = knots[low] * (1 - part) + knots[(low + 1) % corners] * part
    turn, squeeze = rng.uniform(0, np.pi), 1.0 - stretch * rng.random()
    x, y = lengths * np.cos(angles), squeeze * lengths * np.sin(angles)
    return np.stack((x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)), axis=1) + centre
