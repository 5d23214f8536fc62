"""How verbs print facts: aligned plain lines, which also read well in a log file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graspcut.runtime.folder_run import FolderReport

_SHOWN_REASONS = 10


def print_facts(facts: Sequence[tuple[str, str]], title: str = "") -> None:
    """Prints "what  value" lines, the values one below the other.

    Args:
        facts: (what, value).
        title: Stands above, if not empty.
    """
    if title:
        print(title)
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print(f"  {name:<{width}}  {value}")


def print_notes(report: FolderReport) -> None:
    """Says on standard error what was assumed, counted as no data, left out or is doubtful."""
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)


def print_failures(report: FolderReport) -> int:
    """Says on standard error which inputs of a run over a folder could not be used, and why.

    Args:
        report: of the run.

    Returns:
        the exit code: 0 without failures, else 1.
    """
    if not report.failures:
        return 0
    from graspcut.runtime.folder_run import SUMMARY_NAME

    print(f"{len(report.failures)} input(s) could not be used:", file=sys.stderr)
    # A missing unit or a folder of colour images fails every file alike: say each reason once.
    reasons: dict[str, list[str]] = {}
    for failed, message in report.failures:
        reasons.setdefault(message.rpartition(f"{failed}.png: ")[2], []).append(failed)
    for reason, names in list(reasons.items())[:_SHOWN_REASONS]:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"  {names[0]}{others}: {reason}", file=sys.stderr)
    print(f"Every one is listed in {report.out / SUMMARY_NAME}", file=sys.stderr)
    return 1
