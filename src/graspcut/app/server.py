"""The review server: FastAPI on 127.0.0.1, for browsers of this machine only (`guard.py`).

Frames are found by their names in the data set, never by paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from graspcut.app.guard import add_page, guard
from graspcut.app.review_queue import ReviewQueue
from graspcut.frames.errors import FrameError

_PAGE_FILES = {"review.js": "text/javascript", "review.css": "text/css"}

Identity = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class VerdictMessage(BaseModel):
    """A verdict as the page sends it."""

    id: Identity
    frame: Name
    verdict: Literal["accept", "discard"]
    reviewer: Name


class CarryMessage(BaseModel):
    """Corrections of a frame for the following ones."""

    id: Identity
    count: Annotated[int, Field(ge=1, le=1000)] = 10


def create_app(folder: str | Path) -> FastAPI:
    """The server of one dataset folder.

    Args:
        folder: The dataset folder.

    Raises:
        FrameError: If it is none.
    """
    queue = ReviewQueue(folder)
    app = FastAPI(title="GraspCut review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.queue = queue
    app.middleware("http")(guard)

    @app.exception_handler(KeyError)
    async def unknown(request: Request, error: KeyError) -> Response:
        return JSONResponse({"detail": "there is no such frame"}, 404)

    @app.exception_handler(FrameError)
    async def refused(request: Request, error: FrameError) -> Response:
        return JSONResponse({"detail": str(error)}, 422)

    add_page(app, "index.html", _PAGE_FILES)
    _add_frames(app, queue)
    _add_work(app, queue)
    return app


def _add_frames(app: FastAPI, queue: ReviewQueue) -> None:
    @app.get("/api/frame/{name}")
    def frame(name: str) -> dict[str, Any]:
        return queue.describe(name)

    @app.get("/api/frame/{name}/depth")
    def depth(name: str) -> Response:
        return Response(queue.depth_bytes(name), media_type="application/octet-stream")

    @app.get("/api/frame/{name}/label")
    def label(name: str) -> Response:
        return Response(queue.label_bytes(name), media_type="application/octet-stream")

    @app.get("/api/frame/{name}/colour")
    def colour(name: str) -> Response:
        data = queue.colour_bytes(name)
        if data is None:
            raise HTTPException(404, "this frame has no colour")
        return Response(data, media_type="image/jpeg")

    @app.put("/api/frame/{name}/label")
    async def save(name: str, request: Request) -> dict[str, bool]:
        queue.save_labels(name, await request.body())
        return {"saved": True}


def _add_work(app: FastAPI, queue: ReviewQueue) -> None:
    @app.get("/api/progress")
    def progress() -> dict[str, Any]:
        return queue.progress()

    @app.get("/api/next")
    def next_frame(reviewer: str, skip: str | None = None) -> dict[str, str | None]:
        return {"frame": queue.next_frame(reviewer[:64], skip)}

    @app.post("/api/verdict")
    def judge(message: VerdictMessage) -> dict[str, Any]:
        is_new = queue.judge(message.id, message.frame, message.verdict, message.reviewer)
        return {"stored": True, "new": is_new, **queue.progress()}

    @app.delete("/api/verdict/{identity}")
    def take_back(identity: str) -> dict[str, Any]:
        return {"removed": queue.take_back(identity), **queue.progress()}

    @app.post("/api/frame/{name}/carry")
    def carry(name: str, message: CarryMessage) -> dict[str, list[str]]:
        return {"changed": queue.carry(message.id, name, message.count)}

    @app.delete("/api/carry/{identity}")
    def carry_back(identity: str) -> dict[str, bool]:
        return {"removed": queue.carry_back(identity)}
