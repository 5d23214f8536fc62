"""Scores against worked values, slow definitions and pycocotools."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from graspcut.frames.errors import FrameError
from graspcut.instances.coco import CocoDetection, decode_mask, encode_mask, read_groundtruth, read_results
from graspcut.instances.evaluation import evaluate_detections, evaluate_proposals, evaluate_regions
from graspcut.instances.metrics import (
    IOU_THRESHOLDS,
    average_precision_voc,
    average_recall_integral,
    best_overlaps,
    correct_voc,
    match,
    recall_curve,
)
from tests.instances.made_coco import made_coco, rectangle


@pytest.mark.parametrize(
    "overlap, coco, integral",
    [(0.50, 0.1, 0.0), (0.60, 0.3, 0.2), (0.74, 0.5, 0.48), (0.75, 0.6, 0.5), (0.90, 0.9, 0.8), (0.95, 1.0, 0.9)],
)
def test_one_object(overlap: float, coco: float, integral: float) -> None:
    overlaps = np.array([[overlap]])
    assert match(overlaps).object_found.mean() == pytest.approx(coco)
    assert average_recall_integral(best_overlaps(overlaps)) == pytest.approx(integral)


def test_a_detection_serves_one_object() -> None:
    overlaps = np.array([[0.9, 0.8], [0.7, 0.1]])
    found = match(overlaps, thresholds=np.array([0.5]))
    assert found.object_found.tolist() == [[True, False]] and found.found.tolist() == [[True, False]]
    # The best pair first: the second object gets nothing from the first detection.
    assert best_overlaps(overlaps).tolist() == [0.9, 0.1]
    assert recall_curve(np.array([0.9, 0.1]), np.array([0.05, 0.1, 0.5, 0.95])).tolist() == [1, 1, 0.5, 0]


def test_average_precision_of_a_known_ranking() -> None:
    scores, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    # Recall 1/3, 1/3, 2/3, 2/3 with precision 1, 1/2, 2/3, 1/2; recalls up to 0.3 have 1, up to 0.6 have 2/3.
    assert average_precision_voc(scores, correct, 3) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert average_precision_voc(scores, correct, 3, eleven_points=False) == pytest.approx(1 / 3 + 2 / 9)
    assert np.isnan(average_precision_voc(scores, correct, 0))
    taken = np.zeros(1, bool)
    assert correct_voc(np.array([[0.8], [0.9]]), taken, 0.5).tolist() == [True, False]


def peer(truth: Path, results: Path, kind: str, *, categories: bool, limits: list[int]) -> COCOeval:
    """The numbers of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(results)), kind)
        evaluation.params.useCats = int(categories)
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
        if categories:
            evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_pycocotools(tmp_path: Path, seed: int) -> None:
    truth, results = made_coco(tmp_path, seed)
    groundtruth = read_groundtruth(truth)
    found = read_results(results, groundtruth)
    report = evaluate_detections(groundtruth, found)
    theirs = peer(truth, results, "segm", categories=True, limits=[1, 10, 100]).stats
    ours = [*report.average_precision.values(), *report.average_recall.values()]
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), theirs, atol=1e-9)
    proposals = evaluate_proposals(groundtruth, found, limits=(1, 3, 100))
    theirs = peer(truth, results, "segm", categories=False, limits=[1, 3, 100]).eval["recall"][:, 0, 0]
    for column, limit in enumerate((1, 3, 100)):
        np.testing.assert_allclose(proposals.recall[limit], theirs[:, column], atol=1e-9)
        assert proposals.average_recall[limit] == pytest.approx(float(theirs[:, column].mean()))
    assert "AR@100" in report.table() and "integral" in proposals.table()
    report.save(tmp_path / "report.json")
    proposals.save(tmp_path / "proposals.json")


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("segm", (0.320, 0.562, 0.299, 0.387, 0.310, 0.327, 0.268, 0.415, 0.417, 0.469, 0.377, 0.381)),
        ("bbox", (0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564)),
    ],
)
def test_official_numbers_of_coco(real_data: Path, kind: str, expected: tuple[float, ...]) -> None:
    folder = real_data / "coco"
    groundtruth = read_groundtruth(folder / "instances_val2014_100.json")
    results = read_results(folder / f"instances_val2014_fake{kind}100_results.json", groundtruth)
    report = evaluate_detections(groundtruth, results)
    ours = [round(value, 3) for value in (*report.average_precision.values(), *report.average_recall.values())]
    assert ours == list(expected)


def test_regions_by_hand(tmp_path: Path) -> None:
    truth, results = made_coco(tmp_path, 3)
    groundtruth = read_groundtruth(truth)
    found = read_results(results, groundtruth)
    for eleven in (True, False):
        report = evaluate_regions(groundtruth, found, eleven_points=eleven)
        assert set(report.mean) == {0.5, 0.7} and report.mean[0.5] >= report.mean[0.7]
        assert np.isnan(report.by_category[0.5]["never"])
    perfect = {
        identity: [CocoDetection(entry.category, 1.0, entry.box, entry.mask) for entry in objects]
        for identity, objects in groundtruth.objects.items()
    }
    all_right = type(found)("perfect", perfect, "mask")
    assert evaluate_regions(groundtruth, all_right).mean == {0.5: 1.0, 0.7: 1.0}
    assert evaluate_proposals(groundtruth, all_right).average_recall_integral[100] == pytest.approx(1.0)


def test_thresholds_are_exact() -> None:
    assert IOU_THRESHOLDS.tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def test_masks_as_run_lengths(tmp_path: Path) -> None:
    mask = rectangle(np.random.default_rng(0), 30, 40, 12)
    np.testing.assert_array_equal(decode_mask(encode_mask(mask)), mask)
    truth, results = made_coco(tmp_path)
    groundtruth = read_groundtruth(truth)
    for text, reason in (
        ('{"a": 1}', "list"),
        ('[{"image_id": 1, "category_id": 2, "score": 1, "bbox": [0, 0, 1, 1]}]', "image 1"),
        ('[{"image_id": 3, "category_id": 2, "score": "x", "bbox": [0, 0, 1, 1]}]', "entry 0"),
        ('[{"image_id": 3, "category_id": 2, "score": 1, "segmentation": {"size": [1, 1], "counts": "1"}}]', "150"),
        ("[" * 100_000, "JSON"),
    ):
        results.write_text(text)
        with pytest.raises(FrameError, match=reason):
            read_results(results, groundtruth)
    truth.write_text("[]")
    with pytest.raises(FrameError, match="ground truth"):
        read_groundtruth(truth)
