"""Starts commands and kills them after a random part of their own work, not of the clock.

The work of a command is the processor time of all its processes. On a machine that does other things too, a moment of
the clock means another part of the work each time; a moment of processor time does not. A command is stalled when it
lives on but has not worked for `STALLED_S`, or has worked five times as long as undisturbed: a machine that is merely
busy gives it some time in every minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STALLED_S: Final = 120.0
LONGEST_ENDING_S: Final = 15.0
_TOO_MUCH_WORK: Final = 5.0
_LOOK_EVERY_S: Final = 0.1
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        was_killed: The signal met it alive.
        stalled: It did nothing any more, or far too much, and was killed for that.
        code: Exit code.
        worked_s: Processor time of its processes as last seen, seconds.
        survived: One of its processes lived for more than `LONGEST_ENDING_S` after it.
        output: What it printed.
    """

    was_killed: bool
    stalled: bool
    code: int
    worked_s: float
    survived: bool
    output: str


def run_and_kill(
    command: list[str], kill_after_s: float | None, log: Path, kill_with: signal.Signals = signal.SIGKILL
) -> Ending:
    """Runs a command in a process group of its own.

    Args:
        command: What to run.
        kill_after_s: Processor seconds after which its first process gets the signal; None lets it end.
        log: File for what it prints.
        kill_with: The signal.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    worked_s, moved_at, killed, stalled = 0.0, time.monotonic(), False, False
    # Of an undisturbed command nothing is known yet: it has the whole of `STALLED_S` without work, and no limit.
    limit_s = None if kill_after_s is None else max(60.0, _TOO_MUCH_WORK * kill_after_s + 60.0)
    while process.poll() is None:
        now_s = worked_by_group(process.pid)
        if now_s > worked_s:
            worked_s, moved_at = now_s, time.monotonic()
        if kill_after_s is not None and worked_s >= kill_after_s and not killed:
            os.kill(process.pid, kill_with)
            killed = True
        if time.monotonic() - moved_at > STALLED_S or (limit_s is not None and worked_s > limit_s):
            stalled = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)
    survived = not group_has_ended(process.pid)
    met = killed and process.returncode != 0
    output = log.read_text(errors="replace")
    return Ending(met, stalled, process.returncode, worked_s, survived, output)


def worked_by_group(group: int) -> float:
    """Processor seconds of all processes of a group, and of those that they waited for."""
    ticks = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            # After the name in parentheses, which may hold spaces: state, parent, group, ..., four times.
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def group_has_ended(group: int) -> bool:
    """Whether all processes of a group end within the time they have."""
    waited_until = time.monotonic() + LONGEST_ENDING_S
    while time.monotonic() < waited_until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False
