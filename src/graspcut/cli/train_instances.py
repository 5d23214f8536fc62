"""`graspcut train instances`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.train import Run, report
from graspcut.instances.training_options import InstanceTraining

_DEFAULT_TRAINING = InstanceTraining()


def instances(
    *,
    run: Run,
    training: Annotated[
        InstanceTraining,
        Parameter(name="*", negative_iterable="", consume_multiple=True, group="What is trained"),
    ] = _DEFAULT_TRAINING,
) -> int:
    """Trains a proposal network.

    Args:
        run: Where and on what it runs.
        training: What is trained.
    """
    from graspcut.instances.training import train_instances

    return report(train_instances(training, run))
