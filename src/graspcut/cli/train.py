"""`graspcut train ...`. The options are the fields of dataclasses that need no torch, so that help works without it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graspcut.cli import INTERRUPTED
from graspcut.cli.printing import print_facts
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.train.run_config import RunConfig

if TYPE_CHECKING:
    from graspcut.train.run_config import RunResult

_DEFAULT_TRAINING = SegmentationTraining()

Run = Annotated[RunConfig, Parameter(name="*", negative_iterable="", group="Where it runs")]


def segmentation(
    *,
    run: Run,
    training: Annotated[
        SegmentationTraining,
        Parameter(name="*", negative_iterable="", consume_multiple=True, group="What is trained"),
    ] = _DEFAULT_TRAINING,
) -> int:
    """Trains a segmentation network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    from graspcut.segmentation.training import train_segmentation

    return report(train_segmentation(training, run))


def report(result: RunResult) -> int:
    """Prints how a training of any method ended, and returns the exit code."""
    print_facts([(name, f"{value:.4f}") for name, value in sorted(result.metrics.items()) if name.startswith("val/")])
    if result.left_out:
        print(f"{result.left_out} times a frame that cannot be read was left out (named above)", file=sys.stderr)
    if result.finished:
        print(f"{result.steps} steps done, model: {result.model_folder}")
        return 0
    print(f"stopped after {result.steps} steps; the same command continues")
    return INTERRUPTED if result.interrupted else 1
