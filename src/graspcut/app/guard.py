"""What every server of this package refuses, and how its pages are sent.

Pages of other sites can send requests to this machine too, and open sockets to it; so both must name this machine as
their host, and come from this server's own page where they say where they come from. Browsers always say it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.datastructures import Headers

MOST_BODY_BYTES = 8 * 2**20
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def why_refused(headers: Headers) -> str | None:
    """Why a request or a socket is refused by where it comes from and whom it wants; None if it is not."""
    if not _is_this_machine(headers.get("host", "")):
        return "this server answers to 127.0.0.1 and localhost only"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return "requests of other pages are refused"
    return None


async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Host, origin and size of every request, before anything else. Middleware; sockets do not pass it."""
    reason = why_refused(request.headers)
    if reason is not None:
        return Response(reason, 403)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BODY_BYTES:
        return Response(f"a body may have {MOST_BODY_BYTES} bytes", 413)
    if "transfer-encoding" in request.headers:
        return Response("a body needs its length", 411)
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response


def _is_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name in _HOSTS


def add_page(app: FastAPI, page: str, beside: Mapping[str, str]) -> None:
    """Serves a page at / and its files at /static/.

    Args:
        app: the server.
        page: name of the page in `graspcut/app/static`.
        beside: names of the files that belong to it, and their media types.
    """
    static = files("graspcut.app") / "static"

    @app.get("/")
    def page_itself() -> Response:
        return Response((static / page).read_text(encoding="utf-8"), media_type="text/html")

    @app.get("/static/{name}")
    def page_file(name: str) -> Response:
        if name not in beside:
            raise HTTPException(404, "there is no such file")
        return Response((static / name).read_text(encoding="utf-8"), media_type=beside[name])
