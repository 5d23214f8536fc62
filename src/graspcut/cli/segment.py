"""`graspcut segment`."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Backend, Input, Precision
from graspcut.cli.printing import print_failures, print_notes

_PICTURES = Group("Pictures", sort_key=1)


def segment(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    model: str | None = None,
    network_file: Path | None = None,
    given: Input = NOTHING_SAID,
    sensitivity: float = 1.0,
    overlay: Annotated[bool, Parameter(negative="", group=_PICTURES)] = False,
    cutout: Annotated[bool, Parameter(negative="", group=_PICTURES)] = False,
    masks: Annotated[bool, Parameter(negative="", group=_PICTURES)] = False,
    contact_sheet: Annotated[bool, Parameter(negative="", group=_PICTURES)] = False,
    animation: Annotated[Literal["gif", "mp4"] | None, Parameter(group=_PICTURES)] = None,
    animation_fps: Annotated[float, Parameter(group=_PICTURES)] = 15.0,
    video: Annotated[bool, Parameter(negative="")] = False,
    independent: Annotated[bool, Parameter(negative="")] = False,
    careful: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    ray: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
) -> int:
    """Labels frames into a folder.

    Args:
        inputs: Depth images (16-bit PNG, TIFF, PGM, PFM, EXR), .npy, .npz, folders of these, recordings, datasets.
        out: Folder for the label images and summary.json.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        network_file: Python file of a network of your own, see docs/add-a-network.md; exported graphs need none.
        given: What the inputs do not say.
        sensitivity: What the odds of hand and object against background are multiplied by: above 1 finds more, below 1
            calls less by mistake. 0.2 suits rooms where a hand is rarely seen.
        overlay: OUT/overlay/NAME.png: hand and object tinted on the colour picture where there is one, else on depth.
        cutout: OUT/cutout/NAME.png: hand and object in colour, with transparency (RGBA).
        masks: OUT/masks/hand/NAME.png and OUT/masks/object/NAME.png: 255 inside, 0 outside.
        contact_sheet: OUT/contact-sheet.png: up to 24 overlays, evenly spread.
        animation: OUT/animation.gif or OUT/animation.mp4 of all overlays; mp4 needs the extra import.
        animation_fps: Frames of the animation in a second.
        video: The images of each folder follow each other in time, as in a recording: the frames before and after
            steady the labels.
        independent: Label every frame of a recording on its own.
        careful: Look at every frame up to three times, as it is, mirrored, and from nearer: more exact, above all
            on small objects, and two to four times the time.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model, and says which.
        precision: auto takes what the model ships for the engine.
        threads: Processor threads; all that this process may use if not given.
        ray: Let Ray workers run the network: on the cluster that the environment variable RAY_ADDRESS names, or here.
        workers: Ray workers; one for each core of this machine if not given.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cores import usable_cores
    from graspcut.frames.errors import FrameWarning
    from graspcut.runtime.opening import OpenOptions
    from graspcut.segmentation.batch import segment_folder
    from graspcut.segmentation.interfaces import FrameSegmenter
    from graspcut.segmentation.pictures import Pictures, save_animation, save_contact_sheet
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    if video and independent:
        raise ValueError("--video and --independent contradict each other: give one of them, or none")
    in_order = video or (not independent and all((place / "recording.json").is_file() for place in inputs))
    known = given.use()
    if animation == "mp4":
        import av  # noqa: F401  said before the work, not after it
    pictures = Pictures(overlay or contact_sheet or animation is not None, cutout, masks)
    # What is doubtful is said once, below.
    warnings.simplefilter("ignore", FrameWarning)
    name = model or DEFAULT_MODEL
    # Frames of a folder are independent: one thread a frame does more of them than all threads on one frame.
    options = OpenOptions(
        name, device, backend, precision, threads, parallel_calls=threads or usable_cores(), network_file=network_file
    )
    segmenter = Segmenter.open(options)
    segmenter.sensitivity = sensitivity
    if ray and careful:
        raise UsageError("--ray does not ask twice; leave out --careful")
    chosen: FrameSegmenter = segmenter.careful() if careful else segmenter
    if ray:
        from graspcut.segmentation.in_ray import RaySegmenter

        single = dataclasses.replace(options, threads=1, parallel_calls=1)
        chosen = RaySegmenter(segmenter, single, workers or usable_cores())
    over_time = ", steadied over time" if in_order else ""
    print(f"{name}: {segmenter.description}{over_time}", file=sys.stderr)
    with frame_progress("segmenting") as progress:
        report = segment_folder(
            inputs,
            out,
            chosen,
            # Other precisions label some pixels otherwise: a folder takes the results of one.
            model_name=name if segmenter.session.precision == "fp32" else f"{name} {segmenter.session.precision}",
            **known,
            pictures=pictures,
            video=in_order,
            progress=progress,
        )
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    speed = f" ({report.done / report.seconds:.1f} frames/s)" if report.done else ""
    renewed = f", {report.renewed} of them again: they were of other weights or inputs" if report.renewed else ""
    print(f"{report.done} frame(s) segmented{speed}{renewed}{earlier}: {report.out}")
    if report.rows:
        print(_what_was_seen(report.rows))
    names = [str(row["name"]) for row in report.rows]
    if contact_sheet and names:
        print(f"contact sheet: {save_contact_sheet(report.out, names)}")
    if animation is not None and names:
        print(f"animation: {save_animation(report.out, names, animation, animation_fps)}")
    print_notes(report)
    return print_failures(report)


def _what_was_seen(rows: Sequence[Mapping[str, Any]]) -> str:
    """ "depth 0.53 .. 1.30 m; 3 of 5 frames with a hand, 2 with an object"."""
    hands, objects = (sum(row[kind] > 0 for row in rows) for kind in ("hand_pixels", "object_pixels"))
    near = [row["nearest_mm"] for row in rows if row.get("nearest_mm") is not None]
    far = [row["farthest_mm"] for row in rows if row.get("farthest_mm") is not None]
    depth = f"depth {min(near) / 1000:.2f} .. {max(far) / 1000:.2f} m; " if near and far else ""
    return f"{depth}{hands} of {len(rows)} frames with a hand, {objects} with an object"
