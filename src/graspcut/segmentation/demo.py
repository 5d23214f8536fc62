"""The demo: segments the recording that comes with the package and compares it with the truth beside it.

The recording is rendered (see benchmarks/make_demo_recording.py), so its true labels are known at every pixel. They lie
beside it, in label/NNNNNN.png.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, depth_to_colour, overlay, write_image_atomically, write_point_cloud
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_single_channel
from graspcut.frames.recording import Recording
from graspcut.labels import BACKGROUND, LABEL_COLOURS
from graspcut.segmentation.batch import FrameSegmenter
from graspcut.segmentation.metrics import BoundaryCounts, ConfusionCounts

SHEET_FRAMES = 8
_POINT_GREY = 150


@dataclass(frozen=True)
class DemoReport:
    """What the demo found.

    Attributes:
        frames: Number of frames.
        width, height: Their size.
        hand_iou, object_iou, mean_iou: Fractions of 1, over all pixels of all frames.
        boundary_f1: Mean of hand and object, within 2 pixels.
        median_ms: Median time of one frame, depth in, labels out.
        contact_sheet: Picture of some frames: depth, result, truth.
        point_cloud: Coloured PLY of one frame.
    """

    frames: int
    width: int
    height: int
    hand_iou: float
    object_iou: float
    mean_iou: float
    boundary_f1: float
    median_ms: float
    contact_sheet: Path
    point_cloud: Path


def demo_recording_folder() -> Path:
    """The bundled recording."""
    return Path(__file__).resolve().parent.parent / "demo_recording"


def run_demo(
    segmenter: FrameSegmenter,
    out: str | Path,
    *,
    recording_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoReport:
    """Segments a recording with known labels, measures, and draws.

    Args:
        segmenter: Labels one frame.
        out: Folder for the pictures; is made if missing.
        recording_folder: A recording with label/NNNNNN.png beside its frames; by default the bundled one.
        progress: Called with (frames done, frames in all).

    Raises:
        FrameError: If the recording or a label map is missing or damaged.
    """
    folder = demo_recording_folder() if recording_folder is None else recording_folder
    recording = Recording(folder)
    if len(recording) == 0:
        raise FrameError(f"{folder} has no frames; make it again with benchmarks/make_demo_recording.py.")
    confusion, boundary = ConfusionCounts(), BoundaryCounts()
    times_ms: list[float] = []
    shown: list[tuple[Frame, NDArray[np.uint8], NDArray[np.uint8]]] = []
    step = max(1, len(recording) // SHEET_FRAMES)
    for index, frame in enumerate(recording):
        truth = read_single_channel(folder / "label" / f"{frame.name}.png", what="label map")
        if index == 0:
            segmenter(frame.depth_mm, frame.camera)  # the first call also sets up the back end
        started = time.perf_counter()
        labels = segmenter(frame.depth_mm, frame.camera).labels
        times_ms.append((time.perf_counter() - started) * 1000)
        confusion.add(truth, labels)
        boundary.add(truth, labels)
        if index % step == 0 and len(shown) < SHEET_FRAMES:
            shown.append((frame, labels, truth))
        if progress is not None:
            progress(index + 1, len(recording))

    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    sheet, cloud = place / "contact_sheet.png", place / "points.ply"
    write_image_atomically(sheet, _sheet(shown))
    frame, labels, _ = max(shown, key=lambda entry: np.count_nonzero(entry[1] != BACKGROUND))
    write_point_cloud(cloud, frame.points_mm(), point_colours(labels))
    scores = confusion.scores()
    return DemoReport(
        frames=len(recording),
        width=frame.width,
        height=frame.height,
        hand_iou=scores.hand_iou,
        object_iou=scores.object_iou,
        mean_iou=scores.mean_iou,
        boundary_f1=boundary.scores().mean,
        median_ms=float(np.median(times_ms)),
        contact_sheet=sheet,
        point_cloud=cloud,
    )


def point_colours(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) labels -> (H, W, 3) uint8 RGB: the label's colour, grey for background."""
    colours = LABEL_COLOURS[labels]
    colours[labels == BACKGROUND] = _POINT_GREY
    return colours


def _sheet(shown: list[tuple[Frame, NDArray[np.uint8], NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    images, titles = [], []
    for frame, labels, truth in shown:
        images += [depth_to_colour(frame.depth_mm), overlay(frame.depth_mm, labels), overlay(frame.depth_mm, truth)]
        titles += [f"{frame.name} depth", "labels found", "true labels"]
    return contact_sheet(images, 6, titles)
