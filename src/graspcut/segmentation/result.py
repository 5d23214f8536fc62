"""The result of segmenting one frame: labels, probabilities and areas in the frame's own pixels and millimetres."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import overlay
from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.opening import read_bytes
from graspcut.labels import BACKGROUND, HAND, LABEL_NAMES, OBJECT

_ARRAYS = ("labels", "probabilities", "depth_mm")


@dataclass(frozen=True)
class Area:
    """How much of the picture a class covers.

    Attributes:
        pixels: number of pixels.
        mm2: area that these pixels cover at their depth, facing the camera, in square millimetres: the sum of
            z^2 / (fx fy). A slanted surface is larger than this. None when the camera is unknown.
    """

    pixels: int
    mm2: float | None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels of one frame.

    Attributes:
        labels: (H, W) uint8: 0 background, 1 hand, 2 object. Pixels without depth are background.
        probabilities: (3, H, W) float32, the network's softmax; it sums to 1 at each pixel, and is certain background
            where there is no depth.
        depth_mm: (H, W) float32 millimetres, 0 = no data: the segmented frame.
        camera: its camera, or None when none was given.

    Raises:
        FrameError: if the arrays do not fit together.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    camera: Camera | None = None

    def __post_init__(self) -> None:
        shape = self.depth_mm.shape
        classes = len(LABEL_NAMES)
        if self.labels.shape != shape or self.probabilities.shape != (classes, *shape) or self.depth_mm.ndim != 2:
            raise FrameError(
                f"labels {self.labels.shape}, probabilities {self.probabilities.shape} and depth {shape} do not belong "
                f"together; expected (H, W), ({classes}, H, W) and (H, W)."
            )
        if self.camera is not None and (self.camera.height, self.camera.width) != shape:
            raise FrameError(
                f"the camera is {self.camera.width}x{self.camera.height}, the frame {shape[1]}x{shape[0]}; "
                "expected the same size."
            )

    def __repr__(self) -> str:
        height, width = self.depth_mm.shape
        areas = [
            f"{name} {area.pixels} px" + (f" ({area.mm2 / 100:.0f} cm2)" if area.mm2 else "")
            for name, area in self.areas.items()
        ]
        return f"Segmentation({width}x{height}, {', '.join(areas)})"

    @property
    def hand(self) -> NDArray[np.bool_]:
        """(H, W) bool: hand pixels."""
        return np.asarray(self.labels == HAND)

    @property
    def object(self) -> NDArray[np.bool_]:
        """(H, W) bool: object pixels."""
        return np.asarray(self.labels == OBJECT)

    @cached_property
    def areas(self) -> dict[str, Area]:
        """Area of "hand" and "object"."""
        return {LABEL_NAMES[label]: self._area(label) for label in (HAND, OBJECT)}

    def _area(self, label: int) -> Area:
        chosen = self.labels == label
        pixels = int(np.count_nonzero(chosen))
        if self.camera is None:
            return Area(pixels, None)
        squared = np.square(self.depth_mm[chosen], dtype=np.float64)
        return Area(pixels, float(squared.sum() / (self.camera.fx * self.camera.fy)))

    def draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: shaded depth with the labels in colour."""
        return overlay(self.depth_mm, self.labels)

    def save(self, path: str | Path) -> None:
        """Writes everything into one .npz file (probabilities as float16), under a temporary name first.

        Args:
            path: name ending in .npz.

        Raises:
            FrameError: if the name ends otherwise.
            OSError: if the file can't be written.
        """
        if Path(path).suffix != ".npz":
            raise FrameError(f"a segmentation is saved as .npz, but the name is {path}; change its ending.")
        camera = "" if self.camera is None else json.dumps(self.camera.to_dict())
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            labels=self.labels,
            probabilities=self.probabilities.astype(np.float16),
            depth_mm=self.depth_mm,
            camera=np.array(camera),
        )
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> Segmentation:
        """Reads what `save` wrote; never unpickles.

        Raises:
            FrameError: if the file is missing, damaged or something else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as stored:
                arrays: dict[str, NDArray[Any]] = {name: stored[name] for name in _ARRAYS}
                camera = str(stored["camera"])
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
            raise FrameError(f"{path} is no saved segmentation ({error}); make it again.") from error
        return cls(
            arrays["labels"].astype(np.uint8),
            arrays["probabilities"].astype(np.float32),
            arrays["depth_mm"].astype(np.float32),
            Camera.from_dict(json.loads(camera)) if camera else None,
        )


def labels_of(probabilities: NDArray[np.float32], sensitivity: float = 1.0) -> NDArray[np.uint8]:
    """Labels of probabilities, as the graph makes them.

    Args:
        probabilities: (..., 3, H, W).
        sensitivity: what the odds of hand and object against background are multiplied by.

    Returns:
        (..., H, W) uint8.
    """
    best = probabilities[..., BACKGROUND, :, :] / np.float32(sensitivity)
    labels = np.zeros(best.shape, np.uint8)
    for label in (HAND, OBJECT):
        own = probabilities[..., label, :, :]
        np.putmask(labels, own > best, label)
        best = np.maximum(best, own)
    return labels
