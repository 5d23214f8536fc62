"""`graspcut review`."""

from __future__ import annotations

import sys
from pathlib import Path


def review(dataset: Path, /, *, port: int = 8765, browser: bool = True) -> None:
    """Serves the review page of a dataset folder on this machine.

    Args:
        dataset: The dataset folder.
        port: On 127.0.0.1; 0 takes a free one.
        browser: Open the page in a browser.
    """
    import socket
    import webbrowser

    import uvicorn

    from graspcut.app.server import create_app

    app = create_app(dataset)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise OSError(
            f"port {port} is taken ({error.strerror}); give another one: --port 0 takes a free one"
        ) from error
    # Browsers that come before the server has started wait instead of being refused.
    listener.listen(128)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    print(f"review: {address} (Ctrl-C ends it; every verdict is saved at once)", flush=True)
    if browser and sys.stdout.isatty():
        webbrowser.open(address)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
