"""What jobs have painted: live pictures, results, files to take away."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.concurrency import iterate_in_threadpool

from impasto.errors import ImageError, OptionError
from impasto.images import MAX_DPI
from impasto.web.downloads import (
    ENDINGS,
    MEDIA_TYPES,
    Format,
    Orientation,
    disposition,
    file_name,
    is_whole,
    make_download,
    paper_dpi,
    zip_stream,
)
from impasto.web.entities import Job, MissingError, Picture, StateError, moves
from impasto.web.live import small_jpeg
from impasto.web.logs import log
from impasto.web.routes.asking import (
    AddressHere,
    IdInPath,
    JobToLookAt,
    MyPresentJob,
    StudioHere,
    VisitorHere,
    file_answer,
    my_present_job,
    refusals,
    slots,
)
from impasto.web.routes.pictures import show
from impasto.web.security import Refused
from impasto.web.storage import new_id
from impasto.web.studio import Studio

router = APIRouter(prefix="/api", tags=["results"])
FILM_TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska"}
_WEBP = file_answer("image/webp")


@router.get(
    "/jobs/{id}/live",
    responses=refusals(404, 422) | file_answer("image/jpeg"),
    response_class=Response,
    summary="The picture as it forms",
)
async def live(
    id: IdInPath,
    studio: StudioHere,
    visitor: VisitorHere,
    side: Annotated[int, Query(ge=1, le=8192, description="Px that its long side takes.")] = 640,
    version: Annotated[
        int | None, Query(ge=0, description="The version wanted; the answer is the newest.")
    ] = None,
) -> Response:
    """The newest one, about as large as asked for; 404 before the first. `ETag` is its version."""
    if not studio.may_watch(visitor.owner, id):
        # Whether the job is there or not: this look costs as much as any other request.
        studio.count(visitor.owner)
        await anyio.to_thread.run_sync(my_present_job, id, studio, visitor)
        studio.let_watch(visitor.owner, id)
    studio.watching.look(id)
    picture = await studio.live.get(id, side)
    if picture is None:
        raise MissingError("there is no picture of this job yet")
    keep = "private, max-age=600, immutable" if picture.version == version else "no-cache"
    headers = {"ETag": f'"{picture.version}"', "Cache-Control": keep}
    return Response(picture.data, media_type="image/jpeg", headers=headers)


@router.get(
    "/jobs/{id}/thumb",
    responses=refusals(404, 409, 422) | _WEBP,
    response_class=FileResponse,
    summary="A result, small",
)
def thumb(found: JobToLookAt, studio: StudioHere) -> FileResponse:
    """At most 320 px. Of shared results everybody's."""
    return show(studio, _result(studio, found), small=True)


@router.get(
    "/jobs/{id}/view",
    responses=refusals(404, 409, 422) | _WEBP,
    response_class=FileResponse,
    summary="A result for the screen",
)
def view(found: JobToLookAt, studio: StudioHere) -> FileResponse:
    """At most 2048 px. Of shared results everybody's."""
    return show(studio, _result(studio, found), small=False)


async def _download_slot(
    studio: StudioHere, visitor: VisitorHere, address: AddressHere
) -> AsyncIterator[None]:
    kinds = (studio.downloads, visitor.owner), (studio.address_downloads, address)
    with slots("too many downloads at once; wait for one to end", 5, *kinds):
        yield


@router.get(
    "/jobs/{id}/file",
    responses=refusals(404, 409, 422, 507) | file_answer(*MEDIA_TYPES.values()),
    response_class=FileResponse,
    dependencies=[Depends(_download_slot)],
    summary="Take a result away",
)
async def file(
    found: MyPresentJob,
    studio: StudioHere,
    format: Annotated[Format, Query(description="Of the file.")] = "png",
    bits: Annotated[Literal["8", "16"], Query(description="Per channel; 16: PNG, TIFF.")] = "8",
    quality: Annotated[int, Query(ge=1, le=100, description="Of JPEG and WebP.")] = 92,
    paper: Annotated[
        str | None, Query(max_length=40, description="The file prints as large as this sheet.")
    ] = None,
    orientation: Annotated[Orientation, Query(description="Of the sheet.")] = "auto",
    dpi: Annotated[
        float | None,
        Query(ge=1, le=MAX_DPI, allow_inf_nan=False, description="Pixels per inch of a print."),
    ] = None,
) -> FileResponse:
    """In the format wanted. Paper and dpi say how large it prints; the pixels stay as they are."""
    if moves(found):
        raise StateError("the job's result is a film; take it from /film")
    result = await anyio.to_thread.run_sync(_result, studio, found)
    if bits == "16" and format not in ("png", "tiff"):
        raise OptionError(f"--bits: {format} holds 8 per channel; take png or tiff for 16")
    if paper is not None:
        if dpi is not None:
            raise OptionError("--dpi: follows from the paper; give one of them")
        dpi = paper_dpi(result.width or 1, result.height or 1, paper, orientation)
        if not 1 <= dpi <= MAX_DPI:
            raise OptionError("--paper: that sheet does not suit the picture; choose another one")
    master = studio.storage.master(result.id)
    if not master.is_file():
        raise MissingError("the result's file is gone")
    if result.bytes is not None and master.stat().st_size != result.bytes:
        raise _damaged()
    name = file_name(found.title, found.id, ENDINGS[format], paper or "")
    headers = {"Content-Disposition": disposition(name)}
    if format == "png" and bits == "16" and dpi is None:
        if not await anyio.to_thread.run_sync(_is_whole, master):
            raise _damaged()
        return FileResponse(master, media_type="image/png", headers=headers)
    made = studio.storage.root / "incoming" / f"{new_id()}{ENDINGS[format]}"

    try:
        async with studio.encoders:
            await make_download(
                *(master, made), bits=8 if bits == "8" else 16, quality=quality, dpi=dpi
            )
    except ImageError as error:
        log.error("%s", error)
        raise _damaged() from None
    return FileResponse(
        made,
        media_type=MEDIA_TYPES[format],
        headers=headers,
        background=BackgroundTask(_forget, made),
    )


@router.get(
    "/jobs/{id}/film",
    responses=refusals(404, 409, 422) | file_answer(*FILM_TYPES.values()),
    response_class=FileResponse,
    dependencies=[Depends(_download_slot)],
    summary="Take a film away",
)
def film(found: MyPresentJob, studio: StudioHere) -> FileResponse:
    """What became of a clip, with its sound: MP4, or Matroska where that cannot hold the sound."""
    if not moves(found):
        raise StateError("the job's result is a still picture; take it from /file")
    result = _result(studio, found)
    place = studio.storage.film(result.id)
    if not place.is_file():
        raise MissingError("the film's file is gone")
    if result.bytes is not None and place.stat().st_size != result.bytes:
        raise _damaged()
    name = file_name(found.title, found.id, place.suffix)
    headers = {"Content-Disposition": disposition(name)}
    return FileResponse(place, media_type=FILM_TYPES[place.suffix], headers=headers)


@router.get(
    "/jobs/{id}/frames/{number}",
    responses=refusals(404, 409, 422) | file_answer("image/jpeg"),
    response_class=Response,
    summary="A finished frame of an unfinished film",
)
def frame(
    found: MyPresentJob,
    studio: StudioHere,
    number: Annotated[int, PathParameter(ge=1, le=10**7, description="Of the frame, from 1.")],
    side: Annotated[int, Query(ge=1, le=8192, description="Px that its long side takes.")] = 640,
) -> Response:
    """As a JPEG, about as large as asked for. When the film is done its frames are gone."""
    if not moves(found):
        raise StateError("the job paints a still picture; take it from /live")
    place = studio.storage.frame(found.id, number - 1)
    data = None if place is None else small_jpeg(place, side)
    if data is None:
        raise MissingError("that frame is not painted yet, or the film is done")
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})


def _damaged() -> Refused:
    return Refused(409, "damaged", "the picture's file is damaged; run the job again")


def _is_whole(master: Path) -> bool:
    with contextlib.suppress(OSError), master.open("rb") as file:
        return is_whole(file)
    return False


def _forget(file: Path) -> None:
    file.unlink(missing_ok=True)


@router.get(
    "/archive",
    responses=refusals() | file_answer("application/zip"),
    response_class=StreamingResponse,
    dependencies=[Depends(_download_slot)],
    summary="Take all results away",
)
def archive(studio: StudioHere, visitor: VisitorHere) -> StreamingResponse:
    """All of one's results as they were painted: PNG, 16 bits per channel, settings inside. Those
    whose files are gone or damaged are named in a text file instead.
    """
    headers = {"Content-Disposition": disposition("impasto.zip")}
    pieces = iterate_in_threadpool(zip_stream(_all_results(studio, visitor.owner)))
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def _all_results(studio: Studio, owner: str) -> Iterator[tuple[str, float, Path]]:
    before = None
    while True:
        page = studio.records.jobs(owner, before=before, limit=100)
        for job in page.jobs:
            if job.result is not None:
                place = studio.storage.master(job.result)
                if moves(job):
                    place = studio.storage.film(job.result)
                name = file_name(job.title, job.id, place.suffix)
                when = job.created if job.finished is None else job.finished
                yield name, when, place
        if page.next is None:
            return
        before = page.next


def _result(studio: Studio, job: Job) -> Picture:
    if job.result is None:
        raise MissingError("the job has no result")
    return studio.records.picture(job.result)
