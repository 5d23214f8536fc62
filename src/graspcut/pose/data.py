"""Batches of hands for the shared trainer: random views of stored windows, and maps that were made once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graspcut.pose.crops import CENTRE_JOINT, WRIST_JOINT, HandCrops, HandSample, View
from graspcut.pose.mask_errors import with_mask_errors
from graspcut.pose.preprocessing import BACKGROUND_DEPTH, CUBE_MM, LOCATOR_CUBE_MM, NEAR_LOCATOR_CUBE_MM
from graspcut.train.description import described
from graspcut.train.streams import ArrayView, ValidationPart


class PoseBatch(NamedTuple):
    """A batch of hands.

    Attributes:
        crop: (B, 48, 48) float32 of `crop_cube`.
        parts: (B, 48, 48) uint8 part map: the truth for the part network, predicted ones for the joint network.
        joints: (B, joints, 3) float32, u v d of the crop; NaN where not annotated.
        visible: (B, joints) bool.
        right: (B,) bool.
    """

    crop: Any
    parts: Any
    joints: Any
    visible: Any
    right: Any


_UP: NDArray[np.float64] = np.array([0.0, -1.0])


@dataclass(frozen=True)
class ViewConfig:
    """How cubes are placed for training.

    Attributes:
        roll_deg: Standard deviation of the turn about the viewing axis; None turns by any angle.
        aligned_mm: Turn each hand until it points up, as well as somebody can who is so many mm off at its wrist and at
            its middle knuckle (standard deviation in each direction); then `roll_deg` comes on top. None does not.
        mirror: "random" shows every hand as a right and as a left one; "right" shows all as right hands.
        shift_mm: Standard deviation of the cube's centre in each direction.
        cube_deviation: Standard deviation of the logarithm of the cube's edge.
        cube_mm: Edge of the cube in the middle of its variation.
        forearm: Keep forearm pixels, as frames that `graspcut segment` labels have them.
        mask_errors: Share of the views whose mask is given errors as a segmentation makes them.
        worse: How cubes lie that a network which is trained on these views is also asked to place better; None: of no
            such use.
    """

    roll_deg: float | None = None
    aligned_mm: float | None = None
    mirror: Literal["random", "right"] = "random"
    shift_mm: float = 8.0
    cube_deviation: float = 0.06
    cube_mm: float = CUBE_MM
    forearm: bool = True
    mask_errors: float = 0.7
    worse: ViewConfig | None = None

    def draw(self, rng: np.random.Generator, right: bool, along_mm: NDArray[np.floating] = _UP) -> View:
        """A random view of a hand, which points along (x, y) `along_mm`."""
        shift = rng.normal(0, self.shift_mm, 3)
        turn = rng.uniform(0, 360) if self.roll_deg is None else rng.normal(0, self.roll_deg)
        if self.aligned_mm is not None:
            turn += upright_deg(along_mm + rng.normal(0, self.aligned_mm * 2**0.5, 2))
        return View(
            shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
            roll_deg=float(turn),
            mirrored=bool(rng.random() < 0.5) if self.mirror == "random" else not right,
            cube_mm=float(self.cube_mm * np.exp(rng.normal(0, self.cube_deviation))),
        )

    def fixed(self, right: bool, along_mm: NDArray[np.floating] = _UP) -> View:
        """The view for measuring: nothing changed but what `mirror` and `aligned_mm` ask for."""
        turn = 0.0 if self.aligned_mm is None else upright_deg(along_mm)
        return View(mirrored=self.mirror == "right" and not right, cube_mm=self.cube_mm, roll_deg=turn)


def upright_deg(along: NDArray[np.floating]) -> float:
    """The roll of a cube in which what points along (x, y) in the picture points up."""
    return float(np.degrees(np.arctan2(along[0], -along[1])))


# Hands of whole frames before they are placed well: as far off as the locator is.
PLACING_VIEWS = ViewConfig(roll_deg=10.0, aligned_mm=40.0, shift_mm=35.0)
# The same once they are: the locator says where they are and which way they point.
ALL_VIEWS = ViewConfig(roll_deg=5.0, aligned_mm=18.0, worse=PLACING_VIEWS)
# The locator's second look: as far off as its first one was.
NEAR_LOCATOR_VIEWS = ViewConfig(roll_deg=15.0, aligned_mm=40.0, shift_mm=35.0, cube_mm=NEAR_LOCATOR_CUBE_MM)
LOCATOR_VIEWS = ViewConfig(shift_mm=30.0, cube_mm=LOCATOR_CUBE_MM, worse=NEAR_LOCATOR_VIEWS)
# As NYU's frames: right hands, upright, cut out without the arm.
UPRIGHT_VIEWS = ViewConfig(roll_deg=10.0, mirror="right", forearm=False, mask_errors=0.0)
# How far stored views are moved: standard deviations in pixels and in halves of the cube.
_MOVED_PX, _MOVED_DEPTH = 1.5, 0.05


@dataclass(frozen=True)
class CropTarget:
    """Makes a batch of random views (`graspcut.train.streams.ArrayView`).

    Attributes:
        views: How cubes are placed.
        fixed: Take the measuring view of each hand instead.
    """

    views: ViewConfig
    fixed: bool = False

    def __call__(self, items: dict[str, NDArray[Any]], rng: np.random.Generator) -> PoseBatch:
        """One view of each item."""
        crops = HandCrops(**items)
        along = crops.joints_mm[:, CENTRE_JOINT, :2] - crops.joints_mm[:, WRIST_JOINT, :2]
        along = np.where(np.isfinite(along).all(axis=1, keepdims=True), along, _UP)
        views = [
            self.views.fixed(bool(right), way) if self.fixed else self.views.draw(rng, bool(right), way)
            for right, way in zip(crops.right, along, strict=True)
        ]
        samples = [crops.sample(number, view, forearm=self.views.forearm) for number, view in enumerate(views)]
        batch = batch_of(samples)
        return batch if self.fixed else with_mask_errors(batch, rng, self.views.mask_errors)


def batch_of(samples: list[HandSample]) -> PoseBatch:
    """Stack samples."""
    return PoseBatch(
        np.stack([sample.crop for sample in samples]),
        np.stack([sample.parts for sample in samples]),
        np.stack([sample.joints for sample in samples]),
        np.stack([sample.visible for sample in samples]),
        np.array([sample.right for sample in samples]),
    )


def arrays_of(crops: HandCrops) -> dict[str, NDArray[Any]]:
    """The arrays of windows by name."""
    return {field.name: getattr(crops, field.name) for field in dataclasses.fields(crops)}


def stored_target(items: dict[str, NDArray[Any]], rng: np.random.Generator) -> PoseBatch:
    """A batch of stored views, each mirrored or not and moved by whole pixels.

    A hand's mirror image is one of the other side. None of it mixes pixels, so predicted parts move along.
    """
    count = len(items["crop"])
    batch = mirrored_where(PoseBatch(**items), rng.random(count) < 0.5)
    return moved(batch, np.rint(rng.normal(0, _MOVED_PX, (count, 2))).astype(int), rng.normal(0, _MOVED_DEPTH, count))


def turned_target(items: dict[str, NDArray[Any]], rng: np.random.Generator) -> PoseBatch:
    """The same, turned by quarters too: for views of hands that point anywhere."""
    return turned(stored_target(items, rng), rng.integers(4, size=len(items["crop"])))


def kept_target(items: dict[str, NDArray[Any]], _: np.random.Generator) -> PoseBatch:
    """A batch of stored views as they are."""
    return PoseBatch(**{**items, "crop": items["crop"].astype(np.float32)})


def mirrored_where(batch: PoseBatch, flipped: NDArray[np.bool_]) -> PoseBatch:
    """Mirror some items left-right."""
    crop = batch.crop.astype(np.float32)
    parts, joints, right = batch.parts.copy(), batch.joints.copy(), batch.right.copy()
    crop[flipped] = crop[flipped, :, ::-1]
    parts[flipped] = parts[flipped, :, ::-1]
    joints[flipped, :, 0] *= -1
    right[flipped] = ~right[flipped]
    return PoseBatch(crop, parts, joints, batch.visible, right)


def turned(batch: PoseBatch, quarters: NDArray[np.integer]) -> PoseBatch:
    """Turn items by quarters, counterclockwise as they are seen."""
    crop, parts, joints = batch.crop.copy(), batch.parts.copy(), batch.joints.copy()
    for quarter in (1, 2, 3):
        chosen = quarters == quarter
        crop[chosen] = np.rot90(crop[chosen], quarter, axes=(1, 2))
        parts[chosen] = np.rot90(parts[chosen], quarter, axes=(1, 2))
        for _ in range(quarter):
            u, v = joints[chosen, :, 0], joints[chosen, :, 1]
            joints[chosen, :, 0], joints[chosen, :, 1] = v, -u
    return batch._replace(crop=crop, parts=parts, joints=joints)


def moved(batch: PoseBatch, pixels: NDArray[np.integer], depth: NDArray[np.floating]) -> PoseBatch:
    """Move the cubes: what they show moves the other way.

    Args:
        batch: What is moved.
        pixels: (B, 2) whole pixels right and down.
        depth: (B,) away from the camera, in units of half the cube.
    """
    size = batch.crop.shape[1]
    crop, parts = np.ones_like(batch.crop), np.zeros_like(batch.parts)
    for number, (right, down) in enumerate(np.clip(pixels, -size // 2, size // 2)):
        to = (slice(max(0, -down), size - max(0, down)), slice(max(0, -right), size - max(0, right)))
        source = (slice(max(0, down), size - max(0, -down)), slice(max(0, right), size - max(0, -right)))
        crop[number][to] = batch.crop[number][source]
        parts[number][to] = batch.parts[number][source]
    nearer = crop - depth.astype(np.float32)[:, None, None]
    outside = (crop >= BACKGROUND_DEPTH) | (np.abs(nearer) >= 1.0)
    offset = np.concatenate([pixels * 2.0 / size, depth[:, None]], axis=1).astype(np.float32)
    return batch._replace(
        crop=np.where(outside, np.float32(BACKGROUND_DEPTH), nearer),
        parts=np.where(outside, np.uint8(0), parts),
        joints=batch.joints - offset[:, None],
    )


def parts_view(
    crops: HandCrops, views: ViewConfig, batch_size: int, *, fixed: bool = False, seed: int = 0
) -> ArrayView:
    """Batches of random views of windows."""
    return ArrayView(
        arrays_of(crops), CropTarget(views, fixed), batch_size=batch_size, order_seed=None if fixed else seed
    )


class _Items:
    """The items of a batch, one by one, as a validation part asks for them."""

    def __init__(self, batch: PoseBatch) -> None:
        self.batch = batch

    def sample(self, index: int) -> Any:
        return PoseBatch(*(field[index] for field in self.batch))

    def describe(self) -> dict[str, Any]:
        return {name: described(field) for name, field in zip(PoseBatch._fields, self.batch, strict=True)}


def _same(item: Any, _: np.random.Generator) -> Any:
    return item


def validation_of(batch: PoseBatch, batch_size: int = 16) -> ValidationPart:
    """A fixed validation part of these hands."""
    return ValidationPart(_Items(batch), _same, len(batch.crop), batch_size, missing_depth_label=None)
