"""Frames as a camera gives them, one after the other in real time: of a camera, or of a recording that plays as one.

Both are the same to what follows. A camera that is pulled out is waited for and found again; a recording that is over
is said to be over, or starts anew.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from graspcut.frames.camera import Camera
from graspcut.frames.capture import find_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.frames.importing.realsense import RealSenseFeed
from graspcut.frames.sources import Source

Say = Callable[[str], None]
"""Told what a person in front of the picture should know; an empty text when all is well again."""

# A pause in a recording is played, but nobody wants to look at a still picture for a minute.
_LONGEST_PAUSE_S = 1.0
# Longer than streams carry labels over (`StreamConfig.longest_gap_s`): a recording's end is not followed by its start.
_BETWEEN_ROUNDS_S = 1.0
_SILENT_S = 2.0
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame on its way to the screen.

    Attributes:
        number: 1, 2, ...; counts every frame that the source gave.
        frame: with a time stamp.
        captured_s: when it was handed over, by `time.perf_counter`.
        depth_unit_mm: millimetres per step in which the source measures; 16 bits of these hold the picture.
    """

    number: int
    frame: Frame
    captured_s: float
    depth_unit_mm: float


class LiveSource(Protocol):
    """Where frames come from."""

    @property
    def title(self) -> str:
        """What the page calls it."""
        ...

    @property
    def picture(self) -> tuple[tuple[int, int], Camera | None] | None:
        """((width, height), camera) of its frames where that is known before the first."""
        ...

    def frames(self, stop: threading.Event, say: Say) -> Iterator[LiveFrame]:
        """Gives frames when they are due, until `stop` or the end."""
        ...


class PlayedRecording:
    """A recording, or whatever else `open_source` opens, that plays as if it were a camera.

    Frames come at their own times, or `frames_per_s` apart where there are none. Reading is done ahead, so that a frame
    is handed over when it is due. What cannot be read is said and left out.

    Args:
        source: the frames.
        title: what it is called.
        loop: start anew at the end.
        frames_per_s: of frames without times.
        speed: 2 plays twice as fast; infinity as fast as it can be read.
        begin: waits for this before the first frame, so that nothing is over before somebody looks.
        focal_px: focal length of frames without a camera.

    Raises:
        FrameError: no frame can be read.
    """

    def __init__(
        self,
        source: Source,
        title: str,
        *,
        loop: bool = False,
        frames_per_s: float = 30.0,
        speed: float = 1.0,
        begin: threading.Event | None = None,
        focal_px: float | None = None,
    ) -> None:
        if focal_px is not None and not (math.isfinite(focal_px) and focal_px > 0):
            raise FrameError(f"the focal length is {focal_px} pixels; expected more than 0.")
        if not frames_per_s > 0 or not speed > 0:
            raise FrameError(f"frames_per_s is {frames_per_s} and speed {speed}; expected numbers above 0.")
        if len(source) == 0:
            raise FrameError(f"{title} holds no frames; expected a recording with at least one.")
        self._source, self.title, self._loop = source, title, loop
        self._speed, self._begin, self._focal_px = speed, begin, focal_px
        self._pauses_s = _pauses(getattr(source, "timestamps_s", [None] * len(source)), 1.0 / frames_per_s)
        first = self._first()
        self.picture = ((first.width, first.height), self._camera(first))
        self._unit_mm = float(getattr(source, "depth_unit_mm", 0.0)) or _unit_for(first)

    def _camera(self, frame: Frame) -> Camera | None:
        if frame.camera is not None or self._focal_px is None:
            return frame.camera
        return Camera.from_focal_length(frame.width, frame.height, self._focal_px)

    def _first(self) -> Frame:
        errors = []
        for index in range(len(self._source)):
            try:
                return self._source[index]
            except FrameError as error:
                errors.append(error)
        raise FrameError(f"{self.title}: none of its {len(self._source)} frames can be read: {errors[0]}")

    def frames(self, stop: threading.Event, say: Say) -> Iterator[LiveFrame]:
        """See `LiveSource.frames`."""
        if self._begin is not None:
            say("the recording begins when somebody looks")
            while not self._begin.wait(0.1):
                if stop.is_set():
                    return
            say("")
        number, played_s = 0, 0.0
        due = time.perf_counter()
        while True:
            for index, pause_s in enumerate(self._pauses_s):
                if stop.is_set():
                    return
                played_s += pause_s if index else _BETWEEN_ROUNDS_S
                due += pause_s / self._speed
                try:
                    frame = self._source[index]
                except FrameError as error:
                    say(f"left out: {error}")
                    continue
                number += 1
                now = time.perf_counter()
                if due > now and stop.wait(due - now):
                    return
                # Where reading cannot keep up, it plays slower; hurrying on afterwards would not be like a camera.
                due = max(due, time.perf_counter() - 0.1)
                played = replace(frame, timestamp_s=played_s, camera=self._camera(frame))
                yield LiveFrame(number, played, time.perf_counter(), self._unit_mm)
            if not self._loop:
                say("the recording is over")
                return


def _pauses(timestamps_s: Sequence[float | None], usual_s: float) -> list[float]:
    """Seconds before each frame."""
    pauses = [usual_s]
    for before, after in itertools.pairwise(timestamps_s):
        pause = usual_s if before is None or after is None or after < before else after - before
        pauses.append(min(pause, _LONGEST_PAUSE_S))
    return pauses


def _unit_for(frame: Frame) -> float:
    """Steps of a quarter of a millimetre reach 16 m; where something is farther, of a millimetre."""
    return 0.25 if float(frame.depth_mm.max()) < 0.25 * 65535 else 1.0


class RealSenseCamera:
    """A RealSense camera's depth, also over being pulled out and put back.

    Args:
        find: returns the device; raises `FrameError` while there is none.
        width, height, frames_per_s: what the camera is asked for.

    Raises:
        FrameError: there is no camera at the beginning.
    """

    picture = None

    def __init__(
        self,
        find: Callable[[], Any] = find_camera,
        *,
        width: int = 640,
        height: int = 480,
        frames_per_s: int = 30,
    ) -> None:
        self._find, self._wanted = find, (width, height, frames_per_s)
        self._device: Any = find()
        self.title = _name_of(self._device)

    def frames(self, stop: threading.Event, say: Say) -> Iterator[LiveFrame]:
        """See `LiveSource.frames`."""
        number = 0
        while not stop.is_set():
            try:
                for live in self._until_it_is_gone(stop):
                    if live.number == 1:
                        say("")
                    number += 1
                    yield replace(live, number=number)
                reason = ""
            except (FrameError, RuntimeError) as error:
                reason = f" ({error})"
            self._device = None
            if not stop.is_set():
                say(f"the camera is gone{reason}; it is looked for: plug it in again")
            self._look(stop)

    def _look(self, stop: threading.Event) -> None:
        """Until a camera is there again."""
        while not stop.wait(_LOOK_AGAIN_S):
            try:
                self._device = self._find()
                return
            except (FrameError, RuntimeError):
                continue

    def _until_it_is_gone(self, stop: threading.Event) -> Iterator[LiveFrame]:
        """Frames of the device that is plugged in now, numbered from 1."""
        width, height, rate = self._wanted
        device = self._device
        feed = RealSenseFeed(device, colour=False, width=width, height=height, frames_per_s=rate)
        last = time.perf_counter()

        def ended() -> bool:
            return stop.is_set() or not device.is_connected() or time.perf_counter() - last > _SILENT_S

        try:
            feed.start()
            for number, entry in enumerate(feed.frames(ended), 1):
                last = time.perf_counter()
                depth_mm = check_depth(entry.depth_raw, feed.depth_unit_mm)
                frame = Frame(depth_mm, feed.camera, timestamp_s=entry.timestamp_s, notes=())
                yield LiveFrame(number, frame, last, feed.depth_unit_mm)
                if stop.is_set():
                    return
        finally:
            # The device may have gone away under it.
            with contextlib.suppress(RuntimeError):
                feed.stop()


def _name_of(device: Any) -> str:
    import pyrealsense2 as rs

    return str(device.get_info(rs.camera_info.name)) if device.supports(rs.camera_info.name) else "camera"
