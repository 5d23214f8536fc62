"""Who looks on, and what each of them is sent: the newest frame, as soon as they have shown the one before.

A viewer says which frames it has drawn. Until then at most two are on their way to it, so that one that stops reading
costs nothing and nobody else notices; when it goes on, it goes on with the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from typing import Any

import numpy as np

from graspcut.app.live_message import encode
from graspcut.segmentation.live import LiveResult, LiveSegmentation, RateMeter

MOST_ON_THE_WAY = 2
_LATENCIES = 300
_MOST_NUMBERS = 16


class Viewer:
    """One page: what is on its way to it, and how long it took.

    Attributes:
        last_sent: number of the newest frame that was sent.
        shown: rate and count of the frames it has drawn.
        left_out: frames that came to it and were not needed.
        unknown: answers about frames that were not on their way; a frame that is drawn twice is counted here.
        wake: set when there may be something to send.
    """

    def __init__(self) -> None:
        self.last_sent = 0
        self.shown = RateMeter()
        self.left_out, self.unknown = 0, 0
        self.wake = asyncio.Event()
        self._on_the_way: dict[int, float] = {}
        self._latencies_s: deque[float] = deque(maxlen=_LATENCIES)

    @property
    def has_room(self) -> bool:
        """Whether it may be sent another frame."""
        return len(self._on_the_way) < MOST_ON_THE_WAY

    def sent(self, number: int, captured_s: float) -> None:
        """A frame is on its way."""
        self.last_sent = number
        self._on_the_way[number] = captured_s

    def answered(self, message: Any) -> None:
        """Takes {"drawn": [numbers], "left_out": [numbers]}; both may be missing.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(message, dict):
            raise ValueError("an object was expected")
        now = time.perf_counter()
        for kind in ("drawn", "left_out"):
            numbers = message.get(kind, [])
            if not isinstance(numbers, list) or len(numbers) > _MOST_NUMBERS:
                raise ValueError(f"{kind} has to be a short list of frame numbers")
            for number in numbers:
                captured_s = self._on_the_way.pop(number, None) if isinstance(number, int) else None
                if captured_s is None:
                    self.unknown += 1
                elif kind == "left_out":
                    self.left_out += 1
                else:
                    self.shown.tick()
                    self._latencies_s.append(now - captured_s)
        self.wake.set()

    def latency_ms(self, quantile: float) -> float | None:
        """From capture until the page has said that the frame is drawn, over the last 300 frames."""
        if not self._latencies_s:
            return None
        return round(1000 * float(np.quantile(list(self._latencies_s), quantile)), 1)

    def state(self) -> dict[str, Any]:
        """What it has drawn, how fast, and how long that took."""
        return {
            "shown": self.shown.count,
            "shown_per_s": round(self.shown.per_s, 1),
            "left_out": self.left_out,
            "unknown": self.unknown,
            "latency_ms": self.latency_ms(0.5),
            "latency_p95_ms": self.latency_ms(0.95),
        }


class Audience:
    """Everybody who looks on.

    Args:
        live: whose results they see.
        model: what the network is called.
        begin: set when the first viewer comes.
    """

    def __init__(self, live: LiveSegmentation, model: str, begin: threading.Event | None = None) -> None:
        self.live, self._model, self._begin = live, model, begin
        self.viewers: set[Viewer] = set()
        self._newest: tuple[LiveResult, bytes | None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        live.add_screen(self._show)

    def _show(self, shown: LiveResult) -> None:
        """Called in the thread that shows."""
        is_awaited = any(viewer.has_room for viewer in list(self.viewers))
        self._newest = shown, encode(shown) if is_awaited else None
        if self.viewers and self._loop is not None:
            # The server may have ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for viewer in self.viewers:
            viewer.wake.set()

    def enter(self, viewer: Viewer) -> None:
        """A viewer has come."""
        self._loop = asyncio.get_running_loop()
        self.viewers.add(viewer)
        viewer.wake.set()
        if self._begin is not None:
            self._begin.set()

    def leave(self, viewer: Viewer) -> None:
        """A viewer has gone."""
        self.viewers.discard(viewer)

    def next_for(self, viewer: Viewer) -> bytes | None:
        """The newest frame's message if the viewer has room for it and has not had it."""
        if self._newest is None or not viewer.has_room:
            return None
        shown, message = self._newest
        if shown.live.number <= viewer.last_sent:
            return None
        if message is None:
            # Nobody had room when it came, or nobody was there.
            message = encode(shown)
        viewer.sent(shown.live.number, shown.live.captured_s)
        return message

    def state(self, viewer: Viewer | None = None) -> dict[str, Any]:
        """What is said beside the picture: rates, counts, latency, and whether something is amiss."""
        live = self.live
        said: dict[str, Any] = {
            "source": live.source.title,
            "model": self._model,
            "state": live.state,
            "captured": live.captured.count,
            "captured_per_s": round(live.captured.per_s, 1),
            "labelled": live.labelled.count,
            "labelled_per_s": round(live.labelled.per_s, 1),
            "skipped": live.skipped,
            "viewers": len(self.viewers),
        }
        if viewer is None:
            return said | {"pages": [each.state() for each in self.viewers]}
        return said | viewer.state()
