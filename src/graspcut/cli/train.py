"""`graspcut train ...`. The options are the fields of dataclasses that need no torch, so that help works without it."""

from __future__ import annotations

import sys
from pathlib import Path
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

    result = train_segmentation(training, run)
    code = report(result)
    if code == 0 and training.is_fine_tuning and result.model_folder is not None:
        _compare(training, run, result.model_folder)
    return code


def _compare(training: SegmentationTraining, run: RunConfig, model: Path) -> None:
    """Before and after a fine-tuning, on frames that were held out and on rendered ones."""
    from graspcut.cli.progress import frame_progress
    from graspcut.segmentation.fine_tuning import compare, save_comparison
    from graspcut.segmentation.training import held_out_readers

    assert training.start is not None
    with frame_progress("comparing") as progress:
        comparison = compare(training.start, model, held_out_readers(training), threads=run.threads, progress=progress)
    save_comparison(comparison, run.folder, model)
    print(comparison.table())
    print(comparison.verdict)


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
