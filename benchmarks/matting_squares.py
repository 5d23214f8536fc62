"""Training squares that look more like photographs than the paper's composites, with the matte of closed-form.

    python -m benchmarks.matting_squares --foregrounds runs/matting/foregrounds --out runs/matting/squares

Each square is one of the paper's whole augmentation, and then some of what photographs have and plain composites lack:
opaque cores under hair and fur, colours of one thing over another's alpha, foregrounds nearly of the background's
colour, backgrounds and outlines out of focus, noise, JPEG, and trimaps as people draw them: wide, and wider here than
there. Beside every square stands the matte of closed-form matting, which takes most of the time. It goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from graspcut.matting.augmentation import MattingAugmentation, training_example
from graspcut.matting.classical import classical_alpha
from graspcut.matting.data import BackgroundFolder, ForegroundFolder, open_foregrounds
from graspcut.matting.images import to_bytes
from graspcut.matting.trimap import UNKNOWN, snapped, trimap_from_alpha

SIDE = 192
SHAPES = {
    "image": (SIDE, SIDE, 3),
    "trimap": (SIDE, SIDE),
    "alpha": (SIDE, SIDE),
    "closed-form": (SIDE, SIDE),
}
_STREAM, _PLAIN_STREAM = 52, 51
_LEAST_KNOWN = 0.02
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Square:
    """One square: image (H, W, 3), trimap and alpha (H, W), uint8."""

    image: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


def square(foregrounds: ForegroundFolder, backgrounds: BackgroundFolder, index: int, seed: int) -> Square:
    """Square number `index`, the same one each time: one that has some known pixels of both sides."""
    rng = np.random.default_rng([_STREAM, seed, index])
    while True:
        found = _square(foregrounds, backgrounds, rng)
        if all((found.trimap == value).mean() > _LEAST_KNOWN for value in (0, 255)) and (found.trimap == UNKNOWN).any():
            return found


def plain_square(foregrounds: ForegroundFolder, backgrounds: BackgroundFolder, index: int, seed: int) -> Square:
    """Square number `index` as the paper composes them: what the first part of the shipped network's training saw."""
    rng = np.random.default_rng([_PLAIN_STREAM, seed, index])
    colours, alpha = foregrounds.foreground(index % len(foregrounds))
    augmentation = MattingAugmentation(size=SIDE, crop=(0.5, 1.4), blur=0.2, jitter=0.1)
    example = training_example(colours, alpha, _any(backgrounds, rng), augmentation, rng)
    return Square(to_bytes(example.image), example.trimap, to_bytes(example.alpha))


def _square(foregrounds: ForegroundFolder, backgrounds: BackgroundFolder, rng: np.random.Generator) -> Square:
    colours, alpha = foregrounds.foreground(int(rng.integers(len(foregrounds))))
    behind = _any(backgrounds, rng)
    if rng.random() < 0.35:
        alpha = _with_core(alpha, rng)
    if rng.random() < 0.1:
        # An outline out of focus: alpha of low frequency.
        alpha = _softened(alpha, float(rng.uniform(1.0, 5.0)))
    if rng.random() < 0.3:
        colours = np.asarray(
            cv2.resize(_any(backgrounds, rng), alpha.shape[::-1], interpolation=cv2.INTER_AREA), np.float32
        )
    if rng.random() < 0.5:
        behind = _softened(behind, float(np.exp(rng.uniform(0.0, 2.1))))
    if rng.random() < 0.3:
        towards = np.float32(rng.uniform(0.3, 0.9))
        colours = np.clip(colours + towards * (behind.mean((0, 1)) - colours.mean((0, 1))), 0.0, 1.0)
    augmentation = MattingAugmentation(size=SIDE, crop=(0.4, 1.7), blur=0.3, jitter=0.1, invert=0.1, gamma_chance=0.2)
    example = training_example(colours.astype(np.float32), alpha, behind.astype(np.float32), augmentation, rng)
    opacity = to_bytes(example.alpha)
    image = _photographed(example.image, rng)
    return Square(image, _trimap(opacity, example.trimap, rng), opacity)


def _softened(picture: Floats, sigma_px: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.float32)


def _any(backgrounds: BackgroundFolder, rng: np.random.Generator) -> Floats:
    return backgrounds.background(int(rng.integers(len(backgrounds))))


def _with_core(alpha: Floats, rng: np.random.Generator) -> Floats:
    """Where alpha is dense it becomes opaque, with a rim of a few pixels: something solid that has hair."""
    dense = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(4.0, 12.0)))
    core = np.clip((dense - rng.uniform(0.3, 0.6)) / rng.uniform(0.05, 0.3), 0.0, 1.0)
    return snapped(np.maximum(alpha, core).astype(np.float32))


def _photographed(image: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise, finer or coarser, and JPEG, each now and then."""
    if rng.random() < 0.5:
        noise = rng.normal(0.0, rng.uniform(0.003, 0.03), image.shape).astype(np.float32)
        if rng.random() < 0.5:
            noise = 2.0 * cv2.GaussianBlur(noise, (0, 0), 0.7)
        image = np.clip(image + noise, 0.0, 1.0)
    found = to_bytes(image)
    if rng.random() < 0.3:
        quality = int(rng.integers(60, 96))
        _, packed = cv2.imencode(".jpg", found, [cv2.IMWRITE_JPEG_QUALITY, quality])
        found = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return found


def _trimap(alpha: NDArray[np.uint8], plain: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The paper's trimap, or a wide one, or one of a width that changes along the outline."""
    kind = rng.choice(("plain", "wide", "drawn"), p=(0.4, 0.25, 0.35))
    if kind == "plain":
        return plain
    largest = 60.0
    while largest > 8.0:
        radii = np.exp(rng.uniform(np.log(6.0 if kind == "wide" else 3.0), np.log(largest), 2))
        if kind == "wide":
            found = trimap_from_alpha(alpha, *(float(radius) for radius in radii))
        else:
            found = _drawn(alpha, *(_uneven(float(radius), rng) for radius in radii))
        if all((found == value).mean() > _LEAST_KNOWN for value in (0, 255)):
            return found
        largest *= 0.6
    return plain


def _uneven(radius_px: float, rng: np.random.Generator) -> Floats:
    """(H, W): a third of the radius to all of it and more, changing smoothly."""
    field = cv2.resize(rng.normal(size=(5, 5)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(radius_px * np.exp(0.6 * field), np.float32)


def _drawn(alpha: NDArray[np.uint8], outside_px: Floats, inside_px: Floats) -> NDArray[np.uint8]:
    """As `trimap_from_alpha`, with radii of every pixel."""
    reach = []
    for mask, radius in ((alpha > 0, outside_px), (alpha < 255, inside_px)):
        if not mask.any():
            reach.append(mask)
            continue
        reach.append(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius)
    found = np.where(reach[0], np.uint8(255), np.uint8(0))
    found[reach[0] & reach[1]] = UNKNOWN
    return found


def stored(folder: Path, count: int | None) -> dict[str, Any]:
    """The memory maps; made if there are none and `count` says how many."""
    found = {}
    for name, shape in SHAPES.items():
        path = folder / f"{name}.npy"
        if path.exists():
            found[name] = np.load(path, mmap_mode="r" if count is None else "r+")
        elif count is None:
            raise SystemExit(f"{path} is missing: draw the squares first")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            found[name] = open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *shape))
    return found


def drawn(arrays: dict[str, Any]) -> int:
    """How many squares there are; the others are still 0."""
    there = [bool(trimap.any()) for trimap in arrays["trimap"]]
    return there.index(False) if False in there else len(there)


def draw(foreground_folder: Path, out: Path, count: int, seed: int, *, plain: bool = False) -> None:
    """Squares 0 .. count - 1 as OUT/image.npy, trimap.npy, alpha.npy and closed-form.npy, uint8."""
    foregrounds, backgrounds = open_foregrounds(foreground_folder)
    if backgrounds is None:
        raise SystemExit(f"{foreground_folder} has no backgrounds; expected a set of graspcut synth matting")
    arrays = stored(out, count)
    for index in range(drawn(arrays), len(arrays["trimap"])):
        if index % 100 == 0:
            print(f"{index} of {count}", flush=True)
        one = (plain_square if plain else square)(foregrounds, backgrounds, index, seed)
        arrays["image"][index], arrays["alpha"][index] = one.image, one.alpha
        arrays["closed-form"][index] = to_bytes(classical_alpha(one.image, one.trimap))
        arrays["trimap"][index] = one.trimap
    for array in arrays.values():
        array.flush()


def main() -> None:
    """Draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foregrounds", type=Path, required=True, help="set of graspcut synth matting")
    parser.add_argument("--out", type=Path, required=True, help="folder of the squares; continued")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--plain", action="store_true", help="as the paper composes them, without what is added here")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw(given.foregrounds, given.out, given.count, given.seed, plain=given.plain)


if __name__ == "__main__":
    main()
