"""summary.json of a run over frames: what a folder holds, of which inputs, and made with what."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.notes import Note, summarised
from graspcut.frames.sources import FoundFrame
from graspcut.runtime.frame_job import FrameJob

SUMMARY_NAME = "summary.json"


def open_summary(folder: Path, job: FrameJob, found: Sequence[FoundFrame]) -> tuple[dict[str, Any], set[str]]:
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
    elif any(is_done(folder, job, name) for name in origins):
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
    if not isinstance(summary.setdefault("inputs", {}), dict) or not all(map(_is_row, summary["frames"])):
        raise FrameError(f"{path}: 'inputs' or 'frames' is damaged; expected a new folder for --out.")
    different = sorted(name for name in settings if summary["settings"].get(name) != settings[name])
    if different and not any(is_done(folder, job, name) for name in summary["sources"]):
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


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    notes = value.get("notes", [])
    return isinstance(notes, list) and all(isinstance(note, list) and len(note) == 2 for note in notes)


def _file_identity(frame: FoundFrame) -> dict[str, Any]:
    """What tells a frame's file from one that takes its place later: path, size, and time of the last change."""
    file = frame.file
    try:
        status = file.stat()
    except OSError:
        return {"file": str(file.resolve()), "bytes": None, "modified_ns": None}
    if not stat.S_ISREG(status.st_mode):
        return {"file": str(file.resolve()), "bytes": None, "modified_ns": None}
    return {"file": str(file.resolve()), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def is_done(folder: Path, job: FrameJob, name: str) -> bool:
    return all((folder / output).exists() for output in job.outputs(name))


def notes_of(found: Sequence[FoundFrame], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was left out of the inputs, and what is to be known about the frames, one line for each kind."""
    left_out = dict.fromkeys(text for frame in found if (text := getattr(frame.source, "left_out", "")))
    told = (Note(str(kind), str(text)) for row in rows for kind, text in row.get("notes", ()))
    return [*left_out, *summarised(told)]
