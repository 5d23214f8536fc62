"""The review page under kills, and how long the next frame takes, in a real browser.

    python benchmarks/review_page.py kills --verdicts 500 --kills 50 --save docs/results/review-kills.json
    python benchmarks/review_page.py latency --frames 10000 --save docs/results/review-latency.json

`kills` gives verdicts by keyboard and kills the server (SIGKILL) or the page at random moments; afterwards every
verdict that the page took must be stored, once. `latency` presses A and waits until the next frame is on screen,
measured in the page. Needs Debian's Chromium, playwright and the extra app.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.verdicts import VerdictStore


def write_frames(folder: Path, count: int, width: int, height: int) -> None:
    """Frames that differ a little; their files are written once and linked, so that 10,000 take seconds."""
    writer = DatasetWriter(folder, depth_unit_mm=1.0, description={}, batched=True)
    depth = np.full((height, width), 500, np.float32)
    labels = np.zeros((height, width), np.uint8)
    labels[height // 4 : height // 2, width // 4 : width // 2] = 1
    frame = Frame(depth, Camera.sr300(width, height), np.full((height, width, 3), 90, np.uint8))
    writer.write(0, LabelledFrame(frame, labels))
    writer.flush()
    for index in range(1, count):
        for kind, suffix in (("depth", "png"), ("label", "png"), ("colour", "png"), ("meta", "json")):
            (folder / kind / f"{index:06d}.{suffix}").hardlink_to(folder / kind / f"000000.{suffix}")
    writer.finish(count)


class Server:
    """`graspcut review` in a process of its own, on one port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        """Starts it, again after a kill."""
        command = [sys.executable, "-m", "graspcut.cli", "review", str(self.folder), "--no-browser", "--port"]
        self.process = subprocess.Popen([*command, str(self.port)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def judge(page: Page) -> str:
    """Accepts the frame on screen and waits for the next one; returns its name."""
    shown = str(page.evaluate("() => document.body.dataset.frame"))
    page.keyboard.press("a")
    page.wait_for_function("name => document.body.dataset.frame !== name", arg=shown, timeout=60_000)
    return shown


def kills(verdicts: int, count: int, seed: int) -> dict[str, Any]:
    """Verdicts over kills of server and page."""
    rng = np.random.default_rng(seed)
    moments = set(rng.choice(verdicts, count, replace=False).tolist())
    with tempfile.TemporaryDirectory() as place, sync_playwright() as started:
        folder = Path(place) / "frames"
        write_frames(folder, verdicts, 160, 120)
        server = Server(folder)
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_function("() => document.body.dataset.frame", timeout=60_000)
        given, killed = [], {"server": 0, "page": 0}
        for number in range(verdicts):
            if number in moments:
                # In mid-work: right after the key, before anything is answered.
                shown = str(page.evaluate("() => document.body.dataset.frame"))
                page.keyboard.press("a")
                given.append(shown)
                if rng.random() < 0.5:
                    server.kill()
                    server.start()
                    killed["server"] += 1
                    page.wait_for_function("n => document.body.dataset.frame !== n", arg=shown, timeout=60_000)
                else:
                    page.close()
                    killed["page"] += 1
                    page = context.new_page()
                    page.goto(server.address)
                    page.wait_for_function("() => document.body.dataset.frame !== undefined", timeout=60_000)
            else:
                given.append(judge(page))
        page.wait_for_function("() => document.getElementById('saving').textContent === 'saved'", timeout=60_000)
        browser.close()
        server.kill()
        store = VerdictStore(folder)
        stored = [verdict.frame for verdict in store.all()]
        store.close()
    return {
        "given": len(given),
        "stored": len(stored),
        "lost": len(set(given) - set(stored)),
        "double": len(stored) - len(set(stored)),
        "killed": killed,
    }


def latency(frames: int, verdicts: int) -> dict[str, Any]:
    """Time from the key to the next frame on screen, as the page measures it."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as started:
        folder = Path(place) / "frames"
        write_frames(folder, frames, 640, 480)
        server = Server(folder)
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server.address)
        page.wait_for_function("() => document.body.dataset.frame", timeout=120_000)
        times = []
        for _ in range(verdicts):
            # A reviewer looks at a frame for a moment; the next one is fetched meanwhile.
            page.wait_for_timeout(700)
            judge(page)
            times.append(float(page.evaluate("() => window.lastSwitchMs")))
        browser.close()
        server.kill()
    return {"frames": frames, "median_ms": float(np.median(times)), "p90_ms": float(np.percentile(times, 90))}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "latency"))
    parser.add_argument("--verdicts", type=int, default=500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    if options.what == "kills":
        results = kills(options.verdicts, options.kills, options.seed)
    else:
        results = latency(options.frames, min(options.verdicts, 60))
    print(json.dumps(results))
    if options.save is not None:
        write_json_atomically(options.save, results)


if __name__ == "__main__":
    main()
