"""Segments many frames into a folder: goes on past bad files, and where an earlier run stopped.

The folder holds one label map NAME.png for each frame, on request overlay/NAME.png, and summary.json. A label map is
written last and renamed into place, so whatever is there is whole, and starting again does only what is missing.

Frames are worked on in threads (see `pipeline.py`). How many changes the time, never the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import overlay as draw_overlay
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_single_channel, write_image_atomically
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.sources import FoundFrame, find_frames
from graspcut.labels import HAND, OBJECT
from graspcut.runtime.cores import usable_cores
from graspcut.segmentation.pipeline import LimitedCalls, run_in_threads

SUMMARY_NAME = "summary.json"
OVERLAY_FOLDER = "overlay"

# Threads that read and write while the segmenter works, one for each core: reading may be the slower part. Each holds a
# frame in memory, hence the limit on large machines.
_MOST_HELPERS = 16

ProgressCallback = Callable[[int, int], None]


class LabelMap(Protocol):
    """What a segmenter returns, as far as this module uses it."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(H, W) uint8: 0 background, 1 hand, 2 object."""


class FrameSegmenter(Protocol):
    """Anything that labels one depth frame, such as `graspcut.segmentation.predictor.Segmenter`.

    It may have an attribute `parallel_calls`: how many threads may call it at the same time, with gain. Without one it
    is called by one thread at a time.
    """

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> LabelMap:
        """Labels of a depth image of any size."""


@dataclass(frozen=True)
class BatchReport:
    """How a call of `segment_folder` ended.

    Attributes:
        segmented: Frames labelled in this call.
        skipped: Frames that an earlier call had labelled.
        failures: (name or path, message) of everything that could not be used.
        seconds: Wall time of this call.
        out: The folder.
    """

    segmented: int
    skipped: int
    failures: tuple[tuple[str, str], ...]
    seconds: float
    out: Path


def segment_folder(
    inputs: Sequence[str | Path],
    out: str | Path,
    segmenter: FrameSegmenter,
    *,
    model_name: str,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    overlay: bool = False,
    progress: ProgressCallback | None = None,
    workers: int | None = None,
) -> BatchReport:
    """Labels all frames of files, folders and recordings.

    Frames are read and written in threads of their own beside those that segment. When this function ends, by an
    exception or Ctrl-C too, all of them have ended and every file is whole.

    Args:
        inputs: Whatever `graspcut.frames.sources.open_source` opens.
        out: Folder for the results; is made if missing.
        segmenter: Labels one frame.
        model_name: Recorded in summary.json; a folder takes the results of one model only.
        depth_unit_mm: Millimetres per step of whole numbers; recordings and datasets know their own.
        focal_px: Focal length for frames whose source has no camera.
        overlay: Write a picture of each result too.
        progress: Called with (frames done, frames in all), in the calling thread.
        workers: Frames that are segmented at the same time, each in a thread of its own, which is not the calling one;
            None takes the segmenter's `parallel_calls`. Never more than these, if it has them.

    Returns:
        Counts and failures; a bad frame is a failure here, not an exception.

    Raises:
        FrameError: If `out` holds results of another model, of other settings or of other inputs under the same names,
            or is where the inputs are; if `workers` is less than 1.
        OSError: If results cannot be written.
    """
    started = time.monotonic()
    calls = _calls_at_a_time(segmenter, workers)
    if focal_px is not None and not (np.isfinite(focal_px) and focal_px > 0):
        raise FrameError(
            f"the focal length is {focal_px} pixels; expected more than 0, mostly about 0.75 times the width."
        )
    folder = Path(out)
    found, failures = _find(inputs, depth_unit_mm)
    _refuse_input_folder(inputs, folder)
    settings = {"model": model_name, "depth_unit_mm": depth_unit_mm, "focal_px": focal_px}
    origins = {frame.name: str(frame.origin.resolve()) for frame in found}
    folder.mkdir(parents=True, exist_ok=True)
    summary = _open_summary(folder, settings, origins)
    if overlay:
        (folder / OVERLAY_FOLDER).mkdir(exist_ok=True)

    outcomes: list[_Outcome] = []

    def collect(outcome: _Outcome) -> None:
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(found))

    run_in_threads(
        _FrameWork(folder, segmenter, focal_px, overlay),
        enumerate(found),
        collect,
        threads=min(len(found), calls + min(usable_cores(), _MOST_HELPERS)),
        calls=calls,
    )
    outcomes.sort(key=lambda outcome: outcome.position)
    failures += [(outcome.name, outcome.fault) for outcome in outcomes if outcome.fault is not None]
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in summary["frames"]}
    for outcome in outcomes:
        if outcome.row is not None and (outcome.is_new or outcome.name not in rows):
            rows[outcome.name] = outcome.row
    summary |= {
        "complete": not failures,
        "frames": [rows[name] for name in sorted(rows)],
        "failures": [{"name": name, "error": message} for name, message in failures],
    }
    write_json_atomically(folder / SUMMARY_NAME, summary)
    segmented = sum(outcome.is_new for outcome in outcomes)
    skipped = sum(outcome.fault is None for outcome in outcomes) - segmented
    return BatchReport(segmented, skipped, tuple(failures), time.monotonic() - started, folder)


def _calls_at_a_time(segmenter: FrameSegmenter, workers: int | None) -> int:
    """How many threads call the segmenter."""
    if workers is not None and workers < 1:
        raise FrameError(f"workers is {workers}; expected 1 or more, or None for what suits the segmenter.")
    allowed: int | None = getattr(segmenter, "parallel_calls", None)
    wanted = workers or allowed or 1
    return wanted if allowed is None else max(1, min(wanted, allowed))


def with_focal_length(frame: Frame, focal_px: float | None) -> Camera | None:
    """The frame's camera, or one of this focal length if it has none."""
    if frame.camera is not None or focal_px is None:
        return frame.camera
    return Camera.from_focal_length(frame.width, frame.height, focal_px)


def _find(inputs: Iterable[str | Path], unit: float | None) -> tuple[list[FoundFrame], list[tuple[str, str]]]:
    """Frames of the inputs that can be opened, and what is wrong with the others."""
    usable: list[str | Path] = []
    failures: list[tuple[str, str]] = []
    for place in inputs:
        try:
            find_frames([place], depth_unit_mm=unit)
        except FrameError as error:
            failures.append((str(place), str(error)))
        else:
            usable.append(place)
    if not usable and failures:
        raise FrameError("\n".join(message for _, message in failures))
    # Opened once more and together, because names have to differ between inputs too.
    return find_frames(usable, depth_unit_mm=unit), failures


def _refuse_input_folder(inputs: Iterable[str | Path], folder: Path) -> None:
    target = folder.resolve()
    for place in map(Path, inputs):
        resolved = place.resolve()
        if target in (resolved, resolved.parent if resolved.is_file() else resolved / "depth"):
            raise FrameError(
                f"the results would go to {folder}, where the input {place} is, and label maps have the names of the "
                "depth images; expected another folder. Give --out a new name."
            )


def _open_summary(folder: Path, settings: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    """Reads or starts summary.json; from the start it says what the folder holds, so that a later call can tell."""
    path = folder / SUMMARY_NAME
    summary: dict[str, Any] = {"settings": dict(settings), "sources": {}, "frames": []}
    if path.exists():
        summary = read_json(path)
        if not {"settings", "sources", "frames"} <= summary.keys():
            raise FrameError(f"{path} is no summary of segmented frames; expected an empty or new folder for --out.")
        different = sorted(name for name in settings if summary["settings"].get(name) != settings[name])
        if different and not any(_path(folder, name).exists() for name in summary["sources"]):
            # Nothing came of the earlier call (a wrong unit, say): its settings bind nobody.
            summary = {"settings": dict(settings), "sources": {}, "frames": []}
        elif different:
            was = ", ".join(f"{name} {summary['settings'].get(name)}" for name in different)
            raise FrameError(
                f"{folder} holds results made with {was}; expected the same to continue there. Give another --out."
            )
        others = sorted(name for name, place in origins.items() if summary["sources"].get(name, place) != place)
        if others:
            raise FrameError(
                f"{folder} holds results named {others[0]} that came from {summary['sources'][others[0]]}, not from "
                f"{origins[others[0]]}; expected the same inputs to continue there. Give another --out."
            )
    elif any(_path(folder, name).exists() for name in origins):
        raise FrameError(
            f"{folder} holds pictures of these names but no {SUMMARY_NAME}; expected a new folder for --out."
        )
    summary["sources"] |= origins
    summary["complete"] = False
    write_json_atomically(path, summary)
    return summary


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.png"


def _is_done(folder: Path, name: str, overlay: bool) -> bool:
    return _path(folder, name).exists() and (not overlay or _path(folder / OVERLAY_FOLDER, name).exists())


@dataclass(frozen=True)
class _Outcome:
    """What came of one frame.

    Attributes:
        position: The frame's place among those found.
        name: Its name there.
        row: Its line of the summary, or None if it failed.
        is_new: Labelled in this call.
        fault: Why it could not be used, or None.
    """

    position: int
    name: str
    row: dict[str, Any] | None
    is_new: bool = False
    fault: str | None = None


@dataclass(frozen=True)
class _FrameWork:
    """What is done for each frame, in any thread; the arguments are those of `segment_folder`."""

    folder: Path
    segmenter: FrameSegmenter
    focal_px: float | None
    overlay: bool

    def __call__(self, numbered: tuple[int, FoundFrame], limited: LimitedCalls) -> _Outcome:
        position, entry = numbered
        try:
            if _is_done(self.folder, entry.name, self.overlay):
                labels = read_single_channel(_path(self.folder, entry.name), what="label map")
                return _Outcome(position, entry.name, _row(entry.name, labels))
            return _Outcome(position, entry.name, self._segment(entry, limited), is_new=True)
        except ValueError as error:  # a `FrameError`, or what the segmenter says of such a frame
            return _Outcome(position, entry.name, None, fault=str(error))

    def _segment(self, entry: FoundFrame, limited: LimitedCalls) -> dict[str, Any]:
        frame = entry.load()
        camera = with_focal_length(frame, self.focal_px)
        labels, seconds = limited(lambda: self._timed_call(frame.depth_mm, camera))
        if self.overlay:
            picture = draw_overlay(frame.depth_mm, labels)
            write_image_atomically(_path(self.folder / OVERLAY_FOLDER, entry.name), picture)
        write_image_atomically(_path(self.folder, entry.name), labels)
        return _row(entry.name, labels, seconds)

    def _timed_call(self, depth_mm: NDArray[np.float32], camera: Camera | None) -> tuple[NDArray[np.uint8], float]:
        started = time.perf_counter()
        labels = self.segmenter(depth_mm, camera).labels
        return labels, time.perf_counter() - started


def _row(name: str, labels: NDArray[np.uint8], seconds: float | None = None) -> dict[str, Any]:
    """One line of the summary; the time is unknown for frames of an earlier, killed call."""
    return {
        "name": name,
        "width": labels.shape[1],
        "height": labels.shape[0],
        "hand_pixels": int(np.count_nonzero(labels == HAND)),
        "object_pixels": int(np.count_nonzero(labels == OBJECT)),
        "milliseconds": None if seconds is None else round(seconds * 1000, 2),
    }
