"""Live labels: capture, network and every screen in a thread of its own, each with the newest there is.

    live = LiveSegmentation(RealSenseCamera(), Segmenter.load())
    live.add_screen(print)                 # called with each `LiveResult`, in a thread of its own
    with live:
        live.wait()                        # until the source ends, or `live.stop()`

Between two threads lies one frame, the newest. A slow network misses frames, a slow screen misses results; nobody waits
for somebody slower, nothing grows, and what is on a screen is never older than it must be.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.live_sources import LiveFrame, LiveSource
from graspcut.frames.newest import Newest
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream, StreamState

_RATE_OVER_S = 2.0
_NOTE_FOR_S = 3.0


@dataclass(frozen=True, eq=False)
class LiveResult:
    """A labelled frame on its way to the screen.

    Attributes:
        live: the frame, its number and when it was captured.
        result: its labels.
        labelled_s: when they were there, by `time.perf_counter`.
    """

    live: LiveFrame
    result: Segmentation
    labelled_s: float


class LiveSegmenter(Protocol):
    """What is needed of a segmenter."""

    def __call__(self, frame: Frame, /) -> Segmentation: ...

    def stream(self) -> SegmentationStream: ...

    def warm_up(self, size: tuple[int, int], camera: Camera | None = None) -> None: ...


class RateMeter:
    """How often something happened in the last two seconds, per second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1024)
        self.count = 0

    def tick(self) -> None:
        """It happened now."""
        self._times.append(time.perf_counter())
        self.count += 1

    @property
    def per_s(self) -> float:
        """The rate; 0 when it has not happened for long."""
        since = time.perf_counter() - _RATE_OVER_S
        recent = [moment for moment in list(self._times) if moment > since]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0


class LiveSegmentation:
    """Runs a source through a segmenter to screens.

    Args:
        source: where frames come from.
        segmenter: labels them.
        independent: label every frame on its own instead of with what the frames before know.

    Attributes:
        captured, labelled: rates and counts.
        error: what ended it, if something did.
    """

    def __init__(self, source: LiveSource, segmenter: LiveSegmenter, *, independent: bool = False) -> None:
        self.source, self._segmenter, self._independent = source, segmenter, independent
        self.captured, self.labelled = RateMeter(), RateMeter()
        self._state, self._note = "", ("", -_NOTE_FOR_S)
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._frames: Newest[LiveFrame] = Newest()
        self._screens: list[tuple[Newest[LiveResult], Callable[[LiveResult], None]]] = []
        self._threads: list[threading.Thread] = []

    @property
    def state(self) -> str:
        """What a person in front of the picture should know; empty when all is well."""
        note, since_s = self._note
        return self._state or (note if time.perf_counter() - since_s < _NOTE_FOR_S else "")

    @property
    def skipped(self) -> int:
        """Captured frames that the network did not look at, because a newer one had come."""
        return self._frames.replaced

    def add_screen(self, show: Callable[[LiveResult], None]) -> None:
        """Gives results to `show` in a thread of its own; those that come while it is busy are left out but the last.

        Call it before `start`.
        """
        self._screens.append((Newest(), show))

    def start(self) -> None:
        """Begins; what compiles does so before the first frame. That may take seconds, the first time."""
        if self.source.picture is not None:
            self._segmenter.warm_up(*self.source.picture)
        if not self._independent:
            self._segmenter.stream().warm_up()
        # The last thread in the row is started first.
        for place, show in self._screens:
            self._start("show", functools.partial(self._show, place, show))
        self._start("label", self._label)
        self._start("capture", self._capture)

    def stop(self) -> None:
        """Ends after the frame that is in work."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until everything has ended.

        Returns:
            Whether it has; False after the time is over.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.error = self.error or error
                self._stop.set()

        # A driver that hangs must not keep the program from ending.
        thread = threading.Thread(target=guarded, name=f"graspcut-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _say(self, text: str) -> None:
        self._state = text

    def _capture(self) -> None:
        try:
            for live in self.source.frames(self._stop, self._say):
                self.captured.tick()
                self._frames.put(live)
        finally:
            self._frames.close()

    def _label(self) -> None:
        stream = None if self._independent else self._segmenter.stream()
        state: StreamState | None = None
        try:
            while (live := self._frames.take()) is not None:
                try:
                    if stream is None:
                        result = self._segmenter(live.frame)
                    else:
                        result, state = stream.step(live.frame, state)
                except FrameError as error:
                    self._note = f"frame {live.number} was left out: {error}", time.perf_counter()
                    continue
                self.labelled.tick()
                labelled = LiveResult(live, result, time.perf_counter())
                for place, _ in self._screens:
                    place.put(labelled)
        finally:
            for place, _ in self._screens:
                place.close()

    def _show(self, place: Newest[LiveResult], show: Callable[[LiveResult], None]) -> None:
        while (labelled := place.take()) is not None:
            show(labelled)
