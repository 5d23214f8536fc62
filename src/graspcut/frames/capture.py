"""Records a RealSense camera: the disk never holds it up, and every frame that was lost is counted and stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graspcut.frames.errors import FrameError
from graspcut.frames.importing.realsense import RealSenseFeed
from graspcut.frames.importing.run import gaps_in_time
from graspcut.frames.importing.stream import StreamFrame
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.recording import RecordingWriter

REPORT_NAME = "capture.json"


@dataclass(frozen=True)
class CaptureReport:
    """What a recording holds.

    Attributes:
        frames: Frames on disk.
        with_colour: Of these, with colour.
        dropped: Frames (depth or colour) that did not fit the queue because the disk was too slow.
        missed: Depth frames that the camera numbered and did not deliver.
        gaps: One line for each gap in time.
        seconds: How long it took.
    """

    frames: int
    with_colour: int
    dropped: int
    missed: int
    gaps: tuple[str, ...]
    seconds: float


def find_camera() -> Any:
    """The first RealSense camera that is plugged in.

    Raises:
        FrameError: If there is none.
        ModuleNotFoundError: Without the extra `realsense`.
    """
    import pyrealsense2 as rs

    devices = rs.context().query_devices()
    if len(devices) == 0:
        raise FrameError(
            "no RealSense camera is plugged in; expected one on a USB 3 port (Linux also needs librealsense's udev "
            "rules). Files are imported with graspcut import."
        )
    return devices[0]


def record(
    device: Any,
    out: str | Path,
    *,
    width: int = 640,
    height: int = 480,
    frames_per_s: int = 30,
    frames: int | None = None,
    seconds: float | None = None,
    colour_jpeg: bool = True,
    stop: threading.Event | None = None,
    show: Callable[[StreamFrame, int, int], None] | None = None,
) -> CaptureReport:
    """Records until enough frames, time or `stop`.

    Args:
        device: Of pyrealsense2: a camera, or its software device.
        out: The recording's folder; it must not hold one.
        width, height, frames_per_s: What the camera is asked for.
        frames: So many; None without end.
        seconds: So long; None without end.
        colour_jpeg: Store colour as JPEG; PNG may be too slow for the camera's rate.
        stop: Ends the recording when set.
        show: Called with (frame, frames written, frames dropped) for a preview, in the calling thread.

    Raises:
        FrameError: If the device has no depth, or the folder holds a recording.
    """
    feed = RealSenseFeed(device, width=width, height=height, frames_per_s=frames_per_s)
    stop = stop or threading.Event()
    started = time.monotonic()
    times: list[float | None] = []
    with_colour = 0

    def ended() -> bool:
        late = seconds is not None and time.monotonic() - started > seconds
        if stop.is_set() or late:
            # What is in the queue is still written.
            feed.stop()
            return True
        return False

    with RecordingWriter(
        out,
        feed.camera,
        feed.depth_unit_mm,
        feed.colour_camera,
        colour_format="jpeg" if colour_jpeg else "png",
    ) as writer:
        feed.start()
        try:
            for frame in feed.frames(ended):
                writer.append(frame.depth_raw, frame.colour, frame.timestamp_s)
                times.append(frame.timestamp_s)
                with_colour += frame.colour is not None
                if show is not None:
                    show(frame, len(times), feed.dropped)
                ended()
                if frames is not None and len(times) >= frames:
                    break
        finally:
            feed.stop()
    report = CaptureReport(
        len(times), with_colour, feed.dropped, feed.missed, tuple(gaps_in_time(times)), time.monotonic() - started
    )
    write_json_atomically(Path(out) / REPORT_NAME, {**asdict(report), "gaps": list(report.gaps)})
    return report
