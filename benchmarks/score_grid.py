"""How good the labels of a network with a coarse grid of scores can be at best, by the size of what is in the picture.

    python benchmarks/score_grid.py --save docs/results/score_grid.json

True labels are averaged over squares of 32, 16 and 8 pixels, interpolated bilinearly as FCN-32s, FCN-16s and FCN-8s
begin to do, and scored against themselves. Windows of 160x120 around hands, out of frames of 320x240, 480x360 and
640x480.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.json_files import write_json_atomically
from graspcut.segmentation.evaluation import Evaluation
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for zoom in (2, 3, 4):
        config = SynthConfig(
            profile="v1", colour=False, width=zoom * WIDTH, height=zoom * HEIGHT, window=(WIDTH, HEIGHT)
        )
        generator = FrameGenerator(config, SEED)
        frames = [generator[index] for index in range(given.frames)]
        for stride in (32, 16, 8):
            evaluation = Evaluation()
            for frame in frames:
                found = best_on_grid(frame.labels, stride)
                found[frame.frame.depth_mm == 0] = 0
                evaluation.add(frame.labels, found)
            scores = evaluation.report("").overall
            rows.append(
                {
                    "frame": f"{zoom * WIDTH}x{zoom * HEIGHT}",
                    "stride": stride,
                    "mean_iou": scores.mean_iou,
                    "hand_iou": scores.hand_iou,
                    "object_iou": scores.object_iou,
                }
            )
            print(f"{rows[-1]['frame']}, stride {stride}: mean IOU {100 * scores.mean_iou:.1f}")
    if given.save is not None:
        write_json_atomically(given.save, {"seed": SEED, "frames": given.frames, "rows": rows})


if __name__ == "__main__":
    main()
