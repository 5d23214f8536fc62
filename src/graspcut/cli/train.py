"""`graspcut train ...`. Imports torch, because the options are the fields of the classes that they configure."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.printing import print_facts
from graspcut.segmentation.training import SegmentationTraining, train_segmentation
from graspcut.train.trainer import RunConfig

_DEFAULT_TRAINING = SegmentationTraining()


def segmentation(
    *,
    run: Annotated[RunConfig, Parameter(name="*", negative_iterable="", group="Where it runs")],
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
    result = train_segmentation(training, run)
    print_facts([(name, f"{value:.4f}") for name, value in sorted(result.metrics.items()) if name.startswith("val/")])
    if result.finished:
        print(f"{result.steps} steps done, model: {result.model_folder}")
        return 0
    print(f"stopped after {result.steps} steps; the same command continues")
    return 1
