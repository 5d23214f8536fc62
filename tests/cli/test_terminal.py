"""What a terminal may do to a command: the reader goes away, letters do not fit, Ctrl-C comes, and comes twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.images import encode_image

# A verb that is in our hands: it prints, works, prints and leaves a file.
PROGRAM = """
import sys, time
from pathlib import Path
from graspcut import cli

def verb(arguments):
    place, seconds = Path(arguments[0]), float(arguments[1])
    try:
        print("begun \\u00e4\\u4e16", flush=True)
        time.sleep(seconds)
    finally:
        if seconds > 30:
            (place / "ending").touch()
            time.sleep(seconds)  # what has begun takes long
    for line in range(20_000):
        print("line", line)
    (place / "done").touch()

cli._run = verb
cli.main(sys.argv[1:])
"""


def start(place: Path, seconds: float, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """The program, in the foreground as far as signals go."""
    foreground = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", foreground + PROGRAM, str(place), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_a_reader_that_goes_away_does_not_stop_the_work(tmp_path: Path) -> None:
    program = start(tmp_path, 0.2)
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()
    assert program.wait(60) == 0
    assert program.stderr.read() == b""
    assert (tmp_path / "done").exists()


def test_letters_that_the_terminal_has_not_are_written_in_others(tmp_path: Path) -> None:
    program = start(tmp_path, 0.0, {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    shown, errors = program.communicate(timeout=60)
    assert program.returncode == 0 and errors == b""
    assert shown.startswith(b"begun \\xe4\\u4e16\n")


def test_the_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    program = start(tmp_path, 60.0)
    assert program.stdout is not None and program.stderr is not None
    assert program.stdout.readline()
    program.send_signal(signal.SIGINT)
    waited_until = time.monotonic() + 30
    while not (tmp_path / "ending").exists():
        assert time.monotonic() < waited_until
        time.sleep(0.01)
    assert program.poll() is None, "the first one lets what has begun come to its end"
    program.send_signal(signal.SIGINT)
    assert program.wait(30) == 130
    assert b"Ctrl-C again ends at once" in program.stderr.read()
    assert not (tmp_path / "done").exists()


def test_an_interrupted_verb_says_that_it_can_be_continued(tmp_path: Path) -> None:
    frame = encode_image(np.full((240, 320), 500, np.uint16), ".png")
    for number in range(400):
        (tmp_path / f"{number:03d}.png").write_bytes(frame)
    command = ["segment", str(tmp_path), "--out", str(tmp_path / "out"), "--depth-unit-mm", "1", "--threads", "1"]
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from graspcut.cli import main; main(sys.argv[1:])",
            *command,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    waited_until = time.monotonic() + 60
    while not (tmp_path / "out" / "summary.json").exists() and time.monotonic() < waited_until:
        time.sleep(0.02)
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=60)
    if program.returncode == 0:
        pytest.skip("this machine was faster than the key")
    assert program.returncode == 130
    assert b"the same command continues" in errors and b"Traceback" not in errors
