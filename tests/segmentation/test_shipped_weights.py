"""A floor under the shipped weights that needs no data from outside: the bundled recording, whose truth is known."""

from __future__ import annotations

import pytest

from graspcut.frames.images import read_single_channel
from graspcut.frames.recording import Recording
from graspcut.runtime.engines import installed_backends
from graspcut.segmentation.demo import demo_recording_folder
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter

# Percent IOU; the weights of today reach 92.9 and 67.0 in float32, 92.7 and 66.3 in int8.
LEAST_HAND, LEAST_OBJECT = 91.5, 64.0


@pytest.mark.parametrize("backend", installed_backends())
def test_shipped_weights_keep_what_they_reach_on_the_bundled_recording(backend: str) -> None:
    folder = demo_recording_folder()
    segmenter = Segmenter.load("dense-attention-small", backend=backend)
    counts = ConfusionCounts()
    for frame in Recording(folder):
        truth = read_single_channel(folder / "label" / f"{frame.name}.png", what="label map")
        counts.add(truth, segmenter(frame).labels)
    scores = counts.scores()
    assert 100 * scores.hand_iou > LEAST_HAND, scores
    assert 100 * scores.object_iou > LEAST_OBJECT, scores
