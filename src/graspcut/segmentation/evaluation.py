"""Scores of a model over labelled frames, or of a folder of predicted label maps over a folder of true ones."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_single_channel
from graspcut.labels import UNKNOWN
from graspcut.segmentation.interfaces import FrameSegmenter
from graspcut.segmentation.metrics import (
    MEANS_NOTE,
    BoundaryCounts,
    BoundaryScores,
    ConfusionCounts,
    SizeScore,
    TableScores,
)

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class EvaluationReport:
    """Scores over a set of images; fractions of 1, NaN where undefined.

    Attributes:
        title: what was compared.
        images: number of images.
        valid_pixels_only: whether pixels without depth were left out.
        overall: Table 2 from the matrix summed over all images.
        per_image: Table 2 as means over images.
        boundary: F1 of the boundaries.
        object_by_size: object IoU by visible object size.
        failures: (name, message) of frames that could not be used; they are in no score.
    """

    title: str
    images: int
    valid_pixels_only: bool
    overall: TableScores
    per_image: TableScores
    boundary: BoundaryScores
    object_by_size: tuple[SizeScore, ...]
    failures: tuple[tuple[str, str], ...] = ()

    def table(self) -> str:
        """The scores as text, in percent."""
        columns = ("mean IOU", "pixel acc", "mean acc", "mean IU", "f.w. IU", "background", "hand", "object")
        pixels = "pixels with depth" if self.valid_pixels_only else "all labelled pixels"
        lines = [f"{self.title}: {self.images} images, {pixels}, percent", ""]
        lines.append(" " * 12 + "".join(f"{name:>11}" for name in columns))
        for name, scores in (("global", self.overall), ("per image", self.per_image)):
            values = (
                scores.mean_iou,
                scores.pixel_accuracy,
                scores.mean_accuracy,
                scores.mean_iu,
                scores.frequency_weighted_iu,
                *scores.iou,
            )
            lines.append(f"{name:<12}" + "".join(f"{_percent(value):>11}" for value in values))
        boundary = self.boundary
        lines += [
            MEANS_NOTE,
            "",
            f"boundary F1 within {boundary.tolerance_px:g} px: hand {_percent(boundary.hand)}, "
            f"object {_percent(boundary.object)}, mean {_percent(boundary.mean)}",
            "",
            "object IoU by visible size (pixels of a 320x240 picture)",
        ]
        for entry in self.object_by_size:
            size = f"from {entry.low_px:g}" if math.isinf(entry.high_px) else f"{entry.low_px:g}-{entry.high_px:g}"
            lines.append(f"  {size:<12}{_percent(entry.iou):>8}   {entry.images} images")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All scores as plain values; NaN and infinity become None, as JSON has neither."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain

    def save(self, path: str | Path) -> None:
        """Writes the scores as JSON, under a temporary name first."""
        write_bytes_atomically(path, (json.dumps(self.to_dict(), indent=2) + "\n").encode())


class Evaluation:
    """Collects frame by frame what an `EvaluationReport` is made of.

    Args:
        valid_pixels_only: leave out pixels without depth.
        boundary_tolerance_px: see `BoundaryCounts`.
    """

    def __init__(self, *, valid_pixels_only: bool = False, boundary_tolerance_px: float = 2.0) -> None:
        self.valid_pixels_only = valid_pixels_only
        self.confusion = ConfusionCounts()
        self.boundary = BoundaryCounts(boundary_tolerance_px)
        self.failures: list[tuple[str, str]] = []

    @contextmanager
    def frame(self, name: str) -> Iterator[None]:
        """A frame that is bad is a failure of the report, not the end of it."""
        try:
            yield
        except ValueError as error:  # a `FrameError`, or what the metrics say of such labels
            self.failures.append((name, str(error)))

    def add(
        self, labels: NDArray[np.uint8], predicted: NDArray[np.uint8], depth_mm: NDArray[np.float32] | None = None
    ) -> None:
        """Adds one image.

        Args:
            labels: (H, W) uint8 truth, 255 = ignored.
            predicted: (H, W) uint8.
            depth_mm: (H, W); needed with `valid_pixels_only`.

        Raises:
            ValueError: if depth is needed and missing, or the maps do not fit together.
        """
        counted = labels
        if self.valid_pixels_only:
            if depth_mm is None:
                raise ValueError("valid_pixels_only needs the depth of every image")
            counted = np.where(depth_mm > 0, labels, np.uint8(UNKNOWN))
        self.confusion.add(counted, predicted)
        # Boundaries keep the pixels without depth: leaving them out would hide every outline beside a shadow.
        self.boundary.add(labels, predicted)

    def report(self, title: str) -> EvaluationReport:
        """The scores of everything added so far.

        Raises:
            FrameError: if there were only failures.
        """
        if self.failures and not len(self.confusion):
            raise FrameError(
                f"none of {len(self.failures)} frames could be used; the first: {self.failures[0][0]}: "
                f"{self.failures[0][1]}"
            )
        return EvaluationReport(
            title=title,
            images=len(self.confusion),
            valid_pixels_only=self.valid_pixels_only,
            overall=self.confusion.scores(),
            per_image=self.confusion.per_image_scores(),
            boundary=self.boundary.scores(),
            object_by_size=self.confusion.object_iou_by_size(),
            failures=tuple(self.failures),
        )


def evaluate_model(
    segmenter: FrameSegmenter,
    dataset: DatasetReader,
    *,
    valid_pixels_only: bool = False,
    boundary_tolerance_px: float = 2.0,
    progress: ProgressCallback | None = None,
) -> EvaluationReport:
    """Runs a model over a labelled dataset folder and scores it.

    Args:
        segmenter: labels one frame, such as `Segmenter`.
        dataset: the labelled frames.
        valid_pixels_only: leave out pixels without depth.
        boundary_tolerance_px: distance at which a boundary pixel counts as found.
        progress: called with (frames done, frames in all).

    Returns:
        the scores; damaged frames are among its failures.

    Raises:
        FrameError: if no frame can be used.
    """
    evaluation = Evaluation(valid_pixels_only=valid_pixels_only, boundary_tolerance_px=boundary_tolerance_px)
    for index in range(len(dataset)):
        with evaluation.frame(dataset.names[index]):
            depth, labels = dataset.read_depth_and_labels(index)
            evaluation.add(labels, segmenter(depth, dataset.camera(index)).labels, depth)
        if progress is not None:
            progress(index + 1, len(dataset))
    return evaluation.report(f"{dataset.directory.name}")


def evaluate_predictions(
    predictions: str | Path,
    labels: str | Path,
    *,
    boundary_tolerance_px: float = 2.0,
    progress: ProgressCallback | None = None,
) -> EvaluationReport:
    """Scores a folder of predicted label maps against a folder of true ones with the same file names.

    Args:
        predictions: folder of 8-bit PNG label maps (0, 1, 2).
        labels: folder of 8-bit PNG label maps (0, 1, 2, 255 = ignored), or a dataset folder with `label/` in it.
        boundary_tolerance_px: distance at which a boundary pixel counts as found.
        progress: called with (images done, images in all).

    Raises:
        FrameError: if a prediction is missing, or none can be used.
    """
    truth = Path(labels) / "label" if (Path(labels) / "label").is_dir() else Path(labels)
    paths = sorted(truth.glob("*.png"))
    if not paths:
        raise FrameError(f"{truth} has no PNG label maps; give the folder that holds the true labels.")
    missing = [path.name for path in paths if not (Path(predictions) / path.name).is_file()]
    if missing:
        raise FrameError(
            f"{predictions} lacks {len(missing)} of {len(paths)} label maps (first: {missing[0]}); "
            "every true label map needs a prediction of the same name."
        )
    evaluation = Evaluation(boundary_tolerance_px=boundary_tolerance_px)
    for done, path in enumerate(paths, start=1):
        with evaluation.frame(path.name):
            true = read_single_channel(path, what="label map")
            predicted = read_single_channel(Path(predictions) / path.name, what="label map")
            if true.shape != predicted.shape:
                raise FrameError(f"the prediction is {predicted.shape} and the truth {true.shape} (H, W).")
            evaluation.add(true, predicted)
        if progress is not None:
            progress(done, len(paths))
    return evaluation.report(f"{Path(predictions).name} against {truth.parent.name}/{truth.name}")


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
