"""The shipped hand pose on real frames (see CONTRIBUTING.md): overlays, NYU's first test frame, order of fingers.

    GRASPCUT_DATA=../shared/data python benchmarks/pose_real_frames.py --out real

A frame's fingers are in the right order if, along the line from the index finger's knuckle to the little finger's, the
knuckles and the middle joints of index, middle, ring and little finger follow one another. That cannot see every
mistake: look at the overlays.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_image
from graspcut.pose.anatomy import NYU_NEAREST_JOINTS
from graspcut.pose.datasets import read_nyu_depth
from graspcut.pose.evaluation import CAMERAS, read_joint_text
from graspcut.pose.metrics import joints_from_uvd
from graspcut.pose.predictor import PoseEstimator, PoseModels
from graspcut.scene.hand_pose import HandPosePipeline
from graspcut.segmentation.predictor import Segmenter


def fingers_in_order(joints_mm: NDArray[np.floating]) -> bool:
    """Whether knuckles and middle joints of the four fingers follow one another."""
    across = joints_mm[17] - joints_mm[5]
    for first in (5, 6):
        along = joints_mm[[first, first + 4, first + 8, first + 12]] @ across
        if not np.isfinite(along).all() or not (np.diff(along) > 0).all():
            return False
    return True


def main() -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="hand-parts")
    parser.add_argument("--joints", default="hand-joints")
    parser.add_argument("--locator", default="hand-locator")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    data = Path(os.environ.get("GRASPCUT_DATA", "../shared/data"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    estimator = PoseEstimator.load(
        PoseModels(arguments.parts, arguments.joints, arguments.locator), threads=arguments.threads
    )
    pipeline = HandPosePipeline(Segmenter.load(threads=arguments.threads), estimator)
    sr305 = Camera(476.007, 476.007, 313.683, 242.755, 640, 480)
    hand_object = Camera(238.95, 238.95, 160.0, 120.0, 320, 240)
    frames = [
        Frame(read_image(path).astype(np.float32) * np.float32(0.125), camera=sr305, name=f"sr305-{path.stem}")
        for path in sorted(data.glob("sr305/*/*.png"))
    ]
    for folder in ("bar_red", "cube_white"):
        paths = sorted(data.glob(f"hand-object/{folder}/depth/*.png"))
        frames += [
            Frame(read_image(path).astype(np.float32), camera=hand_object, name=f"{folder}-{path.stem}")
            for path in paths[:: max(1, len(paths) // 8)]
        ]
    ordered = found = 0
    for frame in frames:
        poses = pipeline(frame)
        cv2.imwrite(str(arguments.out / f"{frame.name}.png"), poses.draw()[..., ::-1])
        if frame.name.startswith("sr305"):
            found += bool(poses.hands)
            ordered += any(fingers_in_order(hand.joints_mm) for hand in poses.hands)
    count = sum(frame.name.startswith("sr305") for frame in frames)
    print(f"sr305: hands in {found} of {count} frames, fingers in order in {ordered}")
    nyu = Frame(read_nyu_depth(data / "nyu" / "depth_1_0000001.png"), camera=CAMERAS["nyu"], name="nyu-1")
    poses = pipeline(nyu)
    cv2.imwrite(str(arguments.out / "nyu-1.png"), poses.draw()[..., ::-1])
    truth = joints_from_uvd(read_joint_text(data / "nyu" / "nyu_test_groundtruth_label.txt")[0], CAMERAS["nyu"])
    pairs = [(ours, index) for index, ours in enumerate(NYU_NEAREST_JOINTS) if ours is not None]
    for number, hand in enumerate(poses.hands):
        errors = [float(np.linalg.norm(hand.joints_mm[ours] - truth[index])) for ours, index in pairs]
        print(f"NYU frame 1, hand {number}: {np.nanmean(errors):.1f} mm over {np.isfinite(errors).sum()} of 11 joints")
    if not poses.hands:
        print("NYU frame 1: no hand was found")


if __name__ == "__main__":
    main()
