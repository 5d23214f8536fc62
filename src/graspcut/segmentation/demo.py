"""The demo: segments the recording that comes with the package and compares it with the truth beside it.

The recording is rendered (see benchmarks/make_demo_recording.py), so its true labels are known at every pixel. They lie
beside it, in label/NNNNNN.png.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, depth_to_colour, overlay, write_image_atomically, write_point_cloud
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_single_channel
from graspcut.frames.recording import Recording
from graspcut.labels import BACKGROUND, LABEL_COLOURS
from graspcut.runtime.method import DemoReport
from graspcut.segmentation.interfaces import FrameSegmenter
from graspcut.segmentation.metrics import BoundaryCounts, ConfusionCounts

SHEET_FRAMES = 8
_POINT_GREY = 150


def demo_recording_folder() -> Path:
    """The bundled recording."""
    return Path(__file__).resolve().parent.parent / "demo_recording"


def run_demo(
    predictor: FrameSegmenter,
    out: str | Path,
    *,
    recording_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoReport:
    """Segments a recording with known labels, measures, and draws.

    Args:
        predictor: Labels one frame.
        out: Folder for the pictures; is made if missing.
        recording_folder: A recording with label/NNNNNN.png beside its frames; by default the bundled one.
        progress: Called with (frames done, frames in all).

    Returns:
        IoU of hand and object over all pixels of all frames, F1 of their boundaries within 2 pixels, median time of one
        frame from depth to labels; a contact sheet (depth, result, truth) and a coloured point cloud.

    Raises:
        FrameError: If the recording or a label map is missing or damaged.
    """
    place = make_output_folder(out)
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
            predictor(frame.depth_mm, frame.camera)  # the first call also sets up the back end
        started = time.perf_counter()
        labels = predictor(frame.depth_mm, frame.camera).labels
        times_ms.append((time.perf_counter() - started) * 1000)
        confusion.add(truth, labels)
        boundary.add(truth, labels)
        if index % step == 0 and len(shown) < SHEET_FRAMES:
            shown.append((frame, labels, truth))
        if progress is not None:
            progress(index + 1, len(recording))

    sheet, cloud = place / "contact_sheet.png", place / "points.ply"
    write_image_atomically(sheet, _sheet(shown))
    frame, labels, _ = max(shown, key=lambda entry: np.count_nonzero(entry[1] != BACKGROUND))
    write_point_cloud(cloud, frame.points_mm(), point_colours(labels))
    scores = confusion.scores()
    columns = (
        ("frames", str(len(recording))),
        ("size", f"{frame.width}x{frame.height}"),
        ("hand IoU", f"{scores.hand_iou:.3f}"),
        ("object IoU", f"{scores.object_iou:.3f}"),
        ("mean IoU", f"{scores.mean_iou:.3f}"),
        ("boundary F1", f"{boundary.scores().mean:.3f}"),
        ("ms per frame", f"{np.median(times_ms):.1f}"),
    )
    return DemoReport(columns, (("contact sheet", sheet), ("point cloud", cloud)))


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
