"""Changes of a training sample that keep depth, labels and focal length consistent (numpy and OpenCV only).

Rules that hold for every function here:

- Depth and labels are only ever sampled by nearest neighbour: bilinear sampling would invent pixels that float between
  the hand and the background.
- Pixels that come from outside the picture have no depth (0) and are background.
- Pixels without depth stay without depth; noise never touches them.
- Randomness comes from the ``numpy.random.Generator`` that is passed in.

The DenseAttentionSeg paper names a random flip, a random rotation and Gaussian noise on depth
(``AugmentationConfig.paper()``); the rest are additions for real frames (``AugmentationConfig.full()``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.labels import BACKGROUND, UNKNOWN

NEAREST_DEPTH_MM = 1.0  # noise and shifts never move a valid pixel below this, because 0 means no data


@dataclass(frozen=True)
class Sample:
    """One training sample.

    Attributes:
        depth_mm: (H, W) float32 millimetres, 0 = no data.
        labels: (H, W) uint8, 0 background, 1 hand, 2 object, 255 unknown.
        focal_px: focal length in pixels of this picture.
    """

    depth_mm: NDArray[np.float32]
    labels: NDArray[np.uint8]
    focal_px: float

    def __post_init__(self) -> None:
        if self.depth_mm.ndim != 2 or self.depth_mm.shape != self.labels.shape:
            raise ValueError(
                f"a sample needs depth and labels of one (H, W) shape, got {self.depth_mm.shape}, {self.labels.shape}"
            )
        if self.focal_px <= 0:
            raise ValueError(f"focal_px must be positive, got {self.focal_px}")


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

    @classmethod
    def paper(cls) -> AugmentationConfig:
        """Flip, rotation and Gaussian noise, as the paper lists them (its ranges are not published)."""
        return cls(flip=0.5, warp=1.0, rotation_deg=30.0, noise=1.0, noise_mm=2.0)

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


def flip(sample: Sample) -> Sample:
    """Mirrors left and right.

    Args:
        sample: (H, W) sample.

    Returns:
        The mirrored sample, same focal length.
    """
    return dataclasses.replace(
        sample,
        depth_mm=np.ascontiguousarray(sample.depth_mm[:, ::-1]),
        labels=np.ascontiguousarray(sample.labels[:, ::-1]),
    )


def warp(
    sample: Sample, *, rotation_deg: float = 0.0, scale: float = 1.0, shift_px: tuple[float, float] = (0.0, 0.0)
) -> Sample:
    """Rotates and zooms about the picture centre, then shifts, by nearest-neighbour sampling.

    Args:
        sample: (H, W) sample.
        rotation_deg: positive turns the picture anticlockwise on the screen.
        scale: above 1 enlarges the picture; the focal length is multiplied by it, depth values stay.
        shift_px: (x, y) in pixels, right and down.

    Returns:
        A sample of the same size; what came from outside has no depth and is background.

    Raises:
        ValueError: if scale is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale must be positive, got {scale}")
    height, width = sample.depth_mm.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rotation_deg, scale)
    matrix[:, 2] += np.array(shift_px)
    depth = cv2.warpAffine(
        sample.depth_mm, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    labels = cv2.warpAffine(
        sample.labels,
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BACKGROUND,
    )
    return Sample(depth.astype(np.float32, copy=False), labels.astype(np.uint8, copy=False), sample.focal_px * scale)


def add_noise(sample: Sample, sigma_mm: float, rng: np.random.Generator) -> Sample:
    """Adds Gaussian noise to the pixels that have depth.

    Args:
        sample: (H, W) sample.
        sigma_mm: standard deviation.
        rng: source of randomness.

    Returns:
        The noisy sample; pixels without depth stay exactly 0 and no other pixel becomes 0.
    """
    noise = rng.standard_normal(sample.depth_mm.shape, dtype=np.float32) * np.float32(sigma_mm)
    noisy = np.maximum(sample.depth_mm + noise, np.float32(NEAREST_DEPTH_MM))
    return dataclasses.replace(sample, depth_mm=np.where(sample.depth_mm > 0, noisy, np.float32(0)))


def add_holes(sample: Sample, count: int, radius_px: float, rng: np.random.Generator) -> Sample:
    """Removes depth inside random ellipses. Labels stay; see ``without_missing_depth`` for what they then mean.

    Args:
        sample: (H, W) sample.
        count: number of ellipses.
        radius_px: largest half axis.
        rng: source of randomness.
    """
    height, width = sample.depth_mm.shape
    depth = sample.depth_mm.copy()
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(1 + rng.random() * radius_px), int(1 + rng.random() * radius_px))
        cv2.ellipse(depth, centre, axes, float(rng.uniform(0, 180)), 0, 360, 0.0, thickness=-1)
    return dataclasses.replace(sample, depth_mm=depth)


def cut_far(sample: Sample, farthest_mm: float) -> Sample:
    """Removes everything beyond a distance, as cameras and the 160 mm band of the annotation do.

    Args:
        sample: (H, W) sample.
        farthest_mm: pixels farther than this lose their depth and become background (unknown stays unknown).
    """
    lost = sample.depth_mm > farthest_mm
    labels = np.where(lost & (sample.labels != UNKNOWN), np.uint8(BACKGROUND), sample.labels)
    return dataclasses.replace(sample, depth_mm=np.where(lost, np.float32(0), sample.depth_mm), labels=labels)


def change_distance(sample: Sample, shift_mm: float) -> Sample:
    """Moves the scene along the optical axis without resampling the picture.

    Every valid depth grows by ``shift_mm``. A camera with the same lens would see the scene smaller by z / (z + shift);
    here the picture stays and the focal length grows by (z + shift) / z instead, with z the median depth of the
    foreground (of all pixels if there is none). Millimetres per pixel at z are therefore unchanged.

    Args:
        sample: (H, W) sample.
        shift_mm: positive moves away; limited so that nothing valid comes nearer than half its distance.

    Returns:
        The moved sample; pixels without depth stay 0.
    """
    valid = sample.depth_mm > 0
    if not valid.any():
        return sample
    foreground = valid & (sample.labels != BACKGROUND) & (sample.labels != UNKNOWN)
    middle_mm = float(np.median(sample.depth_mm[foreground if foreground.any() else valid]))
    nearest_mm = float(sample.depth_mm[valid].min())
    shift_mm = max(shift_mm, -0.5 * nearest_mm)
    depth = np.where(valid, sample.depth_mm + np.float32(shift_mm), np.float32(0))
    return dataclasses.replace(sample, depth_mm=depth, focal_px=sample.focal_px * (middle_mm + shift_mm) / middle_mm)


def without_missing_depth(sample: Sample, label: int) -> Sample:
    """Gives every pixel without depth one label: BACKGROUND, or UNKNOWN so that it is ignored.

    Args:
        sample: (H, W) sample.
        label: the label to set where depth is 0; pixels already unknown stay unknown.
    """
    missing = (sample.depth_mm <= 0) & (sample.labels != UNKNOWN)
    return dataclasses.replace(sample, labels=np.where(missing, np.uint8(label), sample.labels))


def augment(sample: Sample, config: AugmentationConfig, rng: np.random.Generator) -> Sample:
    """Applies the drawn changes in a fixed order: geometry first, then distance, cut-off, holes and noise.

    Args:
        sample: (H, W) sample.
        config: probabilities and ranges.
        rng: source of randomness.

    Returns:
        A sample of the same size.
    """
    height, width = sample.depth_mm.shape
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
    return sample


def nearest_foreground_mm(sample: Sample) -> float | None:
    """The 1st percentile of foreground depth (one flying pixel must not decide); None without foreground."""
    foreground = (sample.depth_mm > 0) & (sample.labels != BACKGROUND) & (sample.labels != UNKNOWN)
    if not foreground.any():
        return None
    return float(np.percentile(sample.depth_mm[foreground], 1))
