"""`graspcut train matting`; like `graspcut.cli.train`, its help needs no torch."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.train import Run, report
from graspcut.matting.training_options import MattingTraining

_DEFAULT_TRAINING = MattingTraining()


def matting(
    *,
    run: Run,
    training: Annotated[
        MattingTraining, Parameter(name="*", negative_iterable="", group="What is trained")
    ] = _DEFAULT_TRAINING,
) -> int:
    """Trains a matting network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    from graspcut.matting.training import train_matting

    return report(train_matting(training, run))
