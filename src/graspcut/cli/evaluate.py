"""`graspcut evaluate ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Backend, Input, Precision

DEFAULT_SAVE = Path("evaluation.json")


def segmentation(
    dataset: Path | None = None,
    /,
    *,
    model: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    network_file: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    predictions: Path | None = None,
    labels: Path | None = None,
    save: Path = DEFAULT_SAVE,
    given: Input = NOTHING_SAID,
    valid_pixels_only: Annotated[bool, Parameter(negative="")] = False,
    careful: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
) -> int:
    """Prints and saves the scores.

    Args:
        dataset: Dataset folder, or a folder with depth/ and label/, to run a model on.
        model: Shipped model's name, model folder, run folder, or file of graspcut export; by default the shipped
            compact network. Several are scored on the same frames and shown together, as by graspcut compare.
        network_file: Python file of a network of your own, see docs/add-a-network.md; may be given several times.
        predictions: Folder of label images to score instead, such as graspcut segment writes.
        labels: Folder of true label images with the names of the predictions.
        save: File for all scores.
        given: What the dataset does not say.
        valid_pixels_only: Leave out pixels without depth.
        careful: Score the one model as graspcut segment --careful uses it.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model.
        precision: auto takes what the model ships for the engine.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cli.saving import check_save
    from graspcut.frames.dataset import open_dataset
    from graspcut.frames.label_shares import read_label_shares
    from graspcut.segmentation.evaluation import evaluate_model, evaluate_predictions
    from graspcut.segmentation.model_comparison import compare_models, find_entry, network_file_of
    from graspcut.segmentation.model_comparison_files import save_reports, text_table
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    if (dataset is None) == (predictions is None) or (predictions is None) != (labels is None):
        raise UsageError("give either DATASET (and --model), or --predictions together with --labels")
    if careful and (dataset is None or len(model) > 1):
        raise UsageError("--careful is for one model on a DATASET")
    check_save(save)
    known = given.use()
    with frame_progress("evaluating") as progress:
        if predictions is not None and labels is not None:
            report = evaluate_predictions(predictions, labels, progress=progress)
        elif dataset is not None:
            reader = open_dataset(dataset, **known)
            print(f"{dataset}: {len(reader)} frames, {read_label_shares(reader)}", file=sys.stderr)
            if len(model) > 1:
                comparison = compare_models(
                    model,
                    reader,
                    network_files=network_file,
                    device=device,
                    backend=backend,
                    precision=precision,
                    valid_pixels_only=valid_pixels_only,
                    progress=progress,
                )
            else:
                entry = find_entry(model[0] if model else DEFAULT_MODEL)
                file = network_file_of(entry, network_file)
                segmenter = Segmenter.load(entry.model, device, backend=backend, precision=precision, network_file=file)
                chosen = segmenter.careful() if careful else segmenter
                report = evaluate_model(chosen, reader, valid_pixels_only=valid_pixels_only, progress=progress)
    if len(model) > 1:
        save_reports(comparison, save)
        for compared in comparison.models:
            print(f"{compared.name}\n{compared.report.table()}\n")
        print(text_table(comparison))
        report = comparison.models[0].report
        print(f"\nsaved: {save}")
        return _ended(report.failures)
    report.save(save)
    print(report.table())
    print(f"\nsaved: {save}")
    return _ended(report.failures)


def _ended(failures: Sequence[tuple[str, str]]) -> int:
    """Says what could not be used, and returns the exit code."""
    from graspcut.cli.saving import print_failures

    if failures:
        print_failures(failures)
    return 1 if failures else 0


def pose(
    *,
    predictions: Annotated[list[Path], Parameter(consume_multiple=True, negative="")],
    groundtruth: Path,
    camera: str = "nyu",
    save: Path = DEFAULT_SAVE,
    plot: Path | None = None,
) -> None:
    """Prints and saves joint errors.

    Args:
        predictions: Text files with u v d of every joint, one frame a line, or joints.csv of graspcut pose; several are
            compared in one table.
        groundtruth: The same for the truth; "nan" marks joints that are not annotated.
        camera: nyu, icvl, msra, or a .json file with fx, fy, cx, cy, width and height.
        save: File for all numbers.
        plot: Picture (.png or .svg) of the fraction of frames with all joints within a distance.
    """
    from graspcut.cli.saving import check_save
    from graspcut.pose.evaluation import evaluate_joint_files, find_camera

    check_save(save)
    if plot is not None:
        check_save(plot, "--plot")
    report = evaluate_joint_files(predictions, groundtruth, find_camera(camera))
    report.save(save)
    if plot is not None:
        report.plot(plot)
    print(report.table())
    print(f"\nsaved: {save}")
    if plot is not None:
        print(f"saved: {plot}")
