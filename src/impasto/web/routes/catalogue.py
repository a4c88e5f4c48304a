"""What there is to choose from: options, built-in styles and sample photos."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse

from impasto.samples import describe_sample, sample_names
from impasto.styles import describe, style_names
from impasto.web.entities import MissingError
from impasto.web.forms import options_form
from impasto.web.routes.asking import StudioHere, file_answer, refusals
from impasto.web.schema import BuiltIn, OptionsOut

router = APIRouter(prefix="/api", tags=["catalogue"])
_NameInPath = Annotated[str, Path(pattern=r"^[a-z][a-z-]{0,39}$")]
_PICTURE = file_answer("image/webp")
# Drawn by this version of impasto; another one is another address's business.
_KEEP = {"Cache-Control": "private, max-age=86400"}


@router.get("/options", responses=refusals(), summary="Every option of a job")
def options(studio: StudioHere) -> OptionsOut:
    """The schema, what belongs together, presets, papers and defaults."""
    return options_form(studio.options.max_size, studio.options.max_evaluations)


@router.get("/styles", responses=refusals(), summary="The built-in styles")
def styles() -> list[BuiltIn]:
    """Pictures that impasto draws by itself, to paint in the style of."""
    return [_built_in("style", name, describe(name)) for name in style_names()]


@router.get("/samples", responses=refusals(), summary="The sample photos")
def samples() -> list[BuiltIn]:
    """Photos that come with impasto, to try a style without one of one's own."""
    return [_built_in("sample", name, describe_sample(name)) for name in sample_names()]


@router.get(
    "/styles/{name}/thumb",
    responses=refusals(404, 422, 507) | _PICTURE,
    response_class=FileResponse,
    summary="A built-in style, small",
)
async def style_thumb(name: _NameInPath, studio: StudioHere) -> FileResponse:
    """At most 320 px."""
    return await _picture(studio, "style", name, large=False)


@router.get(
    "/styles/{name}/view",
    responses=refusals(404, 422, 507) | _PICTURE,
    response_class=FileResponse,
    summary="A built-in style",
)
async def style_view(name: _NameInPath, studio: StudioHere) -> FileResponse:
    """At the size that a job sees."""
    return await _picture(studio, "style", name, large=True)


@router.get(
    "/samples/{name}/thumb",
    responses=refusals(404, 422, 507) | _PICTURE,
    response_class=FileResponse,
    summary="A sample photo, small",
)
async def sample_thumb(name: _NameInPath, studio: StudioHere) -> FileResponse:
    """At most 320 px."""
    return await _picture(studio, "sample", name, large=False)


@router.get(
    "/samples/{name}/view",
    responses=refusals(404, 422, 507) | _PICTURE,
    response_class=FileResponse,
    summary="A sample photo",
)
async def sample_view(name: _NameInPath, studio: StudioHere) -> FileResponse:
    """As large as it is."""
    return await _picture(studio, "sample", name, large=True)


async def _picture(studio: StudioHere, kind: str, name: str, *, large: bool) -> FileResponse:
    if name not in (style_names() if kind == "style" else sample_names()):
        raise MissingError(f"no built-in {kind} is called {name}")
    file = await studio.built_in.get(kind, name, large=large)
    return FileResponse(file, media_type="image/webp", headers=_KEEP)


def _built_in(kind: str, name: str, description: str) -> BuiltIn:
    address = f"/api/{kind}s/{name}"
    return BuiltIn(
        name=name,
        title=name.replace("-", " ").capitalize(),
        description=description,
        source=f"{kind}:{name}",
        thumb=f"{address}/thumb",
        view=f"{address}/view",
    )
