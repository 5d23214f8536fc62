"""`graspcut train pose-parts | pose-joints | pose-weak`. Imports torch: options are fields of what they configure."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.train import report
from graspcut.pose.training import (
    JointsTraining,
    PartsTraining,
    WeakTraining,
    train_joints,
    train_parts,
    train_weakly,
)
from graspcut.train.trainer import RunConfig

_RUN = Parameter(name="*", negative_iterable="", group="Where it runs")
_WHAT = Parameter(name="*", negative_iterable="", consume_multiple=True, group="What is trained")
_PARTS, _JOINTS, _WEAK = PartsTraining(), JointsTraining(), WeakTraining()


def parts(*, run: Annotated[RunConfig, _RUN], training: Annotated[PartsTraining, _WHAT] = _PARTS) -> int:
    """Trains a part network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return report(train_parts(training, run))


def joints(*, run: Annotated[RunConfig, _RUN], training: Annotated[JointsTraining, _WHAT] = _JOINTS) -> int:
    """Trains a joint network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return report(train_joints(training, run))


def weak(*, run: Annotated[RunConfig, _RUN], training: Annotated[WeakTraining, _WHAT] = _WEAK) -> int:
    """Fine-tunes a part network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    return report(train_weakly(training, run))
