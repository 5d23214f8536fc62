"""The live page in a real browser (Debian's Chromium). The long run, with times and memory: benchmarks/live_view.py."""

# ruff: noqa: E402  (what follows a skip)

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from graspcut.frames.recording import Recording
from graspcut.labels import BACKGROUND, HAND, LABEL_COLOURS, OBJECT
from graspcut.segmentation.demo import demo_recording_folder
from graspcut.segmentation.predictor import Segmenter

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: sudo apt install chromium")

# What the page answers is what it has drawn; kept by the test, because the page itself keeps nothing.
_LISTEN = """
window.answers = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) { window.answers.push(JSON.parse(text)); return send.call(this, text); };
"""


class LiveProcess:
    """`graspcut live` in a process of its own, on a port that stays the same over restarts."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "graspcut.cli", "live", "--source", "demo", "--loop", "--no-browser"]
        command += ["--independent", "--port", str(self._port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1]
        self._port = int(self.address.rstrip("/").rpartition(":")[2])

    def end(self) -> tuple[int, str]:
        """As with Ctrl-C; returns the exit code and what was said."""
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=20)[1]
        return self.process.returncode, said


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server() -> Iterator[LiveProcess]:
    running = LiveProcess()
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.fixture
def page(browser: Browser, server: LiveProcess) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 800, "height": 600})
    opened = context.new_page()
    opened.add_init_script(_LISTEN)
    opened.goto(server.address)
    opened.wait_for_function("() => live.shown > 3", timeout=30_000)
    yield opened
    context.close()


def drawn_numbers(page: Page) -> list[int]:
    answers: list[dict[str, Any]] = page.evaluate("() => window.answers")
    return [number for answer in answers for number in answer.get("drawn", [])]


def picture(page: Page) -> tuple[int, np.ndarray[Any, Any]]:
    """The frame's number and the canvas, (H, W, 3)."""
    number, data = page.evaluate("() => [live.drawn.number, canvas.toDataURL('image/png')]")
    encoded = np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8)
    return int(number), np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]


def test_frames_are_drawn_once_in_order_and_soon(page: Page) -> None:
    page.wait_for_function("() => live.shown >= 60", timeout=60_000)
    numbers = drawn_numbers(page)
    assert len(numbers) >= 55 and numbers == sorted(set(numbers)), "none twice, none out of order"
    state, shown = page.evaluate("() => [live.state, document.getElementById('latency').textContent]")
    assert state["source"] == "demo_recording" and state["captured_per_s"] > 5 and state["state"] == ""
    # Were frames queued anywhere, the last ones would be as old as the run is long. Speed itself is no test's business.
    assert 0 < state["latency_p95_ms"] < 1500
    assert float(shown) == state["latency_ms"] and "int8" in page.inner_text("#model")


def test_hand_and_object_have_their_colours_and_keys_work(page: Page) -> None:
    page.keyboard.press(" ")
    page.wait_for_timeout(300)
    number, colours = picture(page)
    recording = Recording(demo_recording_folder())
    frame = recording[(number - 1) % len(recording)]
    labels = Segmenter.load(threads=1)(frame).labels
    assert colours.shape == (240, 320, 3)
    # A label's colour is mixed with grey: what stays is the difference between the channels, two thirds of it; round it
    # goes a line.
    seen = colours.astype(float) - colours.mean(axis=-1, keepdims=True)
    for label in (HAND, OBJECT):
        pure = LABEL_COLOURS[label] - LABEL_COLOURS[label].mean()
        tinted = np.abs(seen - 0.65 * pure).max(axis=-1) < 8
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        inside = cv2.erode((labels == label).astype(np.uint8), cross).astype(bool) & (frame.depth_mm > 0)
        assert inside.sum() > 20 and tinted[inside].mean() > 0.95
        outside = (labels == BACKGROUND) & (frame.depth_mm > 0)
        assert tinted[outside].sum() <= 0.05 * outside.sum()
    assert (colours[frame.depth_mm == 0] == 0).all()
    assert page.inner_text("#state") == "paused"
    page.wait_for_timeout(300)
    assert picture(page)[0] == number, "a paused picture stays"
    page.keyboard.press("l")
    assert np.abs(picture(page)[1].astype(int) - colours).max() > 50, "labels are gone"
    page.keyboard.press("l")
    assert np.array_equal(picture(page)[1], colours)
    page.keyboard.press("c")
    page.keyboard.press("l")
    grey = picture(page)[1]
    assert (grey[..., 0] == grey[..., 2]).all()
    before = page.inner_text("#range")
    page.keyboard.press(".")
    assert page.inner_text("#range") != before
    page.mouse.move(400, 300)
    page.mouse.move(401, 300)
    assert page.inner_text("#value").startswith("(")
    page.keyboard.press(" ")
    page.wait_for_function("number => live.drawn.number > number", arg=number, timeout=20_000)


def test_a_page_that_stops_reading_slows_nobody(page: Page, browser: Browser, server: LiveProcess) -> None:
    context = browser.new_context()
    other = context.new_page()
    other.goto(server.address)
    other.wait_for_function("() => live.shown > 3", timeout=30_000)
    # It reads nothing and answers nothing for three seconds.
    other.evaluate("() => { setTimeout(() => { const end = Date.now() + 3000; while (Date.now() < end); }, 0); }")
    before, started = page.evaluate("() => live.shown"), time.monotonic()
    page.wait_for_timeout(2500)
    shown, took = page.evaluate("() => live.shown") - before, time.monotonic() - started
    labelled = page.evaluate("() => live.state.labelled_per_s")
    assert shown / took > 0.5 * labelled, "the other page goes on at the network's pace"
    stuck = other.evaluate("() => live.drawn.number")
    other.wait_for_function("number => live.drawn.number > number + 10", arg=stuck, timeout=20_000)
    assert other.evaluate("() => live.backwards") == 0
    context.close()


def test_the_page_finds_a_server_that_was_ended_and_started_again(page: Page, server: LiveProcess) -> None:
    code, said = server.end()
    assert code == 0, said
    assert "frame(s) from demo_recording" in said and "Traceback" not in said
    page.wait_for_function("() => document.getElementById('state').textContent.includes('ended')", timeout=20_000)
    server.start()
    shown = page.evaluate("() => live.shown")
    page.wait_for_function("shown => live.isConnected && live.shown > shown + 5", arg=shown, timeout=30_000)
    assert page.evaluate("() => live.backwards") == 0, "the new server counts from 1 again, and the page knows"
