"""Photos, paintings and masks: uploads, and looking at them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse

from impasto.web.entities import MissingError, Picture, StateError
from impasto.web.receiving import Receiving
from impasto.web.routes.asking import (
    AddressHere,
    MyPicture,
    StudioHere,
    VisitorHere,
    file_answer,
    refusals,
    slots,
)
from impasto.web.schema import PictureOut
from impasto.web.security import Refused
from impasto.web.storage import new_id
from impasto.web.studio import Studio, picture_out

router = APIRouter(prefix="/api/pictures", tags=["pictures"])
_KIND = Literal["photo", "style", "mask", "clip"]
_PICTURE = file_answer("image/webp")
# What an id shows never changes.
KEEP = {"Cache-Control": "private, max-age=31536000, immutable"}


async def _upload_slot(
    studio: StudioHere, visitor: VisitorHere, address: AddressHere
) -> AsyncIterator[None]:
    kinds = (studio.uploads, visitor.owner), (studio.address_uploads, address)
    with slots("too many uploads at once; wait for one to end", 5, *kinds):
        yield


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(_upload_slot)],
    responses=refusals(400, 409, 415, 422),
    summary="Upload a picture",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The bytes of a JPEG, PNG, WebP, TIFF, AVIF or GIF file; of a "
            "`clip` those of an MP4, MOV, MKV, WebM, AVI, GIF or WebP.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def upload(
    request: Request,
    studio: StudioHere,
    visitor: VisitorHere,
    address: AddressHere,
    kind: Annotated[_KIND, Query(description="What it is for.")] = "photo",
    name: Annotated[str, Query(max_length=1000, description="What to call it; a label.")] = "",
) -> PictureOut:
    """The body is the file itself. The picture is `reading` until it has been decoded; then it is
    `ready`, or `refused` with its `fault`. A clip is shown by its first frame.
    """
    if kind == "clip" and not studio.takes_clips:
        raise Refused(
            415, "no_clips", "this studio takes no clips; its host has to install impasto[video]"
        )
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isascii() and announced.isdigit() else None
    wait = studio.uploads_by_address.take(address)
    if wait:
        raise Refused(
            429, "too_many", "too many pictures from this address today; try again later", wait
        )
    picture = new_id()
    options = studio.options
    most = options.max_clip if kind == "clip" else options.max_upload
    receiving = Receiving(*(studio.storage, picture, most, options.free_space), clip=kind == "clip")
    try:
        await anyio.to_thread.run_sync(_check_room, studio, visitor.owner)
        receiving.check(length)
        await receiving.take(request.stream())
        record = await anyio.to_thread.run_sync(
            _keep, studio, visitor.owner, kind, name, picture, receiving
        )
    except BaseException:
        studio.uploads_by_address.give_back(address)
        raise
    finally:
        studio.storage.incoming(picture).unlink(missing_ok=True)
    studio.metrics.upload_bytes.inc(receiving.bytes)
    studio.workers.read(picture)
    return picture_out(record)


def _check_room(studio: Studio, owner: str) -> None:
    count = studio.records.count_pictures(owner)
    if count >= studio.options.max_pictures:
        raise Refused(
            409,
            "too_many_pictures",
            f"you have {count} pictures, the most that this studio keeps for one; delete some, "
            "which counts an hour later",
        )


def _keep(
    studio: Studio, owner: str, kind: _KIND, name: str, picture: str, receiving: Receiving
) -> Picture:
    studio.storage.keep_incoming(picture)
    studio.know(owner)
    return studio.records.add_picture(
        owner, kind, name, picture=picture, bytes=receiving.bytes, sha256=receiving.sha256
    )


@router.get("", responses=refusals(422), summary="One's pictures")
def pictures(
    studio: StudioHere,
    visitor: VisitorHere,
    kind: Annotated[
        Literal["photo", "style", "mask", "result", "clip", "film"] | None,
        Query(description="Only these."),
    ] = None,
) -> list[PictureOut]:
    """Newest first, without those that are deleted."""
    return [picture_out(found) for found in studio.records.pictures(visitor.owner, kind)]


@router.get("/{id}", responses=refusals(404, 422), summary="One picture")
async def picture(
    found: MyPicture,
    studio: StudioHere,
    wait: Annotated[
        float,
        Query(ge=0, le=30, description="Seconds to wait until it is no longer `reading`."),
    ] = 0.0,
) -> PictureOut:
    """Deleted ones too, until they are gone for good."""
    if found.state == "reading" and wait:
        see = functools.partial(studio.records.picture, found.id)
        await studio.watching.picture(found.id, wait, lambda: see().state != "reading")
        found = await anyio.to_thread.run_sync(see)
    return picture_out(found)


@router.get(
    "/{id}/thumb",
    responses=refusals(404, 409, 422) | _PICTURE,
    response_class=FileResponse,
    summary="A picture, small",
)
def thumb(found: MyPicture, studio: StudioHere) -> FileResponse:
    """At most 320 px."""
    return show(studio, found, small=True)


@router.get(
    "/{id}/view",
    responses=refusals(404, 409, 422) | _PICTURE,
    response_class=FileResponse,
    summary="A picture for the screen",
)
def view(found: MyPicture, studio: StudioHere) -> FileResponse:
    """At most 2048 px."""
    return show(studio, found, small=False)


@router.delete("/{id}", responses=refusals(404, 422), summary="Delete a picture")
def delete(found: MyPicture, studio: StudioHere) -> PictureOut:
    """It can be restored for a while. Jobs that use it already go on."""
    return picture_out(studio.records.delete_picture(found.id))


@router.post("/{id}/restore", responses=refusals(404, 422), summary="Take a deletion back")
def restore(found: MyPicture, studio: StudioHere) -> PictureOut:
    """Until it is gone for good."""
    return picture_out(studio.records.restore_picture(found.id))


def show(studio: Studio, picture: Picture, *, small: bool) -> FileResponse:
    """A picture's thumbnail or view.

    Raises:
        StateError: it has not been read, or was refused.
        MissingError: its file is gone.
    """
    if picture.state != "ready":
        raise StateError("the picture has not been read yet, or was refused")
    place = studio.storage.thumb(picture.id) if small else studio.storage.view(picture.id)
    if not place.is_file():
        raise MissingError("the picture's file is gone")
    return FileResponse(place, media_type="image/webp", headers=KEEP)
