"""What only the first of a run's processes does."""

from __future__ import annotations

import sys

from lightning.fabric.utilities.rank_zero import rank_zero_only


@rank_zero_only
def say(text: str) -> None:
    """Prints a line to standard error; nothing in the further processes of a run, which would say it again."""
    print(text, file=sys.stderr, flush=True)
