"""Scores of a folder of alpha mattes against the true ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.matting.images import image_files, read_alpha, read_grey_trimap
from graspcut.matting.metrics import UNKNOWN_TRIMAP, ConnectivityRule, GradientMode, MattingScores, matting_scores

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class MattingReport:
    """Scores over images.

    Attributes:
        title: what was compared.
        gradient, connectivity: the definitions used, see `graspcut.matting.metrics`.
        images: the name and scores of every image, in order of names.
    """

    title: str
    gradient: GradientMode
    connectivity: ConnectivityRule
    images: tuple[tuple[str, MattingScores], ...]

    @property
    def mean(self) -> MattingScores:
        """Means over images; MSE over those with unknown pixels."""
        columns = {
            name: [getattr(scores, name) for _, scores in self.images] for name in ("sad", "mse", "grad", "conn")
        }
        return MattingScores(**{name: _mean(values) for name, values in columns.items()})

    def table(self) -> str:
        """One line an image and one for the means."""
        width = max([len("image"), *(len(name) for name, _ in self.images)])
        lines = [
            f"{self.title}: {len(self.images)} images, unknown pixels of the trimap",
            "",
            f"{'image':<{width}}{'SAD':>10}{'MSE':>10}{'Grad':>10}{'Conn':>10}",
        ]
        for name, scores in (*self.images, ("mean", self.mean)):
            mse = "-" if math.isnan(scores.mse) else f"{scores.mse:.5f}"
            lines.append(f"{name:<{width}}{scores.sad:>10.5f}{mse:>10}{scores.grad:>10.5f}{scores.conn:>10.5f}")
        lines += ["", "SAD, Grad and Conn in thousands; MSE is a mean over the unknown pixels"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All scores as plain values; undefined ones are None."""
        return {
            "title": self.title,
            "gradient": self.gradient,
            "connectivity": self.connectivity,
            "images": {name: _plain(scores) for name, scores in self.images},
            "mean": _plain(self.mean),
        }

    def save(self, path: str | Path) -> None:
        """Writes the scores as JSON, under a temporary name first."""
        write_bytes_atomically(path, (json.dumps(self.to_dict(), indent=2) + "\n").encode())


def evaluate_mattes(
    predictions: str | Path,
    alpha: str | Path,
    trimap: str | Path,
    *,
    gradient: GradientMode = "official",
    connectivity: ConnectivityRule = "limit",
    progress: ProgressCallback | None = None,
) -> MattingReport:
    """Scores mattes by name: every trimap needs an alpha and a prediction, NAME.png or NAME_alpha.png.

    Where the folder of true mattes lacks the name of a trimap, the last part after "_" is left out: Composition-1k has
    twenty trimaps and composites, NAME_0 to NAME_19, for one matte NAME.

    Args:
        predictions: folder of predicted mattes, such as `graspcut matte` writes.
        alpha: folder of true mattes.
        trimap: folder of trimaps; only pixels of value 128 count.
        gradient, connectivity: see `graspcut.matting.metrics`.
        progress: called with (images done, images in all).

    Raises:
        FrameError: if a file is missing, damaged or of another size, or a trimap has no pixel of 128 though it is grey.
    """
    trimaps, truths, found = (image_files(Path(folder)) for folder in (trimap, alpha, predictions))
    if not trimaps:
        raise FrameError(f"{trimap} holds no images; expected the trimaps of the mattes.")
    jobs = [
        (name, _named(found, (name, f"{name}_alpha"), predictions), path, _named(truths, (name, _stem(name)), alpha))
        for name, path in trimaps.items()
    ]
    results = []
    for done, (name, predicted_path, trimap_path, alpha_path) in enumerate(jobs, start=1):
        predicted, truth = read_alpha(predicted_path), read_alpha(alpha_path)
        unknown = _checked_trimap(read_grey_trimap(trimap_path), trimap_path)
        if not predicted.shape == truth.shape == unknown.shape:
            raise FrameError(
                f"{name}: the prediction is {predicted.shape}, alpha {truth.shape} and the trimap {unknown.shape} "
                "(H, W); expected one size. Predict at the size of the image."
            )
        scores = matting_scores(predicted, truth, unknown, gradient=gradient, connectivity=connectivity)
        results.append((name, scores))
        if progress is not None:
            progress(done, len(jobs))
    title = f"{Path(predictions).name} against {Path(alpha).name}"
    return MattingReport(title, gradient, connectivity, tuple(results))


def _named(files: dict[str, Path], names: tuple[str, ...], folder: str | Path) -> Path:
    for name in names:
        if name in files:
            return files[name]
    raise FrameError(f"{folder} lacks {' or '.join(dict.fromkeys(names))}; every trimap needs a matte of its name.")


def _stem(name: str) -> str:
    return name.rpartition("_")[0] or name


def _checked_trimap(trimap: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if not (trimap == UNKNOWN_TRIMAP).any():
        values = [int(value) for value in np.unique(trimap)]
        if any(0 < value < 255 for value in values):
            raise FrameError(
                f"{path} marks no pixel as unknown by {UNKNOWN_TRIMAP}; it holds {values[:8]}. "
                "Expected 0, 128 and 255: write the unknown pixels as 128."
            )
    return trimap


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _plain(scores: MattingScores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in asdict(scores).items()}
