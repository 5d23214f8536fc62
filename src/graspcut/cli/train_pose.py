"""`graspcut train pose-parts | pose-joints | pose-weak`. Imports torch: options are fields of what they configure."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.printing import print_facts
from graspcut.pose.training import (
    JointsTraining,
    PartsTraining,
    WeakTraining,
    train_joints,
    train_parts,
    train_weakly,
)
from graspcut.train.trainer import RunConfig, RunResult

_RUN = Parameter(name="*", negative_iterable="", group="Where it runs")
_WHAT = Parameter(name="*", negative_iterable="", consume_multiple=True, group="What is trained")
_PARTS, _JOINTS, _WEAK = PartsTraining(), JointsTraining(), WeakTraining()


def parts(*, run: Annotated[RunConfig, _RUN], training: Annotated[PartsTraining, _WHAT] = _PARTS) -> int:
    """Trains a part network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return _told(train_parts(training, run))


def joints(*, run: Annotated[RunConfig, _RUN], training: Annotated[JointsTraining, _WHAT] = _JOINTS) -> int:
    """Trains a joint network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return _told(train_joints(training, run))


def weak(*, run: Annotated[RunConfig, _RUN], training: Annotated[WeakTraining, _WHAT] = _WEAK) -> int:
    """Fine-tunes a part network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return _told(train_weakly(training, run))


def _told(result: RunResult) -> int:
    print_facts([(name, f"{value:.4f}") for name, value in sorted(result.metrics.items()) if name.startswith("val/")])
    if result.finished:
        print(f"{result.steps} steps done, model: {result.model_folder}")
        return 0
    print(f"stopped after {result.steps} steps; the same command continues")
    return 1
