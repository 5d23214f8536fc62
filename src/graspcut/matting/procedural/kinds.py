"""The kinds of foregrounds: hair, fur, feathers, lace, leaves, glass, smoke. Each draws one `Cutout`."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.matting.procedural.canvas import SAMPLES, Canvas, Cutout
from graspcut.matting.procedural.textures import blob_outline, fractal_noise, ramp, random_colour, texture

Points = NDArray[np.float64]


def hair(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """A head of long strands that leave it in locks, with stray ones."""
    canvas, outline, centre, radius = _body(rng, height, width, roughness=0.15)
    palette = _shades(rng, 6)
    locks = int(rng.integers(6, 40))
    starts = rng.integers(len(outline), size=locks)
    gravity = rng.normal(0, 0.5, 2) + np.array([0.0, 0.5])
    thickness = rng.uniform(0.25, 0.9)
    for start in starts:
        heading = np.arctan2(*(outline[start] - centre)[::-1]) + rng.normal(0, 0.5)
        curl, length = rng.normal(0, 1.2), radius * rng.uniform(0.2, 1.3)
        for _ in range(int(rng.integers(4, 50))):
            origin = outline[(start + int(rng.normal(0, 4))) % len(outline)] * 0.96 + centre * 0.04
            strand = _strand(
                rng,
                origin,
                heading + rng.normal(0, 0.25),
                length * rng.uniform(0.5, 1.2),
                curl + rng.normal(0, 0.5),
                gravity,
            )
            canvas.tapered_line(strand, _vary(rng, palette), thickness * rng.uniform(0.5, 1.5))
    for _ in range(int(rng.integers(5, 60))):
        origin = outline[int(rng.integers(len(outline)))]
        strand = _strand(
            rng, origin, rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.2, 1.6), rng.normal(0, 3), gravity
        )
        canvas.line(strand, _vary(rng, palette), 0.34)
    return canvas.cutout("hair")


def fur(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """A plush body: thousands of short hairs over its outline."""
    canvas, outline, centre, radius = _body(rng, height, width, roughness=0.35)
    palette = _shades(rng, 8)
    length = radius * rng.uniform(0.05, 0.3)
    comb, spread, curl = rng.normal(0, 0.6), rng.uniform(0.1, 0.6), rng.normal(0, 1.0)
    thickness = rng.uniform(0.25, 1.0)
    dense = int(rng.integers(300, 1600))
    for _ in range(dense):
        place = rng.random() * len(outline)
        here, there = outline[int(place)], outline[(int(place) + 1) % len(outline)]
        origin = (here + (there - here) * (place % 1.0)) * 0.97 + centre * 0.03
        heading = np.arctan2(*(origin - centre)[::-1]) + comb + rng.normal(0, spread)
        strand = _strand(rng, origin, heading, length * rng.uniform(0.4, 1.2), curl, (0.0, 0.1), steps=5)
        canvas.tapered_line(strand, _vary(rng, palette), thickness * rng.uniform(0.6, 1.4))
    return canvas.cutout("fur")


def feathers(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """One to six feathers: shafts with many fine barbs, here and there parted."""
    canvas = Canvas(height, width)
    side = min(height, width)
    for _ in range(int(rng.integers(1, 7))):
        palette = _shades(rng, 5)
        origin = rng.uniform(0.15, 0.85, 2) * (width, height)
        shaft = _strand(
            rng, origin, rng.uniform(0, 2 * np.pi), side * rng.uniform(0.4, 0.9), rng.normal(0, 0.6), (0.0, 0.0), 60
        )
        along = np.gradient(shaft, axis=0)
        heading = np.arctan2(along[:, 1], along[:, 0])
        reach = side * rng.uniform(0.06, 0.2)
        angle, thickness = rng.uniform(0.4, 1.0), rng.uniform(0.25, 0.6)
        gaps = fractal_noise(rng, 2, 240, coarsest_px=float(rng.uniform(4, 40)), octaves=2) < rng.uniform(0.0, 0.35)
        for barb in range(240):
            position = 0.12 + 0.86 * barb / 240
            here = int(position * (len(shaft) - 1))
            for number, hand in enumerate((-1.0, 1.0)):
                if gaps[number, barb]:
                    continue
                length = reach * np.sin(np.pi * min(position * 1.1, 1.0)) ** 0.7 * rng.uniform(0.85, 1.05)
                start = shaft[here] + along[here] * rng.random()
                strand = _strand(
                    rng, start, heading[here] + hand * (angle + rng.normal(0, 0.05)), length, -hand * 0.5, (0.0, 0.0), 5
                )
                canvas.line(strand, _vary(rng, palette), thickness)
        canvas.tapered_line(shaft, random_colour(rng), 1.6)
    return canvas.cutout("feathers")


def lace(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """A cloth with a pattern of holes, or a net."""
    canvas, outline, _, _ = _body(rng, height, width, roughness=0.4, surface=texture(rng, height, width))
    holes = np.zeros(canvas.cover.shape, np.uint8)
    period = rng.uniform(5, 22) * SAMPLES
    angle, shear = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
    y, x = np.mgrid[0 : holes.shape[0], 0 : holes.shape[1]].astype(np.float32)
    bend = 0.35 * period * fractal_noise(rng, *holes.shape, coarsest_px=holes.shape[0] / 3, octaves=2)
    first = (x * np.cos(angle) + y * np.sin(angle) + bend) / period
    second = (-x * np.sin(angle) + y * np.cos(angle) + shear * x + bend) / period
    if rng.random() < 0.5:
        pattern = np.cos(2 * np.pi * first) + np.cos(2 * np.pi * second)
        if rng.random() < 0.5:
            pattern += 0.7 * np.cos(4 * np.pi * (first + second))
        hole = pattern > rng.uniform(-0.6, 0.9)
    else:
        thread = rng.uniform(0.06, 0.3)
        hole = (np.abs(first % 1.0 - 0.5) < 0.5 - thread / 2) & (np.abs(second % 1.0 - 0.5) < 0.5 - thread / 2)
    solid = np.zeros_like(holes)
    kept = outline.mean(axis=0) + (outline - outline.mean(axis=0)) * rng.uniform(0.0, 0.8)
    cv2.fillPoly(solid, [np.rint(kept * SAMPLES).astype(np.int32)], 255)
    canvas.cover[hole & (solid == 0)] = 0
    return canvas.cutout("lace")


def leaves(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """Branches with leaves or blades of grass."""
    canvas = Canvas(height, width)
    side = min(height, width)
    for _ in range(int(rng.integers(1, 6))):
        palette = _shades(rng, 5, vivid=0.8)
        origin = rng.uniform(0.05, 0.95, 2) * (width, height)
        branch = _strand(
            rng, origin, rng.uniform(0, 2 * np.pi), side * rng.uniform(0.4, 1.0), rng.normal(0, 1), (0.0, 0.0), 30
        )
        along = np.gradient(branch, axis=0)
        slender, size = rng.uniform(0.06, 0.45), side * rng.uniform(0.05, 0.25)
        for here in np.linspace(3, len(branch) - 1, int(rng.integers(4, 24))).astype(int):
            heading = np.arctan2(along[here, 1], along[here, 0]) + rng.choice((-1, 1)) * rng.uniform(0.3, 1.2)
            length = size * rng.uniform(0.6, 1.3)
            middle = _strand(rng, branch[here], heading, length, rng.normal(0, 0.8), (0.0, 0.1), 12)
            normal = np.gradient(middle, axis=0)[:, ::-1] * (-1.0, 1.0)
            normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
            half = slender * length * np.sin(np.linspace(0, np.pi, len(middle)) ** rng.uniform(0.7, 1.2))[:, None] / 2
            if rng.random() < 0.3:
                half = half * (1 + 0.25 * rng.uniform(-1, 1, half.shape))
            colour = _vary(rng, palette)
            canvas.fill(np.concatenate((middle + normal * half, (middle - normal * half)[::-1])), colour)
            canvas.line(middle, colour * rng.uniform(0.6, 1.3), 0.5)
        canvas.tapered_line(branch, random_colour(rng), rng.uniform(0.8, 3.0))
    return canvas.cutout("leaves")


def glass(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """A see-through vessel or bag: a dense rim, a thin body, highlights and folds."""
    canvas, _, _, radius = _body(rng, height, width, roughness=0.3)
    shape = canvas.cutout("glass").alpha
    inside = cv2.distanceTransform((shape > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rim = np.exp(-inside / max(radius * rng.uniform(0.02, 0.12), 0.5))
    folds = fractal_noise(rng, height, width, coarsest_px=float(rng.uniform(20, 120)), octaves=4)
    creases = np.exp(-np.abs(folds - 0.5) * rng.uniform(15, 60)) * rng.uniform(0, 0.7)
    shine = np.clip((fractal_noise(rng, height, width, coarsest_px=60, octaves=3) - 0.72) * 6, 0, 1)
    alpha = shape * np.clip(rng.uniform(0.03, 0.6) + rng.uniform(0.2, 0.9) * rim + creases + shine, 0.0, 1.0)
    tint = 0.5 + 0.5 * random_colour(rng)
    colours = np.clip(ramp(rng, folds) * 0.5 + tint * 0.5 + shine[..., None], 0.0, 1.0)
    alpha = alpha.astype(np.float32)
    return Cutout((colours * alpha[..., None]).astype(np.float32), alpha, "glass")


def smoke(rng: np.random.Generator, height: int, width: int) -> Cutout:
    """Clouds of noise that thin out towards the side."""
    centre = rng.uniform(0.3, 0.7, 2) * (width, height)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1]) / (min(height, width) * rng.uniform(0.3, 0.6))
    wisps = fractal_noise(
        rng, height, width, coarsest_px=min(height, width) / 2.5, octaves=6, gain=rng.uniform(0.45, 0.65)
    )
    alpha = np.clip((wisps - distance * rng.uniform(0.35, 0.6)) * rng.uniform(1.5, 4.0), 0.0, 1.0) ** rng.uniform(
        0.8, 1.6
    )
    alpha = alpha.astype(np.float32)
    shade = fractal_noise(rng, height, width, coarsest_px=80, octaves=3)
    colours = np.clip(random_colour(rng) * 0.6 + 0.4 * ramp(rng, shade, vivid=0.2), 0.0, 1.0)
    return Cutout((colours * alpha[..., None]).astype(np.float32), alpha, "smoke")


DRAWN_KINDS: dict[str, Callable[[np.random.Generator, int, int], Cutout]] = {
    "hair": hair,
    "fur": fur,
    "feathers": feathers,
    "lace": lace,
    "leaves": leaves,
    "glass": glass,
    "smoke": smoke,
}


def _body(
    rng: np.random.Generator, height: int, width: int, *, roughness: float, surface: NDArray[np.float32] | None = None
) -> tuple[Canvas, Points, Points, float]:
    """A canvas with one blob; its outline, centre and radius."""
    canvas = Canvas(height, width)
    centre = rng.uniform(0.35, 0.65, 2) * (width, height)
    radius = min(height, width) * rng.uniform(0.15, 0.38)
    outline = blob_outline(rng, centre, radius, roughness=roughness, corners=int(rng.integers(5, 12)))
    canvas.fill(outline, texture(rng, height, width) if surface is None else surface)
    return canvas, outline, centre, float(radius)


def _strand(
    rng: np.random.Generator,
    origin: Points,
    heading: float,
    length: float,
    curl: float,
    pull: tuple[float, float] | Points,
    steps: int = 10,
) -> Points:
    """A curve from a point: it turns by `curl` radians over its length, wavers and is drawn along `pull`."""
    turns = heading + curl * np.linspace(0.0, 1.0, steps) + np.cumsum(rng.normal(0, 0.06, steps))
    headings = np.stack((np.cos(turns), np.sin(turns)), axis=1) + np.linspace(0.0, 1.0, steps)[:, None] * np.asarray(
        pull
    )
    return np.concatenate((origin[None], origin + np.cumsum(headings, axis=0) * length / steps))


def _shades(rng: np.random.Generator, count: int, vivid: float = 0.4) -> NDArray[np.float32]:
    """Colours that differ little, some strongly."""
    base = random_colour(rng, vivid=vivid)
    spread = rng.uniform(0.02, 0.25)
    return np.clip(
        base * (1.0 + rng.normal(0, spread, (count, 1))) + rng.normal(0, spread / 4, (count, 3)), 0, 1
    ).astype(np.float32)


def _vary(rng: np.random.Generator, palette: NDArray[np.float32]) -> NDArray[np.float32]:
    chosen = palette[int(rng.integers(len(palette)))] * np.float32(rng.uniform(0.85, 1.15))
    return np.asarray(np.clip(chosen, 0.0, 1.0), dtype=np.float32)
