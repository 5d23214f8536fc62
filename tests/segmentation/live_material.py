"""A source and a segmenter for tests of what is live: no network, and as slow as a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.live_sources import LiveFrame, Say
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream

WIDTH, HEIGHT = 48, 32


class Ticking:
    """Gives `count` frames, `every_s` apart; frame n lies at 500 + n mm and its upper half at 400 mm."""

    title = "ticking"
    picture: tuple[tuple[int, int], Camera | None] | None = ((WIDTH, HEIGHT), None)

    def __init__(
        self, count: int, every_s: float = 0.0, fails_at: int = -1, begin: threading.Event | None = None
    ) -> None:
        self._count, self._every_s, self._fails_at, self._begin = count, every_s, fails_at, begin

    def frames(self, stop: threading.Event, say: Say) -> Iterator[LiveFrame]:
        if self._begin is not None:
            while not self._begin.wait(0.02):
                if stop.is_set():
                    return
        for number in range(1, self._count + 1):
            if number == self._fails_at:
                raise OSError("the cable is broken")
            if stop.wait(self._every_s):
                return
            depth = np.full((HEIGHT, WIDTH), 500.0 + number % 1000, np.float32)
            depth[: HEIGHT // 2] = 400.0
            yield LiveFrame(number, Frame(depth, timestamp_s=number / 30), time.perf_counter(), 0.25)
        say("the recording is over")


class Nearest:
    """Calls the upper half hand and one column object; takes `seconds` for it, and cannot do frame `refuses`."""

    def __init__(self, seconds: float = 0.0, refuses: int = -1) -> None:
        self._seconds, self._refuses = seconds, refuses
        self.calls = 0
        self.warmed_up: tuple[int, int] | None = None

    def __call__(self, frame: object, camera: Camera | None = None, /) -> Segmentation:
        assert isinstance(frame, Frame)
        self.calls += 1
        if self.calls == self._refuses:
            raise FrameError("no depth at all")
        time.sleep(self._seconds)
        labels = (frame.depth_mm == 400.0).astype(np.uint8)
        labels[:, 0] = 2
        probabilities = np.stack([labels == label for label in range(3)]).astype(np.float32)
        return Segmentation(labels, probabilities, frame.depth_mm, frame.camera)

    def stream(self) -> SegmentationStream:
        return SegmentationStream(self)

    def warm_up(self, size: tuple[int, int], camera: Camera | None = None) -> None:
        self.warmed_up = size
