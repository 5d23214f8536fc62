"""Files that verbs save their numbers in: checked before the work, written before it is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_SHOWN_FAILURES = 10


def check_save(path: Path, option: str = "--save") -> None:
    """Makes sure, before any work is done, that a file can be written.

    Args:
        path: The file.
        option: How the user gave it, for errors.

    Raises:
        OSError: If it is a folder, or its folder cannot be made or written to, in words.
    """
    from graspcut.frames.atomic_writing import make_output_folder

    if path.is_dir():
        raise IsADirectoryError(f"{option} {path} is a folder; expected the name of a file, such as {path / 'x.json'}.")
    make_output_folder(path.parent, option=f"the folder of {option}")


def print_failures(failures: Sequence[tuple[str, str]]) -> None:
    """Says on standard error what could not be used, the first few one by one."""
    print(f"{len(failures)} input(s) could not be used:", file=sys.stderr)
    for name, message in failures[:_SHOWN_FAILURES]:
        print(f"  {name}: {message}", file=sys.stderr)
    if len(failures) > _SHOWN_FAILURES:
        print(f"  and {len(failures) - _SHOWN_FAILURES} more", file=sys.stderr)
