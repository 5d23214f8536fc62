"""The shipped weights on real frames. They are trained on rendered frames only; the floors lie below what was measured.

Measured values are in docs/results.md; benchmarks/evaluate_shipped.py measures them over all frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import open_dataset, read_depth
from graspcut.labels import HAND, OBJECT
from graspcut.runtime.model_folder import shipped_model_names
from graspcut.segmentation.evaluation import Evaluation
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

LEAST_MEAN_IOU = {"bar_red": 0.78, "cube_white": 0.66}  # checkpoints of one training differ by 2 points
MOST_FALSE_OBJECT = 0.05  # of the hand area
MOST_FALSE_PIXELS = 0.003  # where there is no hand


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """The shipped network."""
    if DEFAULT_MODEL not in shipped_model_names():
        pytest.skip(f"this checkout has no weights {DEFAULT_MODEL!r} in graspcut/weights")
    return Segmenter.load(DEFAULT_MODEL, device="cpu")


@pytest.mark.parametrize("sequence", ["bar_red", "cube_white"])
def test_hand_and_held_object_in_a_real_sequence(real_data: Path, segmenter: Segmenter, sequence: str) -> None:
    reader = open_dataset(real_data / "hand-object" / sequence, depth_unit_mm=1.0, focal_px=238.95)
    evaluation = Evaluation()
    for number in range(0, len(reader), 10):
        depth, labels = reader.read_depth_and_labels(number)
        evaluation.add(labels, segmenter(depth, reader.camera(number)).labels)
    report = evaluation.report(sequence)
    assert report.images >= 20
    assert report.overall.mean_iou > LEAST_MEAN_IOU[sequence], report.table()


@pytest.fixture(scope="module")
def false_object_share(real_data: Path, segmenter: Segmenter) -> float:
    """Object area over hand area on all frames of bare hands before a body: every object pixel is wrong."""
    camera = Camera(fx=476.007, fy=476.007, cx=313.683, cy=242.755, width=640, height=480)
    hand = false_object = 0
    files = sorted((real_data / "sr305").glob("*/*.png"))
    assert files
    for path in files:
        labels = segmenter(read_depth(path, 0.125), camera).labels
        found = int(np.count_nonzero(labels == HAND))
        assert found > 1000, f"{path.name}: no hand found"
        hand += found
        false_object += int(np.count_nonzero(labels == OBJECT))
    return false_object / hand


def test_bare_hands_before_a_body_have_little_false_object(false_object_share: float) -> None:
    assert false_object_share < MOST_FALSE_OBJECT


def test_rooms_without_a_hand_stay_background(real_data: Path, segmenter: Segmenter) -> None:
    files = sorted((real_data / "no-hand").glob("*.png"))
    assert files
    camera = Camera.from_focal_length(640, 480, 520.0)
    false = [np.mean(segmenter(read_depth(path, 1.0), camera).labels > 0) for path in files]
    assert np.mean(false) < MOST_FALSE_PIXELS
