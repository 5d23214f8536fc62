"""Workers do what they are asked, in order, and end with the command that started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graspcut.worker_processes import map_in_processes

_PREPARED = {"offset": 0}


def prepare(offset: int) -> None:
    _PREPARED["offset"] = offset


def add(number: int) -> tuple[int, int]:
    return number + _PREPARED["offset"], os.getpid()


def end_at_once(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_down_and_wait(place: str) -> None:
    Path(place, str(os.getpid())).touch()
    time.sleep(120)


def wait_in(place: str) -> None:
    """Two workers that wait; the command of `test_a_killed_command_leaves_no_worker`."""
    list(map_in_processes(write_down_and_wait, [place, place], 2, "tests.test_worker_processes:prepare", (0,)))


def test_results_come_in_order_from_prepared_processes() -> None:
    results = list(map_in_processes(add, range(20), 2, "tests.test_worker_processes:prepare", (100,)))
    assert [value for value, _ in results] == list(range(100, 120))
    assert os.getpid() not in {process for _, process in results} and _PREPARED["offset"] == 0


def test_a_worker_that_is_killed_is_said_in_words() -> None:
    with pytest.raises(ChildProcessError, match="a worker process ended without a word"):
        list(map_in_processes(end_at_once, [0], 1, "tests.test_worker_processes:prepare", (0,)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_leaves_no_worker(number: signal.Signals, tmp_path: Path) -> None:
    code = f"from tests.test_worker_processes import wait_in; wait_in({str(tmp_path)!r})"
    command = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, cwd=Path(__file__).parent.parent)
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    command.send_signal(number)
    command.wait()
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    until = time.monotonic() + 30
    while any(_is_alive(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(_is_alive(worker) for worker in workers)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
