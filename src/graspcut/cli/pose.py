"""`graspcut pose`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import Backend


def pose(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    segmentation: str | None = None,
    parts: str = "hand-parts",
    joints: str = "hand-joints",
    locator: str = "hand-locator",
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    overlay: bool = True,
    smooth: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    threads: int | None = None,
) -> int:
    """Finds hands, their parts and joints.

    Args:
        inputs: Depth images (16-bit PNG, TIFF, PGM), .npy or .npz files, folders of images, recordings, datasets.
        out: Folder for the results.
        segmentation: Model that finds the hands; by default the shipped one of graspcut segment.
        parts: Model of hand parts: shipped model's name, model folder, or file of graspcut export.
        joints: Model of joints.
        locator: Model that finds the hand in a mask with a forearm; "" takes the middle of the mask.
        depth_unit_mm: Millimetres per step of 16-bit files that do not say it: 1 for most, 0.1249866 for an SR300.
        focal_px: Focal length in pixels of frames without a camera; 0.745 times the width if not given.
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
    from graspcut.runtime.folder_run import SUMMARY_NAME
    from graspcut.runtime.opening import OpenOptions
    from graspcut.scene.hand_pose import TABLE_NAME, HandPosePipeline, pose_folder
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

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
            depth_unit_mm=depth_unit_mm,
            focal_px=focal_px,
            overlay=overlay,
            smooth=OneEuroConfig() if smooth else None,
            progress=progress,
        )
    hands = sum(int(row["hands"]) for row in report.rows)
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    speed = f" ({report.done / report.seconds:.1f} frames/s)" if report.done else ""
    print(f"{hands} hand(s) in {len(report.rows)} frame(s){speed}{earlier}: {report.out}, {TABLE_NAME} has all joints")
    if not report.failures:
        return 0
    print(f"{len(report.failures)} input(s) could not be used:", file=sys.stderr)
    for failed, message in report.failures[:10]:
        print(f"  {failed}: {message}", file=sys.stderr)
    print(f"Every one is listed in {report.out / SUMMARY_NAME}", file=sys.stderr)
    return 1
