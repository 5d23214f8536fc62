"""Downloads from a server of our own: whole, resumed, checked, refused. Nothing here leaves this machine."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graspcut.cli import main
from graspcut.nn.fetching import FetchError, fetch
from graspcut.nn.published_weights import PUBLISHED_WEIGHTS, PublishedWeights, published

CONTENT = bytes(range(256)) * 12_000
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()[:8]


class Server:
    """Gives CONTENT; `breaks_after` bytes it hangs up once, and it may not know ranges."""

    def __init__(self) -> None:
        self.breaks_after: int | None = None
        self.knows_ranges = True
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.knows_ranges else 0
        if first >= len(CONTENT):
            request.send_error(416)
            return
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(CONTENT) - first))
        request.end_headers()
        end, self.breaks_after = self.breaks_after or len(CONTENT), None
        request.wfile.write(CONTENT[first:end])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def weights_at(server: Server, checksum: str = CHECKSUM) -> PublishedWeights:
    return PublishedWeights("mine", f"{server.address}/net-{checksum}.pth", 3, "MIT", "nobody")


def test_a_file_is_fetched_once_and_whole(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = fetch(weights_at(server), tmp_path / "new" / "folder", lambda done, total: told.append((done, total)))
    assert path.name == f"net-{CHECKSUM}.pth" and path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT)) and told == sorted(told)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert fetch(weights_at(server), path.parent) == path
    assert len(server.asked) == 1, "what is there is not asked for again"


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_goes_on(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    server.breaks_after, server.knows_ranges = 1_500_000, knows_ranges
    with pytest.raises(FetchError, match="the same command goes on"):
        fetch(weights_at(server), tmp_path)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part") and 0 < part.stat().st_size <= 1_500_000
    assert fetch(weights_at(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[1] is not None and server.asked[1].startswith("bytes=")


def test_a_part_that_is_complete_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"net-{CHECKSUM}.pth.part").write_bytes(CONTENT)
    assert fetch(weights_at(server), tmp_path).read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"begins with {CHECKSUM}, expected 00000000"):
        fetch(weights_at(server, "00000000"), tmp_path)
    assert list(tmp_path.iterdir()) == [], "what is wrong is not gone on with"
    damaged = tmp_path / f"net-{CHECKSUM}.pth"
    damaged.write_bytes(CONTENT[:-1])
    with pytest.raises(FetchError, match="Delete it"):
        fetch(weights_at(server), tmp_path)


def test_no_connection_is_told_with_the_way_around(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = PublishedWeights(
            "mine", f"http://127.0.0.1:{free.getsockname()[1]}/a-00000000.pth", 1, "MIT", "nobody"
        )
        with pytest.raises(FetchError, match=r"could not be read .* put it at .*a-00000000.pth"):
            fetch(nobody, tmp_path)


def test_every_source_is_https_and_names_its_checksum() -> None:
    assert len({entry.name for entry in PUBLISHED_WEIGHTS}) == len(PUBLISHED_WEIGHTS)
    for entry in PUBLISHED_WEIGHTS:
        assert entry.url.startswith("https://") and len(entry.checksum_start) == 8, entry.name
        assert int(entry.checksum_start, 16) and entry.licence and entry.fits and entry.megabytes > 50
    assert published("resnet50").checksum_start == "0676ba61" and published("vgg16").file_name == "vgg16-397923af.pth"
    with pytest.raises(ValueError, match="choose of resnet50, "):
        published("resnet5")


def test_the_command_names_sources_and_downloads_only_when_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(SystemExit) as end:
        main(["fetch-weights"])
    said = capsys.readouterr().out
    assert not end.value.code and all(entry.url in said for entry in PUBLISHED_WEIGHTS) and "ImageNet" in said
    with pytest.raises(SystemExit) as end:
        main(["fetch-weights", "--download"])
    assert end.value.code == 1 and "name the weights" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr("graspcut.nn.published_weights.PUBLISHED_WEIGHTS", (weights_at(server),))
    with pytest.raises(SystemExit) as end:
        main(["fetch-weights", "mine", "--download", "--out", str(tmp_path)])
    assert not end.value.code and str(tmp_path / f"net-{CHECKSUM}.pth") in capsys.readouterr().out
