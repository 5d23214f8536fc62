"""Evaluation of models and of folders."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.segmentation.evaluation import evaluate_model, evaluate_predictions
from graspcut.segmentation.interfaces import LabelMap
from graspcut.segmentation.metrics import ConfusionCounts
from tests.train.fake_frames import FakeFrames


def threshold(depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> LabelMap:
    """Knows the fake distances, but takes every object pixel above row 12 for hand."""
    labels = np.zeros(depth_mm.shape, np.uint8)
    labels[(depth_mm > 490) & (depth_mm < 520)] = 1
    labels[(depth_mm > 440) & (depth_mm < 470)] = 2
    labels[:12][labels[:12] == 2] = 1
    return SimpleNamespace(labels=labels)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetReader:
    writer = DatasetWriter(tmp_path / "set", depth_unit_mm=0.125, description={})
    for index in range(4):
        writer.write(index, FakeFrames(32, 24, 3)[index])
    writer.finish(4)
    return DatasetReader(tmp_path / "set")


def test_model_scores_equal_the_metrics_of_its_labels(dataset: DatasetReader) -> None:
    everything, valid = ConfusionCounts(), ConfusionCounts()
    for frame in dataset:
        predicted = threshold(frame.frame.depth_mm).labels
        everything.add(frame.labels, predicted)
        masked = frame.labels.copy()
        masked[frame.frame.depth_mm == 0] = 255
        valid.add(masked, predicted)
    calls: list[tuple[int, int]] = []
    report = evaluate_model(threshold, dataset, progress=lambda done, count: calls.append((done, count)))
    assert report.images == 4 and calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.overall == everything.scores()
    assert report.per_image == everything.per_image_scores()
    assert 0.2 < report.overall.object_iou < 0.9
    only_valid = evaluate_model(threshold, dataset, valid_pixels_only=True)
    assert only_valid.overall == valid.scores() != report.overall


def test_folders_score_like_the_model(dataset: DatasetReader, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for index, name in enumerate(dataset.names):
        depth, _ = dataset.read_depth_and_labels(index)
        write_image_atomically(predictions / f"{name}.png", threshold(depth).labels)
    report = evaluate_predictions(predictions, dataset.directory)
    expected = evaluate_model(threshold, dataset)
    assert report.overall == expected.overall
    assert report.boundary == expected.boundary
    (predictions / "000002.png").unlink()
    with pytest.raises(FrameError, match=r"lacks 1 of 4 label maps \(first: 000002\.png\)"):
        evaluate_predictions(predictions, dataset.directory)
    write_image_atomically(predictions / "000002.png", np.zeros((5, 5), np.uint8))
    found = evaluate_predictions(predictions, dataset.directory)
    assert found.images == 3 and [name for name, _ in found.failures] == ["000002.png"]
    assert "(5, 5)" in found.failures[0][1]


def test_report_as_text_and_json(dataset: DatasetReader, tmp_path: Path) -> None:
    report = evaluate_model(threshold, dataset)
    text = report.table()
    assert f"{100 * report.overall.mean_iou:.2f}" in text
    assert f"hand {100 * report.boundary.hand:.2f}" in text
    report.save(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["overall"]["iou"] == list(report.overall.iou)
    bins = stored["object_by_size"]
    assert [entry["images"] for entry in bins] == [0, 0, 0, 4]  # 100 of 768 pixels are 10,000 of 320x240
    assert bins[0]["iou"] is None and bins[3]["high_px"] is None


def test_bad_frames_are_failures_and_the_others_count(dataset: DatasetReader) -> None:
    label = dataset.directory / "label" / "000001.png"
    label.write_bytes(label.read_bytes()[:40])
    report = evaluate_model(threshold, dataset)
    assert report.images == 3 and [name for name, _ in report.failures] == ["000001"]
    assert report.to_dict()["failures"] == [list(report.failures[0])]

    def refuse(depth_mm: object, camera: object = None, /) -> LabelMap:
        raise ValueError("no such frame")

    with pytest.raises(FrameError, match=r"none of 4 frames could be used; the first: 000000: no such frame"):
        evaluate_model(refuse, dataset)
