"""Trimaps: from a true matte, for training and scoring, and from the labels of a depth segmentation.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 5: {alpha > 0} and {alpha < 1} are
dilated by random radii from 1 to 24 pixels, and the trimap is unknown where both reach. Radii are Euclidean.

Deviation, with the reason: the published program takes distances to the pixels with 0 < alpha < 1,
which leaves no unknown pixel round a hard edge; the paper's rule gives such an edge a band, as real trimaps have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
LARGEST_RADIUS_PX = 24
# Trimaps are unknown from 50 to 200 (`graspcut.matting.images`): room for an estimate of alpha, see `with_estimate`.
LOWEST_UNKNOWN, HIGHEST_UNKNOWN = 50, 200
# Resampling leaves 0.99999 inside what is opaque. Taken as transparent, it would make the whole of it unknown.
HALF_STEP = 0.5 / 255.0


def trimap_from_alpha(alpha: NDArray[Any], foreground_px: float, background_px: float) -> NDArray[np.uint8]:
    """The trimap of a matte.

    Args:
        alpha: (H, W) float in 0..1, or uint8 in 0..255.
        foreground_px: how far {alpha > 0} grows; the width of the unknown band on the background's side.
        background_px: how far {alpha < 1} grows; the width of the band on the foreground's side.

    Returns:
        (H, W) uint8: 0 background, 128 unknown, 255 foreground. A known pixel is 0 or 1 in alpha, in steps of 1/255.

    Raises:
        ValueError: negative radii.
    """
    if foreground_px < 0 or background_px < 0:
        raise ValueError(f"radii are {foreground_px} and {background_px} px; expected 0 or more")
    opaque, clear = (
        (alpha == 255, alpha == 0) if alpha.dtype == np.uint8 else (alpha > 1 - HALF_STEP, alpha < HALF_STEP)
    )
    visible = dilated(~clear, foreground_px)
    transparent = dilated(~opaque, background_px)
    trimap = np.full(alpha.shape, BACKGROUND, np.uint8)
    trimap[visible] = FOREGROUND
    trimap[visible & transparent] = UNKNOWN
    return trimap


def with_estimate(trimap: NDArray[np.uint8], alpha: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """A trimap whose unknown pixels say what a simpler method thinks of them, for a network that begins there.

    Args:
        trimap: (H, W) uint8: 0, 128 and 255.
        alpha: (H, W) float in 0..1.

    Returns:
        (H, W) uint8: 0 and 255 as they were; unknown pixels are 50 + 150 alpha, still unknown to any reader.
    """
    grey = LOWEST_UNKNOWN + (HIGHEST_UNKNOWN - LOWEST_UNKNOWN) * np.clip(alpha, 0.0, 1.0)
    return np.where(trimap == UNKNOWN, np.rint(grey), trimap).astype(np.uint8)


def snapped(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Alpha (H, W) float32 with what is nearer to 0 or 1 than half a step of 8 bits made exactly that."""
    found: NDArray[np.float32] = np.where(alpha < HALF_STEP, 0.0, np.where(alpha > 1 - HALF_STEP, 1.0, alpha)).astype(
        np.float32
    )
    return found


def random_trimap(
    alpha: NDArray[Any], rng: np.random.Generator, largest_px: int = LARGEST_RADIUS_PX
) -> NDArray[np.uint8]:
    """`trimap_from_alpha` with both radii drawn from 1 to `largest_px`, whole pixels."""
    first, second = (int(radius) for radius in rng.integers(1, largest_px + 1, size=2))
    return trimap_from_alpha(alpha, first, second)


def dilated(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Pixels at most `radius_px` (Euclidean, between pixel centres) from a pixel of the mask; (H, W) bool."""
    if radius_px < 1 or not mask.any():
        return np.asarray(mask, dtype=np.bool_)
    radius = int(radius_px)
    offsets = np.arange(-radius, radius + 1)
    disc = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius_px**2).astype(np.uint8)
    if radius <= 3:
        return cv2.dilate(mask.astype(np.uint8), disc, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    # From some size on one exact distance transform is cheaper than a disc of hundreds of pixels.
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= radius_px + 1e-3)


def trimap_from_segmentation(
    labels: NDArray[np.uint8],
    kept: Sequence[int],
    *,
    certainty: NDArray[np.floating[Any]] | None = None,
    inside_px: float = 6.0,
    outside_px: float = 10.0,
    certain_from: float = 0.9,
    depth_mm: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.uint8]:
    """A trimap from hard labels: the outline is unknown, and so is what the segmentation is not certain of.

    Args:
        labels: (H, W) uint8 labels.
        kept: labels that are cut out, such as hand and object; an edge between two of them stays foreground.
        certainty: (H, W) in 0..1, probability that the pixel's side (kept or not) is right; None trusts the labels.
        inside_px: width of the unknown band inside the outline.
        outside_px: its width outside.
        certain_from: pixels below this certainty are unknown, if they touch the band.
        depth_mm: (H, W); pixels without depth (0) within twice `outside_px` of the kept ones are unknown too, because
            depth cameras lose the rims of things.

    Returns:
        (H, W) uint8: 0, 128 and 255.

    Raises:
        ValueError: shapes that do not fit.
    """
    for name, array in (("certainty", certainty), ("depth", depth_mm)):
        if array is not None and array.shape != labels.shape:
            raise ValueError(f"{name} has shape {array.shape} and the labels {labels.shape}; expected the same")
    inside = np.isin(labels, np.asarray(kept, dtype=labels.dtype))
    near = dilated(inside, outside_px)
    unknown = near & dilated(~inside, inside_px)
    if depth_mm is not None:
        unknown |= dilated(inside, 2 * outside_px) & (depth_mm <= 0)
    if certainty is not None:
        unknown |= dilated(inside, 2 * outside_px) & (certainty < certain_from)
    trimap = np.where(inside, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    trimap[unknown] = UNKNOWN
    if inside.any() and not (trimap == FOREGROUND).any():
        # Something thin, all of it near its own outline: its middle is the best that is known of it.
        distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        trimap[distance >= distance.max()] = FOREGROUND
    return trimap
