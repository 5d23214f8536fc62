"""Endless foregrounds and backgrounds by number: number i depends on the size, the seed and i alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.matting.foreground import estimate_foreground
from graspcut.matting.procedural.canvas import Cutout
from graspcut.matting.procedural.hands import hand
from graspcut.matting.procedural.kinds import DRAWN_KINDS
from graspcut.matting.procedural.textures import background

KINDS: Final[dict[str, Callable[[np.random.Generator, int, int], Cutout]]] = {**DRAWN_KINDS, "hand": hand}
# Fine strands are what mattes are for; smoke and glass are rare in pictures.
_SHARES: Final = {
    "hair": 0.2, "fur": 0.2, "feathers": 0.1, "lace": 0.1, "leaves": 0.14, "glass": 0.08, "smoke": 0.05, "hand": 0.13,
}  # fmt: skip
_FOREGROUND_STREAM, _BACKGROUND_STREAM = 11, 12
_LEAST_SHARE = 0.004


@dataclass(frozen=True)
class Foreground:
    """A foreground as matting datasets hold it.

    Attributes:
        colours: (H, W, 3) float32 in 0..1, not premultiplied, smooth where alpha is 0.
        alpha: (H, W) float32 in 0..1, exact.
        kind: what it is, such as "hair"; "hair+leaves" is one over the other.
    """

    colours: NDArray[np.float32]
    alpha: NDArray[np.float32]
    kind: str


@dataclass(frozen=True)
class ProceduralMattes:
    """Foregrounds and backgrounds by number.

    Attributes:
        width: in pixels.
        height: in pixels.
        seed: same seed, same pictures.
        motion_blur: chance that a foreground moves while the picture is taken.
        defocus: chance that it is out of focus.
        pair: chance that it is one thing over another.
    """

    width: int = 320
    height: int = 320
    seed: int = 0
    motion_blur: float = 0.08
    defocus: float = 0.12
    pair: float = 0.12

    def __post_init__(self) -> None:
        if self.width < 32 or self.height < 32:
            raise ValueError(f"pictures of {self.width}x{self.height} are too small; at least 32x32 is needed")

    def foreground(self, index: int) -> Foreground:
        """Foreground number `index`."""
        rng = np.random.default_rng([_FOREGROUND_STREAM, self.seed, index])
        cutout = self._cutout(rng)
        if rng.random() < self.pair:
            cutout = _over(cutout, self._cutout(rng))
        if rng.random() < self.motion_blur:
            cutout = _filtered(cutout, _motion(rng, float(rng.uniform(0.02, 0.12)) * self.width), "moving ")
        elif rng.random() < self.defocus:
            cutout = _filtered(cutout, _disc(float(rng.uniform(0.7, 5.0))), "blurred ")
        alpha = np.clip(cutout.alpha, 0.0, 1.0)
        # Rests of a filter's rounding are neither opaque nor clear.
        alpha = np.where(alpha < 1e-3, 0.0, np.where(alpha > 1 - 1e-3, 1.0, alpha)).astype(np.float32)
        colours = cutout.premultiplied / np.maximum(alpha, 1e-3)[..., None]
        return Foreground(np.clip(estimate_foreground(colours, alpha), 0.0, 1.0), alpha, cutout.kind)

    def background(self, index: int) -> NDArray[np.float32]:
        """Background number `index`, (H, W, 3) float32 in 0..1."""
        return background(np.random.default_rng([_BACKGROUND_STREAM, self.seed, index]), self.height, self.width)

    def _cutout(self, rng: np.random.Generator) -> Cutout:
        shares = np.array(list(_SHARES.values()))
        while True:
            kind = list(_SHARES)[int(rng.choice(len(shares), p=shares / shares.sum()))]
            cutout = KINDS[kind](rng, self.height, self.width)
            if float(cutout.alpha.mean()) > _LEAST_SHARE:
                return cutout


def _over(top: Cutout, below: Cutout) -> Cutout:
    """One foreground over another; Porter and Duff's "over" on premultiplied colours."""
    rest = (1.0 - top.alpha).astype(np.float32)
    return Cutout(
        top.premultiplied + rest[..., None] * below.premultiplied,
        top.alpha + rest * below.alpha,
        f"{top.kind}+{below.kind}",
    )


def _filtered(cutout: Cutout, kernel: NDArray[np.float32], name: str) -> Cutout:
    """Colours and alpha through one filter: exact for a foreground that blurs before the background is added."""
    premultiplied = cv2.filter2D(cutout.premultiplied, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    alpha = cv2.filter2D(cutout.alpha, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return Cutout(np.asarray(premultiplied), np.asarray(alpha), name + cutout.kind)


def _motion(rng: np.random.Generator, length_px: float) -> NDArray[np.float32]:
    """A straight or slightly bent path as a filter of sum 1."""
    radius = max(1, int(length_px / 2) + 1)
    canvas = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.3)
    path = np.linspace(-1.0, 1.0, 12)[:, None] * np.array([[np.cos(angle), np.sin(angle)]])
    path = path + bend * path[:, ::-1] * np.array([[-1.0, 1.0]]) * np.abs(path).sum(axis=1, keepdims=True)
    points = np.rint((radius + path * length_px / 2) * 16).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, 1, cv2.LINE_AA, 4)
    kernel = canvas.astype(np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _disc(radius_px: float) -> NDArray[np.float32]:
    """A disc with an antialiased rim as a filter of sum 1."""
    radius = int(radius_px) + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(y, x), 0.0, 1.0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)
