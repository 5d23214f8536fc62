"""`graspcut info`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graspcut.runtime.contract import TaskContract


def info(path: Path, /, *, depth_unit_mm: float | None = None, max_megapixels: float | None = None) -> int:
    """Says what a file or folder is.

    Args:
        path: Depth image, numpy file, folder of images, recording, dataset folder or model folder.
        depth_unit_mm: Millimetres per step of whole numbers in files that do not say it.
        max_megapixels: Largest picture that is opened; 32 if not given.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.inspection import Inspection, inspect_frames
    from graspcut.frames.limits import set_largest_picture
    from graspcut.runtime.model_folder import CONFIG_NAME
    from graspcut.runtime.model_inspection import describe_model_folder

    if max_megapixels is not None:
        set_largest_picture(max_megapixels)
    if (path / CONFIG_NAME).is_file():
        result = Inspection("model folder", *describe_model_folder(path, _known_contract(path)))
    else:
        with frame_progress("reading") as progress:
            result = inspect_frames(path, depth_unit_mm=depth_unit_mm, progress=progress)
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
