"""The live view in a real browser, and a long run of it.

    python benchmarks/live_view.py browser --frames 600 --save docs/results/live_view.json
    python benchmarks/live_view.py soak --frames 20000 --save docs/results/live_soak.json

browser: `graspcut live` plays a rendered recording of 640x480 over and over at 30 frames/s, with two threads for the
network; Chromium on the same machine shows it. The time of a frame is from when the recording hands it over until the
page has said, after the browser has painted, that it is drawn. Memory is that of the server's process and the page's
JavaScript heap.

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
_LISTEN = """
window.drawn = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  for (const number of JSON.parse(text).drawn ?? []) window.drawn.push([number, performance.now()]);
  return send.call(this, text);
};
"""


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


def in_browser(recording: Path, frames: int, threads: int, *, is_ahead: bool = False) -> dict[str, Any]:
    """Shows frames in Chromium and says how it went."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "graspcut.cli", "live", "--source", str(recording), "--loop", "--no-browser"]
    command += ["--port", "0", "--threads", str(threads)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[1]
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 760})
            page.add_init_script(_LISTEN)
            page.goto(address)
            page.wait_for_function("() => live.shown > 30", timeout=120_000)
            if is_ahead:
                go_ahead_of_others(os.getpid())
            # Ten seconds to settle: latencies are told over the last 300 frames.
            page.wait_for_function("() => live.shown > 330", timeout=120_000, polling=500)
            before = page.evaluate("() => [live.state.captured, live.state.skipped, live.left_out]")
            page.evaluate("() => { window.drawn.length = 0; }")
            memory, heap = [resident_of(server.pid)], [page.evaluate("() => performance.memory.usedJSHeapSize / 1e6")]
            states = []
            for part in range(1, 7):
                page.wait_for_function(
                    f"() => window.drawn.length >= {part * frames // 6}", timeout=600_000, polling=500
                )
                states.append(page.evaluate("() => live.state"))
                memory.append(resident_of(server.pid))
                heap.append(page.evaluate("() => performance.memory.usedJSHeapSize / 1e6"))
            drawn = page.evaluate("() => window.drawn")
            after = page.evaluate("() => [live.state.captured, live.state.skipped, live.left_out]")
            version = browser.version
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
    numbers = [number for number, _ in drawn]
    times_ms = np.array([moment for _, moment in drawn])
    return {
        "frames_drawn": len(numbers),
        "drawn_twice_or_out_of_order": len(numbers) - len(set(numbers)) + int((np.diff(numbers) < 0).sum()),
        "frames_per_s": 1000 * (len(numbers) - 1) / float(times_ms[-1] - times_ms[0]),
        "captured_meanwhile": after[0] - before[0],
        "skipped_by_the_network": after[1] - before[1],
        "left_out_by_the_page": after[2] - before[2],
        # Over the last 300 frames each time; the worst is what counts.
        "latency_ms": [state["latency_ms"] for state in states],
        "latency_p95_ms": [state["latency_p95_ms"] for state in states],
        "interval_p95_ms": float(np.quantile(np.diff(times_ms), 0.95)),
        "server_mb": memory,
        "page_heap_mb": heap,
        "model": states[-1]["model"],
        "threads": threads,
        "chromium": version,
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
