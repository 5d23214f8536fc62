"""`graspcut compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.options import NOTHING_SAID, Backend, Input, Precision


def compare(
    *models: Annotated[str, Parameter(required=True)],
    data: Path,
    out: Path | None = None,
    network_file: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    given: Input = NOTHING_SAID,
    valid_pixels_only: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> int:
    """Scores and times models on the same frames.

    Args:
        models: Run folders, model folders, shipped models' names, or files of graspcut export.
        data: Dataset folder, or a folder with depth/ and label/.
        out: Folder for comparison.md, comparison.csv, iou-by-size.png and, where runs are compared,
            learning-curves.png; without it the table is printed only.
        network_file: Python file of a network of your own, see docs/add-a-network.md; may be given several times.
        given: What the dataset does not say.
        valid_pixels_only: Leave out pixels without depth.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine, the same for all; auto takes the fastest that is installed and can run each model.
        precision: auto takes what each model ships for the engine.
        threads: Processor threads; all that this process may use if not given.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cli.saving import print_failures
    from graspcut.frames.dataset import open_dataset
    from graspcut.frames.label_shares import read_label_shares
    from graspcut.segmentation.model_comparison import compare_models
    from graspcut.segmentation.model_comparison_files import save_comparison, text_table

    reader = open_dataset(data, **given.use())
    print(f"{data}: {len(reader)} frames, {read_label_shares(reader)}", file=sys.stderr)
    with frame_progress("comparing") as progress:
        comparison = compare_models(
            models,
            reader,
            network_files=network_file,
            device=device,
            backend=backend,
            precision=precision,
            threads=threads,
            valid_pixels_only=valid_pixels_only,
            progress=progress,
        )
    print(text_table(comparison))
    for model in comparison.models:
        if model.is_of_run and not model.validated:
            print(f"note: {model.name} was trained without validation data", file=sys.stderr)
    if out is not None:
        written = save_comparison(comparison, out)
        print(f"\nsaved: {', '.join(str(path) for path in written)}")
    failures = comparison.models[0].report.failures
    if not failures:
        return 0
    print_failures(failures)
    return 1
