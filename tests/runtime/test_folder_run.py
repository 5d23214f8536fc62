"""Runs over frames for any verb: what is made again, what is not, several commands in one folder, damaged results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_single_channel
from graspcut.runtime.folder_lock import folder_lock
from graspcut.runtime.folder_run import FolderReport, FrameResult, run_over_frames
from graspcut.runtime.pipeline import LimitedCalls


@dataclass
class Threshold:
    """Two files a frame: what is nearer than 500 mm, and the rest."""

    identity: str = "weights of Monday"
    parallel_calls: int | None = None
    settings: dict[str, Any] = field(default_factory=lambda: {"model": "threshold"})
    seen: list[str] = field(default_factory=list)

    def outputs(self, name: str) -> tuple[str, ...]:
        return f"far/{name}.png", f"{name}.png"

    def process(self, frame: Frame, name: str, limited: LimitedCalls) -> FrameResult:
        near = limited(lambda: (frame.depth_mm < 500).astype(np.uint8))
        self.seen.append(name)
        files = {f"far/{name}.png": encode_image(1 - near, ".png"), f"{name}.png": encode_image(near, ".png")}
        return FrameResult(files, {"near": int(near.sum())})

    def reread(self, name: str, folder: Path) -> dict[str, Any]:
        return {"near": int(read_single_channel(folder / f"{name}.png", what="mask").sum())}


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three frames of 20, 40 and 60 near pixels."""
    paths = []
    for number in range(3):
        depth = np.full((10, 20), 800, np.uint16)
        depth[: number + 1] = 400
        paths.append(tmp_path / "in" / f"{number}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(encode_image(depth, ".png"))
    return paths


def run(images: list[Path], out: Path, job: Threshold) -> FolderReport:
    """The function under test."""
    return run_over_frames(images, out, job, depth_unit_mm=1.0)


def rows(out: Path) -> list[tuple[str, int]]:
    """Names and near pixels of the summary."""
    return [(row["name"], row["near"]) for row in json.loads((out / "summary.json").read_text())["frames"]]


def test_outputs_in_folders_and_rows(images: list[Path], tmp_path: Path) -> None:
    report = run(images, tmp_path / "out", Threshold())
    assert (report.done, report.skipped, report.renewed, report.failures) == (3, 0, 0, ())
    assert rows(tmp_path / "out") == [("0", 20), ("1", 40), ("2", 60)]
    assert [row["near"] for row in report.rows] == [20, 40, 60]
    for name in ("0", "1", "2"):
        near, far = (read_single_channel(tmp_path / "out" / place, what="mask") for place in Threshold().outputs(name))
        np.testing.assert_array_equal(near, 1 - far)
    again = Threshold()
    assert run(images, tmp_path / "out", again).skipped == 3 and not again.seen


def test_what_is_of_other_weights_is_made_again(images: list[Path], tmp_path: Path) -> None:
    run(images, tmp_path / "out", Threshold())
    other = Threshold(identity="weights of Tuesday")
    report = run(images[:2], tmp_path / "out", other)
    assert (report.done, report.renewed, report.skipped) == (2, 2, 0) and sorted(other.seen) == ["0", "1"]
    assert len(rows(tmp_path / "out")) == 3
    last = Threshold(identity="weights of Tuesday")
    assert run(images, tmp_path / "out", last).renewed == 1 and last.seen == ["2"]


def test_what_is_of_an_input_that_has_changed_is_made_again(images: list[Path], tmp_path: Path) -> None:
    run(images, tmp_path / "out", Threshold())
    images[0].write_bytes(encode_image(np.full((10, 20), 300, np.uint16), ".png"))
    same_size = images[1].read_bytes()
    images[1].write_bytes(same_size)
    os.utime(images[1], ns=(0, 1_000_000_000))
    job = Threshold()
    report = run(images, tmp_path / "out", job)
    assert sorted(job.seen) == ["0", "1"] and (report.renewed, report.skipped) == (2, 1)
    assert rows(tmp_path / "out") == [("0", 200), ("1", 40), ("2", 60)]


def test_own_results_that_are_damaged_are_made_again(images: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out, Threshold())
    whole = (out / "1.png").read_bytes()
    (out / "1.png").write_bytes(b"")  # what a power cut may leave
    (out / "far" / "2.png").unlink()
    job = Threshold()
    report = run(images, out, job)
    assert sorted(job.seen) == ["1", "2"] and (report.done, report.failures) == (2, ())
    assert (out / "1.png").read_bytes() == whole and (out / "far" / "2.png").exists()


def test_several_commands_bring_their_rows_into_one_summary(images: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    reports: list[FolderReport] = []
    threads = [
        threading.Thread(target=lambda image=image: reports.append(run([image], out, Threshold()))) for image in images
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [report.done for report in reports] == [1, 1, 1]
    assert rows(out) == [("0", 20), ("1", 40), ("2", 60)]


def test_another_process_waits_for_the_folder(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from graspcut.runtime.folder_lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
    )
    with folder_lock(tmp_path):
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert other.stderr is not None
        assert "another command writes into" in other.stderr.readline()
        assert other.poll() is None
    assert other.communicate(timeout=30)[0] == "held\n"
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_lets_go_of_the_folder(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from graspcut.runtime.folder_lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    other.kill()
    other.wait()
    started = time.monotonic()
    with folder_lock(tmp_path):
        assert time.monotonic() - started < 30


def test_a_place_that_is_no_folder_is_said_in_words(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"--out .*file is a file; expected a folder"):
            run(images, out, Threshold())
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "summary.json").write_text('{"settings": [], "sources": 3}')
    with pytest.raises(FrameError, match="no summary of a run over frames"):
        run(images, tmp_path / "foreign", Threshold())
