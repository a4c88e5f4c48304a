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


def _show(kind: str, what: str, *, large: bool, size: str) -> None:
    """Adds the route of the built-in pictures of a kind at one size."""

    async def picture(name: _NameInPath, studio: StudioHere) -> FileResponse:
        if name not in (style_names() if kind == "style" else sample_names()):
            raise MissingError(f"no built-in {kind} is called {name}")
        file = await studio.built_in.get(kind, name, large=large)
        return FileResponse(file, media_type="image/webp", headers=_KEEP)

    part = "view" if large else "thumb"
    router.add_api_route(
        f"/{kind}s/{{name}}/{part}",
        picture,
        name=f"{kind}_{part}",
        responses=refusals(404, 422, 507) | _PICTURE,
        response_class=FileResponse,
        summary=what if large else f"{what}, small",
        description=size,
    )


for _kind, _what, _size in (
    ("style", "A built-in style", "At the size that a job sees."),
    ("sample", "A sample photo", "As large as it is."),
):
    _show(_kind, _what, large=False, size="At most 320 px.")
    _show(_kind, _what, large=True, size=_size)


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
