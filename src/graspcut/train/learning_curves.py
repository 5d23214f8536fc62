"""What the log tables of a run folder say of its course. No torch here."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

RECORD_NAME = "run.json"


@dataclass(frozen=True)
class Curve:
    """One logged value over a run.

    Attributes:
        steps: batches done.
        values: what was logged then, as many.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]


def is_run(folder: str | Path) -> bool:
    """Whether a folder is that of a training run."""
    return (Path(folder) / RECORD_NAME).is_file()


def read_curves(run: str | Path) -> dict[str, Curve]:
    """The curves of a run by name, such as "train/loss" and "val/mean_iou".

    Continued runs log in parts; where two of them have the same step, the later one counts. Lines that a kill left
    half written are left out.

    Args:
        run: the run folder; one without logs has no curves.
    """
    found: dict[str, dict[int, float]] = {}
    for table in sorted(Path(run).glob("csv/part-*/metrics.csv")):
        with table.open(newline="", encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(lines):
                step = _number(row.pop("step", None))
                if step is None:
                    continue
                for name, text in row.items():
                    value = _number(text)
                    if name and name != "epoch" and value is not None:
                        found.setdefault(name, {})[int(step)] = value
    return {
        name: Curve(tuple(sorted(points)), tuple(points[step] for step in sorted(points)))
        for name, points in sorted(found.items())
    }


def _number(text: object) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
