"""Recordings: what was appended is there, whatever happens to the recorder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.recording import Recording, RecordingWriter

UNIT = 0.1249866
DEPTH_CAMERA = Camera(30, 30, 16, 12, 32, 24, (0.14, 0.05, 0.004, 0.006, 0.1))
COLOUR_CAMERA = Camera(60, 60, 32, 24, 64, 48, translation_mm=(25.7, 0.57, 3.96))


def raw(index: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(index).integers(0, 9000, (24, 32)).astype(np.uint16)


def colour(index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def record(folder: Path, count: int, **options: Any) -> Path:
    with RecordingWriter(folder, DEPTH_CAMERA, UNIT, COLOUR_CAMERA, **options) as writer:
        for index in range(len(writer), len(writer) + count):
            writer.append(raw(index), colour(index), index / 30)
    return folder


def test_raw_streams_calibration_and_time_come_back_exactly(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "r", 3))
    assert len(recording) == 3
    assert recording.depth_unit_mm == UNIT
    assert recording.names == ["000000", "000001", "000002"]
    assert recording.timestamps_s == [0, 1 / 30, 2 / 30]
    for index in range(3):
        frame = recording[index]
        assert np.array_equal(recording.read_raw_depth(index), raw(index))
        assert frame.depth_mm == pytest.approx(raw(index) * UNIT, rel=1e-6)
        assert np.array_equal(frame.colour, colour(index))  # type: ignore[arg-type]
        assert (frame.camera, frame.colour_camera) == (DEPTH_CAMERA, COLOUR_CAMERA)
        assert frame.timestamp_s == index / 30
    assert recording.check() == []
    assert [frame.name for frame in recording[1:]] == ["000001", "000002"]
    with pytest.raises(IndexError):
        recording[3]


def test_jpeg_colour_is_close_and_depth_stays_exact(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(0, 128, 2, dtype=np.uint8)[None, :, None], (48, 1, 3))
    with RecordingWriter(tmp_path, None, UNIT, COLOUR_CAMERA, colour_format="jpeg") as writer:
        writer.append(raw(0), smooth)
    frame = Recording(tmp_path)[0]
    assert frame.colour is not None
    assert np.abs(frame.colour.astype(int) - smooth).max() <= 4
    assert np.array_equal(Recording(tmp_path).read_raw_depth(0), raw(0))


def test_depth_alone_without_calibration(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, None, 1.0) as writer:
        writer.append(raw(0))
    frame = Recording(tmp_path)[0]
    assert frame.camera is None
    assert frame.colour is None
    assert frame.timestamp_s is None


def test_frames_are_readable_while_recording(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, None, 1.0) as writer:
        assert len(Recording(tmp_path)) == 0
        writer.append(raw(0))
        assert np.array_equal(Recording(tmp_path).read_raw_depth(0), raw(0))
        writer.append(raw(1))
        assert len(Recording(tmp_path)) == 2


RECORDER = """
import sys
import numpy as np
from graspcut.frames.recording import RecordingWriter
writer = RecordingWriter(sys.argv[1], None, 1.0)
index = 0
while True:
    writer.append(np.full((240, 320), index + 501, np.uint16), np.full((240, 320, 3), 5, np.uint8), index / 30)
    index += 1
    print(index, flush=True)
"""


def test_a_killed_recorder_leaves_what_it_appended(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", RECORDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 5:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    recording = Recording(tmp_path)
    assert len(recording) >= 5
    for index in range(len(recording)):
        assert (recording.read_raw_depth(index) == index + 501).all()
    # Left over are at most the files of the one frame that was being written.
    assert all("stopped" in fault for fault in recording.check())
    with RecordingWriter(tmp_path, None, 1.0, resume=True) as writer:
        count = len(writer)
        writer.append(np.full((240, 320), 509, np.uint16))
    assert len(Recording(tmp_path)) == count + 1


def test_a_line_cut_in_the_middle_is_ignored_reported_and_mended(tmp_path: Path) -> None:
    index = record(tmp_path, 3) / "frames.jsonl"
    data = index.read_bytes()
    index.write_bytes(data[:-25])
    recording = Recording(tmp_path)
    assert len(recording) == 2
    faults = recording.check()
    assert "unfinished line" in faults[0]
    assert [fault[:17] for fault in faults[1:]] == ["depth/000002.png ", "colour/000002.png"]
    record(tmp_path, 1, resume=True)
    assert index.read_bytes() == data
    assert Recording(tmp_path).check() == []


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    path = record(tmp_path, 2) / "depth" / "000001.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    recording = Recording(tmp_path)
    assert recording[0].timestamp_s == 0
    with pytest.raises(FrameError, match=r"000001\.png has .* not those recorded"):
        recording[1]
    assert [fault[:12] for fault in recording.check()] == ["frame 000001"]


def test_swapped_and_missing_files_are_found(tmp_path: Path) -> None:
    record(tmp_path, 3)
    (tmp_path / "depth" / "000000.png").write_bytes((tmp_path / "depth" / "000002.png").read_bytes())
    (tmp_path / "colour" / "000001.png").unlink()
    faults = Recording(tmp_path).check()
    assert len(faults) == 2
    assert "not those recorded" in faults[0]
    assert "does not exist" in faults[1]


def test_time_running_back_is_reported(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, None, 1.0) as writer:
        writer.append(raw(0), timestamp_s=2.0)
        writer.append(raw(1), timestamp_s=1.5)
    assert Recording(tmp_path).check() == ["frame 000001: time runs back from 2.0 to 1.5 s"]


@pytest.mark.parametrize(
    ("depth", "picture", "words"),
    [
        (np.zeros((24, 32), np.float32), None, "came as float32; expected uint16"),
        (np.zeros((24, 32), np.uint8), None, "came as uint8"),
        (np.zeros((24, 31), np.uint16), None, r"\(24, 31\) but its camera is 32x24"),
        (np.zeros((24, 32), np.uint16), np.zeros((24, 32, 3), np.uint8), "expected 64x48"),
    ],
)
def test_what_could_not_be_read_is_not_recorded(tmp_path: Path, depth: Any, picture: Any, words: str) -> None:
    with RecordingWriter(tmp_path, DEPTH_CAMERA, UNIT, COLOUR_CAMERA) as writer, pytest.raises(FrameError, match=words):
        writer.append(depth, picture)
    assert len(Recording(tmp_path)) == 0


def test_a_recording_is_not_overwritten(tmp_path: Path) -> None:
    record(tmp_path, 1)
    with pytest.raises(FrameError, match="already holds a recording"):
        RecordingWriter(tmp_path, DEPTH_CAMERA, UNIT, COLOUR_CAMERA)
    with pytest.raises(FrameError, match="another camera, depth_unit_mm"):
        RecordingWriter(tmp_path, None, 1.0, COLOUR_CAMERA, resume=True)


def test_append_after_close_is_refused(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, None, 1.0) as writer:
        pass
    writer.close()
    with pytest.raises(FrameError, match="is closed"):
        writer.append(raw(0))


def test_damaged_headers_and_indices_are_named(tmp_path: Path) -> None:
    record(tmp_path / "a", 1)
    (tmp_path / "a" / "frames.jsonl").write_text('{"timestamp_s": 0}\n')
    with pytest.raises(FrameError, match=r"line 1 is damaged"):
        Recording(tmp_path / "a")[0]
    (tmp_path / "a" / "recording.json").write_text('{"format": "graspcut-recording", "version": 1}')
    with pytest.raises(FrameError, match="lacks the field 'depth_unit_mm'"):
        Recording(tmp_path / "a")
    (tmp_path / "a" / "recording.json").write_text("{}")
    with pytest.raises(FrameError, match="format None"):
        Recording(tmp_path / "a")
    with pytest.raises(FrameError, match="does not exist"):
        Recording(tmp_path / "b")


def test_what_counts_as_no_data_is_noted(tmp_path: Path) -> None:
    raw = np.full((12, 16), 900, np.uint16)
    raw[0, :4] = 65535
    with RecordingWriter(tmp_path / "r", None, 1.0) as writer:
        writer.append(raw)
    frame = Recording(tmp_path / "r")[0]
    assert (frame.depth_mm[0, :4] == 0).all() and any("4 pixels" in note.text for note in frame.notes or ())
