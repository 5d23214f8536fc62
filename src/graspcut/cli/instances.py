"""`graspcut evaluate instances`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from graspcut.cli.evaluate import DEFAULT_SAVE


def evaluate(
    *,
    groundtruth: Path,
    results: Path,
    proposals: Annotated[bool, Parameter(negative="")] = False,
    regions: Annotated[bool, Parameter(negative="")] = False,
    save: Path = DEFAULT_SAVE,
) -> None:
    """Prints and saves the scores.

    Masks are compared where the results have a segmentation, boxes where they only have a bbox.

    Args:
        groundtruth: COCO annotation file (images, annotations, categories).
        results: COCO result file: a list of image_id, category_id, score and segmentation or bbox. Proposals of any
            method (MCG, GOP, Rigor, MNC, ...) can be scored once they are written like that.
        proposals: Leave categories out and print AR@10/100/1000 of proposals instead, as COCO's mean and as Hosang's
            integral.
        regions: Print mAP^r at IoU 0.5 and 0.7 instead (VOC's average precision, by 11 points and by area).
        save: File for all numbers, such as the recall at every IoU.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.instances.coco import read_groundtruth, read_results
    from graspcut.instances.evaluation import evaluate_detections, evaluate_proposals, region_report

    truth = read_groundtruth(groundtruth)
    found = read_results(results, truth)
    report: Any
    with frame_progress("evaluating") as progress:
        if regions:
            report = region_report(truth, found)
        elif proposals:
            report = evaluate_proposals(truth, found, progress=progress)
        else:
            report = evaluate_detections(truth, found, progress=progress)
    print(report.table())
    report.save(save)
    print(f"\nsaved: {save}")
