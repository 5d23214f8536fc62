"""`graspcut split` and `graspcut pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def split(
    *datasets: Annotated[Path, Parameter(required=True)],
    validation_share: float = 0.1,
    random_frames: Annotated[bool, Parameter(negative="")] = False,
    unreviewed: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
) -> None:
    """Splits dataset folders into frames for training and for validation.

    Args:
        datasets: Dataset folders; split together.
        validation_share: Share of the frames for validation.
        random_frames: Draw single frames, as the paper does; neighbouring frames then lie on both sides.
        unreviewed: Take annotated frames that nobody reviewed.
        seed: The same seed gives the same split.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.frames.splits import SPLITS_NAME, split_datasets

    report = split_datasets(
        datasets,
        validation_share=validation_share,
        random_frames=random_frames,
        unreviewed=unreviewed,
        seed=seed,
    )
    facts = [("train", f"{report.train:,} frames"), ("validation", f"{report.validation:,} frames")]
    facts.append(("how", report.how))
    if report.gap:
        facts.append(("left out between them", f"{report.gap} frames"))
    if report.discarded:
        facts.append(("not accepted", f"{report.discarded} frames"))
    print_facts([*facts, ("written to", ", ".join(str(folder / SPLITS_NAME) for folder in datasets))])


def pack(
    *datasets: Annotated[Path, Parameter(required=True)],
    out: Path,
    part: Literal["all", "train", "validation"] = "train",
    frames_per_shard: int = 1000,
    seed: int = 0,
) -> None:
    """Writes dataset folders as WebDataset tar files.

    Args:
        datasets: Dataset folders.
        out: Folder for shard-000000.tar, ... and shards.json; it must be new or empty.
        part: Which part of the split; folders without one are taken whole.
        frames_per_shard: Frames in a tar file.
        seed: Of the order of the frames; frames of all folders are mixed.
    """
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.shards import pack_datasets

    with frame_progress("packing") as progress:
        count, shards = pack_datasets(
            datasets, out, part=part, frames_per_shard=frames_per_shard, seed=seed, progress=progress
        )
    print(f"{count} frame(s) in {shards} shard(s): {out}")
