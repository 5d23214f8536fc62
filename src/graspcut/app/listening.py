"""A port on this machine, and the server behind it."""

from __future__ import annotations

import socket
import sys
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

_MOST_SOCKET_MESSAGE_BYTES = 4096


class Listener:
    """Takes a port on 127.0.0.1, so that its address is known before the server runs.

    Args:
        port: 0 takes a free one.

    Attributes:
        address: where browsers find it.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise OSError(
                f"port {port} cannot be taken ({reason}); give another one: --port 0 takes a free one"
            ) from error
        # Browsers that come before the server has started wait instead of being refused.
        self._socket.listen(128)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._server: uvicorn.Server | None = None
        self._is_stopped = False

    def serve(self, app: FastAPI, *, open_browser: bool) -> None:
        """Serves until Ctrl-C or `stop`.

        Args:
            app: what answers.
            open_browser: also opens the page, if somebody sits at the terminal.
        """
        # Depth does not shrink in the time that there is; sockets are therefore not compressed.
        config = uvicorn.Config(
            app,
            log_level="warning",
            # uvicorn's own would end all handlers there are, and absl's (with TensorBoard) closes stderr when it ends.
            log_config=None,
            ws_per_message_deflate=False,
            ws_max_size=_MOST_SOCKET_MESSAGE_BYTES,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._server.should_exit = self._is_stopped
        if open_browser and sys.stdout.isatty():
            webbrowser.open(self.address)
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ends `serve`, from any thread, also before it has begun."""
        self._is_stopped = True
        if self._server is not None:
            self._server.should_exit = True
