"""The shipped hand pose on whole frames: errors on rendered hands that hold objects of unseen kinds, and time a frame.

    python benchmarks/pose_shipped.py --frames 300
    python benchmarks/pose_shipped.py --frames 300 --profile v1
    python benchmarks/pose_shipped.py --frames 300 --parts mine/parts --joints mine/joints --locator mine/locator

Hands come from graspcut segment, without object pixels. A hand is found if a hand was estimated whose mean joint is
within 80 mm of its own. Errors are over the found hands' joints that are not absent; how many are absent is said.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import FOREARM_PART
from graspcut.pose.metrics import joint_errors
from graspcut.pose.predictor import PoseEstimator, PoseModels
from graspcut.pose.result import HandPoses
from graspcut.scene.hand_masks import find_hand_masks
from graspcut.scene.hand_pose import HandPosePipeline
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig

SCENE = SceneConfig(room=0.0, nothing=0.0, object_only=0.0, hand_only=0.0, two_hands=0.0)
SEED = 4_242_424
FOUND_MM = 80.0


def true_hands(labelled: LabelledFrame) -> list[int]:
    """Rows of the hands that are seen: at least 14 joints in the picture and 150 pixels beside the forearm."""
    camera = labelled.frame.camera
    assert camera is not None and labelled.instances is not None and labelled.parts is not None
    rows = []
    for row, hand in enumerate(labelled.hands):
        u, v = camera.project(labelled.joints_mm[row]).T
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        seen = (labelled.instances == hand.id) & (labelled.parts != FOREARM_PART) & (labelled.frame.depth_mm > 0)
        if inside.sum() >= 14 and np.count_nonzero(seen) >= 150:
            rows.append(row)
    return rows


def matched(poses: HandPoses, joints_mm: NDArray[np.float32]) -> int | None:
    """Which estimated hand is the one with these joints."""
    distances = [
        float(np.linalg.norm(np.nanmean(hand.joints_mm, axis=0) - joints_mm.mean(axis=0)))
        if np.isfinite(hand.joints_mm).any()
        else np.inf
        for hand in poses.hands
    ]
    best = int(np.argmin(distances)) if distances else None
    return best if best is not None and distances[best] <= FOUND_MM else None


def main() -> None:
    """Print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="0 measures time alone")
    parser.add_argument("--parts", default="hand-parts")
    parser.add_argument("--joints", default="hand-joints")
    parser.add_argument("--locator", default="hand-locator")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", choices=("v1", "v2"), default="v2", help="v1 shows close-ups by an SR300 alone")
    parser.add_argument("--true-masks", action="store_true", help="hands from the renderer's labels instead")
    parser.add_argument("--timed", type=int, default=60, help="calls that are timed")
    parser.add_argument("--timed-frames", type=int, default=20, help="on how many frames in turn")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--save", type=Path, help="JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    generator = FrameGenerator(
        SynthConfig(profile=arguments.profile, scene=SCENE, held_out_kinds=True, colour=False), SEED
    )
    segmenter = Segmenter.load(threads=arguments.threads)
    models = PoseModels(arguments.parts, arguments.joints, arguments.locator)
    estimator = PoseEstimator.load(models, threads=arguments.threads)
    pipeline = HandPosePipeline(segmenter, estimator)
    predicted, truth, visible, sides, hands = [], [], [], [], 0
    for index in range(arguments.frames):
        labelled = generator[index]
        rows = true_hands(labelled)
        if arguments.true_masks:
            assert labelled.frame.camera is not None
            masks = find_hand_masks(labelled.labels, labelled.frame.depth_mm, labelled.frame.camera)
            poses = estimator(labelled.frame, masks)
        else:
            poses = pipeline(labelled.frame)
        if arguments.pictures is not None and index < 24:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(arguments.pictures / f"{index:03d}.png"), poses.draw()[..., ::-1])
        for row in rows:
            hands += 1
            which = matched(poses, labelled.joints_mm[row])
            if which is not None:
                predicted.append(poses.hands[which].joints_mm)
                truth.append(labelled.joints_mm[row])
                visible.append(labelled.joints_visible[row])
                sides.append(poses.hands[which].handedness == labelled.hands[row].name.split()[0])
    facts: dict[str, Any] = {"frames": arguments.frames, "profile": arguments.profile, "hands": hands}
    if predicted:
        errors, seen = joint_errors(np.array(predicted), np.array(truth)), np.array(visible)
        facts |= {
            "found_percent": 100 * len(predicted) / max(hands, 1),
            "visible_joints_3d_mm": float(np.nanmean(errors.error_3d_mm[seen])),
            "all_joints_3d_mm": errors.mean_3d_mm,
            "all_joints_2d_mm": errors.mean_2d_mm,
            "median_visible_3d_mm": float(np.nanmedian(errors.error_3d_mm[seen])),
            "absent_percent": 100 * float(errors.missing.mean()),
            "handedness_percent": 100 * float(np.mean(sides)),
        }
    facts["engine"] = estimator.description
    print(facts, flush=True)
    frames = [generator[index].frame for index in range(arguments.timed_frames)]
    estimator.warm_up()
    pipeline(frames[0])
    times: dict[str, list[float]] = {"segmentation": [], "frame to joints": []}
    for number in range(arguments.timed):
        frame = frames[number % len(frames)]
        began = time.perf_counter()
        segmenter(frame)
        middle = time.perf_counter()
        pipeline(frame)
        times["segmentation"].append(middle - began)
        times["frame to joints"].append(time.perf_counter() - middle)
    for name, values in times.items():
        facts[f"{name}_median_ms"] = 1000 * float(np.median(values))
        facts[f"{name}_fastest_tenth_ms"] = 1000 * float(np.quantile(values, 0.1))
    print({name: value for name, value in facts.items() if name.endswith("_ms")}, flush=True)
    if arguments.save is not None:
        write_json_atomically(arguments.save, facts)


if __name__ == "__main__":
    main()
