"""How verbs print facts: aligned plain lines, which also read well in a log file."""

from __future__ import annotations

from collections.abc import Sequence


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
