"""Quick previews: what a photo would look like, by one pass of a transfer network."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from fastapi.responses import Response

from impasto.options import make_options
from impasto.samples import sample_path
from impasto.styles import style_names
from impasto.web.entities import MissingError, Picture
from impasto.web.forms import check_request
from impasto.web.previews import Kind
from impasto.web.routes.asking import (
    StudioHere,
    VisitorHere,
    file_answer,
    find_pictures,
    refusals,
)
from impasto.web.schema import JobRequest, Source
from impasto.web.studio import Studio

MAX_TILES = 48
"""Most styles on one sheet."""

SEEN_OPTIONS = frozenset(
    {
        *("strength", "style_weights", "style_scale", "regions"),
        *("color", "color_strength", "color_method", "color_space"),
        *("print", "print_fit", "dpi"),
    }
)
"""Options that a preview shows; whatever else they are, the picture is the same."""

router = APIRouter(prefix="/api/previews", tags=["previews"])
_JPEG = file_answer("image/jpeg")
_KEEP = {"Cache-Control": "private, max-age=600"}


@router.get(
    "/sheet",
    responses=refusals(404, 409, 422) | _JPEG,
    response_class=Response,
    summary="A photo in many styles",
)
async def sheet(
    studio: StudioHere,
    visitor: VisitorHere,
    photo: Annotated[Source, Query()],
    style: Annotated[
        list[Source] | None,
        Query(max_length=MAX_TILES, description="In this order; by default all built-in ones."),
    ] = None,
) -> Response:
    """Square tiles of 192 px, six in a row, in the order of the styles: those of GET /api/styles
    where none are given. 404 where the studio has no previews of them, 503 where there are none
    just now; 409 where the same visitor has asked for another sheet of this kind meanwhile.
    """
    styles = style or [f"style:{name}" for name in style_names()]
    _check_there(studio, styles)
    wanted = {"photo": photo, "styles": styles}
    found = await anyio.to_thread.run_sync(find_pictures, studio.records, visitor.owner, wanted)
    order = {"photo": _seen(studio, photo), "styles": [_seen(studio, one) for one in styles]}
    contents = [_content(found, source) for source in (photo, *styles)]
    kind = "all" if style is None else "some"
    return await _made(studio, f"{visitor.owner} {kind}", "sheet", order, contents)


@router.post(
    "",
    responses=refusals(400, 404, 409, 422) | _JPEG,
    response_class=Response,
    summary="What a job would paint, at a glance",
)
async def paint(
    request: JobRequest,
    studio: StudioHere,
    visitor: VisitorHere,
    side: Annotated[int, Query(ge=64, le=512, description="Long side, px.")] = 448,
) -> Response:
    """The photo as a network repaints it: paintings, their shares and masks, strength, colours,
    parts and the shape of the sheet are those of the request; what else a job does is not seen. Of
    a visitor's requests the newest counts: 409 is the answer to one that had to wait and was
    overtaken. 404 where the studio has no previews of these paintings, 503 where there are none
    just now.
    """
    kept = check_request(request, studio.options)
    _check_there(studio, request.styles)
    found = await anyio.to_thread.run_sync(
        find_pictures, studio.records, visitor.owner, request.model_dump()
    )
    values = make_options(kept["options"]).model_dump(mode="json", include=set(SEEN_OPTIONS))

    def file(mask: str | None) -> str | None:
        if mask is None:
            return None
        id, mark, label = mask.partition("#")
        return f"{studio.storage.source(id)}{mark}{label}"

    order = {
        "photo": _seen(studio, request.photo),
        "styles": [_seen(studio, source) for source in request.styles],
        "masks": [file(mask) for mask in request.masks],
        "style_masks": [file(mask) for mask in request.style_masks],
        "options": values,
        "side": side,
    }
    names = [_content(found, source) for source in (request.photo, *request.styles)]
    contents = [names, request.masks, request.style_masks, values, side]
    return await _made(studio, visitor.owner, "paint", order, contents)


async def _made(
    studio: Studio, who: str, kind: Kind, order: dict[str, Any], contents: Any
) -> Response:
    data = await studio.previews.get(who, kind, order, contents)
    return Response(data, media_type="image/jpeg", headers=_KEEP)


def _check_there(studio: Studio, styles: list[str]) -> None:
    """Refuses where no network could make such a preview.

    Raises:
        MissingError: so it is.
    """
    built_in = all(source.startswith("style:") for source in styles)
    if not (studio.previews.built_in if built_in else studio.previews.any):
        raise MissingError("this studio has no previews of these styles")


def _content(found: dict[str, Picture], source: str) -> str:
    """What tells a picture from others: two uploads of one file are the same."""
    picture = found.get(source)
    return source if picture is None else picture.sha256 or source


def _seen(studio: Studio, source: str) -> tuple[str, str]:
    """A picture and the file that is looked at in its place; that of a built-in style may not be
    there yet."""
    kind, _, name = source.partition(":")
    if kind == "sample":
        return source, str(sample_path(name))
    if kind == "style":
        return source, str(studio.built_in.thumb(kind, name))
    return source, str(studio.storage.view(source).absolute())
