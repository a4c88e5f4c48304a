"""The studio as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from impasto import __version__
from impasto.errors import OutputError
from impasto.web.child import only_one_at_once
from impasto.web.config import StudioOptions
from impasto.web.gate import Gate
from impasto.web.records import Records
from impasto.web.routes import (
    catalogue,
    jobs,
    operations,
    pages,
    pictures,
    presets,
    previews,
    results,
    session,
    shared,
)
from impasto.web.routes.asking import refused, say_no
from impasto.web.schema import Refusal
from impasto.web.security import COOKIE_AGE, CSRF_HEADER
from impasto.web.storage import Storage
from impasto.web.studio import Studio, Workers

THREADS = 24
"""Requests that look into records and files at once."""

DESCRIPTION = f"""Repaints photos in the style of paintings.

Begin with GET /api/me: it sets a cookie, which says whose pictures and jobs are whose, and answers
with the value that must come back in the header {CSRF_HEADER} with every POST, PUT, PATCH and
DELETE.
A studio with a password then wants POST /api/login. Programs may send
`Authorization: Bearer TOKEN` instead of both, with a token or the password of the studio.

A job: POST the photo to /api/pictures, wait with GET /api/pictures/ID?wait=10 until it is `ready`,
POST /api/jobs, follow /api/jobs/ID/events until the state is `done`, and take /api/jobs/ID/file.

Whatever is refused is answered with {{"detail": {{"code", "message", "field", "reason",
"values"}}}}; `reason` is what is wrong with an option, as a key, and `values` what belongs to it.
"""


def create_app(
    options: StudioOptions,
    make_workers: Callable[[StudioOptions, Records, Storage], Workers] | None = None,
    *,
    draw_ahead: bool = False,
) -> FastAPI:
    """The application of a studio. What it needs is opened when it starts.

    Args:
        options: the settings.
        make_workers: makes what paints and reads; by default the supervisor of real processes.
        draw_ahead: draw the thumbnails of all styles at the start instead of when asked for.

    Raises:
        ImpastoError: the data folder, the database or a file of secrets cannot be used.
    """
    storage = Storage(options.data)
    records = Records(options.database_url)
    workers = (make_workers or _supervisor)(options, records, storage)
    studio = Studio(options, records, storage, workers)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        studio.loop = asyncio.get_running_loop()
        with only_one_at_once(storage.lock("server")) as alone:
            try:
                if not alone:
                    raise OutputError(
                        f"{options.data}: another studio works there; close it, or choose another "
                        "--data folder"
                    )
                storage.clear_incoming()
                await workers.start()
            except Exception as error:
                app.state.fault = error
                raise
            drawing = asyncio.create_task(studio.built_in.draw_styles()) if draw_ahead else None
            try:
                yield
            finally:
                if drawing is not None:
                    drawing.cancel()
                studio.watching.close()
                await asyncio.gather(workers.stop(), studio.previews.close())
                studio.loop = None
                records.close()

    app = FastAPI(
        title="impasto studio",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        strict_content_type=True,
    )
    app.state.studio = studio
    for part in (
        session,
        catalogue,
        presets,
        previews,
        pictures,
        jobs,
        results,
        shared,
        operations,
        pages,
    ):
        app.include_router(part.router)
    if pages.STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    say_no(app, pages.lost)
    app.add_middleware(Gate, studio=lambda: studio, refused=refused)
    if options.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(options.proxies))
    _complete_schema(app, studio.guard.cookie_name)
    return app


def _supervisor(options: StudioOptions, records: Records, storage: Storage) -> Workers:
    from impasto.web.supervisor import Supervisor

    return Supervisor(options, records, storage)


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0] if route.tags else 'page'}_{route.name}"


def _complete_schema(app: FastAPI, cookie: str) -> None:
    """Says in the schema what a refusal is, how to sign in and what every change must carry."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = plain()
        refusal = Refusal.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= {**refusal.pop("$defs"), "Refusal": refusal}
        schema["components"]["securitySchemes"] = {
            "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": cookie,
                "description": f"Set by GET /api/me, for {COOKIE_AGE // 86400} days.",
            },
            "csrf": {
                "type": "apiKey",
                "in": "header",
                "name": CSRF_HEADER,
                "description": "`csrf` of GET /api/me; with every change.",
            },
            "bearer": {"type": "http", "scheme": "bearer", "description": "For programs."},
        }
        for path, methods in schema["paths"].items():
            if path in ("/healthz", "/api/me"):
                continue
            for method, operation in methods.items():
                own = {"cookie": []} if method == "get" else {"cookie": [], "csrf": []}
                operation["security"] = [own, {"bearer": []}]
        app.openapi_schema = schema
        return schema

    app.openapi = openapi
