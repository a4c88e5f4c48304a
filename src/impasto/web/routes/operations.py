"""What the host of a studio looks at: health, measures, and the reference of the interface."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.web.routes.asking import StudioHere, refusals
from impasto.web.schema import Health

router = APIRouter(tags=["operations"])
_REFERENCE = Path(__file__).parents[1] / "reference"


@router.get(
    "/healthz",
    response_model=Health,
    responses={503: {"model": Health, "description": "Something does not work."}},
    summary="Whether the studio works",
)
async def health(studio: StudioHere) -> JSONResponse:
    """Records, disk, reader and painters. Asked without signing in, and by any name."""
    records = await anyio.to_thread.run_sync(studio.records_work)
    try:
        room = studio.has_room()
    except ImpastoError:
        room = False
    found = studio.workers.health()
    ok = records and room and found["reader"] and "down" not in found["painters"].values()
    answer = Health(
        status="ok" if ok else "degraded",
        version=__version__,
        records=records,
        room=room,
        reader=found["reader"],
        painters=found["painters"],
    )
    headers = {"Cache-Control": "no-store"}
    return JSONResponse(answer.model_dump(), 200 if ok else 503, headers)


@router.get(
    "/metrics",
    responses=refusals(507)
    | {
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "The measures.",
        }
    },
    response_class=PlainTextResponse,
    summary="Measures for Prometheus",
)
def metrics(studio: StudioHere) -> Response:
    """In Prometheus's text format. A studio with a password asks for it, or for a token."""
    painters = studio.workers.health()["painters"]
    text = studio.metrics.text(
        studio.records.counts(), studio.storage.free_bytes(), painters, studio.live.encoded
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> JSONResponse:
    """The OpenAPI schema of the interface."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", include_in_schema=False)
def docs() -> FileResponse:
    """The reference of the interface as a page."""
    return FileResponse(_REFERENCE / "reference.html", media_type="text/html")


@router.get("/docs/{name}", include_in_schema=False)
def docs_part(name: str) -> Response:
    """What that page loads."""
    if name == "reference.js":
        return FileResponse(_REFERENCE / name, media_type="text/javascript")
    if name == "reference.css":
        return FileResponse(_REFERENCE / name, media_type="text/css")
    return PlainTextResponse("not found", 404)
