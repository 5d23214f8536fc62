"""`graspcut adapt`. Imports torch, because the options are the fields of the class that they configure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from graspcut.cli.options import NOTHING_SAID, Input
from graspcut.nn.own_networks import open_network_file
from graspcut.segmentation.adaptation import AdaptationReport, adapt_to_recordings
from graspcut.segmentation.predictor import DEFAULT_MODEL
from graspcut.segmentation.self_training import AdaptationConfig
from graspcut.synth.place import PlaceConfig

_DEFAULT = AdaptationConfig()


def adapt(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    model: str = DEFAULT_MODEL,
    network_file: Path | None = None,
    given: Input = NOTHING_SAID,
    scene: Path | None = None,
    config: Annotated[AdaptationConfig, Parameter(name="*", negative_bool="")] = _DEFAULT,
) -> int:
    """Makes a network better for recordings that nobody labelled.

    With --quick it takes seconds and only the statistics of normalisation are brought to the recording; otherwise it is
    trained too. What costs rendered frames more than a point is done in part, or not at all. Whether the
    recording itself gains nobody can say without labels: look at before_after.png.

    Args:
        inputs: Recordings, folders of depth images or files, each in order of time.
        out: Model folder to write; OUT-adaptation beside it holds what is needed to continue, report.json and
            before_after.png.
        model: Model to begin with.
        network_file: Python file of a network of your own, see docs/add-a-network.md.
        given: What the inputs do not say.
        scene: Recording, dataset or folder of depth images of the empty place: half of the rendered frames that are
            mixed in then show hands and objects in it. --depth-unit-mm and --focal-px hold for it too.
        config: How it is adapted.
    """
    if network_file is not None:
        open_network_file(network_file)
    known = given.use()
    with _stages() as say:
        report = adapt_to_recordings(
            inputs,
            out,
            start=model,
            **known,
            scene=None if scene is None else PlaceConfig(str(scene), known["depth_unit_mm"], known["focal_px"]),
            config=config,
            progress=say,
        )
    _print_report(report)
    if not report.finished:
        print("stopped; the same command continues", file=sys.stderr)
        return 1
    if report.kept_old:
        print(
            f"Everything lost more than {config.largest_loss:g} points on rendered frames or made the recording's "
            f"labels less steady: the old model was kept, {report.model_folder} holds its weights"
        )
    else:
        print(f"model: {report.model_folder}, pictures: {report.model_folder}-adaptation/before_after.png")
    for name, message in report.failures[:10]:
        print(f"  not used: {name}: {message}", file=sys.stderr)
    return 1 if report.failures else 0


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """One progress bar for each stage, on standard error; only on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars: dict[str, object] = {}

        def say(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)  # type: ignore[arg-type]

        yield say


def _print_report(report: AdaptationReport) -> None:
    print(f"{report.frames} frames")
    print(f"{'percent':<24}{'rendered IOU':>14}{'close-ups':>11}{'flicker':>10}{'agreement':>11}{'unsure':>9}")
    stages = [
        ("statistics" if number == 0 else f"round {number}") + ("" if share == 1 else f", {share:g} of it")
        for number, share in enumerate(report.shares)
    ]
    for name, figures in [
        ("before", report.before),
        *zip(stages, report.rounds, strict=True),
        ("written", report.after),
    ]:
        print(
            f"{name:<24}{figures.rendered_iou:>14.2f}{figures.close_up_iou:>11.2f}{figures.flicker:>10.2f}"
            f"{figures.agreement:>11.2f}{figures.unsure:>9.2f}"
        )
