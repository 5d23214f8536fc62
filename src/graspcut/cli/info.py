"""`graspcut info`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graspcut.cli.options import NOTHING_SAID, Input

if TYPE_CHECKING:
    from graspcut.runtime.contract import TaskContract

_VARIES = re.compile(r"[0-9/\\]")


def info(path: Path, /, *, given: Input = NOTHING_SAID) -> int:
    """Says what a file or folder is.

    Args:
        path: Depth image, numpy file, folder of images, recording, dataset folder, model folder or shipped model,
            exported graph (.onnx, .xml), run folder or checkpoint.
        given: What the frames do not say. Without a unit, files that need one are described in their own steps.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.inspection import Inspection, inspect_frames
    from graspcut.runtime.graph_files import GRAPH_SUFFIXES
    from graspcut.runtime.model_folder import CONFIG_NAME
    from graspcut.runtime.model_inspection import describe_graph_file, describe_model_folder
    from graspcut.train.learning_curves import is_run
    from graspcut.train.run_inspection import describe_checkpoint, describe_run_folder

    known = given.use()
    path = _shipped(path)
    if (path / CONFIG_NAME).is_file():
        result = Inspection("model folder", *describe_model_folder(path, _known_contract(path)))
    elif path.is_file() and path.suffix in GRAPH_SUFFIXES.values():
        result = Inspection("exported graph", describe_graph_file(path), ())
    elif path.is_file() and path.suffix in (".ckpt", ".pth", ".pt"):
        result = Inspection("checkpoint", *describe_checkpoint(path))
    elif is_run(path):
        result = Inspection("run folder", *describe_run_folder(path))
    else:
        with frame_progress("reading") as progress:
            result = inspect_frames(path, **known, progress=progress)
    print_facts(result.facts, f"{path}: {result.kind}")
    if not result.faults:
        print("  whole: no faults found")
        return 0
    print(f"{len(result.faults)} fault(s):", file=sys.stderr)
    for fault, more in grouped(result.faults):
        print(f"  {fault}{f' (and {more} more like it)' if more else ''}", file=sys.stderr)
    return 1


def grouped(faults: Sequence[str]) -> list[tuple[str, int]]:
    """The first fault of each kind, and how many more there are; kinds differ in more than names and numbers."""
    kinds: dict[str, list[str]] = {}
    for fault in faults:
        kind = " ".join("*" if _VARIES.search(word) else word for word in fault.split())
        kinds.setdefault(kind, []).append(fault)
    return [(alike[0], len(alike) - 1) for alike in kinds.values()]


def _shipped(path: Path) -> Path:
    """The folder of a shipped model, where one is named and no such file is there."""
    from graspcut.runtime.model_folder import shipped_model_names, shipped_models_dir

    return shipped_models_dir() / path if not path.exists() and str(path) in shipped_model_names() else path


def _known_contract(folder: Path) -> TaskContract | None:
    """What models of the folder's task promise, or None where this version does not know the task."""
    from graspcut.catalogue import METHODS, method_of
    from graspcut.runtime.model_folder import load_model_config

    task = load_model_config(folder).get("task")
    return method_of(task).predictor.contract if task in METHODS else None
