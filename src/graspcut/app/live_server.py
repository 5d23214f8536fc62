"""The server of the live view: one page, one socket, on 127.0.0.1, for browsers of this machine only (`guard.py`).

The socket sends frames (binary, `live_message.py`) and, twice a second, what is said beside them (text, JSON). The page
answers which frames it has drawn, and that it has read what was said: to a page that does not answer nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import anyio
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from graspcut.app.audience import Audience, Viewer
from graspcut.app.guard import add_page, guard, why_refused

_PAGE_FILES = {"live.js": "text/javascript", "live.css": "text/css"}
_STATE_EVERY_S = 0.5
# Of RFC 6455: the other side does what it must not; its data make no sense.
_POLICY, _SENSELESS = 1008, 1007


def create_live_app(audience: Audience) -> FastAPI:
    """The server of one live view."""
    app = FastAPI(title="GraspCut live", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(guard)
    add_page(app, "live.html", _PAGE_FILES)

    @app.get("/api/state")
    def state() -> dict[str, Any]:
        return audience.state()

    @app.websocket("/api/frames")
    async def frames(websocket: WebSocket) -> None:
        reason = why_refused(websocket.headers)
        if reason is not None:
            await websocket.close(_POLICY, reason)
            return
        await websocket.accept()
        viewer = Viewer()
        audience.enter(viewer)
        said = asyncio.Event()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_send_frames, websocket, audience, viewer)
                group.start_soon(_send_state, websocket, audience, viewer, said)
                is_sensible = await _listen(websocket, viewer, said)
                group.cancel_scope.cancel()
        finally:
            audience.leave(viewer)
        if not is_sensible:
            await websocket.close(_SENSELESS, "that was no answer")

    return app


async def _send_frames(websocket: WebSocket, audience: Audience, viewer: Viewer) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await viewer.wake.wait()
            viewer.wake.clear()
            message = audience.next_for(viewer)
            if message is not None:
                await websocket.send_bytes(message)


async def _send_state(websocket: WebSocket, audience: Audience, viewer: Viewer, said: asyncio.Event) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(json.dumps(audience.state(viewer)))
            await said.wait()
            said.clear()
            await asyncio.sleep(_STATE_EVERY_S)


async def _listen(websocket: WebSocket, viewer: Viewer, said: asyncio.Event) -> bool:
    """Takes the page's answers until it goes; returns whether they made sense."""
    try:
        while True:
            answer = json.loads(await websocket.receive_text())
            viewer.answered(answer)
            if answer.get("read") is True:
                said.set()
    except WebSocketDisconnect:
        return True
    except (ValueError, KeyError):  # a binary answer has no text
        return False
