"""The live view's message and socket: what is sent to whom, how much at most, and what is refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")

from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from graspcut.app.audience import MOST_ON_THE_WAY, Audience
from graspcut.app.live_message import LiveMessage, decode, encode
from graspcut.app.live_server import create_live_app
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.live_sources import LiveFrame
from graspcut.segmentation.live import LiveResult, LiveSegmentation
from graspcut.segmentation.result import Segmentation
from tests.segmentation.live_material import HEIGHT, WIDTH, Nearest, Ticking

if TYPE_CHECKING:
    from starlette.testclient import WebSocketTestSession

URL = "http://127.0.0.1:8766"
SOCKET = "/api/frames"


def labelled(depth_mm: np.ndarray[Any, np.dtype[np.float32]], unit_mm: float = 0.125) -> LiveResult:
    labels = (depth_mm > 900).astype(np.uint8) * 2
    probabilities = np.stack([labels == label for label in range(3)]).astype(np.float32)
    frame = Frame(depth_mm, timestamp_s=1.5, notes=())
    return LiveResult(LiveFrame(7, frame, 10.0, unit_mm), Segmentation(labels, probabilities, depth_mm), 10.0125)


def test_a_message_holds_the_camera_s_own_steps_and_the_labels() -> None:
    steps = np.random.default_rng(0).integers(0, 16000, (37, 51)).astype(np.uint16)
    shown = labelled((steps * 0.125).astype(np.float32))
    message = encode(shown)
    read = decode(message)
    assert np.array_equal(read.depth_raw, steps) and np.array_equal(read.labels, shown.result.labels)
    assert (read.number, read.depth_unit_mm, read.timestamp_s, read.label_ms) == (7, 0.125, 1.5, 12.5)
    length = int.from_bytes(message[4:8], "little")
    assert message[:4] == b"GCL1" and (8 + length) % 8 == 0 and len(message) == 8 + length + 3 * 37 * 51
    header = json.loads(message[8 : 8 + length])
    assert (header["width"], header["height"]) == (51, 37)


def test_depth_beyond_sixteen_bits_is_no_data() -> None:
    depth = np.array([[8191.875, 8192.0, 9000.0, 0.0]], np.float32)
    assert decode(encode(labelled(depth))).depth_raw.tolist() == [[65535, 0, 0, 0]]


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: b"",
        lambda whole: b"GCL2" + whole[4:],
        lambda whole: whole[:-1],
        lambda whole: whole + b"0",
        lambda whole: whole[:4] + (10**6).to_bytes(4, "little") + whole[8:],
        lambda whole: whole.replace(b'"width"', b'"wiDth"'),
        lambda whole: whole[:8] + b"[" + whole[9:],
    ],
)
def test_a_damaged_message_is_refused(damaged: Any) -> None:
    with pytest.raises(FrameError):
        decode(damaged(encode(labelled(np.ones((4, 6), np.float32)))))


class Running:
    """A source that begins when somebody looks, its server, and a client."""

    def __init__(self, count: int, every_s: float) -> None:
        begin = threading.Event()
        self.live = LiveSegmentation(Ticking(count, every_s, begin=begin), Nearest(), independent=True)
        self.audience = Audience(self.live, "nearest", begin)
        self.client = TestClient(create_live_app(self.audience), base_url=URL)

    def connect(self, **headers: str) -> WebSocketTestSession:
        """Opens the socket; the client would name another host than ours."""
        return self.client.websocket_connect(SOCKET, headers={"host": "127.0.0.1:8766"} | headers)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running(2000, 0.004)
    with made.live, made.client:
        yield made


def frames_of(session: WebSocketTestSession, count: int) -> Iterator[LiveMessage]:
    """The next frames; what is said beside them is answered."""
    while count:
        received = session.receive()
        if received.get("bytes") is not None:
            count -= 1
            yield decode(received["bytes"])
        else:
            assert received.get("text") is not None, received
            session.send_json({"read": True})


def test_frames_come_as_fast_as_they_are_answered_and_none_twice(running: Running) -> None:
    numbers = []
    with running.connect() as session:
        for message in frames_of(session, 60):
            numbers.append(message.number)
            assert message.depth_raw[-1, -1] * 0.25 == 500 + message.number % 1000
            assert (message.labels[: HEIGHT // 2, 1:] == 1).all() and message.labels.shape == (HEIGHT, WIDTH)
            session.send_json({"drawn": [message.number]})
        said = running.client.get("/api/state").json()
    assert numbers == sorted(set(numbers))
    assert said["captured"] >= numbers[-1] and said["viewers"] == 1 and said["model"] == "nearest"
    time.sleep(0.1)
    assert running.client.get("/api/state").json()["viewers"] == 0, "a viewer that has gone is forgotten"


def test_to_a_viewer_that_does_not_answer_only_two_are_sent_and_nobody_else_notices(running: Running) -> None:
    with running.connect() as silent, running.connect() as quick:
        numbers = []
        for message in frames_of(quick, 80):
            numbers.append(message.number)
            quick.send_json({"drawn": [message.number]})
        first = [message.number for message in frames_of(silent, MOST_ON_THE_WAY)]
        # The third was never sent: what comes once it answers is what is newest then.
        silent.send_json({"drawn": first[:1], "left_out": first[1:]})
        third = next(frames_of(silent, 1)).number
        assert third > numbers[-1] - 5 and first[-1] < numbers[20]
    assert running.live.captured.count >= 80


def test_latency_is_counted_from_capture_to_the_answer(running: Running) -> None:
    with running.connect() as session:
        for message in frames_of(session, 5):
            time.sleep(0.03)
            session.send_json({"drawn": [message.number]})
        (viewer,) = running.audience.viewers
        end = time.monotonic() + 5
        while viewer.shown.count < 5 and time.monotonic() < end:
            time.sleep(0.01)
        said = running.audience.state(viewer)
    assert said["shown"] == 5 and 30 <= said["latency_ms"] < 2000 and said["latency_p95_ms"] >= said["latency_ms"]


def test_the_last_frame_of_a_recording_waits_for_who_comes_late() -> None:
    made = Running(3, 0.0)
    with made.live, made.client:
        with made.connect() as session:
            next(frames_of(session, 1))
        assert made.live.wait(10)
        with made.connect() as session:
            assert next(frames_of(session, 1)).number == 3
        assert made.client.get("/api/state").json()["state"] == "the recording is over"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8766"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
    ],
)
def test_sockets_of_other_pages_and_for_other_hosts_are_refused(running: Running, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), running.connect(**headers):
        pass
    assert running.audience.viewers == set() and running.live.captured.count == 0
    with running.connect(origin=URL) as session:
        assert next(frames_of(session, 1)).number >= 1


@pytest.mark.parametrize(
    "answer", ["{no json", "[]", '"drawn"', '{"drawn": 3}', json.dumps({"left_out": list(range(100))})]
)
def test_answers_without_sense_end_the_socket(running: Running, answer: str) -> None:
    with running.connect() as session:
        session.send_text(answer)
        with pytest.raises(WebSocketDisconnect) as end:
            for _ in range(20):
                received = session.receive()
                session._raise_on_close(received)
        assert end.value.code == 1007


def test_numbers_that_were_never_sent_count_for_nothing(running: Running) -> None:
    with running.connect() as session:
        first = next(frames_of(session, 1)).number
        session.send_json({"drawn": [999_999, "7", None, first, first]})
        for message in frames_of(session, 3):
            session.send_json({"drawn": [message.number]})
        (viewer,) = running.audience.viewers
        end = time.monotonic() + 5
        while viewer.shown.count < 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert viewer.shown.count == 4


def test_the_page_and_its_files(running: Running) -> None:
    page = running.client.get("/")
    assert "live.js" in page.text and "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("live.js", "live.css"):
        assert running.client.get(f"/static/{name}").status_code == 200
    for path in ("/static/review.js", "/static/../live_server.py", "/static/..%2fguard.py", "/api/frame/000001"):
        assert running.client.get(path).status_code == 404, path
    assert running.client.get("/", headers={"host": "evil.example"}).status_code == 403
