"""`graspcut pose`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Backend, Input
from graspcut.cli.printing import print_failures, print_notes


def pose(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    segmentation: str | None = None,
    parts: str = "hand-parts",
    joints: str = "hand-joints",
    locator: str = "hand-locator",
    given: Input = NOTHING_SAID,
    overlay: bool = True,
    smooth: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    threads: int | None = None,
) -> int:
    """Finds hands, their parts and joints.

    Args:
        inputs: Depth images (16-bit PNG, TIFF, PGM, PFM, EXR), .npy, .npz, folders of these, recordings, datasets.
        out: Folder for the results.
        segmentation: Model that finds the hands; by default the shipped one of graspcut segment.
        parts: Model of hand parts: shipped model's name, model folder, or file of graspcut export.
        joints: Model of joints.
        locator: Model that finds the hand in a mask with a forearm; "" takes the middle of the mask.
        given: What the inputs do not say.
        overlay: Write pictures of the results to OUT/overlay.
        smooth: Filter the joints of joints.csv over time (one-euro filter); for recordings, not for measuring errors.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the models.
        threads: Processor threads; all that this process may use if not given.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cores import usable_cores
    from graspcut.pose.predictor import (
        DEFAULT_JOINTS,
        DEFAULT_LOCATOR,
        DEFAULT_PARTS,
        PoseEstimator,
        PoseModels,
        models_are_shipped,
    )
    from graspcut.pose.smoothing import OneEuroConfig
    from graspcut.runtime.opening import OpenOptions
    from graspcut.scene.hand_pose import TABLE_NAME, HandPosePipeline, pose_folder
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    known = given.use()
    if {parts, joints, locator} & {DEFAULT_PARTS, DEFAULT_JOINTS, DEFAULT_LOCATOR} and not models_are_shipped():
        raise UsageError(
            "this version brings no weights of hand pose; give --parts and --joints (and --locator, or --locator '') "
            "as model folders, which graspcut train pose-parts and graspcut train pose-joints make: docs/hand-pose.md"
        )
    calls = threads or usable_cores()
    name = segmentation or DEFAULT_MODEL
    segmenter = Segmenter.open(OpenOptions(name, device, backend, "auto", threads, parallel_calls=calls))
    estimator = PoseEstimator.load(
        PoseModels(parts, joints, locator), device, threads, backend=backend, parallel_calls=calls
    )
    print(f"{name} ({segmenter.description}), {parts}, {joints} ({estimator.description})", file=sys.stderr)
    with frame_progress("finding joints") as progress:
        report = pose_folder(
            inputs,
            out,
            HandPosePipeline(segmenter, estimator),
            model_name=f"{name} {segmenter.session.precision}, {parts}, {joints}, {locator or 'no locator'}",
            **known,
            overlay=overlay,
            smooth=OneEuroConfig() if smooth else None,
            progress=progress,
        )
    hands = sum(int(row["hands"]) for row in report.rows)
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    speed = f" ({report.done / report.seconds:.1f} frames/s)" if report.done else ""
    print(f"{hands} hand(s) in {len(report.rows)} frame(s){speed}{earlier}: {report.out}, {TABLE_NAME} has all joints")
    print_notes(report)
    return print_failures(report)
