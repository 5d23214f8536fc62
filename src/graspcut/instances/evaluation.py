"""Scores of result files and of folders of proposals: COCO's twelve numbers, average recall of proposals, mAP^r."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.json_files import write_json_atomically
from graspcut.instances.coco import CocoDetection, CocoGroundTruth, CocoObject, CocoResults, overlaps_of
from graspcut.instances.metrics import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    average_precision_voc,
    average_recall_integral,
    best_overlaps,
    correct_voc,
    match,
    precision_at_recall,
    recall_curve,
)

ProgressCallback = Callable[[int, int], None]

AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
DETECTION_LIMITS = (1, 10, 100)
PROPOSAL_LIMITS = (10, 100, 1000)


@dataclass(frozen=True)
class DetectionReport:
    """COCO's numbers, 0..1; NaN where there is no object of that size.

    Attributes:
        title: what was compared.
        kind: "mask" or "box": what the overlap is of.
        images, objects, results: how many.
        average_precision: AP over IoU 0.50 to 0.95, at 0.50 ("50"), at 0.75 ("75"), and by area ("small", ...).
        average_recall: AR at 1, 10 and 100 detections an image ("1", ...), and by area at 100.
        by_category: AP of each category, by name.
    """

    title: str
    kind: str
    images: int
    objects: int
    results: int
    average_precision: dict[str, float]
    average_recall: dict[str, float]
    by_category: dict[str, float]

    def table(self) -> str:
        """The numbers as text, as fractions with three decimals, in COCO's order."""
        lines = [f"{self.title}: {self.images} images, {self.objects} objects, {self.results} results, {self.kind} IoU"]
        names = {"": "AP", "50": "AP50", "75": "AP75", "small": "AP small", "medium": "AP medium", "large": "AP large"}
        lines += [f"  {names[key]:<14}{_number(value)}" for key, value in self.average_precision.items()]
        lines += [
            f"  {'AR@' + key if key.isdigit() else 'AR@100 ' + key:<14}{_number(value)}"
            for key, value in self.average_recall.items()
        ]
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Writes all numbers as JSON."""
        write_json_atomically(path, _plain(dataclasses.asdict(self)))


@dataclass(frozen=True)
class ProposalReport:
    """How well proposals cover objects, whatever their category.

    Attributes:
        title: what was compared.
        kind: "mask" or "box".
        images, objects, results: how many.
        average_recall: AR at N proposals an image, COCO's mean over IoU 0.50 to 0.95.
        average_recall_integral: Hosang's integral from 0.5 to 1.
        recall: the recall at each of `IOU_THRESHOLDS`, by N.
        curve: [IoU, recall] pairs by N, for figures 6 and 7.
    """

    title: str
    kind: str
    images: int
    objects: int
    results: int
    average_recall: dict[int, float]
    average_recall_integral: dict[int, float]
    recall: dict[int, tuple[float, ...]]
    curve: dict[int, tuple[tuple[float, float], ...]]

    def table(self) -> str:
        """The numbers as text, as fractions with three decimals."""
        lines = [
            f"{self.title}: {self.images} images, {self.objects} objects, {self.results} proposals, {self.kind} IoU",
            f"  {'':<10}{'COCO mean':>10}{'integral':>10}{'recall@.50':>12}{'recall@.75':>12}",
        ]
        for limit, value in self.average_recall.items():
            recall = self.recall[limit]
            lines.append(
                f"  {'AR@' + str(limit):<10}{_number(value):>10}"
                f"{_number(self.average_recall_integral[limit]):>10}{_number(recall[0]):>12}{_number(recall[5]):>12}"
            )
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Writes all numbers as JSON."""
        write_json_atomically(path, _plain(dataclasses.asdict(self)))


def evaluate_detections(
    groundtruth: CocoGroundTruth, results: CocoResults, *, progress: ProgressCallback | None = None
) -> DetectionReport:
    """COCO's detection evaluation, categories apart.

    Args:
        groundtruth: with categories.
        results: masks or boxes.
        progress: called with (categories done, categories in all).

    Raises:
        ValueError: masks are to be compared and objects have none.
    """
    categories = sorted(groundtruth.categories)
    shape = (len(IOU_THRESHOLDS), len(categories), len(AREAS))
    precision = np.full((len(IOU_THRESHOLDS), len(RECALL_POINTS), *shape[1:]), np.nan)
    recall = np.full((*shape, len(DETECTION_LIMITS)), np.nan)
    for place, category in enumerate(categories):
        gathered = [_Image.of(groundtruth, results, identity, category) for identity in groundtruth.images]
        images = [image for image in gathered if len(image.scores) or image.objects]
        for number, area in enumerate(AREAS.values()):
            for limit_place, limit in enumerate(DETECTION_LIMITS):
                if limit != DETECTION_LIMITS[-1] and area != AREAS["all"]:
                    continue
                precisions, recalls = _accumulated(images, area, limit)
                recall[:, place, number, limit_place] = recalls
                if limit == DETECTION_LIMITS[-1]:
                    precision[:, :, place, number] = precisions
        if progress is not None:
            progress(place + 1, len(categories))
    areas = list(AREAS)
    ap = {"": _mean(precision[..., 0]), "50": _mean(precision[0, ..., 0]), "75": _mean(precision[5, ..., 0])}
    ap |= {name: _mean(precision[..., areas.index(name)]) for name in areas[1:]}
    ar = {str(limit): _mean(recall[:, :, 0, place]) for place, limit in enumerate(DETECTION_LIMITS)}
    ar |= {name: _mean(recall[:, :, areas.index(name), -1]) for name in areas[1:]}
    by_category = {
        groundtruth.categories[category]: _mean(precision[:, :, place, 0]) for place, category in enumerate(categories)
    }
    objects = sum(len(found) for found in groundtruth.objects.values())
    title = f"{Path(results.origin).name} against {Path(groundtruth.origin).name}"
    return DetectionReport(title, results.kind, len(groundtruth.images), objects, len(results), ap, ar, by_category)


@dataclass(frozen=True, eq=False)
class _Image:
    """One image and category, detections by falling score.

    Attributes:
        scores, areas: (D,).
        overlaps: (D, G).
        objects: the G objects.
    """

    scores: NDArray[np.float64]
    areas: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    objects: tuple[CocoObject, ...]

    @classmethod
    def of(cls, groundtruth: CocoGroundTruth, results: CocoResults, identity: int, category: int) -> _Image:
        objects = tuple(entry for entry in groundtruth.objects[identity] if entry.category == category)
        found = [entry for entry in results.detections[identity] if entry.category == category]
        found = _best(found, DETECTION_LIMITS[-1])
        return cls(
            np.array([entry.score for entry in found], np.float64),
            np.array([entry.area for entry in found], np.float64),
            overlaps_of(found, objects, results.kind),
            objects,
        )


def _best(detections: Sequence[CocoDetection], limit: int) -> list[CocoDetection]:
    order = np.argsort([-entry.score for entry in detections], kind="mergesort")[:limit]
    return [detections[number] for number in order]


def _accumulated(
    images: Sequence[_Image], area: tuple[float, float], limit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (T, R) and recall (T,) of one category over all images."""
    scores, found, ignored, counted = [], [], [], 0
    for image in images:
        out = np.array([not area[0] <= entry.area <= area[1] for entry in image.objects], bool)
        crowd = np.array([entry.crowd for entry in image.objects], bool)
        counted += int(np.count_nonzero(~(out | crowd)))
        matches = match(image.overlaps[:limit], ignored=out | crowd, crowd=crowd)
        outside = (image.areas[:limit] < area[0]) | (image.areas[:limit] > area[1])
        scores.append(image.scores[:limit])
        found.append(matches.found)
        ignored.append(matches.ignored | (~matches.found & outside[None]))
    count = len(IOU_THRESHOLDS)
    precision, recall = np.full((count, len(RECALL_POINTS)), np.nan), np.full(count, np.nan)
    if counted:
        every, all_found = np.concatenate(scores), np.concatenate(found, axis=1)
        all_ignored = np.concatenate(ignored, axis=1)
        for number in range(count):
            precision[number], recall[number] = precision_at_recall(
                every, all_found[number], all_ignored[number], counted
            )
    return precision, recall


def evaluate_proposals(
    groundtruth: CocoGroundTruth,
    results: CocoResults,
    *,
    limits: Sequence[int] = PROPOSAL_LIMITS,
    progress: ProgressCallback | None = None,
) -> ProposalReport:
    """Average recall of class-agnostic proposals; crowds are left out.

    Args:
        groundtruth: objects of any category.
        results: proposals of any method, their categories are not looked at.
        limits: N, proposals an image, the best scored ones.
        progress: called with (images done, images in all).

    Raises:
        ValueError: masks are to be compared and objects have none.
    """
    hits = {limit: np.zeros(len(IOU_THRESHOLDS), np.int64) for limit in limits}
    best: dict[int, list[NDArray[np.float64]]] = {limit: [] for limit in limits}
    for done, identity in enumerate(groundtruth.images, start=1):
        # Of equal scores and overlaps COCO's tool takes the one of the lower category first.
        objects = sorted(groundtruth.objects[identity], key=lambda entry: entry.category)
        crowd = np.array([entry.crowd for entry in objects], bool)
        every_one = sorted(results.detections[identity], key=lambda entry: entry.category)
        found = _best(every_one, max(limits))
        overlaps = overlaps_of(found, objects, results.kind)
        for limit in limits:
            matches = match(overlaps[:limit], ignored=crowd, crowd=crowd)
            hits[limit] += matches.object_found[:, ~crowd].sum(axis=1)
            best[limit].append(best_overlaps(overlaps[:limit][:, ~crowd]))
        if progress is not None:
            progress(done, len(groundtruth.images))
    counted = sum(not entry.crowd for objects in groundtruth.objects.values() for entry in objects)
    every = {limit: np.concatenate(best[limit]) if best[limit] else np.zeros(0) for limit in limits}
    recall = {limit: hits[limit] / counted if counted else np.full(len(IOU_THRESHOLDS), np.nan) for limit in limits}
    points = np.round(np.linspace(0.5, 1.0, 51), 2)
    return ProposalReport(
        f"{Path(results.origin).name} against {Path(groundtruth.origin).name}",
        results.kind,
        len(groundtruth.images),
        counted,
        len(results),
        {limit: float(recall[limit].mean()) for limit in limits},
        {limit: average_recall_integral(every[limit]) for limit in limits},
        {limit: tuple(float(value) for value in recall[limit]) for limit in limits},
        {
            limit: tuple(zip(points.tolist(), recall_curve(every[limit], points).tolist(), strict=True))
            for limit in limits
        },
    )


@dataclass(frozen=True)
class RegionPrecision:
    """mAP^r of table 4, 0..1.

    Attributes:
        mean: by IoU threshold.
        by_category: AP by name, by IoU threshold.
    """

    mean: dict[float, float]
    by_category: dict[float, dict[str, float]]


@dataclass(frozen=True)
class RegionReport:
    """mAP^r by both rules.

    Attributes:
        title: what was compared.
        eleven_points: by the rule of VOC 2007.
        area: by the area under the curve.
    """

    title: str
    eleven_points: RegionPrecision
    area: RegionPrecision

    def table(self) -> str:
        """The numbers as text, as fractions with three decimals."""
        columns = [(rule, threshold) for rule in ("11 points", "area") for threshold in self.area.mean]
        chosen = {"11 points": self.eleven_points, "area": self.area}
        lines = [self.title, f"  {'':<20}" + "".join(f"{f'{rule} @{limit:g}':>16}" for rule, limit in columns)]
        names = list(next(iter(self.area.by_category.values()), {}))
        rows = [("mAP^r", [chosen[rule].mean[limit] for rule, limit in columns])]
        rows += [(name, [chosen[rule].by_category[limit][name] for rule, limit in columns]) for name in names]
        lines += [f"  {name:<20}" + "".join(f"{_number(value):>16}" for value in values) for name, values in rows]
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Writes all numbers as JSON."""
        write_json_atomically(path, _plain(dataclasses.asdict(self)))


def region_report(groundtruth: CocoGroundTruth, results: CocoResults) -> RegionReport:
    """mAP^r at IoU 0.5 and 0.7 by both rules; see `evaluate_regions`."""
    return RegionReport(
        f"{Path(results.origin).name} against {Path(groundtruth.origin).name}",
        evaluate_regions(groundtruth, results),
        evaluate_regions(groundtruth, results, eleven_points=False),
    )


def evaluate_regions(
    groundtruth: CocoGroundTruth,
    results: CocoResults,
    *,
    thresholds: Sequence[float] = (0.5, 0.7),
    eleven_points: bool = True,
) -> RegionPrecision:
    """mAP^r (Hariharan et al. 2014): VOC's average precision with the overlap of masks.

    Args:
        groundtruth: with categories.
        results: with categories.
        thresholds: of the intersection over union.
        eleven_points: VOC 2007's rule, as the public code of MNC; otherwise the area under the curve.
    """
    by_category: dict[float, dict[str, float]] = {threshold: {} for threshold in thresholds}
    for category, name in sorted(groundtruth.categories.items()):
        images = []
        for identity in groundtruth.images:
            objects = [entry for entry in groundtruth.objects[identity] if entry.category == category]
            found = _best([entry for entry in results.detections[identity] if entry.category == category], 10**9)
            scores = np.array([entry.score for entry in found], np.float64)
            images.append((scores, overlaps_of(found, objects, results.kind), len(objects)))
        counted = sum(count for _, _, count in images)
        for threshold in thresholds:
            correct = [correct_voc(overlaps, np.zeros(count, bool), threshold) for _, overlaps, count in images]
            by_category[threshold][name] = average_precision_voc(
                np.concatenate([scores for scores, _, _ in images]) if images else np.zeros(0),
                np.concatenate(correct) if correct else np.zeros(0, bool),
                counted,
                eleven_points=eleven_points,
            )
    mean = {threshold: _mean(np.array(list(values.values()))) for threshold, values in by_category.items()}
    return RegionPrecision(mean, by_category)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
