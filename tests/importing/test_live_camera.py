"""A camera that is pulled out and put back while it is shown; librealsense's software device stands in for it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from graspcut.frames import live_sources
from graspcut.frames.errors import FrameError
from graspcut.frames.live_sources import LiveFrame, RealSenseCamera
from tests.importing.software_camera import HEIGHT, WIDTH, SoftwareCamera


class Port:
    """Where a camera is plugged in, or not."""

    def __init__(self) -> None:
        self.camera: SoftwareCamera | None = SoftwareCamera()

    def find(self) -> Any:
        if self.camera is None:
            raise FrameError("no RealSense camera is plugged in")
        return self.camera.device

    def give(self, numbers: range) -> None:
        assert self.camera is not None
        for number in numbers:
            self.camera.give(number)
            time.sleep(0.01)


def until(condition: Any, what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_pulled_out_said_put_back_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources, "_SILENT_S", 0.3)
    monkeypatch.setattr(live_sources, "_LOOK_AGAIN_S", 0.05)
    port, stop = Port(), threading.Event()
    source = RealSenseCamera(port.find, width=WIDTH, height=HEIGHT)
    said: list[str] = []
    frames: list[LiveFrame] = []

    def capture() -> None:
        for live in source.frames(stop, said.append):
            frames.append(live)

    thread = threading.Thread(target=capture)
    thread.start()
    time.sleep(0.2)
    port.give(range(1, 6))
    until(lambda: len(frames) == 5, "five frames")
    port.camera = None
    until(lambda: any("plug it in again" in text for text in said), "the camera's absence is said")
    time.sleep(0.3)
    assert len(frames) == 5 and thread.is_alive()
    port.camera = SoftwareCamera()
    time.sleep(0.3)
    port.give(range(20, 24))
    until(lambda: len(frames) == 9, "four frames of the camera that was put back")
    assert said[-1] == "", "all is well again"
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert [live.number for live in frames] == list(range(1, 10)), "numbers go on"
    depths = [round(float(live.frame.depth_mm[0, 0]) / 0.125) - 4000 for live in frames]
    assert depths == [1, 2, 3, 4, 5, 20, 21, 22, 23]
    assert frames[0].depth_unit_mm == pytest.approx(0.125) and frames[0].frame.camera is not None
    assert frames[0].frame.colour is None, "nothing waits for a picture"


def test_no_camera_at_the_beginning_is_refused() -> None:
    port = Port()
    port.camera = None
    with pytest.raises(FrameError, match="no RealSense camera is plugged in"):
        RealSenseCamera(port.find)


def test_stopping_while_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources, "_SILENT_S", 0.1)
    port, stop = Port(), threading.Event()
    source = RealSenseCamera(port.find)
    port.camera = None
    said: list[str] = []
    thread = threading.Thread(target=lambda: list(source.frames(stop, said.append)))
    thread.start()
    until(lambda: said, "said")
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
