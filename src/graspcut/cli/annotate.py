"""`graspcut annotate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from graspcut.annotate.folder import AnnotationReport, Executor
    from graspcut.annotate.proposals import Proposer
    from graspcut.frames.frame import Frame

_SHOWN_FAILURES = 10


def annotate(
    *recordings: Annotated[Path, Parameter(required=True)],
    out: Path,
    rules: Path | None = None,
    suggest: Annotated[bool, Parameter(negative="")] = False,
    click: Annotated[list[str] | None, Parameter(negative="")] = None,
    from_model: str | None = None,
    certainty: float = 0.75,
    given: Input = NOTHING_SAID,
    band_mm: float = 160.0,
    theta: float = 200.0,
    phi: float = 150.0,
    workers: int = 0,
    ray: Annotated[bool, Parameter(negative="")] = False,
    licence: str = "",
) -> int:
    """Labels the frames of recordings by their colours into a dataset folder.

    Args:
        recordings: Recordings, dataset folders or folders of images with colour.
        out: The dataset folder; starting again continues.
        rules: Colour rules, a JSON file; see docs/your-own-data.md.
        suggest: Find the rules from the recording's own colours and write them to OUT/rules.json. This is what happens
            without --rules.
        click: Says what is what for --suggest, as FRAME:COLUMN,ROW=CLASS with skin, object or sleeve; may be repeated.
        from_model: Shipped model's name or model folder that proposes the labels from depth alone, over time; unsure
            pixels are unknown. Beside --rules, --suggest or --click it is a second opinion: frames where it and the
            colours disagree come first in the review.
        certainty: Probability below which --from-model is unsure.
        given: What the inputs do not say.
        band_mm: How far behind the nearest surface hand and object reach.
        theta: Smallest segment that is kept, in pixels of a 640x480 frame.
        phi: Largest squared boundary over area of a segment that is kept.
        workers: Processes; 0 for one on each core. The labels do not depend on it.
        ray: Use Ray: on the cluster that the environment variable RAY_ADDRESS names, or on this machine.
        licence: Under which the data may be used; goes into dataset.json.
    """
    from graspcut.annotate.colour_rules import NO_COLOUR, load_rules
    from graspcut.annotate.folder import annotate_folder, earlier_rules
    from graspcut.annotate.frame_work import AnnotationJob, common_unit_mm
    from graspcut.annotate.pipeline import AnnotationConfig
    from graspcut.annotate.proposals import annotate_by_model
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.camera import given_camera
    from graspcut.frames.sources import find_frames

    if rules is not None and (suggest or click):
        raise UsageError("--rules and --suggest say two things about the colours; expected one of them")
    known = given.use()
    opened = given_camera(known["camera"], known["focal_px"])
    found = find_frames(recordings, depth_unit_mm=known["depth_unit_mm"], camera=opened)
    provenance = {"licence": licence} if licence else {}
    by_colour = from_model is None or rules is not None or suggest or bool(click)
    chosen = load_rules(rules) if rules is not None else None if click else earlier_rules(out)
    if chosen is None and not by_colour:
        chosen = NO_COLOUR
    if chosen is None:
        from graspcut.annotate.suggesting import suggest_for

        suggestion = suggest_for(found, clicks=click or ())
        chosen = suggestion.rules
        shares = ", ".join(f"{name} {share:.0%}" for name, share in suggestion.shares.items() if share)
        print(f"colours found: {shares}")
        print(f"they separate to {suggestion.separation:.1%}; {suggestion.undecided:.1%} of them stay undecided")
    job = AnnotationJob(
        inputs=tuple(map(str, recordings)),
        out=str(out),
        rules=chosen,
        depth_unit_mm=common_unit_mm(found, known["depth_unit_mm"]),
        input_unit_mm=known["depth_unit_mm"],
        focal_px=known["focal_px"],
        camera=known["camera"],
        config=AnnotationConfig(band_mm=band_mm, theta=theta, phi=phi),
        provenance=provenance,
    )
    with frame_progress("annotating") as progress:
        if from_model is None:
            execute = _in_ray(workers) if ray else None
            report = annotate_folder(job, workers=workers, progress=progress, execute=execute)
        else:
            report = annotate_by_model(
                job,
                _proposer(from_model),
                from_model,
                certainty=certainty,
                use_colour=by_colour,
                progress=progress,
            )
    for text in dict.fromkeys(getattr(entry.source, "left_out", "") for entry in found):
        if text:
            print(f"note: {text}", file=sys.stderr)
    return print_annotation(report)


def _in_ray(workers: int) -> Executor:
    from graspcut.annotate.in_ray import annotate_in_ray
    from graspcut.cores import usable_cores

    return lambda job, missing: annotate_in_ray(job, missing, workers or usable_cores())


def _proposer(model: str) -> Proposer:
    """A segmentation network with what past and future of each frame know."""
    from graspcut.segmentation.predictor import Segmenter

    stream = Segmenter.load(model).stream()

    def propose(frames: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
        return (result.probabilities for result in stream.smooth(frames))

    return propose


def print_annotation(report: AnnotationReport) -> int:
    """Prints what a run did; 1 if frames failed."""
    from graspcut.annotate.folder import QUALITY_NAME, SHEET_NAME
    from graspcut.cli.printing import print_facts

    earlier = f", {report.skipped} were there already" if report.skipped else ""
    speed = f" ({report.written / report.seconds:.1f} frames/s)" if report.written else ""
    print(f"{report.written} frame(s) annotated{speed}{earlier}: {report.out}")
    summary = report.summary
    print_facts(
        [
            ("within the limits of every figure", f"{summary['within_limits']:.1%} of the frames"),
            ("unknown pixels", f"{summary['unknown_share']:.2%} of the foreground"),
            ("unseen by the colour camera", f"{summary['unseen_share']:.2%}"),
            ("removed by the contour filter", f"{summary['removed_share']:.2%}"),
            ("flicker", f"{summary['flicker']:.2%} of the hand and object pixels"),
            ("figures of every frame", str(report.out / QUALITY_NAME)),
            ("contact sheet", str(report.out / SHEET_NAME)),
        ]
    )
    for text in summary.get("notes", ()):
        print(f"note: {text}", file=sys.stderr)
    if not report.failures:
        return 0
    print(f"{len(report.failures)} frame(s) could not be used:", file=sys.stderr)
    for name, message in report.failures[:_SHOWN_FAILURES]:
        print(f"  {name}: {message}", file=sys.stderr)
    return 1
