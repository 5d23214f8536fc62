"""`graspcut evaluate matting`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def matting(
    *,
    predictions: Path,
    alpha: Path,
    trimap: Path,
    gradient: Literal["official", "lsa"] = "official",
    connectivity: Literal["limit", "skip"] = "limit",
    save: Path | None = None,
) -> None:
    """Prints the scores.

    Args:
        predictions: Folder of alpha mattes, NAME.png or NAME_alpha.png, such as graspcut matte writes.
        alpha: Folder of true mattes.
        trimap: Folder of trimaps; pixels of 128 count.
        gradient: official (9x9, both maps stretched to 0..1) or lsa (7x7, as the LSA paper's program).
        connectivity: Where prediction and truth share nothing above a level: limit (nothing is connected) or skip.
        save: Also write all scores to this JSON file.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.cli.saving import check_save
    from graspcut.matting.evaluation import evaluate_mattes

    if save is not None:
        check_save(save)
    with frame_progress("evaluating") as progress:
        report = evaluate_mattes(
            predictions, alpha, trimap, gradient=gradient, connectivity=connectivity, progress=progress
        )
    if save is not None:
        report.save(save)
    print(report.table())
    if save is not None:
        print(f"\nsaved: {save}")
