"""`graspcut train matting`. Imports torch, because the options are the fields of the classes that they configure."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.printing import print_facts
from graspcut.matting.training import MattingTraining, train_matting
from graspcut.train.trainer import RunConfig

_DEFAULT_TRAINING = MattingTraining()


def matting(
    *,
    run: Annotated[RunConfig, Parameter(name="*", negative_iterable="", group="Where it runs")],
    training: Annotated[
        MattingTraining, Parameter(name="*", negative_iterable="", group="What is trained")
    ] = _DEFAULT_TRAINING,
) -> int:
    """Trains a matting network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    result = train_matting(training, run)
    print_facts([(name, f"{value:.5f}") for name, value in sorted(result.metrics.items()) if name.startswith("val/")])
    if result.finished:
        print(f"{result.steps} steps done, model: {result.model_folder}")
        return 0
    print(f"stopped after {result.steps} steps; the same command continues")
    return 1
