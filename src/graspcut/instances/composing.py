"""Labelled frames with many instances: hands, what they hold and other objects, apart or touching, before clutter.

The renderer draws one or two hands and what they hold. Here several of its clean views are laid over each other by
depth, each a piece of its own with its instances, and the depth sensor looks at the whole. A touching piece is moved
across the picture until its mask meets another one, and in depth until the two surfaces meet there: no edge in depth
tells them apart. The move ignores perspective, which at these angles bends a piece by a few millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import Instance, LabelledFrame
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.names import SensorName
from graspcut.synth.sensors.presets import sensor_preset

_HAND, _OBJECT, _BACKGROUND = 0, 1, 2
_DEPTH_UNIT_MM = 0.125
# Distances at which the pieces of one frame stand: alike, so that they can touch without changing their scale.
_BANDS_MM = ((230.0, 380.0), (340.0, 560.0), (500.0, 850.0))


@dataclass(frozen=True)
class ComposedConfig:
    """What frames to make. Chances are 0..1.

    Attributes:
        width, height: of the frames in pixels.
        sensor: preset of the depth sensor.
        held_out_kinds: objects are of the kinds kept out of training.
        hands: chances of 0, 1 and 2 hands.
        objects: chances of 0, 1, 2 and 3 objects beside those that hands hold.
        touching: chance that a piece touches one that is there already.
        background: chance of a table, wall or person behind.
        smallest_px: an instance of which fewer pixels are seen is left out, at 160x120.
    """

    width: int = 160
    height: int = 120
    sensor: SensorName = "sr300"
    held_out_kinds: bool = False
    hands: tuple[float, float, float] = (0.15, 0.35, 0.5)
    objects: tuple[float, float, float, float] = (0.2, 0.3, 0.3, 0.2)
    touching: float = 0.6
    background: float = 0.7
    smallest_px: int = 40


@dataclass(frozen=True, eq=False)
class Piece:
    """A clean view of some instances and nothing else.

    Attributes:
        depth_mm: (H, W) float32 mm, 0 = nothing there.
        instances: (H, W) uint8, 0 = none.
        table: the instances.
    """

    depth_mm: NDArray[np.float32]
    instances: NDArray[np.uint8]
    table: tuple[Instance, ...]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool: where something is."""
        return np.asarray(self.depth_mm > 0)

    def moved(self, right_px: int, down_px: int, away_mm: float) -> Piece:
        """The piece elsewhere; what leaves the picture is lost."""
        depth = shifted(self.depth_mm, right_px, down_px)
        moved_depth = np.where(depth > 0, np.maximum(depth + np.float32(away_mm), np.float32(100.0)), np.float32(0.0))
        return Piece(moved_depth.astype(np.float32), shifted(self.instances, right_px, down_px), self.table)


def shifted(image: NDArray[Any], right_px: int, down_px: int) -> NDArray[Any]:
    """An image moved by whole pixels, with zeros where nothing is known."""
    height, width = image.shape
    out = np.zeros_like(image)
    rows, columns = max(0, height - abs(down_px)), max(0, width - abs(right_px))
    top, left = max(0, down_px), max(0, right_px)
    from_top, from_left = max(0, -down_px), max(0, -right_px)
    out[top : top + rows, left : left + columns] = image[from_top : from_top + rows, from_left : from_left + columns]
    return out


def touching_move(
    there: Piece, piece: Piece, rng: np.random.Generator, *, overlap: float = 0.06
) -> tuple[int, int, float] | None:
    """How to move a piece so that it just meets what is there.

    Args:
        there: what the frame holds.
        piece: the one to move.
        rng: draws the direction it comes from.
        overlap: the part of the piece that may lie over the other.

    Returns:
        pixels to the right, pixels down, millimetres away; None if it finds no such place in the picture.
    """
    taken, own = there.mask, piece.mask
    if not taken.any() or not own.any():
        return None
    height, width = taken.shape
    meeting = np.array([axis.mean() for axis in np.nonzero(taken)]) - [axis.mean() for axis in np.nonzero(own)]
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.sin(angle), np.cos(angle)])
    allowed = overlap * np.count_nonzero(own)
    for away in range(0, max(height, width), 2):
        down, right = np.rint(meeting + away * direction).astype(int)
        moved = shifted(own, int(right), int(down))
        if np.count_nonzero(moved) < 0.7 * np.count_nonzero(own):
            return None
        if np.count_nonzero(moved & taken) > allowed:
            continue
        kernel = np.ones((5, 5), np.uint8)
        near = cv2.dilate(moved.astype(np.uint8), kernel) > 0
        contact = near & taken
        if not contact.any():
            return None
        near_taken = (cv2.dilate(contact.astype(np.uint8), kernel) > 0) & moved
        depth = shifted(piece.depth_mm, int(right), int(down))
        apart = float(np.median(there.depth_mm[contact])) - float(np.median(depth[near_taken]))
        return int(right), int(down), apart + float(rng.normal(0, 4.0))
    return None


def laid_over(there: Piece, piece: Piece) -> Piece:
    """Both, the nearer surface of each pixel; the ids of the piece follow those that are there."""
    first = max((entry.id for entry in there.table), default=0)
    renumbered = np.where(piece.instances > 0, piece.instances + np.uint8(first), np.uint8(0)).astype(np.uint8)
    nearer = piece.mask & (~there.mask | (piece.depth_mm < there.depth_mm))
    return Piece(
        np.where(nearer, piece.depth_mm, there.depth_mm),
        np.where(nearer, renumbered, there.instances).astype(np.uint8),
        (*there.table, *(replace(entry, id=entry.id + first) for entry in piece.table)),
    )


class ComposedFrames:
    """Endless labelled frames of several instances; `frames[i]` depends on (configuration, seed, i) alone.

    Args:
        config: what frames to make.
        seed: same seed, same frames.
    """

    def __init__(self, config: ComposedConfig | None = None, seed: int = 0) -> None:
        self.config = config if config is not None else ComposedConfig()
        self.seed = seed
        self._sources = {
            (kind, band): FrameGenerator(self._source_config(kind, band), seed)
            for kind in (_HAND, _OBJECT, _BACKGROUND)
            for band in range(len(_BANDS_MM))
        }

    def _source_config(self, kind: int, band: int) -> SynthConfig:
        config = self.config
        nearest, farthest = _BANDS_MM[band]
        scene = SceneConfig(
            nothing=1.0 if kind == _BACKGROUND else 0.0,
            object_only=1.0 if kind == _OBJECT else 0.0,
            hand_only=0.4,
            two_hands=0.0,
            nearest_mm=nearest,
            farthest_mm=farthest,
            background_none=0.0 if kind == _BACKGROUND else 1.0,
        )
        return SynthConfig(
            width=config.width,
            height=config.height,
            profile="v1",
            sensor="ideal",
            held_out_kinds=config.held_out_kinds,
            colour=False,
            cut_background=0.0,
            scene=scene,
        )

    def __getitem__(self, index: int) -> LabelledFrame:
        if index < 0:
            raise IndexError(f"frame {index}: frames are numbered from 0")
        config = self.config
        rng = np.random.default_rng([7, self.seed, index])
        band = int(rng.integers(len(_BANDS_MM)))
        clean = self._foreground(rng, index, band)
        depth, instances = clean.depth_mm, clean.instances
        if rng.random() < config.background:
            depth, instances = self._before_background(rng, index, band, clean)
        return self._observed(rng, depth, instances, clean.table, index)

    def __iter__(self) -> Iterator[LabelledFrame]:
        index = 0
        while True:
            yield self[index]
            index += 1

    def _render(self, kind: int, band: int, index: int, number: int) -> LabelledFrame:
        return self._sources[kind, band][index * 16 + number]

    def _foreground(self, rng: np.random.Generator, index: int, band: int) -> Piece:
        config = self.config
        kinds = [_HAND] * int(rng.choice(3, p=config.hands)) + [_OBJECT] * int(rng.choice(4, p=config.objects))
        rng.shuffle(kinds)
        shape = (config.height, config.width)
        together = Piece(np.zeros(shape, np.float32), np.zeros(shape, np.uint8), ())
        for number, kind in enumerate(kinds):
            rendered = self._render(kind, band, index, number)
            assert rendered.instances is not None
            piece = Piece(rendered.frame.depth_mm, rendered.instances, rendered.instance_table)
            if together.table and rng.random() < config.touching:
                move = touching_move(together, piece, rng)
                if move is not None:
                    piece = piece.moved(*move)
            candidate = laid_over(together, piece)
            if self._all_seen(together, piece, candidate):
                together = candidate
        return together

    def _all_seen(self, there: Piece, piece: Piece, together: Piece) -> bool:
        """Whether every instance keeps a third of its pixels and enough of them."""
        least = self.config.smallest_px * self.config.width * self.config.height / (160 * 120)
        shown = np.bincount(together.instances.ravel(), minlength=256)
        first = max((entry.id for entry in there.table), default=0)
        for entries, alone, offset in ((there.table, there.instances, 0), (piece.table, piece.instances, first)):
            before = np.bincount(alone.ravel(), minlength=256)
            if any(shown[entry.id + offset] < max(least, 0.35 * before[entry.id]) for entry in entries):
                return False
        return True

    def _before_background(
        self, rng: np.random.Generator, index: int, band: int, clean: Piece
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        behind = self._render(_BACKGROUND, band, index, 15).frame.depth_mm
        both = clean.mask & (behind > 0)
        # Tables come forward until they nearly touch what stands before them.
        away = float(np.percentile((clean.depth_mm - behind)[both], 97)) if both.any() else 0.0
        behind = np.where(behind > 0, behind + np.float32(max(away, -200.0) + rng.uniform(0, 60)), np.float32(0.0))
        shown = clean.mask & ((behind <= 0) | (clean.depth_mm <= behind))
        return (
            np.where(shown, clean.depth_mm, behind).astype(np.float32),
            np.where(shown, clean.instances, np.uint8(0)).astype(np.uint8),
        )

    def _observed(
        self,
        rng: np.random.Generator,
        depth: NDArray[np.float32],
        instances: NDArray[np.uint8],
        table: tuple[Instance, ...],
        index: int,
    ) -> LabelledFrame:
        config = self.config
        camera = self._sources[_OBJECT, 0].config.camera()
        seed = int(rng.integers(2**31))
        if config.sensor != "ideal":
            sensor = sensor_preset(config.sensor).draw(rng)
            focal = focal_length_px(camera, config.width)
            seen, source = simulate(depth, np.zeros_like(depth), focal, sensor, seed)
            known = source >= 0
            instances = np.where(known, instances.ravel()[np.maximum(source, 0)], np.uint8(0)).astype(np.uint8)
            depth = seen
        label_of = np.zeros(256, np.uint8)
        for entry in table:
            label_of[entry.id] = entry.label
        frame = Frame(depth, camera=camera, name=f"{index:06d}")
        return LabelledFrame(frame, label_of[instances], instances, instance_table=table)


def write_composed(
    config: ComposedConfig,
    *,
    seed: int,
    count: int,
    out: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes `count` frames into a dataset folder (see `frames.dataset`); an interrupted run goes on where it stopped.

    Args:
        config: what frames to make.
        seed: of all frames.
        count: number of frames.
        out: the folder.
        progress: called with (frames done, count).

    Raises:
        FrameError: if the folder holds something else.
        OSError: if it cannot be written.
    """
    description = {"composed": asdict(config), "seed": seed}
    writer = DatasetWriter(out, depth_unit_mm=_DEPTH_UNIT_MM, description=description)
    frames = ComposedFrames(config, seed)
    for index in range(count):
        if not writer.has(index):
            writer.write(index, frames[index])
        if progress is not None:
            progress(index + 1, count)
    writer.finish(count)


def instance_masks(
    instances: NDArray[np.uint8], table: tuple[Instance, ...] = (), *, smallest_px: int = 1
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """An instance map as one mask an instance.

    Args:
        instances: (H, W) uint8, 0 = none.
        table: the instances; without it every id of the map counts.
        smallest_px: instances of fewer pixels are left out.

    Returns:
        masks (N, H, W) bool and their ids (N,).
    """
    counts = np.bincount(instances.ravel(), minlength=256)
    ids = np.array([entry.id for entry in table], np.int64) if table else np.flatnonzero(counts)
    ids = np.array([identity for identity in ids if identity > 0 and counts[identity] >= smallest_px], np.int64)
    return instances[None] == ids.astype(np.uint8)[:, None, None], ids
