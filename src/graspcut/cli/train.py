"""`graspcut train ...`. The options are the fields of dataclasses that need no torch, so that help works without it."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from graspcut.cli import INTERRUPTED
from graspcut.cli.printing import print_facts
from graspcut.cli.recipe import GROUPS, RECIPE_NAME, recipe_text
from graspcut.segmentation.recipe_options import AugmentationOptions, LossOptions, NetworkOptions, OptimisationOptions
from graspcut.segmentation.training_options import DataOptions, SegmentationTraining
from graspcut.train.run_config import RunConfig

if TYPE_CHECKING:
    from graspcut.train.run_config import RunResult

_DATA, _NETWORK, _LOSS = DataOptions(), NetworkOptions(), LossOptions()
_OPTIMISATION, _AUGMENTATION = OptimisationOptions(), AugmentationOptions()

Run = Annotated[RunConfig, Parameter(name="*", negative_iterable="", group=GROUPS["run"])]

_OF_WHAT = {"val/mean_iou": " (hand, object)", "val/mean_iu": " (background, hand, object)"}

ConfigFile = Annotated[Path | None, Parameter(group=GROUPS["run"])]
"""A recipe file, see `graspcut.cli.recipe`; its options are put into the command line before it is parsed."""


def _part(table: str) -> Parameter:
    return Parameter(name="*", negative_iterable="", consume_multiple=True, group=GROUPS[table])


def segmentation(
    *,
    run: Run,
    config: ConfigFile = None,
    data: Annotated[DataOptions, _part("data")] = _DATA,
    network: Annotated[NetworkOptions, _part("network")] = _NETWORK,
    loss: Annotated[LossOptions, _part("loss")] = _LOSS,
    optimisation: Annotated[OptimisationOptions, _part("optimisation")] = _OPTIMISATION,
    augmentation: Annotated[AugmentationOptions, _part("augmentation")] = _AUGMENTATION,
) -> int:
    """Trains a segmentation network.

    Args:
        run: Where and on what it runs.
        config: Recipe file (TOML) with any of these options; what is typed wins. The run folder keeps a recipe.toml.
        data: On what, and for how long.
        network: Which network, and its form.
        loss: What is minimised.
        optimisation: How it is minimised.
        augmentation: How frames are changed at random.
    """
    from graspcut.segmentation.training import train_segmentation

    parts: dict[str, Any] = {
        "data": data, "network": network, "loss": loss, "optimisation": optimisation, "augmentation": augmentation,
        "run": run,
    }  # fmt: skip
    values = {
        field.name: getattr(part, field.name)
        for table, part in parts.items()
        if table != "run"
        for field in dataclasses.fields(part)
    }
    training = SegmentationTraining(**values)
    result = train_segmentation(training, run, files={RECIPE_NAME: recipe_text(parts).encode()})
    code = report(result)
    if not result.first_process:
        return code
    if not training.data and training.validation is None and training.validation_count < 1:
        print("scores: none, there were no validation frames (--validation-count 0)", file=sys.stderr)
    elif training.data and not any(name.startswith("val/") for name in result.metrics):
        print(
            "scores: none, there is no validation data: give --validation FOLDER, or use graspcut split on the data",
            file=sys.stderr,
        )
    if code == 0 and training.is_fine_tuning and result.model_folder is not None:
        _compare(training, run, result.model_folder)
    return code


def _compare(training: SegmentationTraining, run: RunConfig, model: Path) -> None:
    """Before and after a fine-tuning, on frames that were held out and on rendered ones."""
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.errors import FrameWarning
    from graspcut.segmentation.fine_tuning import save_comparison, settle
    from graspcut.segmentation.training import held_out_readers

    assert training.start is not None
    warnings.simplefilter("ignore", FrameWarning)  # rendered rooms have no hand near the camera
    with frame_progress("comparing") as progress:
        comparison = settle(
            training.start,
            model,
            held_out_readers(training),
            largest_loss=training.largest_loss,
            threads=run.threads,
            progress=progress,
        )
    save_comparison(comparison, run.folder, model)
    print(comparison.table())
    print(comparison.verdict)


def report(result: RunResult) -> int:
    """Prints how a training of any method ended, and returns the exit code."""
    if result.first_process:
        _print_result(result)
    if result.finished:
        return 0
    return INTERRUPTED if result.interrupted else 1


def _print_result(result: RunResult) -> None:
    print_facts(
        [
            (f"{name}{_OF_WHAT.get(name, '')}", f"{value:.4f}")
            for name, value in sorted(result.metrics.items())
            if name.startswith("val/")
        ]
    )
    if result.left_out:
        print(f"{result.left_out} times a frame that cannot be read was left out (named above)", file=sys.stderr)
    if result.finished:
        print(f"{result.steps} steps done, model: {result.model_folder}")
    else:
        print(f"stopped after {result.steps} steps; the same command continues")
