"""`graspcut labels export` and `graspcut labels import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export_(dataset: Path, /, *, out: Path) -> None:
    """Writes a dataset folder's labels for other programs.

    Args:
        dataset: The dataset folder.
        out: A name ending in .json becomes a COCO file with run-length masks, any other a folder of PNG label maps.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.dataset import DatasetReader
    from graspcut.frames.label_exchange import export_labels

    with frame_progress("writing labels") as progress:
        count = export_labels(DatasetReader(dataset), out, progress)
    print(f"{count} {'mask' if out.suffix.lower() == '.json' else 'label map'}(s): {out}")


def import_(dataset: Path, source: Path, /, *, name: Annotated[list[str] | None, Parameter(negative="")] = None) -> int:
    """Replaces labels of a dataset folder by masks that were drawn elsewhere.

    Args:
        dataset: The dataset folder; frames that the source does not name keep their labels.
        source: COCO JSON, CVAT XML ("CVAT for images 1.1"), labelme JSON or a folder of it, or a folder of label maps.
        name: What a label is called there, such as palm=hand; may be repeated.
    """
    from graspcut.cli import UsageError
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.dataset import DatasetReader
    from graspcut.frames.label_exchange import import_labels

    pairs = [entry.partition("=") for entry in name or ()]
    if any(not middle for _, middle, _ in pairs):
        raise UsageError("--name needs THEIRS=OURS, such as --name palm=hand")
    with frame_progress("reading labels") as progress:
        count, strangers = import_labels(
            DatasetReader(dataset), source, {theirs: ours for theirs, _, ours in pairs}, progress
        )
    print(f"{count} label map(s) replaced: {dataset}")
    if strangers:
        print(f"{len(strangers)} name no frame of it: {', '.join(strangers[:5])}")
        return 1
    return 0


def follow(dataset: Path, /, *, reach: int = 15) -> None:
    """Carries labels of corrected and accepted frames to the others.

    Args:
        dataset: The dataset folder.
        reach: How many frames a label is carried at most.
    """
    from graspcut.annotate.carrying import follow_corrections
    from graspcut.cli.progress import frame_progress

    with frame_progress("following") as progress:
        trusted, changed = follow_corrections(dataset, reach=reach, progress=progress)
    print(f"{changed} frame(s) follow {trusted} corrected or accepted one(s): {dataset}")
