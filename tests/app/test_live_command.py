"""`graspcut live` as a command: a recording that is over, what cannot be shown, and a camera pulled out meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")

from fastapi.testclient import TestClient

from graspcut.app.audience import Audience
from graspcut.app.listening import Listener
from graspcut.app.live_server import create_live_app
from graspcut.cli import main
from graspcut.frames import live_sources
from graspcut.frames.live_sources import RealSenseCamera
from graspcut.segmentation.live import LiveSegmentation
from tests.segmentation.live_material import Nearest


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(["live", "--no-browser", *([] if "--port" in arguments else ["--port", "0"]), *arguments])
    return int(end.value.code or 0)


def test_once_ends_with_the_recording_and_rerun_s_file_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="the extra view is not installed")
    file = tmp_path / "demo.rrd"
    assert run(["--source", "demo", "--once", "--independent", "--rerun-file", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("live: http://127.0.0.1:") and "24 frame(s) from demo_recording" in said.err
    assert file.stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--source", "nowhere"], "nowhere does not exist"),
        (["--source", "demo", "--port", "70000"], "--port 0 takes a free one"),
        (["--source", "demo", "--model", "nobody"], "nobody"),
        (["--source", "demo", "--loop", "--once"], "contradict each other"),
    ],
)
def test_what_cannot_be_shown_is_said_at_once(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == (2 if "--once" in arguments else 1)
    said = capsys.readouterr().err
    assert said.startswith("error: ") and expected in said and "Traceback" not in said


def test_without_a_camera_the_way_without_one_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyrealsense2", exc_type=ImportError, reason="the extra realsense is not installed")
    assert run([]) == 1
    said = capsys.readouterr().err
    assert "no RealSense camera is plugged in" in said and "graspcut live --source demo" in said


def test_stopping_before_it_serves_is_not_forgotten() -> None:
    listener = Listener(0)
    listener.stop()
    live = LiveSegmentation(_nothing(), Nearest())
    server = threading.Thread(
        target=lambda: listener.serve(create_live_app(Audience(live, "x")), open_browser=False), daemon=True
    )
    server.start()
    server.join(20)
    assert not server.is_alive()


def _nothing() -> live_sources.LiveSource:
    from tests.segmentation.live_material import Ticking

    return Ticking(0)


def test_a_camera_pulled_out_and_put_back_is_seen_on_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyrealsense2", exc_type=ImportError, reason="the extra realsense is not installed")
    from tests.importing.software_camera import HEIGHT, WIDTH, SoftwareCamera
    from tests.importing.test_live_camera import Port

    monkeypatch.setattr(live_sources, "_SILENT_S", 0.3)
    monkeypatch.setattr(live_sources, "_LOOK_AGAIN_S", 0.05)
    port = Port()
    live = LiveSegmentation(RealSenseCamera(port.find, width=WIDTH, height=HEIGHT), Nearest(), independent=True)
    client = TestClient(create_live_app(Audience(live, "nearest")), base_url="http://127.0.0.1:8766")

    def state() -> str:
        return str(client.get("/api/state").json()["state"])

    def until(condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.03)

    with live, client:
        time.sleep(0.2)
        port.give(range(1, 4))
        until(lambda: live.labelled.count >= 1 and state() == "", "frames, and nothing to say")
        port.camera = None
        until(lambda: "plug it in again" in state(), "its absence is said")
        seen = live.labelled.count
        port.camera = SoftwareCamera()
        time.sleep(0.3)
        port.give(range(10, 14))
        until(lambda: live.labelled.count > seen and state() == "", "it is found again")
