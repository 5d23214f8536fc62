"""The live view in a real browser, and a long run of it.

    python benchmarks/live_view.py browser --frames 600 --save docs/results/live_view.json
    python benchmarks/live_view.py soak --frames 20000 --save docs/results/live_soak.json

browser: `graspcut live` plays a rendered recording of 640x480 over and over at 30 frames/s, with two threads for the
network; Chromium on the same machine shows it. The time of a frame is from when the recording hands it over until the
page has said, after the browser has painted, that it is drawn. Memory is that of the server's process.

soak: the same server, in this process, without a browser: a client reads every message that it is sent, checks it and
answers. The recording plays faster than the network is, so that every labelled frame had a newer one waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from graspcut.app.audience import Audience
from graspcut.app.listening import Listener
from graspcut.app.live_message import decode
from graspcut.app.live_server import create_live_app
from graspcut.frames.dataset import raw_depth
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.live_sources import PlayedRecording
from graspcut.frames.recording import Recording, RecordingWriter
from graspcut.runtime.opening import OpenOptions
from graspcut.runtime.soaking import resident_mb
from graspcut.segmentation.live import LiveSegmentation
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig

SEED = 83_000
UNIT_MM = 0.25
FRAME_S = 1 / 30
_CLIP_FRAMES = 20


def make_recording(folder: Path, frames: int) -> Path:
    """Moving close-ups of hands and objects, 640x480, 30 frames/s."""
    config = SynthConfig(width=640, height=480, sensor="stereo", colour=False, clip_frames=_CLIP_FRAMES)
    generator = FrameGenerator(config, SEED)
    with RecordingWriter(folder, generator[0].frame.camera, UNIT_MM) as writer:
        for index in range(frames):
            depth = generator[index].frame.depth_mm
            writer.append(raw_depth(depth, UNIT_MM), None, round(index * FRAME_S, 4))
    return folder


def resident_of(process: int) -> float:
    """MB of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))) / 1024


def go_ahead_of_others(process: int) -> None:
    """Gives all threads of a process and of its children the highest usual priority; only root may.

    Chromium gives its threads priorities of its own, so that starting it with one is not enough.
    """
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(path.parent.name))
    family = [process]
    for member in family:
        family += below.get(member, [])
        for task in Path(f"/proc/{member}/task").glob("*"):
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(task.name), -19)


def state_of(address: str) -> dict[str, Any]:
    """What the server says of itself."""
    with urllib.request.urlopen(f"{address}api/state", timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def when_shown(address: str, count: int) -> dict[str, Any]:
    """What the server says once its one page has drawn so many frames."""
    while True:
        said = state_of(address)
        if said["pages"] and said["pages"][0]["shown"] >= count:
            return said
        time.sleep(0.5)


def in_browser(recording: Path, frames: int, threads: int, *, is_ahead: bool = False) -> dict[str, Any]:
    """Shows frames in Chromium and says how it went.

    No debugger watches the browser: one that does is sent a copy of every message, which takes longer than showing it.
    """
    command = [sys.executable, "-m", "graspcut.cli", "live", "--source", str(recording), "--loop", "--no-browser"]
    server = subprocess.Popen(
        [*command, "--port", "0", "--threads", str(threads)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[1]
    with tempfile.TemporaryDirectory() as profile:
        chromium = [shutil.which("chromium") or "chromium", "--headless", "--no-sandbox", "--no-first-run"]
        chromium += [f"--user-data-dir={profile}", "--window-size=1000,760", address]
        browser = subprocess.Popen(chromium, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            when_shown(address, 30)
            if is_ahead:
                go_ahead_of_others(os.getpid())
            # Ten seconds to settle: latencies are told over the last 300 frames.
            first, started = when_shown(address, 330), time.monotonic()
            states, memory = [], [resident_of(server.pid)]
            for part in range(1, 7):
                states.append(when_shown(address, first["pages"][0]["shown"] + part * frames // 6))
                memory.append(resident_of(server.pid))
            seconds = time.monotonic() - started
        finally:
            browser.terminate()
            browser.wait(20)
            server.terminate()
            server.wait(20)
    before, after = first["pages"][0], states[-1]["pages"][0]
    return {
        "frames_drawn": after["shown"] - before["shown"],
        "answers_about_frames_not_on_their_way": after["unknown"],
        "frames_per_s": (after["shown"] - before["shown"]) / seconds,
        "captured_meanwhile": states[-1]["captured"] - first["captured"],
        "skipped_by_the_network": states[-1]["skipped"] - first["skipped"],
        "left_out_by_the_page": after["left_out"] - before["left_out"],
        # Over the last 300 frames each time; the worst is what counts.
        "latency_ms": [state["pages"][0]["latency_ms"] for state in states],
        "latency_p95_ms": [state["pages"][0]["latency_p95_ms"] for state in states],
        "server_mb": memory,
        "model": states[-1]["model"],
        "threads": threads,
    }


class Client:
    """Reads the socket without a browser, checks what comes and answers."""

    def __init__(self, address: str) -> None:
        self.address = address.replace("http", "ws") + "api/frames"
        self.frames, self.last, self.faults = 0, 0, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with connect(self.address, max_size=None, compression=None) as socket:
            try:
                for message in socket:
                    if isinstance(message, str):
                        socket.send('{"read": true}')
                        continue
                    read = decode(message)
                    self.faults += read.number <= self.last or int(read.labels.max()) > 2
                    self.frames, self.last = self.frames + 1, read.number
                    socket.send(json.dumps({"drawn": [read.number]}))
            except ConnectionClosed:
                return


def soak(recording: Path, frames: int, threads: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Labels and sends frames for long, and says what became of memory."""
    source = PlayedRecording(Recording(recording), recording.name, loop=True, speed=4.0)
    segmenter = Segmenter.open(OpenOptions(DEFAULT_MODEL, threads=threads))
    live = LiveSegmentation(source, segmenter)
    audience = Audience(live, DEFAULT_MODEL)
    listener = Listener(0)
    memory: list[tuple[int, float]] = []
    started = time.monotonic()

    def watch() -> None:
        client = Client(listener.address)
        while live.labelled.count < frames and live.error is None and client.thread.is_alive():
            if live.labelled.count >= len(memory) * max(1, frames // 40):
                gc.collect()
                memory.append((live.labelled.count, resident_mb() or 0.0))
                say(f"{live.labelled.count} labelled, {client.frames} sent, {memory[-1][1]:.1f} MB")
            time.sleep(0.2)
        result.update(sent=client.frames, faults=client.faults)
        listener.stop()

    result: dict[str, Any] = {}
    with live:
        threading.Thread(target=watch, daemon=True).start()
        listener.serve(create_live_app(audience), open_browser=False)
    if live.error is not None:
        raise live.error
    # The first tenth fills caches and the allocator's pools.
    settled = [megabytes for count, megabytes in memory if count >= frames // 10]
    half = len(settled) // 2
    return result | {
        "captured": live.captured.count,
        "labelled": live.labelled.count,
        "seconds": time.monotonic() - started,
        "memory_mb": memory,
        "growth_mb": float(np.median(settled[half:]) - np.median(settled[:half])),
        "highest_mb": max(settled),
        "lowest_mb": min(settled),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("browser", "soak"))
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--recording", type=Path, help="a recording instead of the rendered one")
    parser.add_argument("--rendered-frames", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ahead-of-others", action="store_true", help="highest priority, where others use the machine")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        recording = given.recording or make_recording(Path(scratch) / "rendered", given.rendered_frames)
        if given.what == "browser":
            result = in_browser(recording, given.frames, given.threads, is_ahead=given.ahead_of_others)
        else:
            result = soak(recording, given.frames, given.threads)
    print(json.dumps(result, indent=1))
    if given.save is not None:
        write_json_atomically(given.save, result)


if __name__ == "__main__":
    main()
