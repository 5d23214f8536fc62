"""Two training processes: the shipped weights were trained that way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from graspcut.train.trainer import LAST_CHECKPOINT

_ROOT = Path(__file__).resolve().parents[2]
_STEPS = 30


def start(folder: Path, seconds: float = 0.0, late: float = 0.0) -> subprocess.Popen[str]:
    """The script, in a process group of its own, as a shell starts a command."""
    path = os.pathsep.join([str(_ROOT), str(_ROOT / "src")])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.two_processes", *map(str, (folder, _STEPS, seconds, late))],
        env={**os.environ, "PYTHONPATH": path},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """The line that it printed, in one of its processes only."""
    try:
        out, error = process.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, error[-2000:]
    assert error.count("two processes begin") == 1
    (line,) = out.splitlines()
    return line


def test_two_processes_stopped_by_sigterm_and_continued_equal_uninterrupted_ones(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", late=1.0)  # the first process saves its first state without the second
    parts = start(tmp_path / "parts", seconds=0.05)
    log = tmp_path / "parts" / "csv" / "part-000" / "metrics.csv"
    deadline = time.monotonic() + 200
    while not (log.exists() and log.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(parts.pid, signal.SIGTERM)  # both processes get it, as from a batch system
    said, steps, _ = finish(parts).split()
    assert said == "stopped" and 0 < int(steps) < _STEPS
    stopped = torch.load(tmp_path / "parts" / LAST_CHECKPOINT, weights_only=True)
    assert stopped["global_step"] == int(steps)
    assert stopped["TrainingData"]["next_batch"] == 2 * int(steps)  # each process trained on batches of its own

    # Three validation batches, the counts of both processes summed.
    assert finish(whole) == f"finished {_STEPS} 3.0"
    assert finish(start(tmp_path / "parts")) == f"finished {_STEPS} 3.0"
    expected = torch.load(tmp_path / "whole" / LAST_CHECKPOINT, weights_only=True)
    found = torch.load(tmp_path / "parts" / LAST_CHECKPOINT, weights_only=True)
    for name, value in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name
