"""Recording and importing through pyrealsense2 itself: its software device stands in for a camera."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.capture import record
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.realsense import open_realsense
from graspcut.frames.importing.run import import_streams
from graspcut.frames.importing.stream import StreamFrame
from graspcut.frames.preview import Preview
from graspcut.frames.recording import Recording
from tests.importing.software_camera import SoftwareCamera, rs


def numbers(count: int, skip: int | None = None) -> Iterator[int]:
    return (number for number in range(1, count + 1) if number != skip)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What librealsense itself records of twelve frames, of which the camera missed number 6."""
    path = tmp_path_factory.mktemp("realsense") / "camera.db3"
    camera = SoftwareCamera()
    recorder = rs.recorder(str(path), camera.device)
    sensors = recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(lambda frame: None)
    for number in numbers(12, skip=6):
        camera.give(number)
        time.sleep(0.01)
    time.sleep(0.2)
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    del recorder, sensors
    return path


def test_a_file_of_the_library_is_imported_whole(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["import", str(file), "--out", str(tmp_path / "rec")])
    said = capsys.readouterr()
    assert not end.value.code, said.err
    assert "11 (the source has 11)" in said.out and "missed 1 depth frame(s)" in said.out
    assert "about 1 frame(s) missing" in said.err
    recording = Recording(tmp_path / "rec")
    assert recording.check() == [] and recording.depth_unit_mm == pytest.approx(0.125)
    given = [int(recording.read_raw_depth(index)[0, 0]) - 4000 for index in range(len(recording))]
    assert given == list(numbers(12, skip=6))
    pictures = [recording[index].colour for index in range(len(recording))]
    assert [int(picture[0, 0, 0]) for picture in pictures if picture is not None] == given
    camera, beside = recording.camera, recording.colour_camera
    assert camera is not None and beside is not None
    assert camera.fx == pytest.approx(48.0) and camera.distortion[:2] == pytest.approx((0.1, 0.02))
    assert beside.translation_mm == pytest.approx((25.7, 0.0, 4.0), abs=1e-3)


def test_a_short_copy_is_noticed(file: Path, tmp_path: Path) -> None:
    stream = open_realsense(file)
    stream.expected = 20
    report = import_streams([stream], tmp_path / "rec")
    assert report.missing == 9 and not report.is_whole
    with pytest.raises(FrameError, match="does not exist"):
        open_realsense(tmp_path / "missing.db3")


def test_a_camera_is_recorded(tmp_path: Path) -> None:
    camera = SoftwareCamera()
    seen: list[int] = []

    def show(frame: StreamFrame, written: int, dropped: int) -> None:
        seen.append(written)

    def give() -> None:
        time.sleep(0.3)
        for number in numbers(20, skip=5):
            camera.give(number)
            time.sleep(0.01)

    thread = threading.Thread(target=give)
    thread.start()
    report = record(camera.device, tmp_path / "rec", seconds=1.5, colour_jpeg=False, show=show)
    thread.join()
    assert (report.frames, report.dropped, report.missed) == (19, 0, 1)
    assert seen == list(range(1, 20)) and report.with_colour == 19
    recording = Recording(tmp_path / "rec")
    assert recording.check() == []
    assert [int(recording.read_raw_depth(index)[0, 0]) - 4000 for index in range(19)] == list(numbers(20, skip=5))
    assert json.loads((tmp_path / "rec" / "capture.json").read_text())["missed"] == 1


def test_a_slow_disk_holds_nothing_up_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graspcut.frames.importing.realsense._QUEUE_FRAMES", 4)
    camera = SoftwareCamera()
    longest: list[float] = []

    def give() -> None:
        time.sleep(0.3)
        for number in numbers(30):
            started = time.monotonic()
            camera.give(number)
            longest.append(time.monotonic() - started)
            time.sleep(0.005)

    thread = threading.Thread(target=give)
    thread.start()
    report = record(camera.device, tmp_path / "rec", seconds=2.0, show=lambda *_: time.sleep(0.15))
    thread.join()
    assert report.dropped > 0 and 0 < report.frames < 30
    assert max(longest) < 0.14, "the camera never waited for the disk"
    assert len(Recording(tmp_path / "rec")) == report.frames


def test_no_camera_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if len(rs.context().query_devices()):
        pytest.skip("a RealSense camera is plugged in")
    with pytest.raises(SystemExit) as end:
        main(["record", str(tmp_path / "rec")])
    assert end.value.code == 1 and "no RealSense camera" in capsys.readouterr().err


def test_the_preview_shows_pictures_on_this_machine_only() -> None:
    with Preview() as preview:
        assert preview.address.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(preview.address, timeout=5).read()
        assert b"/live" in page
        with urllib.request.urlopen(f"{preview.address}live", timeout=5) as live:
            preview.show(np.full((8, 8, 3), 90, np.uint8))
            assert b"Content-Type: image/jpeg" in live.read(90)
