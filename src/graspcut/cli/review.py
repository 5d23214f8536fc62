"""`graspcut review`."""

from __future__ import annotations

from pathlib import Path


def review(dataset: Path, /, *, port: int = 8765, browser: bool = True) -> None:
    """Serves the review page of a dataset folder on this machine.

    Args:
        dataset: The dataset folder.
        port: On 127.0.0.1; 0 takes a free one.
        browser: Open the page in a browser.
    """
    from graspcut.app.listening import Listener
    from graspcut.app.server import create_app

    app = create_app(dataset)
    listener = Listener(port)
    print(f"review: {listener.address} (Ctrl-C ends it; every verdict is saved at once)", flush=True)
    listener.serve(app, open_browser=browser)
