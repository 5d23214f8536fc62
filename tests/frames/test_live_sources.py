"""Recordings that play as a camera: in their own time, over again, past what cannot be read."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.live_sources import LiveFrame, PlayedRecording
from graspcut.frames.recording import Recording, RecordingWriter

CAMERA = Camera.from_focal_length(32, 24, 24.0)


def write_recording(folder: Path, times_s: list[float | None], camera: Camera | None = CAMERA) -> Recording:
    """Frame i lies at 1000 + i steps of an eighth of a millimetre."""
    with RecordingWriter(folder, camera, 0.125) as writer:
        for index, time_s in enumerate(times_s):
            writer.append(np.full((24, 32), 4000 + index, np.uint16), None, time_s)
    return Recording(folder)


def played(source: PlayedRecording, count: int | None = None) -> tuple[list[LiveFrame], list[str]]:
    said: list[str] = []
    frames = source.frames(threading.Event(), said.append)
    return list(itertools.islice(frames, count)), said


def test_frames_come_when_they_were_recorded(tmp_path: Path) -> None:
    recording = write_recording(tmp_path, [10.0, 10.03, 10.15, 10.18])
    frames, said = played(PlayedRecording(recording, "rec"))
    assert [live.number for live in frames] == [1, 2, 3, 4] and said[-1] == "the recording is over"
    gaps = np.diff([live.captured_s for live in frames])
    # Never early; how late is for the machine to say, but the long pause is the longest.
    assert (gaps >= np.array([0.03, 0.12, 0.03]) - 0.012).all() and gaps.argmax() == 1
    assert frames[2].frame.depth_mm[0, 0] == pytest.approx(4002 * 0.125)
    assert frames[2].depth_unit_mm == 0.125 and frames[2].frame.camera == CAMERA
    stamps = [live.frame.timestamp_s or 0.0 for live in frames]
    assert np.diff(stamps) == pytest.approx([0.03, 0.12, 0.03])


def test_it_plays_over_again_with_a_gap_in_time_that_streams_start_anew_at(tmp_path: Path) -> None:
    recording = write_recording(tmp_path, [0.0, 0.01, 0.02])
    frames, _ = played(PlayedRecording(recording, "rec", loop=True, speed=50), 8)
    assert [live.number for live in frames] == list(range(1, 9))
    depths = [round(float(live.frame.depth_mm[0, 0]) / 0.125) - 4000 for live in frames]
    assert depths == [0, 1, 2, 0, 1, 2, 0, 1]
    steps = np.diff([live.frame.timestamp_s or 0.0 for live in frames])
    assert steps == pytest.approx([0.01, 0.01, 1.0, 0.01, 0.01, 1.0, 0.01])


def test_frames_without_times_come_at_the_given_rate_and_odd_times_are_mended(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "none", [None, None, None])
    frames, _ = played(PlayedRecording(recording, "rec", frames_per_s=100))
    assert np.diff([live.frame.timestamp_s or 0.0 for live in frames]) == pytest.approx([0.01, 0.01])
    # Time that runs back, and a pause of an hour.
    recording = write_recording(tmp_path / "odd", [5.0, 4.0, 3604.0])
    frames, _ = played(PlayedRecording(recording, "rec", speed=1000))
    assert np.diff([live.frame.timestamp_s or 0.0 for live in frames]) == pytest.approx([1 / 30, 1.0])


def test_it_waits_until_somebody_looks_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    begin, stop = threading.Event(), threading.Event()
    source = PlayedRecording(write_recording(tmp_path, [0.0, 0.01]), "rec", begin=begin)
    said: list[str] = []
    frames: list[LiveFrame] = []
    player = threading.Thread(target=lambda: frames.extend(source.frames(stop, said.append)))
    player.start()
    time.sleep(0.25)
    assert frames == [] and said == ["the recording begins when somebody looks"]
    begin.set()
    player.join(5)
    assert len(frames) == 2 and said[1] == ""
    stop.set()
    assert list(PlayedRecording(Recording(tmp_path), "rec", begin=threading.Event()).frames(stop, said.append)) == []


def test_a_damaged_frame_is_said_and_left_out(tmp_path: Path) -> None:
    recording = write_recording(tmp_path, [0.0, 0.01, 0.02])
    (tmp_path / "depth" / "000001.png").write_bytes(b"no picture")
    frames, said = played(PlayedRecording(recording, "rec"))
    assert [live.frame.name for live in frames] == ["000000", "000002"]
    assert any("000001.png" in text and text.startswith("left out") for text in said)


def test_a_focal_length_is_given_to_frames_without_a_camera(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "none", [0.0], camera=None)
    source = PlayedRecording(recording, "rec", focal_px=20.0)
    frames, _ = played(source)
    assert frames[0].frame.camera == Camera.from_focal_length(32, 24, 20.0)
    assert source.picture == ((32, 24), Camera.from_focal_length(32, 24, 20.0))
    known = PlayedRecording(write_recording(tmp_path / "known", [0.0]), "rec", focal_px=20.0)
    assert known.picture == ((32, 24), CAMERA), "the recording's own camera is believed"


def test_what_cannot_play_is_refused(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec", [0.0])
    with pytest.raises(FrameError, match="expected numbers above 0"):
        PlayedRecording(recording, "rec", speed=0)
    with pytest.raises(FrameError, match="focal length"):
        PlayedRecording(recording, "rec", focal_px=-1)
    with pytest.raises(FrameError, match="holds no frames"):
        PlayedRecording(write_recording(tmp_path / "empty", []), "rec")
    (tmp_path / "rec" / "depth" / "000000.png").unlink()
    with pytest.raises(FrameError, match="none of its 1 frames"):
        PlayedRecording(recording, "rec")
