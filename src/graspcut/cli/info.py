"""`graspcut info`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graspcut.cli.options import NOTHING_SAID, Input

if TYPE_CHECKING:
    from graspcut.runtime.contract import TaskContract


def info(path: Path, /, *, given: Input = NOTHING_SAID) -> int:
    """Says what a file or folder is.

    Args:
        path: Depth image, numpy file, folder of images, recording, dataset folder or model folder.
        given: What the frames do not say. Without a unit, files that need one are described in their own steps.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.inspection import Inspection, inspect_frames
    from graspcut.runtime.model_folder import CONFIG_NAME
    from graspcut.runtime.model_inspection import describe_model_folder

    known = given.use()
    if (path / CONFIG_NAME).is_file():
        result = Inspection("model folder", *describe_model_folder(path, _known_contract(path)))
    else:
        with frame_progress("reading") as progress:
            result = inspect_frames(path, **known, progress=progress)
    print_facts(result.facts, f"{path}: {result.kind}")
    if not result.faults:
        print("  whole: no faults found")
        return 0
    print(f"{len(result.faults)} fault(s):", file=sys.stderr)
    for fault in result.faults:
        print(f"  {fault}", file=sys.stderr)
    return 1


def _known_contract(folder: Path) -> TaskContract | None:
    """What models of the folder's task promise, or None where this version does not know the task."""
    from graspcut.catalogue import METHODS, method_of
    from graspcut.runtime.model_folder import load_model_config

    task = load_model_config(folder).get("task")
    return method_of(task).predictor.contract if task in METHODS else None
