"""Hands of a frame from its depth alone: `graspcut segment` finds them, `PoseEstimator` says where their joints are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graspcut.frames.camera import Camera, CameraLike, focal_length_px, given_camera
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_single_channel
from graspcut.frames.json_files import json_bytes, read_json
from graspcut.pose.joint_table import HandRow, write_joint_table
from graspcut.pose.result import EstimatesPose, HandJoints, HandPoses
from graspcut.pose.smoothing import OneEuroConfig, smooth_hands
from graspcut.runtime.folder_run import FolderReport, FrameResult, ProgressCallback, run_over_frames
from graspcut.runtime.pipeline import LimitedCalls
from graspcut.scene.hand_masks import HandMaskConfig, find_hand_masks
from graspcut.segmentation.interfaces import FrameSegmenter

TABLE_NAME = "joints.csv"
OVERLAY_FOLDER = "overlay"


@dataclass(frozen=True)
class HandPosePipeline:
    """Frame to hands.

    Attributes:
        segmenter: Finds hands and objects.
        estimator: Finds parts and joints of a hand.
        masks: Which pieces of the hand's label are hands.
    """

    segmenter: FrameSegmenter
    estimator: EstimatesPose
    masks: HandMaskConfig = field(default_factory=HandMaskConfig)

    def __call__(self, frame: Frame, focal_px: float | None = None) -> HandPoses:
        """All hands of a frame.

        Args:
            frame: The frame.
            focal_px: Focal length if it has no camera; 0.745 times the width if neither is known.
        """
        camera = frame.camera
        if camera is None:
            focal = focal_px if focal_px is not None else focal_length_px(None, frame.width)
            camera = Camera.from_focal_length(frame.width, frame.height, focal)
        labels = self.segmenter(frame.depth_mm, camera).labels
        found = find_hand_masks(labels, frame.depth_mm, camera, self.masks)
        return self.estimator(frame.depth_mm, found, camera)


def pose_folder(
    inputs: Sequence[str | Path],
    out: str | Path,
    pipeline: HandPosePipeline,
    *,
    model_name: str,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera: CameraLike | None = None,
    overlay: bool = True,
    smooth: OneEuroConfig | None = None,
    progress: ProgressCallback | None = None,
    workers: int | None = None,
) -> FolderReport:
    """Estimates the hands of all frames of files, folders and recordings.

    Writes NAME_parts.png, NAME_joints.json and overlay/NAME.png for every frame, joints.csv for all, and summary.json.

    Args:
        inputs, out, depth_unit_mm, progress, workers: See `run_over_frames`.
        pipeline: What runs.
        model_name: Recorded in summary.json; a folder takes the results of one set of models only.
        focal_px: Focal length for frames whose source has no camera.
        camera: Intrinsics for these frames instead; whatever `Camera.of` takes.
        overlay: Write a picture of each result too.
        smooth: Filter the joints of joints.csv over time, frames in the order of their names; the frames' own files
            keep what was measured.

    Raises:
        FrameError: See `run_over_frames`.
        OSError: If results cannot be written.
    """
    given = given_camera(camera, focal_px)
    settings = {"model": model_name, "depth_unit_mm": depth_unit_mm, "focal_px": focal_px}
    if camera is not None:
        settings["camera"] = str(camera)
    job = _PoseJob(pipeline, settings, overlay)
    report = run_over_frames(
        inputs, out, job, depth_unit_mm=depth_unit_mm, camera=given, progress=progress, workers=workers
    )
    _write_table(report, smooth)
    return report


@dataclass(frozen=True)
class _PoseJob:
    """See `graspcut.runtime.folder_run.FrameJob`."""

    pipeline: HandPosePipeline
    settings: Mapping[str, Any]
    overlay: bool

    @property
    def identity(self) -> str:
        digests = [str(getattr(part, "digest", "")) for part in (self.pipeline.segmenter, self.pipeline.estimator)]
        return "+".join(digests) if all(digests) else ""

    @property
    def parallel_calls(self) -> int | None:
        calls = [getattr(part, "parallel_calls", None) for part in (self.pipeline.segmenter, self.pipeline.estimator)]
        known = [call for call in calls if call is not None]
        return min(known) if known else None

    def outputs(self, name: str) -> tuple[str, ...]:
        files = (f"{name}_parts.png", f"{name}_joints.json")
        return (f"{OVERLAY_FOLDER}/{name}.png", *files) if self.overlay else files

    def process(self, frame: Frame, name: str, limited: LimitedCalls) -> FrameResult:
        poses = limited(lambda: self.pipeline(frame))
        values = {"frame": name, "timestamp_s": frame.timestamp_s, **poses.to_dict()}
        files = {}
        if self.overlay:
            files[f"{OVERLAY_FOLDER}/{name}.png"] = encode_image(poses.draw(), ".png")
        files[f"{name}_parts.png"] = encode_image(poses.parts, ".png")
        files[f"{name}_joints.json"] = json_bytes(values)
        return FrameResult(files, _row(values))

    def reread(self, name: str, folder: Path) -> dict[str, Any]:
        read_single_channel(folder / f"{name}_parts.png", what="part map")
        return _row(read_json(folder / f"{name}_joints.json"))


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the summary."""
    hands = [HandJoints.from_dict(hand) for hand in values["hands"]]
    return {
        "timestamp_s": values.get("timestamp_s"),
        "hands": len(hands),
        "handedness": [hand.handedness for hand in hands],
        "visible_joints": [int(hand.visible.sum()) for hand in hands],
    }


def _write_table(report: FolderReport, smooth: OneEuroConfig | None) -> None:
    """joints.csv of all frames that are done."""
    names = [row["name"] for row in report.rows]
    frames = [
        [HandJoints.from_dict(hand) for hand in read_json(report.out / f"{name}_joints.json")["hands"]]
        for name in names
    ]
    if smooth is not None:
        times = [row.get("timestamp_s") for row in report.rows]
        known = [float(time) for time in times if time is not None]
        seconds = known if len(known) == len(times) else [index / smooth.frames_per_s for index in range(len(times))]
        frames = smooth_hands(frames, seconds, smooth)
    rows = [
        HandRow(
            name,
            number,
            hand.handedness,
            hand.joints_mm.astype(np.float64),
            hand.confidence.astype(np.float64),
            hand.visible,
        )
        for name, hands in zip(names, frames, strict=True)
        for number, hand in enumerate(hands)
    ]
    write_joint_table(report.out / TABLE_NAME, rows)
