"""Writes a stream into a recording, counts it against its source, and finds gaps in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graspcut.frames.camera import Camera, CameraLike
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.stream import Stream
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.recording import RecordingWriter

REPORT_NAME = "import.json"


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        frames: Frames written.
        expected: Depth frames that the sources hold, or None if they do not say.
        with_colour: Frames that have colour.
        gaps: One line for each gap in time.
        damaged: One line for each frame that could not be read.
        notes: What else a person should know.
    """

    frames: int
    expected: int | None
    with_colour: int
    gaps: tuple[str, ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Frames that the sources hold and the recording does not."""
        return 0 if self.expected is None else max(0, self.expected - self.frames)

    @property
    def is_whole(self) -> bool:
        """Whether every frame of the sources is in the recording."""
        return not self.missing and not self.damaged


def import_streams(
    streams: Sequence[Stream],
    out: str | Path,
    *,
    camera: CameraLike | None = None,
    colour_jpeg: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Writes streams of one camera, one after the other, into a new recording.

    Args:
        streams: Opened sources; they are closed at the end.
        out: The recording's folder; it must not hold one.
        camera: Depth camera of streams that do not know theirs; whatever `Camera.of` takes.
        colour_jpeg: Store colour as JPEG instead of PNG.
        progress: Called with (frames written, frames expected or written).

    Raises:
        FrameError: If the streams are of different cameras, or hold no frame.
    """
    try:
        first = streams[0]
        different = [
            stream
            for stream in streams
            if (stream.depth_unit_mm, stream.camera, stream.colour_camera)
            != (first.depth_unit_mm, first.camera, first.colour_camera)
        ]
        if different:
            raise FrameError("the sources are of different cameras or units; expected one. Import them apart.")
        known = [stream.expected for stream in streams]
        expected = None if None in known else sum(count for count in known if count is not None)
        times: list[float | None] = []
        with_colour = 0
        writer: RecordingWriter | None = None
        try:
            for stream in streams:
                for frame in stream.frames():
                    if writer is None:
                        height, width = frame.depth_raw.shape
                        given = None if camera is None else Camera.of(camera, width, height)
                        if first.camera is not None and given not in (None, first.camera):
                            first.notes.append("the camera that was given is not used: the source has its own")
                        writer = RecordingWriter(
                            out,
                            first.camera or given,
                            first.depth_unit_mm,
                            first.colour_camera,
                            colour_format="jpeg" if colour_jpeg else "png",
                        )
                    try:
                        writer.append(frame.depth_raw, frame.colour, frame.timestamp_s)
                    except FrameError as error:  # of another size than the camera
                        stream.damaged.append(f"frame {len(times) + len(stream.damaged)}: {error}")
                        continue
                    times.append(frame.timestamp_s)
                    with_colour += frame.colour is not None
                    if progress is not None:
                        progress(len(times), max(expected or 0, len(times)))
        finally:
            if writer is not None:
                writer.close()
    finally:
        for stream in streams:
            stream.close()
    damaged = tuple(line for stream in streams for line in stream.damaged)
    if not times:
        reason = f" The first: {damaged[0]}" if damaged else ""
        raise FrameError(f"the source has no frame that can be read.{reason}")
    notes = tuple(note for stream in streams for note in stream.notes)
    report = ImportReport(len(times), expected, with_colour, tuple(gaps_in_time(times)), damaged, notes)
    write_json_atomically(Path(out) / REPORT_NAME, _plain(report))
    return report


def gaps_in_time(timestamps_s: Sequence[float | None]) -> list[str]:
    """One line for each place where frames are missing: a step of more than one and a half of the usual one."""
    times = np.array([time for time in timestamps_s if time is not None], dtype=np.float64)
    steps = np.diff(times)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if len(times) < 3 or usual <= 0:
        return []
    lines = []
    for place in np.flatnonzero(steps > 1.5 * usual):
        count = max(1, round(float(steps[place]) / usual) - 1)
        lines.append(
            f"after frame {place:06d}: {1000 * steps[place]:.0f} ms instead of {1000 * usual:.0f} ms, "
            f"about {count} frame(s) missing"
        )
    backwards = np.flatnonzero(steps < 0)
    return lines + [f"after frame {place:06d}: time runs back" for place in backwards]


def _plain(report: ImportReport) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(report).items()}
