"""A run over many frames into a folder: goes on past bad ones, and where an earlier run stopped.

A verb says what becomes of one frame, as a `FrameJob`, and calls `run_over_frames`:

    class Mattes:
        settings = {"model": "matting-small"}          # a folder takes the results of one set of them
        identity = matter.digest                       # results of another are made again
        parallel_calls = matter.parallel_calls

        def outputs(self, name):                       # the files of a frame; the last is written last
            return (f"foreground/{name}.png", f"{name}.png")

        def process(self, frame, name, limited):       # makes them, in any thread, many at a time
            matte = limited(lambda: matter(frame))     # only this waits for its turn
            files = {f"foreground/{name}.png": encode_image(...), f"{name}.png": encode_image(...)}
            return FrameResult(files, row={"coverage": float(matte.alpha.mean())})

        def reread(self, name, folder):                # the row of a frame that is done already
            return {"coverage": ...}

    report = run_over_frames(inputs, out, Mattes(), depth_unit_mm=1.0)

The folder then holds the outputs and summary.json with the rows. Files reach the disk under temporary names and are
renamed, so whatever is there is whole. What is there and was made of the same input (path, size, time of change) with
the same identity is not made again. One run at a time writes into a folder, others wait; their rows come into the same
summary.

Frames are worked on in threads (see `pipeline.py`). How many changes the time, never the result. Where frames depend on
those beside them, as in recordings, a job has `look` and `sequence` instead of `process` (see `sequences.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graspcut.cores import usable_cores
from graspcut.frames.atomic_writing import WriteBatch, make_output_folder
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.sources import FoundFrame, find_frames
from graspcut.runtime.folder_lock import folder_lock
from graspcut.runtime.pipeline import LimitedCalls, run_in_threads
from graspcut.runtime.sequences import InOrder, Look, SequenceJob

SUMMARY_NAME = "summary.json"

# Threads that read and write while the network works, one for each core: reading may be the slower part. Each holds a
# frame in memory, hence the limit on large machines.
_MOST_HELPERS = 16

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class FrameResult:
    """What came of one frame.

    Attributes:
        files: Contents by path below the folder, in the order of writing.
        row: Its line of the summary, JSON values; "name" is added.
    """

    files: Mapping[str, bytes]
    row: Mapping[str, Any]


class FrameJob(Protocol):
    """What a verb does with each frame; see the module.

    Attributes:
        settings: recorded in summary.json; a folder takes the results of one set of values only.
        identity: what else the results depend on, such as a digest of the weights; results of another are made again.
        parallel_calls: how many threads may be in a limited call at the same time, with gain; None for one.
    """

    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def identity(self) -> str: ...
    @property
    def parallel_calls(self) -> int | None: ...

    def outputs(self, name: str, /) -> Sequence[str]:
        """Paths below the folder of what a frame leaves; the last is written last."""
        ...

    def process(self, frame: Frame, name: str, limited: LimitedCalls, /) -> FrameResult:
        """The outputs of a frame and its row, in any thread; not called where the job is a `SequenceJob` too.

        `limited(function)` runs the network when it is its turn. A `ValueError` says that the frame is bad; any other
        exception ends the run.
        """
        ...

    def reread(self, name: str, folder: Path, /) -> dict[str, Any]:
        """The row of a frame whose outputs are there; a `ValueError` has them made again."""
        ...


@dataclass(frozen=True)
class FolderReport:
    """How a run ended.

    Attributes:
        done: Frames done in this run.
        skipped: Frames that an earlier run had done.
        renewed: Of those done, frames that had results of another input or of other weights.
        failures: (name or path, message) of everything that could not be used.
        rows: The summary's rows of the frames of this run, in their order, skipped ones too.
        seconds: Wall time.
        out: The folder.
    """

    done: int
    skipped: int
    renewed: int
    failures: tuple[tuple[str, str], ...]
    rows: tuple[dict[str, Any], ...]
    seconds: float
    out: Path


def run_over_frames(
    inputs: Sequence[str | Path],
    out: str | Path,
    job: FrameJob,
    *,
    depth_unit_mm: float | None = None,
    progress: ProgressCallback | None = None,
    workers: int | None = None,
) -> FolderReport:
    """Does a job for all frames of files, folders and recordings.

    Frames are read and written in threads of their own beside those of the network. When this function ends, by an
    exception or Ctrl-C too, all of them have ended and every file is whole.

    Args:
        inputs: Whatever `graspcut.frames.sources.open_source` opens.
        out: Folder for the results; is made if missing.
        job: What is done with each.
        depth_unit_mm: Millimetres per step of whole numbers; recordings and datasets know their own.
        progress: Called with (frames done, frames in all), in the calling thread.
        workers: Limited calls at the same time, each in a thread of its own, which is not the calling one; None takes
            the job's `parallel_calls`. Never more than these, if it has them.

    Returns:
        Counts and failures; a bad frame is a failure here, not an exception.

    Raises:
        FrameError: If `out` holds results of other settings or of other inputs under the same names, or is where the
            inputs are; if `workers` is less than 1.
        OSError: If results cannot be written.
    """
    started = time.monotonic()
    calls = _calls_at_a_time(job, workers)
    folder = Path(out)
    found, failures = _find(inputs, depth_unit_mm)
    _refuse_input_folder(inputs, folder)
    make_output_folder(folder)
    with folder_lock(folder):
        summary, stale = _open_summary(folder, job, found)
        for parent in {(folder / path).parent for path in job.outputs("name")}:
            parent.mkdir(parents=True, exist_ok=True)
        outcomes: list[_Outcome] = []

        def collect(outcome: _Outcome) -> None:
            outcomes.append(outcome)
            if progress is not None:
                progress(len(outcomes), len(found))

        with WriteBatch() as files:
            threads = min(len(found), calls + min(usable_cores(), _MOST_HELPERS))
            if isinstance(job, SequenceJob):
                _run_in_order(folder, job, files, found, collect, threads, calls)
            else:
                work = _FrameWork(folder, job, files)
                run_in_threads(work, enumerate(found), collect, threads=threads, calls=calls)
        outcomes.sort(key=lambda outcome: outcome.position)
        failures += [(outcome.name, outcome.fault) for outcome in outcomes if outcome.fault is not None]
        rows: dict[str, dict[str, Any]] = {row["name"]: row for row in summary["frames"]}
        for outcome in outcomes:
            if outcome.row is not None and (outcome.is_new or outcome.name not in rows):
                rows[outcome.name] = {"name": outcome.name, **outcome.row}
        summary |= {
            "complete": not failures,
            "frames": [rows[name] for name in sorted(rows)],
            "failures": [{"name": name, "error": message} for name, message in failures],
        }
        write_json_atomically(folder / SUMMARY_NAME, summary)
    new = [outcome for outcome in outcomes if outcome.is_new]
    good = [outcome.name for outcome in outcomes if outcome.fault is None]
    renewed = sum(outcome.name in stale for outcome in new)
    ordered = tuple(rows[name] for name in good)
    seconds = time.monotonic() - started
    return FolderReport(len(new), len(good) - len(new), renewed, tuple(failures), ordered, seconds, folder)


def _calls_at_a_time(job: FrameJob, workers: int | None) -> int:
    """How many limited calls there are at a time."""
    if workers is not None and workers < 1:
        raise FrameError(f"workers is {workers}; expected 1 or more, or None for what suits the network.")
    allowed = job.parallel_calls
    wanted = workers or allowed or 1
    return wanted if allowed is None else max(1, min(wanted, allowed))


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
                f"the results would go to {folder}, where the input {place} is, and results have the names of the "
                "inputs; expected another folder. Give --out a new name."
            )


def _open_summary(folder: Path, job: FrameJob, found: Sequence[FoundFrame]) -> tuple[dict[str, Any], set[str]]:
    """Reads or starts summary.json; from the start it says what the folder holds, so that a later run can tell.

    Returns:
        the summary, and the names of frames whose results came from another input or identity: they are gone now.
    """
    path = folder / SUMMARY_NAME
    settings = dict(job.settings)
    origins = {frame.name: str(frame.origin.resolve()) for frame in found}
    summary: dict[str, Any] = {"settings": settings, "sources": {}, "inputs": {}, "frames": []}
    if path.exists():
        summary = _checked_summary(folder, job, settings, origins)
    elif any(_is_done(folder, job, name) for name in origins):
        raise FrameError(f"{folder} holds files of these names but no {SUMMARY_NAME}; expected a new folder for --out.")
    inputs = {frame.name: {**_file_identity(frame), "identity": job.identity} for frame in found}
    known: dict[str, Any] = summary["inputs"]
    stale = {name for name in inputs if name in summary["sources"] and known.get(name) != inputs[name]}
    for name in stale:
        for output in job.outputs(name):
            (folder / output).unlink(missing_ok=True)
    summary["frames"] = [row for row in summary["frames"] if row["name"] not in stale]
    summary["sources"] |= origins
    summary["inputs"] |= inputs
    summary["complete"] = False
    write_json_atomically(path, summary)
    return summary, stale


def _checked_summary(
    folder: Path, job: FrameJob, settings: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, Any]:
    """The summary that is there, if this run may continue it."""
    path = folder / SUMMARY_NAME
    summary = read_json(path)
    kinds: dict[str, type] = {"settings": dict, "sources": dict, "frames": list}
    if any(not isinstance(summary.get(key), kind) for key, kind in kinds.items()):
        raise FrameError(f"{path} is no summary of a run over frames; expected an empty or new folder for --out.")
    if not isinstance(summary.setdefault("inputs", {}), dict) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in summary["frames"]
    ):
        raise FrameError(f"{path}: 'inputs' or 'frames' is damaged; expected a new folder for --out.")
    different = sorted(name for name in settings if summary["settings"].get(name) != settings[name])
    if different and not any(_is_done(folder, job, name) for name in summary["sources"]):
        # Nothing came of the earlier run (a wrong unit, say): its settings bind nobody.
        return {"settings": dict(settings), "sources": {}, "inputs": {}, "frames": []}
    if different:
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
    return summary


def _file_identity(frame: FoundFrame) -> dict[str, Any]:
    """What tells a frame's file from one that takes its place later: size, and time of the last change."""
    try:
        status = frame.origin.stat()
    except OSError:
        return {"bytes": None, "modified_ns": None}
    if not frame.origin.is_file():
        return {"bytes": None, "modified_ns": None}
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _is_done(folder: Path, job: FrameJob, name: str) -> bool:
    return all((folder / output).exists() for output in job.outputs(name))


@dataclass(frozen=True)
class _Outcome:
    """What came of one frame.

    Attributes:
        position: The frame's place among those found.
        name: Its name there.
        row: Its line of the summary, or None if it failed.
        is_new: Done in this run.
        fault: Why it could not be used, or None.
    """

    position: int
    name: str
    row: dict[str, Any] | None
    is_new: bool = False
    fault: str | None = None


@dataclass(frozen=True)
class _FrameWork:
    """What is done for each frame, in any thread."""

    folder: Path
    job: FrameJob
    files: WriteBatch

    def __call__(self, numbered: tuple[int, FoundFrame], limited: LimitedCalls) -> _Outcome:
        position, entry = numbered
        outcome = self.earlier(position, entry)
        if outcome is not None:
            return outcome
        try:
            result = self.job.process(_loaded(entry), entry.name, limited)
        except ValueError as error:  # of reading, or what the network says of such a frame
            return _Outcome(position, entry.name, None, fault=str(error))
        return self.written(position, entry.name, result)

    def earlier(self, position: int, entry: FoundFrame) -> _Outcome | None:
        """The outcome of a frame whose results are there, or None if they have to be made."""
        if _is_done(self.folder, self.job, entry.name):
            try:
                return _Outcome(position, entry.name, self.job.reread(entry.name, self.folder))
            except ValueError:  # a damaged result of our own: it is made again
                pass
        return None

    def written(self, position: int, name: str, result: FrameResult) -> _Outcome:
        """Hands the files to the disk."""
        self.files.add(*((self.folder / path, content) for path, content in result.files.items()))
        return _Outcome(position, name, dict(result.row), is_new=True)


def _loaded(entry: FoundFrame) -> Frame:
    """The frame; whatever a reader makes of a damaged file is a `FrameError`."""
    try:
        return entry.load()
    except ValueError:
        raise
    except Exception as error:
        raise FrameError(f"{entry.name}: {type(error).__name__}: {error}") from error


def _run_in_order(
    folder: Path,
    job: Any,
    files: WriteBatch,
    found: Sequence[FoundFrame],
    collect: Callable[[_Outcome], None],
    threads: int,
    calls: int,
) -> None:
    """A run whose frames depend on those beside them in their recording; `job` is a `SequenceJob` too."""
    work = _FrameWork(folder, job, files)
    earlier = [work.earlier(position, entry) for position, entry in enumerate(found)]
    for outcome in earlier:
        if outcome is not None:
            collect(outcome)

    def make(position: int, result: Callable[[], FrameResult]) -> _Outcome:
        return work.written(position, found[position].name, result())

    order = InOrder(found, [outcome is None for outcome in earlier], job, make, collect, threads)

    def look(numbered: tuple[int, FoundFrame], limited: LimitedCalls) -> Look:
        position, entry = numbered
        if not order.needs(position):
            return Look(position, None)
        try:
            return Look(position, job.look(_loaded(entry), entry.name, limited))
        except ValueError as error:
            return Look(position, None, str(error))

    def take(looked: Look) -> None:
        if looked.fault is not None and earlier[looked.position] is None:
            collect(_Outcome(looked.position, found[looked.position].name, None, fault=looked.fault))
        order.take(looked)

    whole = False
    try:
        run_in_threads(look, enumerate(found), take, threads=threads, calls=calls)
        whole = True
    finally:
        order.close(whole=whole)
