"""Augmentation of a foreground, its alpha and a background, and their composite.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 4.2 (colour augmentation, CA) and
section 5 (all else); the order is that of the published program: background to the foreground's size,
rotations, crop, flips, resizing, gamma of alpha, CA, inverted colours, permuted channels, trimap.

Deviations, with the reason:
    - Rotation, crop, flip and resizing are one cubic resampling: each further one blurs hair.
    - CA draws a weight and a colour for every channel ("channel"), as the code that made the published results; the
      text has one weight for all ("whole").
    - Gamma is drawn from U(0.5, 1) or U(1, 2) with equal chance, as that code; "whole" of the text, [0.5, 1.5], is
      `gamma="text"`.
    - Interpolation overshoots; values are cut to 0..1. All is float: powers and sums of 8-bit values would wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.matting.trimap import LARGEST_RADIUS_PX, random_trimap, snapped

Floats = NDArray[np.float32]

_CROP_TRIES = 5
_CROP_SHARE = 0.8


@dataclass(frozen=True)
class MattingAugmentation:
    """What is changed, and how often. The defaults are the paper's baseline with CA.

    Attributes:
        size: side of the square that comes out, the paper's h.
        crop: smallest and largest side of the crop, in parts of `size`.
        rotate: chance that foreground and background are turned, each by its own angle.
        flip: chance of a horizontal flip, for foreground and background each.
        gamma_chance: chance that alpha becomes alpha^g or 1 - (1 - alpha)^g.
        gamma: where g comes from, see above.
        colour: CA: "channel", "whole" or "none".
        colour_chance: chance of CA.
        invert: chance that the foreground becomes 1 - F.
        permute: chance that its channels change places.
        blur: chance that foreground and background are blurred, each by its own strength: for photographs that are less
            sharp than the training's (0.3 in the paper for alphamatting.com).
        jitter: largest part by which brightness and contrast of the composite change; 0.2 for alphamatting.com.
        largest_trimap_px: radii of the trimap are drawn from 1 to this.
    """

    size: int = 640
    crop: tuple[float, float] = (0.75, 1.25)
    rotate: float = 0.5
    flip: float = 0.5
    gamma_chance: float = 0.3
    gamma: Literal["code", "text"] = "code"
    colour: Literal["channel", "whole", "none"] = "channel"
    colour_chance: float = 0.3
    invert: float = 0.3
    permute: float = 0.3
    blur: float = 0.0
    jitter: float = 0.0
    largest_trimap_px: int = LARGEST_RADIUS_PX

    def __post_init__(self) -> None:
        if self.size < 32 or not 0 < self.crop[0] <= self.crop[1]:
            raise ValueError(
                f"size {self.size} and crop {self.crop}: expected 32 or more and two growing parts above 0"
            )
        if self.colour not in ("channel", "whole", "none") or self.gamma not in ("code", "text"):
            raise ValueError(
                f"unknown colour {self.colour!r} or gamma {self.gamma!r}; expected channel, whole or none, and code or "
                "text"
            )


@dataclass(frozen=True)
class MattingExample:
    """What a network is trained on.

    Attributes:
        image: (H, W, 3) float32 in 0..1, the composite.
        alpha: (H, W) float32 in 0..1.
        trimap: (H, W) uint8: 0, 128 and 255.
    """

    image: Floats
    alpha: Floats
    trimap: NDArray[np.uint8]


def training_example(
    foreground: Floats,
    alpha: Floats,
    background: Floats,
    augmentation: MattingAugmentation,
    rng: np.random.Generator,
) -> MattingExample:
    """The whole chain.

    Args:
        foreground: (H, W, 3) float32 in 0..1, not premultiplied.
        alpha: (H, W) float32 in 0..1.
        background: (h, w, 3) float32 in 0..1, of any size.
        augmentation: what is changed.
        rng: source of all choices.

    Returns:
        image, alpha and trimap of `augmentation.size` squared.

    Raises:
        ValueError: shapes that do not fit.
    """
    if alpha.ndim != 2 or foreground.shape != (*alpha.shape, 3) or background.ndim != 3 or background.shape[2] != 3:
        raise ValueError(
            f"foreground {foreground.shape}, alpha {alpha.shape} and background {background.shape} do not fit; "
            "expected (H, W, 3), (H, W) and (h, w, 3)"
        )
    side = float(rng.uniform(*augmentation.crop)) * augmentation.size
    centre = _crop_centre(alpha, side, rng)
    turned = rng.random() < augmentation.rotate
    own = _transform(centre, side, augmentation, rng, turned)
    colours = _resample(foreground, own, augmentation.size, cv2.BORDER_REPLICATE)
    opacity = snapped(_resample(alpha, own, augmentation.size, cv2.BORDER_CONSTANT))
    # The background is stretched to the foreground's size first, so the same crop means the same place.
    stretch = np.diag((background.shape[1] / alpha.shape[1], background.shape[0] / alpha.shape[0], 1.0))
    behind = stretch @ _transform(centre, side, augmentation, rng, turned)
    back = _resample(background, behind, augmentation.size, cv2.BORDER_REFLECT)
    if rng.random() < augmentation.gamma_chance:
        opacity = gamma_changed(opacity, augmentation.gamma, rng)
    if augmentation.colour != "none" and rng.random() < augmentation.colour_chance:
        colours = colour_augmented(colours, augmentation.colour, rng)
    if rng.random() < augmentation.invert:
        colours = 1.0 - colours
    if rng.random() < augmentation.permute:
        colours = np.ascontiguousarray(colours[..., rng.permutation(3)])
    if rng.random() < augmentation.blur:
        colours, back = (_blurred(part, float(rng.uniform(0.5, 1.5))) for part in (colours, back))
    trimap = _marked(opacity, rng, augmentation.largest_trimap_px)
    image = composite(colours, opacity, back)
    if augmentation.jitter > 0:
        gain, shift = 1.0 + augmentation.jitter * rng.uniform(-1, 1), augmentation.jitter * rng.uniform(-0.5, 0.5)
        image = np.clip((image - 0.5) * np.float32(gain) + np.float32(0.5 + shift), 0.0, 1.0).astype(np.float32)
    return MattingExample(image, opacity, trimap)


def composite(foreground: NDArray[Any], alpha: NDArray[Any], background: NDArray[Any]) -> Floats:
    """Equation (1): alpha F + (1 - alpha) B.

    Args:
        foreground: (H, W, 3) float in 0..1.
        alpha: (H, W) float in 0..1.
        background: (H, W, 3) float in 0..1.

    Returns:
        (H, W, 3) float32.
    """
    weight = alpha[..., None]
    return np.asarray(weight * foreground + (1.0 - weight) * background, dtype=np.float32)


def colour_augmented(foreground: Floats, mode: Literal["channel", "whole"], rng: np.random.Generator) -> Floats:
    """CA: w F + (1 - w) u with a constant colour u; w from U(0, 1), one for all channels or one for each.

    Args:
        foreground: (H, W, 3) float32 in 0..1.
        mode: "channel" or "whole".
        rng: source of w and u.

    Returns:
        (H, W, 3) float32.
    """
    weight = rng.random(3 if mode == "channel" else 1, dtype=np.float32)
    colour = rng.random(3, dtype=np.float32)
    return np.asarray(weight * foreground + (1.0 - weight) * colour, dtype=np.float32)


def gamma_changed(alpha: Floats, mode: Literal["code", "text"], rng: np.random.Generator) -> Floats:
    """alpha^g or 1 - (1 - alpha)^g with equal chance; 0 and 1 stay what they are. (H, W) float32 in and out."""
    if mode == "text":
        exponent = rng.uniform(0.5, 1.5)
    else:
        exponent = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, 2.0)
    changed = alpha**exponent if rng.random() < 0.5 else 1.0 - (1.0 - alpha) ** exponent
    return np.asarray(np.clip(changed, 0.0, 1.0), dtype=np.float32)


def _marked(alpha: Floats, rng: np.random.Generator, largest_px: int) -> NDArray[np.uint8]:
    """A trimap as somebody would draw it: of opaque foreground some is marked, if need be closely."""
    while True:
        trimap = random_trimap(alpha, rng, largest_px)
        if largest_px <= 3 or (trimap == 255).any() or not (alpha == 1).any():
            return trimap
        largest_px //= 2


def _crop_centre(alpha: Floats, side: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(x, y) of a pixel with alpha > 0 that has enough half-transparent ones round it; the best of some tries."""
    rows, columns = np.nonzero(alpha > 0)
    if len(rows) == 0:
        return np.array([alpha.shape[1] / 2, alpha.shape[0] / 2])
    soft = ((alpha > 0) & (alpha < 1)).astype(np.float32)
    wanted = _CROP_SHARE * float(soft.mean())
    best, best_share = np.zeros(2), -1.0
    for _ in range(_CROP_TRIES):
        chosen = int(rng.integers(len(rows)))
        y, x = int(rows[chosen]), int(columns[chosen])
        half = int(side / 2)
        share = float(soft[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1].mean())
        if share > best_share:
            best, best_share = np.array([x, y], dtype=np.float64), share
        if share >= wanted:
            break
    return best


def _transform(
    centre: NDArray[np.float64], side: float, augmentation: MattingAugmentation, rng: np.random.Generator, turned: bool
) -> NDArray[np.float64]:
    """(3, 3) from pixels of the result to pixels of the picture: scale, flip, turn, place."""
    scale = side / augmentation.size
    flip = -1.0 if rng.random() < augmentation.flip else 1.0
    angle = rng.uniform(-np.pi, np.pi) if turned else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag((flip, 1.0))
    middle = np.full(2, (augmentation.size - 1) / 2)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ middle
    return matrix


def _resample(picture: Floats, matrix: NDArray[np.float64], size: int, border: int) -> Floats:
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if scale > 1.5:
        # Sampling every other pixel or less turns hair into dots.
        picture = _blurred(picture, 0.4 * scale)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(picture, matrix[:2], (size, size), flags=flags, borderMode=border)
    return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float32)


def _blurred(picture: Floats, sigma_px: float) -> Floats:
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)
