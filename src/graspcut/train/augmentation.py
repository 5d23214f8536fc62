"""Random changes of a sample that keep its maps, points and focal length consistent (numpy and OpenCV only).

Geometry is in `graspcut.train.geometry`. Rules that hold here:

- Pixels without depth stay without depth; noise never touches them.
- Randomness comes from the ``numpy.random.Generator`` that is passed in.
- Changes that a sample has no map for (noise without depth) are errors, not silence.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.train.geometry import flip, warp
from graspcut.train.samples import COLOUR, DEPTH, Points, Sample

NEAREST_DEPTH_MM = 1.0  # noise and shifts never move a valid pixel below this, because 0 means no data


@dataclass(frozen=True)
class AugmentationConfig:
    """Which changes are drawn, and how strong; a probability of 0 turns a change off.

    Attributes:
        flip: probability of a horizontal flip.
        warp: probability of a rotation, zoom and shift (one nearest-neighbour warp).
        rotation_deg: largest rotation to either side.
        scale_low, scale_high: range of the zoom; it multiplies the focal length.
        shift: largest shift as a fraction of width and height; it cuts forearms and hands at the border.
        noise: probability of Gaussian noise.
        noise_mm: largest standard deviation of that noise.
        holes: probability of holes (ellipses without depth).
        hole_count: largest number of holes.
        hole_radius: largest hole radius as a fraction of the picture width.
        cut_far: probability that everything farther than a random distance behind the nearest foreground is lost.
        cut_far_low_mm, cut_far_high_mm: range of that distance.
        distance: probability of moving the whole scene along the optical axis.
        distance_mm: largest move to either side.
        colour: probability of another brightness, contrast and colour balance of the colour maps.
        colour_strength: how much, at most; 0.2 is a gain of up to 20 % for each channel, and as much gamma.
    """

    flip: float = 0.0
    warp: float = 0.0
    rotation_deg: float = 0.0
    scale_low: float = 1.0
    scale_high: float = 1.0
    shift: float = 0.0
    noise: float = 0.0
    noise_mm: float = 0.0
    holes: float = 0.0
    hole_count: int = 0
    hole_radius: float = 0.0
    cut_far: float = 0.0
    cut_far_low_mm: float = 120.0
    cut_far_high_mm: float = 400.0
    distance: float = 0.0
    distance_mm: float = 0.0
    colour: float = 0.0
    colour_strength: float = 0.2

    @classmethod
    def full(cls) -> AugmentationConfig:
        """Everything, for recorded data sets that are small and from one camera position."""
        return cls(
            flip=0.5,
            warp=0.8,
            rotation_deg=30.0,
            scale_low=0.75,
            scale_high=1.3,
            shift=0.2,
            noise=0.5,
            noise_mm=2.0,
            holes=0.3,
            hole_count=6,
            hole_radius=0.04,
            cut_far=0.2,
            distance=0.5,
            distance_mm=150.0,
        )

    @classmethod
    def rendered(cls) -> AugmentationConfig:
        """For the renderer, which already varies pose, distance, sensor and background: only what it lacks."""
        return cls(flip=0.5, holes=0.1, hole_count=4, hole_radius=0.03)


def depth_name(sample: Sample) -> str:
    """Name of the depth map.

    Raises:
        ValueError: the sample has none.
    """
    name = sample.name_of(DEPTH)
    if name is None:
        raise ValueError(f"this change needs a depth map; the sample has {', '.join(sample.maps)}")
    return name


def add_noise(sample: Sample, sigma_mm: float, rng: np.random.Generator) -> Sample:
    """Adds Gaussian noise to the pixels that have depth.

    Args:
        sample: (H, W) sample.
        sigma_mm: standard deviation.
        rng: source of randomness.

    Returns:
        The noisy sample; pixels without depth stay exactly 0 and no other pixel becomes 0.
    """
    name = depth_name(sample)
    depth = sample[name]
    noise = rng.standard_normal(depth.shape, dtype=np.float32) * np.float32(sigma_mm)
    noisy = np.maximum(depth + noise, np.float32(NEAREST_DEPTH_MM))
    return sample.replaced(**{name: np.where(depth > 0, noisy, np.float32(0))})


def add_holes(sample: Sample, count: int, radius_px: float, rng: np.random.Generator) -> Sample:
    """Removes depth inside random ellipses. Labels stay; see ``without_missing_depth`` for what they then mean.

    Args:
        sample: (H, W) sample.
        count: number of ellipses.
        radius_px: largest half axis.
        rng: source of randomness.
    """
    height, width = sample.size
    name = depth_name(sample)
    depth = sample[name].copy()
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(1 + rng.random() * radius_px), int(1 + rng.random() * radius_px))
        cv2.ellipse(depth, centre, axes, float(rng.uniform(0, 180)), 0, 360, 0.0, thickness=-1)
    return sample.replaced(**{name: depth})


def cut_far(sample: Sample, farthest_mm: float) -> Sample:
    """Removes everything beyond a distance, as cameras and the 160 mm band of the annotation do.

    Args:
        sample: (H, W) sample.
        farthest_mm: pixels farther than this lose their depth, and what names them (labels, parts, instances) becomes
            empty; unknown stays unknown.
    """
    name = depth_name(sample)
    lost = sample[name] > farthest_mm
    changed: dict[str, NDArray[Any]] = {name: np.where(lost, np.float32(0), sample[name])}
    for other, (array, kind) in sample.maps.items():
        if other != name and kind.interpolation == "nearest":
            overwritten = lost if kind.unknown is None else lost & (array != kind.unknown)
            changed[other] = np.where(overwritten, array.dtype.type(kind.empty), array)
    return sample.replaced(**changed)


def change_distance(sample: Sample, shift_mm: float) -> Sample:
    """Moves the scene along the optical axis without resampling the picture.

    Every valid depth grows by ``shift_mm``. A camera with the same lens would see the scene smaller by z / (z + shift);
    here the picture stays and the focal length grows by (z + shift) / z instead, with z the median depth of the
    foreground (of all pixels if there is none). Millimetres per pixel at z are therefore unchanged. Points in
    millimetres move so that they are seen at the same pixel.

    Args:
        sample: (H, W) sample.
        shift_mm: positive moves away; limited so that nothing valid comes nearer than half its distance.

    Returns:
        The moved sample; pixels without depth stay 0.
    """
    name = depth_name(sample)
    depth = sample[name]
    valid = depth > 0
    if not valid.any():
        return sample
    named = sample.foreground()
    chosen = valid if named is None or not (valid & named).any() else valid & named
    middle_mm = float(np.median(depth[chosen]))
    shift_mm = max(shift_mm, -0.5 * float(depth[valid].min()))
    growth = (middle_mm + shift_mm) / middle_mm
    moved = sample.replaced(**{name: np.where(valid, depth + np.float32(shift_mm), np.float32(0))})
    points = {
        key: _farther(entry, shift_mm, growth) if entry.unit == "mm" else entry for key, entry in sample.points.items()
    }
    return dataclasses.replace(moved, focal_px=sample.focal_px * growth, points=points)


def _farther(entry: Points, shift_mm: float, growth: float) -> Points:
    moved = entry.coordinates.copy()
    moved[..., 2] += shift_mm
    moved[..., :2] *= (moved[..., 2:] / entry.coordinates[..., 2:]) / growth
    return dataclasses.replace(entry, coordinates=moved)


def change_colour(sample: Sample, strength: float, rng: np.random.Generator) -> Sample:
    """Another gain for each channel and another gamma, the same for all colour maps.

    Args:
        sample: sample with (H, W, 3) uint8 colour.
        strength: a gain of 1 - strength .. 1 + strength, and a gamma as far from 1.
        rng: source of randomness.
    """
    gain, gamma = rng.uniform(1 - strength, 1 + strength, 3), float(rng.uniform(1 - strength, 1 + strength))
    levels = np.linspace(0.0, 1.0, 256)[:, np.newaxis] ** gamma * gain
    table = np.rint(255.0 * np.clip(levels, 0.0, 1.0)).astype(np.uint8).reshape(1, 256, 3)
    changed = {}
    for name, (array, kind) in sample.maps.items():
        if kind.name == COLOUR.name:
            if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
                raise ValueError(f"colour map {name!r} is {array.shape} {array.dtype}, expected (H, W, 3) uint8")
            changed[name] = cv2.LUT(array, table)
    if not changed:
        raise ValueError(f"this change needs a colour map; the sample has {', '.join(sample.maps)}")
    return sample.replaced(**changed)


def without_missing_depth(sample: Sample, label: int) -> Sample:
    """Gives every pixel without depth one label: BACKGROUND, or UNKNOWN so that it is ignored.

    Args:
        sample: (H, W) sample with depth.
        label: what every map that has an unknown value (labels, parts) becomes where depth is 0; pixels already
            unknown stay unknown.
    """
    missing = sample[depth_name(sample)] <= 0
    changed = {
        name: np.where(missing & (array != kind.unknown), array.dtype.type(label), array)
        for name, (array, kind) in sample.maps.items()
        if kind.unknown is not None
    }
    return sample.replaced(**changed)


def augment(sample: Sample, config: AugmentationConfig, rng: np.random.Generator) -> Sample:
    """Applies the drawn changes in a fixed order: geometry first, then distance, cut-off, holes, noise and
    colour.

    Args:
        sample: (H, W) sample.
        config: probabilities and ranges.
        rng: source of randomness.

    Returns:
        A sample of the same size.
    """
    height, width = sample.size
    if rng.random() < config.flip:
        sample = flip(sample)
    if rng.random() < config.warp:
        sample = warp(
            sample,
            rotation_deg=float(rng.uniform(-config.rotation_deg, config.rotation_deg)),
            scale=float(np.exp(rng.uniform(np.log(config.scale_low), np.log(config.scale_high)))),
            shift_px=(
                float(rng.uniform(-config.shift, config.shift) * width),
                float(rng.uniform(-config.shift, config.shift) * height),
            ),
        )
    if rng.random() < config.distance:
        sample = change_distance(sample, float(rng.uniform(-config.distance_mm, config.distance_mm)))
    if rng.random() < config.cut_far:
        nearest_mm = nearest_foreground_mm(sample)
        if nearest_mm is not None:
            sample = cut_far(sample, nearest_mm + float(rng.uniform(config.cut_far_low_mm, config.cut_far_high_mm)))
    if rng.random() < config.holes and config.hole_count > 0:
        sample = add_holes(sample, int(rng.integers(1, config.hole_count + 1)), config.hole_radius * width, rng)
    if rng.random() < config.noise:
        sample = add_noise(sample, float(rng.uniform(0.0, config.noise_mm)), rng)
    if config.colour > 0 and rng.random() < config.colour:
        sample = change_colour(sample, config.colour_strength, rng)
    return sample


def nearest_foreground_mm(sample: Sample) -> float | None:
    """The 1st percentile of foreground depth (one flying pixel must not decide); None without foreground."""
    depth, named = sample[depth_name(sample)], sample.foreground()
    foreground = depth > 0 if named is None else (depth > 0) & named
    return float(np.percentile(depth[foreground], 1)) if foreground.any() else None
