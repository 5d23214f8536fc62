"""How good masks are: matching, average recall, average precision. On arrays of overlaps; no model, no files.

Sources: Lin et al., the COCO detection evaluation (matching, AP, AR); Hosang et al., "What makes for effective
detection proposals?", 2015 (average recall as an integral); Hariharan et al., "Simultaneous Detection and
Segmentation", 2014 (mAP^r, the VOC rule on masks).

Two definitions of average recall are in use. COCO takes the mean of the recall over IoU thresholds 0.50, 0.55, ...,
0.95, and the paper follows DeepMask, which follows COCO. Hosang et al. integrate the recall from 0.5 to 1 and double
it. The first is larger, by about 0.05 (recall(0.5) - recall(1)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS: NDArray[np.float64] = np.round(np.linspace(0.5, 0.95, 10), 2)
RECALL_POINTS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
_ALMOST_ONE = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class Matches:
    """Which detections of one image found an object, at T thresholds.

    Attributes:
        found: (T, D) bool: the detection was given an object.
        ignored: (T, D) bool: it was given one that does not count, so neither does the detection.
        object_found: (T, G) bool: the object was found.
    """

    found: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    object_found: NDArray[np.bool_]


def match(
    overlaps: NDArray[np.float64],
    *,
    ignored: NDArray[np.bool_] | None = None,
    crowd: NDArray[np.bool_] | None = None,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> Matches:
    """COCO's greedy matching: each detection, best score first, takes the free object that it overlaps most.

    An object that counts goes before one that is ignored; a crowd may be taken any number of times.

    Args:
        overlaps: (D, G) intersection over union, detections by falling score.
        ignored: (G,) objects that do not count; None counts all.
        crowd: (G,) objects that stand for many.
        thresholds: (T,).
    """
    detections, objects = overlaps.shape
    ignored = np.zeros(objects, bool) if ignored is None else ignored
    crowd = np.zeros(objects, bool) if crowd is None else crowd
    count = len(thresholds)
    result = Matches(
        np.zeros((count, detections), bool), np.zeros((count, detections), bool), np.zeros((count, objects), bool)
    )
    if not detections or not objects:
        return result
    # Of equal overlaps COCO takes the last object, so the columns are turned round and argmax takes the first.
    order = np.argsort(ignored, kind="stable")[::-1]
    turned, turned_ignored, turned_crowd = overlaps[:, order], ignored[order], crowd[order]
    limits = np.minimum(thresholds, _ALMOST_ONE)[:, None]
    free = np.ones((count, objects), bool)
    rows = np.arange(count)
    for number in np.flatnonzero(turned.max(axis=1) >= limits.min()):
        overlap = turned[number]
        possible = free & (overlap >= limits)
        counting = np.where(possible & ~turned_ignored, overlap, -1.0)
        chosen = counting.argmax(axis=1)
        missed = counting[rows, chosen] < 0
        if missed.any():
            others = np.where(possible & turned_ignored, overlap, -1.0)
            chosen = np.where(missed, others.argmax(axis=1), chosen)
            missed &= others[rows, chosen] < 0
        taken = ~missed
        result.found[taken, number] = True
        result.ignored[taken, number] = turned_ignored[chosen[taken]]
        free[rows[taken], chosen[taken]] = turned_crowd[chosen[taken]]
        result.object_found[rows[taken], order[chosen[taken]]] = True
    return result


def best_overlaps(overlaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The overlap each object gets when a detection serves one object only: the best pairs first.

    Args:
        overlaps: (D, G).

    Returns:
        (G,) float64, 0 for objects that get none.
    """
    left = overlaps.astype(np.float64).copy()
    best = np.zeros(overlaps.shape[1])
    for _ in range(min(overlaps.shape)):
        detection, instance = np.unravel_index(int(left.argmax()), left.shape)
        if left[detection, instance] <= 0:
            break
        best[instance] = left[detection, instance]
        left[detection], left[:, instance] = -1.0, -1.0
    return best


def average_recall_integral(best: NDArray[np.float64]) -> float:
    """Hosang's average recall, 2 times the integral of the recall from IoU 0.5 to 1; NaN without objects.

    Args:
        best: (G,) overlaps of all objects of all images, see `best_overlaps`.
    """
    return float(2 * np.clip(best - 0.5, 0, None).mean()) if len(best) else float("nan")


def recall_curve(best: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the objects whose overlap is at least each of some values (figures 6 and 7).

    Args:
        best: (G,) overlaps of all objects of all images.
        points: (P,) overlaps.
    """
    if not len(best):
        return np.full(len(points), np.nan)
    return np.asarray((best[None] >= points[:, None] - 1e-12).mean(axis=1))


def precision_at_recall(
    scores: NDArray[np.float64],
    found: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    objects: int,
    points: NDArray[np.float64] = RECALL_POINTS,
) -> tuple[NDArray[np.float64], float]:
    """COCO's interpolated precision at fixed recalls, and the recall of all detections.

    Args:
        scores: (D,) of all images.
        found, ignored: (D,) see `Matches`.
        objects: how many there are that count.
        points: (R,) recalls.

    Returns:
        (R,) precisions and the recall; NaN where there is no object.
    """
    if objects == 0:
        return np.full(len(points), np.nan), float("nan")
    order = np.argsort(-scores, kind="mergesort")
    hits = (found & ~ignored)[order]
    misses = (~found & ~ignored)[order]
    true, false = np.cumsum(hits, dtype=np.float64), np.cumsum(misses, dtype=np.float64)
    recall = true / objects
    precision = true / (true + false + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, points, side="left")
    result = np.zeros(len(points))
    inside = places < len(precision)
    result[inside] = precision[places[inside]]
    return result, float(recall[-1]) if len(recall) else 0.0


def average_precision_voc(
    scores: NDArray[np.float64], correct: NDArray[np.bool_], objects: int, *, eleven_points: bool = True
) -> float:
    """Average precision of one class as PASCAL VOC defines it.

    Args:
        scores: (D,) of all images.
        correct: (D,) whether each detection found an object.
        objects: how many there are.
        eleven_points: the rule of VOC 2007 (mean of the best precision from recalls 0, 0.1, ..., 1 on) instead of the
            area under the curve (from 2010 on).

    Returns:
        0..1; NaN without objects.
    """
    if objects == 0:
        return float("nan")
    order = np.argsort(-scores, kind="mergesort")
    true = np.cumsum(correct[order], dtype=np.float64)
    recall = true / objects
    precision = true / np.arange(1, len(true) + 1)
    if eleven_points:
        points = np.arange(11) / 10
        # Recalls are quotients of whole numbers, points are not: a hair below counts.
        best = [precision[recall >= point - 1e-12].max(initial=0.0) for point in points]
        return float(np.mean(best))
    recall, precision = np.concatenate([[0.0], recall, [1.0]]), np.concatenate([[0.0], precision, [0.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())


def correct_voc(overlaps: NDArray[np.float64], taken: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    """The rule of VOC and SDS for one image: a detection is correct if its best object is not taken yet.

    Args:
        overlaps: (D, G), detections by falling score.
        taken: (G,) bool, changed in place.
        threshold: least intersection over union.

    Returns:
        (D,) bool.
    """
    correct = np.zeros(len(overlaps), bool)
    if not overlaps.shape[1]:
        return correct
    best = overlaps.argmax(axis=1)
    for number, instance in enumerate(best):
        if overlaps[number, instance] >= threshold and not taken[instance]:
            taken[instance] = correct[number] = True
    return correct
