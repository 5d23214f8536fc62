"""How good the labels of a network with a coarse grid of scores can be at best, by the size of what is in the picture.

    python benchmarks/score_grid.py --save docs/results/score_grid.json
    python benchmarks/score_grid.py --data runs/small/test

True labels are averaged over squares of 32, 16 and 8 pixels, interpolated bilinearly as FCN-32s, FCN-16s and FCN-8s
begin to do, and scored against themselves. Windows of 160x120 around hands, out of frames of 320x240, 480x360 and
640x480, or the frames of a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.dataset import open_dataset
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.segmentation.evaluation import Evaluation
from graspcut.segmentation.metrics import TableScores
from graspcut.synth.generator import FrameGenerator, SynthConfig

WIDTH, HEIGHT = 160, 120
SEED = 9


def best_on_grid(labels: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """Labels of the true shares of each class in squares of `stride` pixels."""
    height, width = labels.shape
    below, beside = -height % stride, -width % stride
    classes = np.stack([labels == label for label in range(3)], axis=-1).astype(np.float32)
    shares = cv2.copyMakeBorder(classes, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    size = (shares.shape[1], shares.shape[0])
    small = cv2.resize(shares, (size[0] // stride, size[1] // stride), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.asarray(large.argmax(axis=-1), dtype=np.uint8)


def best_scores(frames: Iterable[LabelledFrame], stride: int) -> TableScores:
    """What labels of squares of `stride` pixels can reach at best on labelled frames."""
    evaluation = Evaluation()
    for frame in frames:
        found = best_on_grid(frame.labels, stride)
        found[frame.frame.depth_mm == 0] = 0
        evaluation.add(frame.labels, found)
    return evaluation.report("").overall


def rendered_windows(count: int) -> dict[str, list[LabelledFrame]]:
    """`count` windows out of frames of each of three sizes, by size."""
    sets = {}
    for zoom in (2, 3, 4):
        config = SynthConfig(
            profile="v1", colour=False, width=zoom * WIDTH, height=zoom * HEIGHT, window=(WIDTH, HEIGHT)
        )
        generator = FrameGenerator(config, SEED)
        sets[f"{zoom * WIDTH}x{zoom * HEIGHT}"] = [generator[index] for index in range(count)]
    return sets


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200, help="rendered windows of each size")
    parser.add_argument("--data", type=Path, help="a folder of labelled frames instead")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    sets: Mapping[str, Iterable[LabelledFrame]] = (
        rendered_windows(given.frames) if given.data is None else {str(given.data): open_dataset(given.data)}
    )
    rows: list[dict[str, Any]] = []
    for name, frames in sets.items():
        for stride in (32, 16, 8):
            scores = best_scores(frames, stride)
            rows.append(
                {
                    "frame": name,
                    "stride": stride,
                    "mean_iou": scores.mean_iou,
                    "hand_iou": scores.hand_iou,
                    "object_iou": scores.object_iou,
                }
            )
            print(f"{name}, stride {stride}: mean IOU {100 * scores.mean_iou:.1f}")
    if given.save is not None:
        how = {"seed": SEED, "frames": given.frames} if given.data is None else {"data": str(given.data)}
        write_json_atomically(given.save, {**how, "rows": rows})


if __name__ == "__main__":
    main()
