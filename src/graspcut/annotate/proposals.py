"""Labels proposed by a network: for depth without colour, and as a second opinion beside colours.

The network is handed in by the caller, so that annotating needs no torch. Unsure pixels are unknown, and frames are
ordered by how much is unsure.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.folder import AnnotationReport, claim_folder, write_quality
from graspcut.annotate.frame_work import AnnotationJob, ready_files, told_of
from graspcut.annotate.pipeline import Annotation, annotate_frame
from graspcut.annotate.quality import quality_of
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.sources import FoundFrame
from graspcut.labels import BACKGROUND, HAND, OBJECT, UNKNOWN

Proposer = Callable[[Iterable[Frame]], Iterator[NDArray[np.float32]]]
"""Frames in order of time -> class probabilities (3, H, W) of each, in order, perhaps some frames late."""


def proposed_labels(probabilities: NDArray[np.float32], depth_mm: NDArray[np.float32], certainty: float) -> Annotation:
    """The labels of a frame by a network's probabilities.

    Args:
        probabilities: (3, H, W) float32 of background, hand and object.
        depth_mm: (H, W) millimetres; pixels without data are background.
        certainty: Below this, the most likely class is not believed.
    """
    best = probabilities.argmax(axis=0).astype(np.uint8)
    labels = np.where(probabilities.max(axis=0) >= certainty, best, np.uint8(UNKNOWN))
    labels[depth_mm <= 0] = BACKGROUND
    foreground = int(np.count_nonzero(labels != BACKGROUND))
    nearest = float(depth_mm[depth_mm > 0].min()) if (depth_mm > 0).any() else None
    return Annotation(labels, nearest, foreground, 0, 0, 0)


def disagreement(labels: NDArray[np.uint8], probabilities: NDArray[np.float32], certainty: float) -> float:
    """Share of the hand and object pixels where a sure network says another class than the labels."""
    best = probabilities.argmax(axis=0)
    sure = probabilities.max(axis=0) >= certainty
    known = (labels == HAND) | (labels == OBJECT) | (sure & (best != BACKGROUND) & (labels != UNKNOWN))
    wrong = known & sure & (best != labels) & (labels != UNKNOWN)
    return int(np.count_nonzero(wrong)) / max(1, int(np.count_nonzero(known)))


def annotate_by_model(
    job: AnnotationJob,
    propose: Proposer,
    model_name: str,
    *,
    certainty: float = 0.75,
    use_colour: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> AnnotationReport:
    """Labels every frame of a job by a network, or by colour with the network as second opinion.

    Args:
        job: What to do; its rules count with `use_colour` only.
        propose: The network over time.
        model_name: Goes into `dataset.json` and must be the same to continue.
        certainty: See `proposed_labels`.
        use_colour: Labels come from the colours, and the network says where it disagrees.
        progress: Called with (frames done, frames in all).

    Raises:
        FrameError: If the folder holds other things, or there are no frames.
        OSError: If it cannot be written.
    """
    started = time.monotonic()
    found = job.find_frames()
    provenance = {**job.provenance, "model": model_name, "certainty": certainty}
    job = dataclasses.replace(job, provenance=provenance)
    out = Path(job.out)
    claim_folder(out, job, {"model": model_name, "certainty": certainty, "use_colour": use_colour})
    writer = DatasetWriter(out, depth_unit_mm=job.depth_unit_mm, description=job.description, batched=True)
    kept = sum(writer.has(index) for index in range(len(found)))
    faults: dict[int, str] = {}
    queue: list[tuple[int, Frame]] = []
    written = 0
    for done, probabilities in enumerate(propose(_frames(found, queue, faults)), 1):
        index, frame = queue.pop(0)
        if not writer.has(index):
            _write(writer, index, found[index], frame, probabilities, job, certainty, use_colour)
            written += 1
        if progress is not None:
            progress(done + len(faults), len(found))
    failures = tuple((found[index].name, message) for index, message in sorted(faults.items()))
    if len(faults) == len(found):
        raise FrameError(f"no frame could be annotated; the first: {failures[0][1]}")
    writer.finish(len(found), sorted(faults))
    return AnnotationReport(written, kept, failures, time.monotonic() - started, write_quality(out), out)


def _frames(found: list[FoundFrame], queue: list[tuple[int, Frame]], faults: dict[int, str]) -> Iterator[Frame]:
    """The readable frames in order; each is queued with its number until its result has come."""
    for index, entry in enumerate(found):
        try:
            frame = entry.load()
        except FrameError as error:
            faults[index] = str(error)
            continue
        queue.append((index, frame))
        yield frame


def _write(
    writer: DatasetWriter,
    index: int,
    entry: FoundFrame,
    frame: Frame,
    probabilities: NDArray[np.float32],
    job: AnnotationJob,
    certainty: float,
    use_colour: bool,
) -> None:
    if use_colour:
        annotation = annotate_frame(frame, job.rules, job.config)
        quality = quality_of(annotation, disagreement(annotation.labels, probabilities, certainty))
    else:
        annotation = proposed_labels(probabilities, frame.depth_mm, certainty)
        quality = quality_of(annotation)
    extra: dict[str, Any] = {
        "quality": quality.to_dict(),
        "recording": entry.origin.resolve().name,
        "source_frame": entry.source.names[entry.index],
        **told_of(frame),
    }
    ready = ready_files(entry, job.depth_unit_mm)
    writer.write(index, LabelledFrame(frame, annotation.labels), encoded=ready, extra=extra)
