"""The studio's pages: one document, whose scripts show what the address says."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

STATIC = Path(__file__).parents[1] / "static"
PATHS = ("/", "/clip", "/job/{id}", "/gallery", "/shared", "/login", "/about")

router = APIRouter(include_in_schema=False)


def _page() -> FileResponse:
    return FileResponse(
        STATIC / "index.html", media_type="text/html", headers={"Cache-Control": "no-cache"}
    )


def lost(request: Request) -> FileResponse | None:
    """The studio's document, which says that a page is not here; none for whoever wants no page."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if not wants_page or request.method not in ("GET", "HEAD"):
        return None
    if request.url.path.startswith(("/api/", "/static/")):
        return None
    page = _page()
    page.status_code = 404
    return page


for _path in PATHS:
    router.add_api_route(_path, _page, methods=["GET"], name=f"page {_path}")
