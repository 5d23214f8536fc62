"""The result of proposing on one frame: masks with scores in the frame's own pixels."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.draw import depth_to_colour
from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.opening import read_bytes
from graspcut.instances.coco import result_entry

LEAST_SCORE = 0.5
MOST_TAKEN = 0.5
SMALLEST_PX = 30


@dataclass(frozen=True, eq=False)
class InstanceProposals:
    """Proposals of one frame, best first. They may overlap, and one thing may have several.

    Attributes:
        masks: (N, H, W) bool.
        scores: (N,) float32, 0..1: how surely the window is about one whole thing.
        depth_mm: (H, W) float32 millimetres, 0 = no data: the frame.
        camera: its camera, or None.

    Raises:
        FrameError: if the arrays do not fit together.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    camera: Camera | None = None

    def __repr__(self) -> str:
        height, width = self.depth_mm.shape
        best = f", best score {self.scores.max():.2f}" if len(self.scores) else ""
        return f"InstanceProposals({width}x{height}, {len(self.masks)} masks{best})"

    def __post_init__(self) -> None:
        if self.masks.shape != (len(self.scores), *self.depth_mm.shape) or self.depth_mm.ndim != 2:
            raise FrameError(
                f"masks {self.masks.shape}, scores {self.scores.shape} and depth {self.depth_mm.shape} do not belong "
                "together; expected (N, H, W), (N,) and (H, W)."
            )

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(N, 4) int64 x0, y0, x1, y1 of the masks in pixels, the far side exclusive; 0 for an empty mask."""
        boxes = np.zeros((len(self), 4), np.int64)
        for number, mask in enumerate(self.masks):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                boxes[number] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes

    def instance_map(
        self, least_score: float = LEAST_SCORE, *, most_taken: float = MOST_TAKEN, smallest_px: int = SMALLEST_PX
    ) -> NDArray[np.uint8]:
        """One id a pixel: the frame cut into things; see `distinct_instances`.

        Returns:
            (H, W) uint8: 0 = none, else 1.. by falling score.
        """
        return distinct_instances(
            self.masks, self.scores, self.depth_mm, least_score, most_taken=most_taken, smallest_px=smallest_px
        )

    def coco_entries(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """The proposals as entries of a COCO result file; empty masks are left out."""
        return [
            result_entry(image_id, category_id, float(score), mask)
            for mask, score in zip(self.masks, self.scores, strict=True)
            if mask.any()
        ]

    def draw(self, instances: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: shaded depth with one colour an instance.

        Args:
            instances: (H, W) ids to show; by default those of `instance_map`.
        """
        return draw_instances(self.depth_mm, self.instance_map() if instances is None else instances)

    def save(self, path: str | Path) -> None:
        """Writes everything into one .npz file, under a temporary name first.

        Raises:
            FrameError: if the name ends otherwise.
            OSError: if the file can't be written.
        """
        if Path(path).suffix != ".npz":
            raise FrameError(f"proposals are saved as .npz, but the name is {path}; change its ending.")
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            masks=np.packbits(self.masks, axis=-1),
            scores=self.scores,
            depth_mm=self.depth_mm,
            camera=np.array("" if self.camera is None else json.dumps(self.camera.to_dict())),
        )
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> InstanceProposals:
        """Reads what `save` wrote; never unpickles.

        Raises:
            FrameError: if the file is missing, damaged or something else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as stored:
                depth, scores = stored["depth_mm"].astype(np.float32), stored["scores"].astype(np.float32)
                masks = np.unpackbits(stored["masks"], axis=-1, count=depth.shape[-1]).astype(bool)
                camera = str(stored["camera"])
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile, TypeError, IndexError) as error:
            raise FrameError(f"{path} is no file of saved proposals ({error}); make it again.") from error
        return cls(masks, scores, depth, Camera.from_dict(json.loads(camera)) if camera else None)


def distinct_instances(
    masks: NDArray[np.bool_],
    scores: NDArray[np.floating],
    depth_mm: NDArray[np.float32],
    least_score: float = LEAST_SCORE,
    *,
    most_taken: float = MOST_TAKEN,
    smallest_px: int = SMALLEST_PX,
) -> NDArray[np.uint8]:
    """Cuts a frame into things: proposals by falling score, each gets its pixels that no better one has.

    Pixels without depth belong to nothing.

    Args:
        masks: (N, H, W) bool, best first.
        scores: (N,).
        depth_mm: (H, W), 0 = no data.
        least_score: proposals below are not taken.
        most_taken: a proposal of which better ones have more than this part is the same thing again.
        smallest_px: things with fewer pixels are left out.

    Returns:
        (H, W) uint8: 0 = none, else 1.. by falling score, at most 255.
    """
    ids = np.zeros(depth_mm.shape, np.uint8)
    number = 0
    for mask, score in zip(masks, scores, strict=True):
        if score < least_score or number == 255:
            break
        seen = mask & (depth_mm > 0)
        free = seen & (ids == 0)
        pixels, left = int(np.count_nonzero(seen)), int(np.count_nonzero(free))
        if left >= max(smallest_px, 1) and left >= (1 - most_taken) * pixels:
            number += 1
            ids[free] = number
    return ids


def instance_colours() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: neighbouring ids differ in hue; 0 is black."""
    hues = (np.arange(256) * 0.61803398875 % 1.0 * 180).astype(np.uint8)
    lightness = np.where(np.arange(256) % 3 == 0, 170, np.where(np.arange(256) % 3 == 1, 235, 200)).astype(np.uint8)
    table = np.stack([hues, np.full(256, 170, np.uint8), lightness], axis=1)[None]
    colours: NDArray[np.uint8] = np.asarray(cv2.cvtColor(table, cv2.COLOR_HSV2RGB)[0], np.uint8)
    colours[0] = 0
    return colours


def draw_instances(depth_mm: NDArray[np.float32], instances: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shaded depth with one colour an instance and its outline, (H, W, 3) uint8 RGB."""
    picture = depth_to_colour(depth_mm).astype(np.float32)
    grey = picture.mean(axis=2, keepdims=True)
    colours = instance_colours()[instances].astype(np.float32)
    inside = (instances > 0)[..., None]
    mixed = np.where(inside, 0.45 * grey + 0.55 * colours, 0.75 * grey)
    kernel = np.ones((3, 3), np.uint8)
    outline = (cv2.dilate(instances, kernel) != cv2.erode(instances, kernel))[..., None] & inside
    return np.asarray(np.where(outline, colours, mixed).clip(0, 255), np.uint8)
