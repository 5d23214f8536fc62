"""`graspcut propose` and `graspcut evaluate instances`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from graspcut.cli.evaluate import DEFAULT_SAVE
from graspcut.cli.options import NOTHING_SAID, Backend, Input, Precision
from graspcut.cli.printing import print_failures, print_notes


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
    from graspcut.cli.saving import check_save
    from graspcut.instances.coco import read_groundtruth, read_results
    from graspcut.instances.evaluation import evaluate_detections, evaluate_proposals, region_report

    check_save(save)
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
    report.save(save)
    print(report.table())
    print(f"\nsaved: {save}")


def propose(
    *inputs: Annotated[Path, Parameter(required=True)],
    out: Path,
    model: str | None = None,
    labels_model: str | None = None,
    most: int = 100,
    least_score: float = 0.3,
    follow: bool | None = None,
    sides: bool | None = None,
    given: Input = NOTHING_SAID,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> int:
    """Finds hands and objects, one mask a thing.

    Args:
        inputs: Depth images (16-bit PNG, TIFF, PGM, PFM, EXR), .npy, .npz, folders of these, recordings, datasets.
        out: Folder for the id images, overlays and JSON files.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        labels_model: The same for the labels that tell hands from objects.
        most: Proposals a frame in proposals.json.
        least_score: Objectness from which a proposal may become a thing of NAME.png.
        follow: Keep ids over time; by default in recordings.
        sides: Tell left from right hands with the networks of graspcut pose; by default where they are shipped.
        given: What the inputs do not say.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model, and says which.
        precision: auto takes what the model ships for the engine.
        threads: Processor threads; all that this process may use if not given.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cores import usable_cores
    from graspcut.instances.predictor import InstanceProposer
    from graspcut.pose.predictor import PoseEstimator, models_are_shipped
    from graspcut.runtime.opening import OpenOptions
    from graspcut.scene.hand_sides import HandSides
    from graspcut.scene.instances import JoinConfig
    from graspcut.scene.proposing import ProposalOptions, propose_folder
    from graspcut.segmentation.predictor import Segmenter

    known = given.use()
    names = (model or InstanceProposer.default_model, labels_model or Segmenter.default_model)
    calls = threads or usable_cores()
    proposer = InstanceProposer.open(OpenOptions(names[0], device, backend, precision, threads, parallel_calls=calls))
    proposer.settings = replace(proposer.settings, most=most)
    segmenter = Segmenter.open(OpenOptions(names[1], device, backend, "auto", threads, parallel_calls=calls))
    for name, part in zip(names, (proposer, segmenter), strict=True):
        print(f"{name}: {part.description}", file=sys.stderr)
    side_of = None
    if models_are_shipped() if sides is None else sides:
        side_of = HandSides(PoseEstimator.load(None, device, threads, backend=backend, parallel_calls=calls))
    with frame_progress("proposing") as progress:
        report = propose_folder(
            inputs,
            out,
            proposer,
            segmenter,
            options=ProposalOptions(
                names, known["focal_px"], follow, JoinConfig(least_score=least_score), known["camera"]
            ),
            sides=side_of,
            depth_unit_mm=known["depth_unit_mm"],
            progress=progress,
        )
    hands, objects = (sum(row[kind] for row in report.rows) for kind in ("hands", "objects"))
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    print(f"{report.done} frame(s) done{earlier}, {hands} hands and {objects} objects: {report.out}")
    print_notes(report)
    return print_failures(report)
