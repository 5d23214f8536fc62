"""A data set to review, and a server process over it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from graspcut.annotate.colour_rules import ColourRules, HalfSpace
from graspcut.annotate.folder import annotate_folder
from graspcut.annotate.frame_work import AnnotationJob
from tests.annotate.recordings import write_recording

RULES = ColourRules(skin=((HalfSpace(h=1, max=20), HalfSpace(h=-1, max=12), HalfSpace(s=1, max=150)),))


def write_annotated(folder: Path, count: int = 12) -> Path:
    """A recording and its annotation; doubts are made so that frame 5 comes first, then 2."""
    write_recording(folder / "recording", count)
    dataset = folder / "mine"
    annotate_folder(AnnotationJob((str(folder / "recording"),), str(dataset), RULES, 1.0), workers=1)
    path = dataset / "quality.json"
    quality = json.loads(path.read_text())
    for row in quality["frames"]:
        row["doubt"] = {"000005": 9.0, "000002": 5.0}.get(row["name"], 0.0)
    path.write_text(json.dumps(quality))
    return dataset


class ServerProcess:
    """`graspcut review` in a process of its own, on a port that stays the same over restarts."""

    def __init__(self, dataset: Path) -> None:
        self._dataset, self.port = dataset, 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "graspcut.cli", "review", str(self._dataset), "--no-browser"]
        self._process = subprocess.Popen([*command, "--port", str(self.port)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[1]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        """As when the power goes."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
