"""Segmenting without the renderer's compiler: numba is most of what an installation would weigh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import sys
for name in ("numba", "llvmlite", "torch"):
    sys.modules[name] = None
from graspcut.cli import main
main(sys.argv[1:])
"""


def without_numba(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`graspcut ARGUMENTS` where neither numba nor torch can be imported."""
    command = [sys.executable, "-c", _SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


DEMO = Path(__file__).resolve().parents[2] / "src" / "graspcut" / "demo_recording"


def test_a_recording_is_segmented_over_time(tmp_path: Path) -> None:
    finished = without_numba("segment", DEMO, "--out", tmp_path / "out", "--overlay")
    assert finished.returncode == 0, finished.stderr
    assert "steadied over time" in finished.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == len(list((DEMO / "depth").glob("*.png")))


@pytest.mark.parametrize(
    "command",
    [
        ("demo", "--out", "OUT"),
        ("doctor",),
        ("info", DEMO),
        ("export", "dense-attention-small", "--out", "OUT"),
    ],
    ids=lambda command: command[0],
)
def test_what_needs_no_renderer_runs(command: tuple[str | Path, ...], tmp_path: Path) -> None:
    finished = without_numba(*(str(tmp_path / "out") if word == "OUT" else word for word in command))
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("command", [("synth", "--count", "1"), ("propose", str(DEMO))], ids=["synth", "propose"])
def test_what_needs_it_names_the_extra(command: tuple[str, ...], tmp_path: Path) -> None:
    finished = without_numba(*command, "--out", tmp_path / "out")
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr and "numba" in finished.stderr
    assert "pip install '.[synth]' in a checkout" in finished.stderr
