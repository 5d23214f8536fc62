"""`run.json`: what a run folder holds, and whether a call of the trainer goes on with the same training.

{"task": {...}, "data": {...}, "run": {"seed": 0, "precision": "32-true", "processes": 2},
 "versions": {...}, "history": [{"time": ..., "changes": ["data.views[0].batch_size: 8 -> 4"]}]}
"""

from __future__ import annotations

import datetime
import json
import logging
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.train.description import described, differences
from graspcut.train.run_config import RunConfig, TrainingError
from graspcut.version import __version__

if TYPE_CHECKING:
    from graspcut.train.trainer import TrainableTask

_SECTIONS = ("task", "data", "run")
_SHOWN = 12
_log = logging.getLogger(__name__)


def describe_run(task: TrainableTask, data: Any, run: RunConfig, processes: int) -> dict[str, Any]:
    """Everything that decides what a training learns, JSON-able.

    Args:
        task: describes itself.
        data: describes itself with `describe()`; without it only its class is known.
        run: where it runs.
        processes: training processes; each trains on its own batch.
    """
    description = {
        "task": task.describe(),
        "data": described(data),
        "run": {"seed": run.seed, "precision": run.precision, "processes": processes},
    }
    plain: dict[str, Any] = json.loads(json.dumps(description))
    return plain


def record_or_compare(run: RunConfig, description: dict[str, Any], follows_steps: tuple[str, ...]) -> None:
    """Writes run.json in a new folder, or compares with the one that is there.

    Args:
        run: where it runs, and whether changes are accepted.
        description: from `describe_run`.
        follows_steps: fields of the task's "training" that may change when the run is made longer; the first is the
            number of steps.

    Raises:
        TrainingError: run.json is damaged, or settings differ and that was not accepted.
    """
    path = run.folder / "run.json"
    (run.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_json_atomically(path, {**description, "versions": _versions(), "history": []})
        return
    recorded = read_record(path)
    changes = [
        line
        for section in _SECTIONS
        if section in recorded
        for line in differences(recorded[section], description[section], section)
    ]
    if not changes:
        return
    free = tuple(f"task.training.{field}: " for field in follows_steps)
    steps = [_field(record, follows_steps[0]) for record in (recorded, description)]
    longer = None not in steps and steps[1] > steps[0] and all(line.startswith(free) for line in changes)
    if not longer and not run.accept_changes:
        shown = [*changes[:_SHOWN], f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else changes
        raise TrainingError(
            f"{run.folder} holds another run: these settings differ\n  "
            + "\n  ".join(shown)
            + "\nGive the old settings to continue it, choose another folder for a new run, or add --accept-changes to "
            "go on with the new ones; the result is then not that of one uninterrupted run."
        )
    entry = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "changes": changes}
    write_json_atomically(
        path, {**recorded, **description, "versions": _versions(), "history": [*recorded.get("history", []), entry]}
    )
    _log.warning("%s goes on with changes: %s", run.folder, "; ".join(changes[:_SHOWN]))


def read_record(path: Path) -> dict[str, Any]:
    """The contents of a run.json.

    Raises:
        TrainingError: it is damaged; the message says what to do.
    """
    try:
        record = read_json(path)
    except FrameError as error:
        raise TrainingError(f"{error} {_WAY_ON}") from error
    if not isinstance(record.get("task"), dict):
        raise TrainingError(f"{path} does not describe a training run. {_WAY_ON}")
    return record


_WAY_ON = (
    "Delete the file to go on from the folder's last checkpoint with the settings you give now, "
    "or choose another folder."
)


def _field(record: dict[str, Any], name: str) -> Any:
    value: Any = record["task"].get("training")
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _versions() -> dict[str, str]:
    return {
        "graspcut": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": L.__version__,
    }
