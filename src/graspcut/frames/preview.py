"""A live preview on 127.0.0.1: pictures one after the other in a browser (multipart JPEG), at the rate they come."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.images import encode_image

_BOUNDARY = "graspcut-frame"
_PAGE = b"<!doctype html><title>GraspCut preview</title><body style='margin:0;background:#111'><img src='/live'></body>"


class Preview:
    """Serves the last picture that was shown; use it as a context manager.

    Args:
        port: On 127.0.0.1; 0 takes a free one.

    Attributes:
        address: Where a browser finds it.
    """

    def __init__(self, port: int = 0) -> None:
        self._picture = b""
        self._changed = threading.Condition()
        self._last = 0.0
        preview = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                preview._answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing: the terminal shows the recording's progress."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def show(self, picture: NDArray[np.uint8], at_most_per_s: float = 10.0) -> None:
        """Makes an RGB picture the one that is seen; too frequent ones are left out."""
        now = time.monotonic()
        if now - self._last < 1 / at_most_per_s:
            return
        self._last = now
        data = encode_image(picture, ".jpg", name="preview")
        with self._changed:
            self._picture = data
            self._changed.notify_all()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if request.path != "/live":
            request.send_header("Content-Type", "text/html; charset=utf-8")
            request.end_headers()
            request.wfile.write(_PAGE)
            return
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.end_headers()
        data = b""
        try:
            while True:
                with self._changed:
                    # What was shown before this browser came is seen at once, and all five seconds again, so that one
                    # that has gone is noticed.
                    seen = data
                    self._changed.wait_for(lambda: self._picture is not seen, timeout=5)  # noqa: B023
                    data = self._picture
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                request.wfile.write(head.encode() + data + b"\r\n")
        except OSError:
            pass  # the browser has gone

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
