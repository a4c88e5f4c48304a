"""The page that shows the camera, for this computer only.

Its address has a key that nobody else knows: other users of the computer and other pages of the
browser cannot look.
"""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from impasto.images import Bitmap, encode_image
from impasto.live.mirror import Choice, Mirror
from impasto.web.serving import bind

HOST = "127.0.0.1"

PATIENCE = 5.0
"""Seconds that a question for the next picture waits."""

_TYPES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Chosen(BaseModel):
    """What the page asks for."""

    style: str
    strength: float = Field(ge=0, le=1)


def create_page(mirror: Mirror, styles: Sequence[str], key: str) -> FastAPI:
    """The page and what it asks for.

    Args:
        mirror: what to show.
        styles: to choose from.
        key: first part of all paths.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    routes = APIRouter(prefix=f"/{key}")

    def file(name: str) -> Response:
        data = resources.files("impasto.live").joinpath("static", name).read_bytes()
        return Response(data, media_type=_TYPES[name], headers=_HEADERS)

    @routes.get("/")
    def page() -> Response:
        return file("page.html")

    @routes.get("/page.css")
    def css() -> Response:
        return file("page.css")

    @routes.get("/page.js")
    def script() -> Response:
        return file("page.js")

    def told() -> dict[str, Any]:
        return {
            "styles": list(styles),
            "style": mirror.choice.style,
            "strength": mirror.choice.strength,
            "fault": mirror.fault,
            "ended": mirror.ended,
        }

    @routes.get("/state")
    def state() -> Response:
        return JSONResponse(told(), headers=_HEADERS)

    @routes.put("/state")
    def choose(chosen: Chosen) -> Response:
        if chosen.style not in styles:
            raise HTTPException(422, "there is no such style")
        mirror.choice = Choice(chosen.style, chosen.strength)
        return JSONResponse(told(), headers=_HEADERS)

    @routes.get("/picture")
    def picture(after: int = -1) -> Response:
        found = mirror.newest(after, PATIENCE)
        if found is None:
            return Response(status_code=204, headers=_HEADERS)
        about = {"X-Number": str(found.number), "X-Rate": f"{found.rate:.2f}"}
        if mirror.fault is not None:
            about["X-Fault"] = quote(mirror.fault)
        return Response(found.jpeg, media_type="image/jpeg", headers=_HEADERS | about)

    @routes.get("/snapshot")
    def snapshot() -> Response:
        found = mirror.newest()
        if found is None:
            raise HTTPException(404, "there is no picture yet")
        name = f"impasto-live-{found.number}.png"
        headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
        data = encode_image(Bitmap(found.pixels))
        return Response(data, media_type="image/png", headers=headers)

    app.include_router(routes)
    return app


class _Server(uvicorn.Server):
    """uvicorn, which says when it is there and lets go of those who wait when it ends."""

    def __init__(self, app: FastAPI, mirror: Mirror, announce: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._mirror, self._announce = mirror, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._mirror.close()
        await super().shutdown(sockets)


def show(mirror: Mirror, styles: Sequence[str], port: int, announce: Callable[[str], None]) -> None:
    """Shows the page until SIGINT or SIGTERM.

    Args:
        mirror: what to show; closed at the end.
        styles: to choose from.
        port: of this computer; 0: any.
        announce: called with the page's address once it answers.

    Raises:
        OptionError: the port is taken.
    """
    key = secrets.token_urlsafe(12)
    with bind(HOST, port) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}/{key}/"
        server = _Server(create_page(mirror, styles, key), mirror, lambda: announce(address))
        # uvicorn sends them to itself again when it is done; the end is in order then.
        stopping = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, lambda *_: None) for number in stopping}
        try:
            server.run(sockets=[listening])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
