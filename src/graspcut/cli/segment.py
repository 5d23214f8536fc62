"""`graspcut segment`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.options import Backend, Precision
from graspcut.cli.printing import print_failures


def segment(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    model: str | None = None,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    sensitivity: float = 1.0,
    overlay: Annotated[bool, Parameter(negative="")] = False,
    video: Annotated[bool, Parameter(negative="")] = False,
    independent: Annotated[bool, Parameter(negative="")] = False,
    careful: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> int:
    """Labels frames into a folder.

    Args:
        inputs: Depth images (16-bit PNG, TIFF, PGM), .npy or .npz files, folders of images, recordings, datasets.
        out: Folder for the label images and summary.json.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        depth_unit_mm: Millimetres per step of 16-bit files that do not say it: 1 for most, 0.1249866 for an SR300.
        focal_px: Focal length in pixels of frames without a camera; 0.745 times the width if not given.
        sensitivity: What the odds of hand and object against background are multiplied by: above 1 finds more, below 1
            calls less by mistake. 0.2 suits rooms where a hand is rarely seen.
        overlay: Also write pictures of the results to OUT/overlay.
        video: The images of each folder follow each other in time, as in a recording: the frames before and after
            steady the labels.
        independent: Label every frame of a recording on its own.
        careful: Ask the network about every frame twice, as it is and mirrored: twice the time.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model, and says which.
        precision: auto takes what the model ships for the engine.
        threads: Processor threads; all that this process may use if not given.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cores import usable_cores
    from graspcut.runtime.opening import OpenOptions
    from graspcut.segmentation.batch import segment_folder
    from graspcut.segmentation.careful import CarefulSegmenter
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    if video and independent:
        raise ValueError("--video and --independent contradict each other: give one of them, or none")
    in_order = video or (not independent and all((place / "recording.json").is_file() for place in inputs))
    name = model or DEFAULT_MODEL
    # Frames of a folder are independent: one thread a frame does more of them than all threads on one frame.
    segmenter = Segmenter.open(
        OpenOptions(name, device, backend, precision, threads, parallel_calls=threads or usable_cores())
    )
    segmenter.sensitivity = sensitivity
    chosen = CarefulSegmenter(segmenter) if careful else segmenter
    over_time = ", steadied over time" if in_order else ""
    print(f"{name}: {segmenter.description}{over_time}", file=sys.stderr)
    with frame_progress("segmenting") as progress:
        report = segment_folder(
            inputs,
            out,
            chosen,
            # Other precisions label some pixels otherwise: a folder takes the results of one.
            model_name=name if segmenter.session.precision == "fp32" else f"{name} {segmenter.session.precision}",
            depth_unit_mm=depth_unit_mm,
            focal_px=focal_px,
            overlay=overlay,
            video=in_order,
            progress=progress,
        )
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    speed = f" ({report.done / report.seconds:.1f} frames/s)" if report.done else ""
    renewed = f", {report.renewed} of them again: they were of other weights or inputs" if report.renewed else ""
    print(f"{report.done} frame(s) segmented{speed}{renewed}{earlier}: {report.out}")
    return print_failures(report)
