"""`graspcut benchmark segmentation`. Imports torch, because the options are the fields of the class they configure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.frames.dataset import open_dataset
from graspcut.segmentation.comparison import ComparisonConfig, run_comparison, with_times
from graspcut.segmentation.comparison_rows import ABLATIONS
from graspcut.segmentation.comparison_tables import write_figures, write_tables

_DEFAULT = ComparisonConfig()


def segmentation(
    *,
    out: Path,
    docs: Path | None = None,
    ablations: Annotated[bool, Parameter(negative="")] = False,
    config: Annotated[ComparisonConfig, Parameter(name="*", negative_iterable="", consume_multiple=True)] = _DEFAULT,
) -> int:
    """Trains, scores and times every network of Table 2 under one recipe.

    Args:
        out: Folder of frames, run folders and results; the same command continues there.
        docs: Folder for table2.md, table3.md and the figures; by default OUT/docs.
        ablations: Also train the ablations: forms of attention, number of levels n, k, and the contour loss on
            probabilities and logits with several beta.
        config: The recipe and the budget.
    """
    if ablations:
        rows = tuple(dict.fromkeys((*config.rows, *(row.name for row in ABLATIONS))))
        config = ComparisonConfig(**{**vars(config), "rows": rows})
    results = run_comparison(out, config, lambda text: print(text, file=sys.stderr))
    wanted = len(config.rows) * len(config.seeds)
    place = docs if docs is not None else out / "docs"
    command = shlex.join(["graspcut", *sys.argv[1:]])
    tests = open_dataset(config.test_data if config.test_data is not None else out / "frames" / "test")
    written = write_tables(place, with_times(results, config, tests), config, command)
    written += write_figures(place / "figures", out, config, tests)
    for path in written:
        print(path)
    finished = len([entry for entry in results if entry["row"] in config.rows])
    print(f"{finished} of {wanted} trainings done")
    return 0 if finished >= wanted else 1
