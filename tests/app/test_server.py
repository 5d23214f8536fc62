"""The review server through its HTTP interface: verdicts, labels, carrying, several reviewers, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")

from fastapi.testclient import TestClient

from graspcut.annotate.carrying import ORIGINALS_FOLDER
from graspcut.app.guard import MOST_BODY_BYTES
from graspcut.app.server import create_app
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.verdicts import accepted_frames
from graspcut.labels import HAND, OBJECT
from tests.app.review_data import write_annotated

URL = "http://127.0.0.1:8765"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_annotated(tmp_path)


@pytest.fixture
def client(dataset: Path) -> Iterator[TestClient]:
    with TestClient(create_app(dataset), base_url=URL) as opened:
        yield opened


def judge(client: TestClient, number: int, verdict: str = "accept", reviewer: str = "ann", identity: str = "") -> int:
    body = {"id": identity or f"verdict-{number}", "frame": f"{number:06d}", "verdict": verdict, "reviewer": reviewer}
    return int(client.post("/api/verdict", json=body).status_code)


def next_of(client: TestClient, reviewer: str, skip: str = "") -> str | None:
    answer = client.get("/api/next", params={"reviewer": reviewer} | ({"skip": skip} if skip else {}))
    frame: str | None = answer.json()["frame"]
    return frame


def test_the_most_doubtful_frame_comes_first_and_reviewers_do_not_meet(client: TestClient) -> None:
    assert next_of(client, "ann") == "000005"
    assert next_of(client, "ann") == "000005", "asked again, the same"
    assert next_of(client, "bob") == "000002"
    assert next_of(client, "ann", skip="000005") == "000000"
    assert judge(client, 5) == 200
    assert next_of(client, "ann") != "000005"
    others = {next_of(client, f"reviewer-{number}") for number in range(4)}
    assert len(others) == 4


def test_verdicts_are_stored_at_once_and_once(client: TestClient, dataset: Path) -> None:
    assert judge(client, 1) == judge(client, 1) == 200, "sent twice because an answer was lost"
    assert judge(client, 2, "discard") == 200
    progress = client.get("/api/progress").json()
    assert (progress["reviewed"], progress["accepted"], progress["frames"]) == (2, 1, 12)
    assert progress["frames_per_minute"] > 0
    assert accepted_frames(dataset, DatasetReader(dataset).names) == ["000001"]
    assert client.get("/api/frame/000002").json()["verdict"] == "discard"
    assert client.delete("/api/verdict/verdict-2").json()["removed"]
    assert client.get("/api/frame/000002").json()["verdict"] is None
    # Another server over the same folder knows them.
    with TestClient(create_app(dataset), base_url=URL) as other:
        assert other.get("/api/progress").json()["reviewed"] == 1


def test_frames_are_what_the_files_hold(client: TestClient, dataset: Path) -> None:
    reader = DatasetReader(dataset)
    facts = client.get("/api/frame/000003").json()
    assert (facts["width"], facts["height"], facts["has_colour"]) == (160, 120, True)
    depth = np.frombuffer(client.get("/api/frame/000003/depth").content, "<u2").reshape(120, 160)
    assert np.array_equal(depth, np.rint(reader[3].frame.depth_mm * 10))
    labels = np.frombuffer(client.get("/api/frame/000003/label").content, np.uint8).reshape(120, 160)
    assert np.array_equal(labels, reader[3].labels)
    assert client.get("/api/frame/000003/colour").headers["content-type"] == "image/jpeg"


def test_labels_are_saved_and_the_first_ones_kept(client: TestClient, dataset: Path) -> None:
    before = DatasetReader(dataset)[4].labels
    painted = before.copy()
    painted[10:20, 10:20] = OBJECT
    assert client.put("/api/frame/000004/label", content=painted.tobytes()).json() == {"saved": True}
    assert np.array_equal(DatasetReader(dataset)[4].labels, painted)
    assert client.put("/api/frame/000004/label", content=np.zeros_like(before).tobytes()).status_code == 200
    kept = dataset / ORIGINALS_FOLDER / "000004.png"
    from graspcut.frames.images import read_single_channel

    assert np.array_equal(read_single_channel(kept, what="label map"), before)
    assert DatasetReader(dataset).check() == []


def test_malformed_masks_and_messages_are_refused(client: TestClient, dataset: Path) -> None:
    before = (dataset / "label" / "000004.png").read_bytes()
    for body in (b"", b"x" * 10, bytes([7]) * (160 * 120)):
        answer = client.put("/api/frame/000004/label", content=body)
        assert answer.status_code == 422 and answer.json()["detail"]
    assert (dataset / "label" / "000004.png").read_bytes() == before
    good = {"id": "verdict-1", "frame": "000001", "verdict": "accept", "reviewer": "ann"}
    for change in ({"verdict": "maybe"}, {"id": "x"}, {"id": "../../etc/passwd"}, {"reviewer": ""}, {"frame": 3}):
        assert client.post("/api/verdict", json=good | change).status_code == 422
    assert client.post("/api/verdict", content=b"{no json").status_code == 422
    assert client.get("/api/progress").json()["reviewed"] == 0


def test_paths_outside_are_not_found(client: TestClient) -> None:
    for path in (
        "/api/frame/..%2f..%2fetc%2fpasswd/label",
        "/api/frame/000099/depth",
        "/static/..%2fserver.py",
        "/static/../review_queue.py",
        "/static/index.html.bak",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
    ):
        assert client.get(path).status_code == 404, path
    body = {"id": "verdict-1", "frame": "../000001", "verdict": "accept", "reviewer": "ann"}
    assert client.post("/api/verdict", json=body).status_code == 404


def test_foreign_hosts_and_origins_and_large_bodies_are_refused(client: TestClient, dataset: Path) -> None:
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"host": host}).status_code == 403, host
    assert client.get("/", headers={"host": "localhost:8765"}).status_code == 200
    body = {"id": "verdict-1", "frame": "000001", "verdict": "accept", "reviewer": "ann"}
    for origin in ("https://evil.example", "http://127.0.0.1:9999", "null"):
        answer = client.post("/api/verdict", json=body, headers={"origin": origin})
        assert answer.status_code == 403, origin
    assert client.get("/api/progress").json()["reviewed"] == 0
    assert client.post("/api/verdict", json=body, headers={"origin": URL}).status_code == 200
    large = client.put("/api/frame/000001/label", content=b"x", headers={"content-length": str(MOST_BODY_BYTES + 1)})
    assert large.status_code == 413

    def endless() -> Iterator[bytes]:
        yield b"x" * 100

    assert client.put("/api/frame/000001/label", content=endless()).status_code == 411, "no length given"
    headers = client.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]


def test_corrections_are_carried_along_the_flow(client: TestClient, dataset: Path) -> None:
    reader = DatasetReader(dataset)
    first, following = reader[3].labels, [reader[number].labels for number in range(4, 12)]
    painted = first.copy()
    # The left half of the arm becomes object; the arm moves in the following frames.
    rows, columns = np.nonzero(first == HAND)
    left = columns < np.median(columns[rows > 80])
    painted[rows[left], columns[left]] = OBJECT
    client.put("/api/frame/000003/label", content=painted.tobytes())
    answer = client.post("/api/frame/000003/carry", json={"id": "carry-0001", "count": 3}).json()
    assert answer["changed"] == ["000004", "000005", "000006"]
    for number, before in zip((4, 5, 6), following, strict=False):
        after = DatasetReader(dataset)[number].labels
        changed = after != before
        assert (before[changed] == HAND).all() and (after[changed] == OBJECT).all(), (
            "on the hand only, not pasted in place"
        )
        assert 0.3 < np.count_nonzero(changed) / np.count_nonzero(painted != first) < 1.2
    assert np.array_equal(DatasetReader(dataset)[7].labels, following[3])
    assert client.post("/api/frame/000003/carry", json={"id": "carry-0001", "count": 3}).json() == answer
    assert client.delete("/api/carry/carry-0001").json()["removed"]
    assert np.array_equal(DatasetReader(dataset)[4].labels, following[0])
    assert not client.delete("/api/carry/carry-0001").json()["removed"]


def test_plain_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError):
        create_app(tmp_path)
    dataset = write_annotated(tmp_path)
    (dataset / "quality.json").write_text(json.dumps({"frames": "garbled"}))
    with TestClient(create_app(dataset), base_url=URL) as client:
        assert next_of(client, "ann") == "000000"
