"""The studio's pages: one document, whose scripts show what the address says."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

STATIC = Path(__file__).parents[1] / "static"
PATHS = ("/", "/job/{id}", "/gallery", "/shared", "/login", "/about")

router = APIRouter(include_in_schema=False)


def _page() -> FileResponse:
    return FileResponse(
        STATIC / "index.html", media_type="text/html", headers={"Cache-Control": "no-cache"}
    )


for _path in PATHS:
    router.add_api_route(_path, _page, methods=["GET"], name=f"page {_path}")
