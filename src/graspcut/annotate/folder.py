"""Annotates recordings into a dataset folder: worker processes, goes on past bad frames and after a stop.

Beside the dataset's own files: `annotate.json` (what was asked), `rules.json` (colour rules), `quality.json` (figures
of every frame and their summary), `contact-sheet.png`. Frames do not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.colour_rules import ColourRules, save_rules
from graspcut.annotate.frame_work import AnnotationJob, FrameAnnotator
from graspcut.annotate.quality import FrameQuality, flicker, jump, summarise
from graspcut.cores import usable_cores
from graspcut.draw import contact_sheet, overlay
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.notes import Note, summarised
from graspcut.worker_processes import map_in_processes

SETTINGS_NAME = "annotate.json"
RULES_NAME = "rules.json"
QUALITY_NAME = "quality.json"
SHEET_NAME = "contact-sheet.png"
_FRAMES_A_TASK = 8
_SHEET_FRAMES = 24
_SHEET_WIDTH = 240
_FRAMES_A_BLOCK = 64

Progress = Callable[[int, int], None]
Executor = Callable[[AnnotationJob, Sequence[int]], Iterator[dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class AnnotationReport:
    """How a run ended.

    Attributes:
        written: Frames labelled in this call.
        skipped: Frames that an earlier call had labelled.
        failures: (frame, message) of frames that could not be used.
        seconds: Wall time of this call.
        summary: See `quality.summarise`.
        out: The dataset folder.
    """

    written: int
    skipped: int
    failures: tuple[tuple[str, str], ...]
    seconds: float
    summary: dict[str, Any]
    out: Path


_annotator: FrameAnnotator | None = None


def _prepare_worker(job: AnnotationJob) -> None:
    global _annotator
    cv2.setNumThreads(1)
    _annotator = FrameAnnotator(job)


def _annotate_some(indices: list[int]) -> list[dict[str, Any]]:
    assert _annotator is not None
    return [_annotator(index) for index in indices]


def in_processes(job: AnnotationJob, missing: Sequence[int], workers: int) -> Iterator[dict[str, Any]]:
    """Rows of the missing frames from worker processes; one worker is this process."""
    tasks = [list(missing[first : first + _FRAMES_A_TASK]) for first in range(0, len(missing), _FRAMES_A_TASK)]
    processes = min(workers or usable_cores(), len(tasks))
    if processes <= 1:
        annotator = FrameAnnotator(job)
        yield from (annotator(index) for index in missing)
        annotator.flush()
        return
    prepare = "graspcut.annotate.folder:_prepare_worker"
    for rows in map_in_processes(_annotate_some, tasks, processes, prepare, (job,)):
        yield from rows


def annotate_folder(
    job: AnnotationJob,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    execute: Executor | None = None,
) -> AnnotationReport:
    """Labels every frame of a job into its dataset folder.

    Args:
        job: What to do.
        workers: Processes; 0 for one a core, 1 for this one.
        progress: Called with (frames done, frames in all).
        execute: Does the missing frames instead of processes of this machine, such as a Ray pipeline.

    Raises:
        FrameError: If the folder holds other things or the job's inputs hold no frames.
        OSError: If it cannot be written.
    """
    if workers < 0:
        raise FrameError(f"workers is {workers}; expected 0 or more.")
    started = time.monotonic()
    out = Path(job.out)
    count = len(FrameAnnotator(job, claim=False))
    claim_folder(out, job)
    writer = DatasetWriter(out, depth_unit_mm=job.depth_unit_mm, description=job.description)
    missing = [index for index in range(count) if not writer.has(index)]
    done = count - len(missing)
    if progress is not None:
        progress(done, count)
    rows: list[dict[str, Any]] = []
    for row in execute(job, missing) if execute else in_processes(job, missing, workers):
        rows.append(row)
        if progress is not None:
            progress(done + len(rows), count)
    failures = tuple((row["name"], row["fault"]) for row in sorted(rows, key=lambda row: row["index"]) if row["fault"])
    absent = [row["index"] for row in rows if row["fault"]]
    if len(absent) == count:
        raise FrameError(f"no frame could be annotated; the first: {failures[0][1]}")
    writer.finish(count, absent)
    summary = write_quality(out)
    return AnnotationReport(len(rows) - len(absent), done, failures, time.monotonic() - started, summary, out)


def write_quality(out: str | Path) -> dict[str, Any]:
    """Compares neighbouring frames, writes `quality.json` and the contact sheet, and returns the summary.

    Args:
        out: A finished dataset folder that the annotation wrote.
    """
    folder = Path(out)
    reader = DatasetReader(folder)
    metas = [reader.meta(index) for index in range(len(reader))]
    own = [_own_quality(meta) for meta in metas]
    rows = [
        dataclasses.replace(quality, flicker=changes[0], jump=changes[1])
        for quality, changes in zip(own, _against_neighbours(reader, metas, own), strict=True)
    ]
    told = [Note(str(kind), str(text)) for meta in metas for kind, text in meta.get("notes", ())]
    summary = {**summarise(rows), **({"notes": summarised(told)} if told else {})}
    frames = [
        {"name": name, "recording": meta.get("recording"), **row.to_dict()}
        for name, meta, row in zip(reader.names, metas, rows, strict=True)
    ]
    write_json_atomically(folder / QUALITY_NAME, {"summary": summary, "frames": frames}, one_line=True)
    write_image_atomically(folder / SHEET_NAME, quality_sheet(reader, rows))
    return summary


def _own_quality(meta: dict[str, Any]) -> FrameQuality:
    fields = {field.name for field in dataclasses.fields(FrameQuality)}
    return FrameQuality(**{name: value for name, value in meta["quality"].items() if name in fields})


def _against_neighbours(
    reader: DatasetReader, metas: Sequence[dict[str, Any]], own: Sequence[FrameQuality]
) -> list[tuple[float, float]]:
    """Flicker and jump of each frame; the ends of a recording have none."""
    count = len(reader)
    blocks = [range(first, min(first + _FRAMES_A_BLOCK, count)) for first in range(0, count, _FRAMES_A_BLOCK)]
    # Threads: decoding and comparing label maps leave the interpreter to others.
    with ThreadPoolExecutor(min(usable_cores(), len(blocks)) or 1) as pool:
        found = pool.map(lambda block: list(_changes(reader, metas, own, block)), blocks)
        return [changes for rows in found for changes in rows]


def _changes(
    reader: DatasetReader, metas: Sequence[dict[str, Any]], own: Sequence[FrameQuality], block: range
) -> Iterator[tuple[float, float]]:
    """Flicker and jump of some frames in a row. Three label maps are held at a time."""
    labels: dict[int, NDArray[np.uint8]] = {}
    for index in block:
        numbers = range(max(index - 1, 0), min(index + 1, len(reader) - 1) + 1)
        if len(numbers) < 3 or len({metas[number].get("recording") for number in numbers}) > 1:
            yield 0.0, 0.0
            continue
        labels = {number: labels[number] if number in labels else reader.read_labels(number) for number in numbers}
        before, at, after = numbers
        yield flicker(labels[before], labels[at], labels[after]), jump(own[before], own[at], own[after])


def quality_sheet(reader: DatasetReader, rows: Sequence[FrameQuality]) -> NDArray[np.uint8]:
    """Overlays of frames spread over the data set, then of the most doubtful ones; RGB."""
    spread = sorted({round(place) for place in np.linspace(0, len(reader) - 1, min(len(reader), _SHEET_FRAMES - 8))})
    doubtful = sorted(range(len(rows)), key=lambda index: -rows[index].doubt)[:8]
    pictures, titles = [], []
    for index in [*spread, *doubtful]:
        depth, labels = reader.read_depth_and_labels(index)
        # Drawn at twice the size that is shown, so that outlines stay smooth, not at that of the frame.
        drawn = overlay(_narrowed(depth, 2 * _SHEET_WIDTH), _narrowed(labels, 2 * _SHEET_WIDTH))
        pictures.append(_narrowed(drawn, _SHEET_WIDTH, cv2.INTER_AREA))
        titles.append(f"{reader.names[index]}  doubt {rows[index].doubt:.1f}")
    return contact_sheet(pictures, 6, titles)


def _narrowed(image: NDArray[Any], width: int, interpolation: int = cv2.INTER_NEAREST) -> NDArray[Any]:
    """The image at most so wide."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation))


def claim_folder(out: Path, job: AnnotationJob, more: dict[str, Any] | None = None) -> None:
    """Makes the folder ours, or checks that it is already and holds frames of the same job (and `more` settings)."""
    settings = json.loads(json.dumps(job.settings() | (more or {})))
    path = out / SETTINGS_NAME
    if path.exists():
        present = read_json(path)
        different = sorted(name for name in settings if present.get(name) != settings[name])
        if different:
            raise FrameError(
                f"{out} holds frames that were annotated with other {', '.join(different)}; expected the same to "
                "continue there. Give another --out."
            )
        return
    make_output_folder(out)
    if any(out.iterdir()):
        raise FrameError(
            f"{out} is not empty and was not made by this command; expected a new folder. Choose another one for --out."
        )
    if isinstance(job.rules, ColourRules):
        save_rules(out / RULES_NAME, job.rules)
    write_json_atomically(path, settings)


def earlier_rules(out: str | Path) -> ColourRules | None:
    """The rules of an interrupted run in this folder, so that starting it again need not find them anew."""
    path = Path(out) / SETTINGS_NAME
    if not path.exists():
        return None
    rules = read_json(path).get("rules")
    return None if rules is None else ColourRules.from_dict(rules)


def spread_evenly(count: int, most: int) -> Iterable[int]:
    """At most `most` numbers spread over 0..count-1."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})
