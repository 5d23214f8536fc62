"""The result of matting one image: alpha, the foreground's colours, and what can be made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image
from graspcut.matting.foreground import estimate_foreground
from graspcut.matting.images import encode_rgba, to_bytes

Colour = tuple[int, int, int]

_SQUARE_PX = 12
_SQUARES = (204, 255)


@dataclass(frozen=True, eq=False)
class Matte:
    """What was cut out of an image.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        trimap: (H, W) uint8: 0, 128 and 255, what alpha was estimated from.
        alpha: (H, W) float32 in 0..1.

    Raises:
        FrameError: if the arrays do not fit together.
    """

    image: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.float32]

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        partly = float(np.mean((self.alpha > 0.02) & (self.alpha < 0.98)))
        return f"Matte({width}x{height}, {np.mean(self.alpha >= 0.98):.1%} opaque, {partly:.1%} half transparent)"

    def __post_init__(self) -> None:
        shape = self.alpha.shape
        if self.image.shape != (*shape, 3) or self.trimap.shape != shape or len(shape) != 2:
            raise FrameError(
                f"image {self.image.shape}, trimap {self.trimap.shape} and alpha {shape} do not belong together; "
                "expected (H, W, 3), (H, W) and (H, W)."
            )

    @cached_property
    def foreground(self) -> NDArray[np.float32]:
        """(H, W, 3) float32 in 0..1, colours without the background that half-transparent pixels hold.

        With pymatting installed foreground and background are separated; otherwise the image's colours are only made
        smooth where alpha is small.
        """
        return foreground_of_photograph(self.image, self.alpha)

    def over(self, background: NDArray[np.uint8] | Colour) -> NDArray[np.uint8]:
        """The foreground over something else.

        Args:
            background: (h, w, 3) uint8 RGB, enlarged and cut to the image's size, or one colour 0..255.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        height, width = self.alpha.shape
        behind = (
            np.broadcast_to(np.array(background, np.float32), (height, width, 3))
            if isinstance(background, tuple)
            else filled(background, height, width).astype(np.float32)
        )
        weight = self.alpha[..., None]
        return to_bytes(weight * self.foreground + (1.0 - weight) * (behind / np.float32(255.0)))

    def draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: the foreground over the grey squares that stand for nothing."""
        y, x = np.indices(self.alpha.shape) // _SQUARE_PX
        squares = np.where((x + y) % 2 == 0, *_SQUARES).astype(np.uint8)
        return self.over(np.repeat(squares[..., None], 3, axis=2))

    def encoded(self, name: str, over: NDArray[np.uint8] | Colour | None = None) -> dict[str, bytes]:
        """PNG files by name: NAME_foreground.png, NAME_rgba.png and NAME_alpha.png, the last one last.

        Args:
            name: what the files are called.
            over: also NAME_over.png, the foreground over this; see `over`.
        """
        colours, alpha = to_bytes(self.foreground), to_bytes(self.alpha)
        files = {f"{name}_over.png": encode_image(self.over(over), ".png")} if over is not None else {}
        return {
            **files,
            f"{name}_foreground.png": encode_image(colours, ".png"),
            f"{name}_rgba.png": encode_rgba(colours, alpha),
            f"{name}_alpha.png": encode_image(alpha, ".png"),
        }

    def save(self, directory: str | Path, name: str, over: NDArray[np.uint8] | Colour | None = None) -> list[Path]:
        """Writes what `encoded` gives, each under a temporary name first; where NAME_alpha.png is, the others are.

        Args:
            directory: exists.
            name: what the files are called.
            over: see `encoded`.

        Returns:
            the paths.
        """
        paths = []
        for file, content in self.encoded(name, over).items():
            paths.append(Path(directory) / file)
            write_bytes_atomically(paths[-1], content)
        return paths


def foreground_of_photograph(image: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """See `Matte.foreground`."""
    estimate: Callable[[Any, Any], NDArray[np.float32]]
    try:
        import pymatting  # noqa: F401
    except ModuleNotFoundError:
        estimate = estimate_foreground
    else:
        from graspcut.matting.classical import separate_foreground as estimate
    found = estimate(image, alpha)
    return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float32)


def filled(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture enlarged or reduced so that it just covers (height, width), and cut round its middle."""
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(resized[y : y + height, x : x + width])
