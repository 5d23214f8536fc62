"""`graspcut fetch-weights`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def fetch_weights(
    *names: str,
    download: Annotated[bool, Parameter(negative="")] = False,
    out: Path = Path("weights"),
) -> int:
    """Names the sources of public ImageNet weights, and downloads them when told to.

    Args:
        names: Which; all if none are given.
        download: Download the named ones; else nothing leaves this machine.
        out: Folder for them.
    """
    from graspcut.nn.published_weights import IMAGENET_TERMS, PUBLISHED_WEIGHTS, published

    chosen = [published(name) for name in names] or list(PUBLISHED_WEIGHTS)
    if not download:
        for entry in chosen:
            print(f"{entry.name}: {entry.note}")
            print(f"  {entry.url}")
            print(f"  {entry.megabytes} MB, SHA-256 begins with {entry.checksum_start}, {entry.licence}")
            print(f"  for {entry.fits}")
        print(f"\n{IMAGENET_TERMS}")
        print("Nothing was downloaded. On a machine that is online: graspcut fetch-weights NAME --download")
        return 0
    if not names:
        raise ValueError(f"name the weights to download: {', '.join(entry.name for entry in PUBLISHED_WEIGHTS)}")
    from graspcut.cli.progress import byte_progress
    from graspcut.nn.fetching import fetch

    print(IMAGENET_TERMS, file=sys.stderr)
    for entry in chosen:
        with byte_progress(entry.file_name) as progress:
            path = fetch(entry, out, progress)
        print(f"{path} ({entry.licence}; for {entry.fits})")
    return 0
