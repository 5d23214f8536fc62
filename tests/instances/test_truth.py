"""Labelled frames as ground truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graspcut.frames.errors import FrameError
from graspcut.instances.composing import instance_masks
from graspcut.instances.evaluation import evaluate_proposals
from graspcut.instances.truth import frames_groundtruth, kind_of, mask_results
from tests.instances.made_frames import made_frame


def test_perfect_masks_are_found_and_small_ones_do_not_count() -> None:
    frames = [made_frame(seed) for seed in range(5)]
    truth = frames_groundtruth(frames, smallest_px=1)
    shown = sum(len(np.unique(frame.instances[frame.instances > 0])) for frame in frames if frame.instances is not None)
    assert sum(len(objects) for objects in truth.objects.values()) == shown
    found = []
    for frame in frames:
        assert frame.instances is not None
        masks, _ = instance_masks(frame.instances, frame.instance_table, smallest_px=1)
        found.append((masks, np.linspace(0.9, 0.5, len(masks))))
    report = evaluate_proposals(truth, mask_results(found))
    assert report.average_recall[10] == 1.0 and report.objects == shown
    large = frames_groundtruth(frames, smallest_px=10_000)
    assert all(entry.crowd for objects in large.objects.values() for entry in objects)


def test_kinds_as_categories() -> None:
    truth = frames_groundtruth([made_frame(2)], kinds=("hand", "ball"))
    assert truth.categories == {1: "hand", 2: "ball"} and kind_of("left hand") == "hand"
    assert {entry.category for entry in truth.objects[0]} <= {1, 2}
    assert all(entry.category == 1 for entry in frames_groundtruth([made_frame(2)], kinds=("hand",)).objects[0])
    with pytest.raises(FrameError, match="instance map"):
        frames_groundtruth([dataclasses.replace(made_frame(1), instances=None)])
