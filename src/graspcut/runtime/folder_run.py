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
from typing import Any

from graspcut.cores import usable_cores
from graspcut.frames.atomic_writing import WriteBatch, make_output_folder
from graspcut.frames.camera import CameraLike
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.notes import Note
from graspcut.frames.sources import FoundFrame, find_frames
from graspcut.runtime.folder_lock import folder_lock
from graspcut.runtime.folder_summary import SUMMARY_NAME as SUMMARY_NAME
from graspcut.runtime.folder_summary import is_done, notes_of, open_summary
from graspcut.runtime.frame_facts import facts_of
from graspcut.runtime.frame_job import FrameJob as FrameJob
from graspcut.runtime.frame_job import FrameResult as FrameResult
from graspcut.runtime.pipeline import LimitedCalls, run_in_threads
from graspcut.runtime.sequences import InOrder, Look, SequenceJob

# Threads that read and write while the network works, one for each core: reading may be the slower part. Each holds a
# frame in memory, hence the limit on large machines.
_MOST_HELPERS = 16

ProgressCallback = Callable[[int, int], None]

# What a strange frame may make of numpy, OpenCV or an engine. Anything else is a fault of the program or the computer.
_FAULTS_OF_A_FRAME = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, MemoryError)


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
        notes: What was assumed, counted as no data, left out or is doubtful, one line for each kind.
    """

    done: int
    skipped: int
    renewed: int
    failures: tuple[tuple[str, str], ...]
    rows: tuple[dict[str, Any], ...]
    seconds: float
    out: Path
    notes: tuple[str, ...] = ()


def run_over_frames(
    inputs: Sequence[str | Path],
    out: str | Path,
    job: FrameJob,
    *,
    depth_unit_mm: float | None = None,
    camera: CameraLike | None = None,
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
        camera: Intrinsics for frames whose source has none; whatever `Camera.of` takes.
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
    found, failures = _find(inputs, depth_unit_mm, camera, ending_bytes(job))
    _refuse_input_folder(inputs, folder)
    make_output_folder(folder)
    with folder_lock(folder):
        summary, stale = open_summary(folder, job, found)
        for parent in {(folder / path).parent for path in job.outputs("name")}:
            make_output_folder(parent)
        outcomes: list[_Outcome] = []

        def collect(outcome: _Outcome) -> None:
            outcomes.append(outcome)
            if progress is not None:
                progress(len(outcomes), len(found))

        with WriteBatch() as files:
            threads = min(len(found), calls + min(usable_cores(), _MOST_HELPERS))
            work = _FrameWork(folder, job, files, frozenset(row["name"] for row in summary["frames"]), camera)
            if isinstance(job, SequenceJob):
                _run_in_order(work, job, found, collect, threads, calls)
            else:
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
            "notes": notes_of(found, [rows[name] for name in sorted(rows)]),
        }
        write_json_atomically(folder / SUMMARY_NAME, summary)
    new = [outcome for outcome in outcomes if outcome.is_new]
    good = [outcome.name for outcome in outcomes if outcome.fault is None]
    renewed = sum(outcome.name in stale for outcome in new)
    ordered = tuple(rows[name] for name in good)
    seconds = time.monotonic() - started
    return FolderReport(
        len(new),
        len(good) - len(new),
        renewed,
        tuple(failures),
        ordered,
        seconds,
        folder,
        tuple(notes_of(found, ordered)),
    )


def _calls_at_a_time(job: FrameJob, workers: int | None) -> int:
    """How many limited calls there are at a time."""
    if workers is not None and workers < 1:
        raise FrameError(f"workers is {workers}; expected 1 or more, or None for what suits the network.")
    allowed = job.parallel_calls
    wanted = workers or allowed or 1
    return wanted if allowed is None else max(1, min(wanted, allowed))


def _find(
    inputs: Iterable[str | Path], unit: float | None, camera: CameraLike | None, ending: int
) -> tuple[list[FoundFrame], list[tuple[str, str]]]:
    """Frames of the inputs that can be opened, and what is wrong with the others."""
    usable: list[str | Path] = []
    failures: list[tuple[str, str]] = []
    for place in inputs:
        try:
            find_frames([place], depth_unit_mm=unit, camera=camera)
        except FrameError as error:
            failures.append((str(place), str(error)))
        else:
            usable.append(place)
    if not usable and failures:
        raise FrameError("\n".join(message for _, message in failures))
    # Opened once more and together, because names have to differ between inputs too.
    return find_frames(usable, depth_unit_mm=unit, camera=camera, ending_bytes=ending), failures


def ending_bytes(job: FrameJob) -> int:
    """What the files of a job add to the name of their frame, bytes."""
    return max(len(Path(output).name) for output in job.outputs("x")) - len("x")


def _refuse_input_folder(inputs: Iterable[str | Path], folder: Path) -> None:
    target = folder.resolve()
    for place in map(Path, inputs):
        resolved = place.resolve()
        if target in (resolved, resolved.parent if resolved.is_file() else resolved / "depth"):
            raise FrameError(
                f"the results would go to {folder}, where the input {place} is, and results have the names of the "
                "inputs; expected another folder. Give --out a new name."
            )


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
    known: frozenset[str]
    camera: CameraLike | None

    def __call__(self, numbered: tuple[int, FoundFrame], limited: LimitedCalls) -> _Outcome:
        position, entry = numbered
        outcome = self.earlier(position, entry)
        if outcome is not None:
            return outcome
        try:
            frame = entry.load()
            result = self.job.process(frame, entry.name, limited)
            more = self.described(frame, result.notes)
        except _FAULTS_OF_A_FRAME as error:  # of reading, or what the network says of such a frame
            return _Outcome(position, entry.name, None, fault=_fault(error, entry.name))
        return self.written(position, entry.name, result, more)

    def earlier(self, position: int, entry: FoundFrame) -> _Outcome | None:
        """The outcome of a frame whose results are there, or None if they have to be made."""
        if is_done(self.folder, self.job, entry.name):
            try:
                row = self.job.reread(entry.name, self.folder)
                if entry.name not in self.known:
                    # Done by a run that was killed before it wrote its rows.
                    row |= self.described(entry.load(), ())
                return _Outcome(position, entry.name, row)
            except ValueError:  # a damaged result of our own: it is made again
                pass
        return None

    def described(self, frame: Frame, notes: Sequence[Note]) -> dict[str, Any]:
        """Entries of the row that depend on the frame alone."""
        facts, own = facts_of(frame, self.camera)
        told = [[note.kind, note.text] for note in (*own, *notes)]
        return {**facts, **({"notes": told} if told else {})}

    def written(self, position: int, name: str, result: FrameResult, more: Mapping[str, Any]) -> _Outcome:
        """Hands the files to the disk."""
        self.files.add(*((self.folder / path, content) for path, content in result.files.items()))
        return _Outcome(position, name, {**result.row, **more}, is_new=True)


def _fault(error: Exception, name: str) -> str:
    return str(error) if isinstance(error, ValueError) else f"{name}: {type(error).__name__}: {error}"


def _run_in_order(
    work: _FrameWork,
    job: Any,
    found: Sequence[FoundFrame],
    collect: Callable[[_Outcome], None],
    threads: int,
    calls: int,
) -> None:
    """A run whose frames depend on those beside them in their recording; `job` is a `SequenceJob` too."""
    earlier = [work.earlier(position, entry) for position, entry in enumerate(found)]
    for outcome in earlier:
        if outcome is not None:
            collect(outcome)

    described: dict[int, dict[str, Any]] = {}

    def make(position: int, result: Callable[[], FrameResult]) -> _Outcome:
        return work.written(position, found[position].name, result(), described.pop(position, {}))

    order = InOrder(found, [outcome is None for outcome in earlier], job, make, collect, threads)

    def look(numbered: tuple[int, FoundFrame], limited: LimitedCalls) -> Look:
        position, entry = numbered
        if not order.needs(position):
            return Look(position, None)
        try:
            frame = entry.load()
            looked = job.look(frame, entry.name, limited)
            described[position] = work.described(frame, ())
            return Look(position, looked)
        except _FAULTS_OF_A_FRAME as error:
            return Look(position, None, _fault(error, entry.name))

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
