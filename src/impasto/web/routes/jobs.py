"""Jobs: ask for one, follow it, change it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, cast, get_args

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from impasto.errors import OptionError
from impasto.web.entities import (
    Job,
    JobState,
    MissingError,
    QueueFullError,
    StateError,
    clean_name,
    moves,
    named_pictures,
)
from impasto.web.forms import check_request
from impasto.web.records import Records
from impasto.web.routes.asking import (
    AddressHere,
    MyJob,
    MyPresentJob,
    StudioHere,
    VisitorHere,
    find_pictures,
    refusals,
    slots,
)
from impasto.web.schema import JobChange, JobOut, JobRequest, JobsOut, LossesOut
from impasto.web.studio import Studio, job_out

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
_STATES = get_args(JobState)
NO_NUL = "^[^\\x00]*$"
"""PostgreSQL has no texts with the character 0."""


@router.post(
    "", status_code=201, responses=refusals(400, 404, 409, 422), summary="Ask for a picture"
)
def start(
    request: JobRequest, studio: StudioHere, visitor: VisitorHere, address: AddressHere
) -> JobOut:
    """The job waits in the queue until it is its owner's turn."""
    kept = check_request(request, studio.options)
    names = _check_sources(studio.records, request, visitor.owner)
    title = clean_name(request.title) or _title(request, names)
    studio.know(visitor.owner)

    def add() -> Job:
        return studio.records.add_job(
            visitor.owner,
            {**kept, "title": title},
            label=_typed(request.label, title),
            words=[title, *names.values(), *request.styles],
            limit=studio.options.queue,
        )

    return _told(studio, _queued(studio, address, add))


@router.get("", responses=refusals(409, 422), summary="One's jobs")
def jobs(
    studio: StudioHere,
    visitor: VisitorHere,
    search: Annotated[
        str, Query(max_length=200, pattern=NO_NUL, description="Words, all of them.")
    ] = "",
    state: Annotated[str, Query(max_length=100, description="Only these, with commas.")] = "",
    before: Annotated[str | None, Query(max_length=80, description="`next` of the page.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> JobsOut:
    """Newest first, without those that are deleted."""
    states = tuple(word for part in state.split(",") if (word := part.strip()))
    if unknown := set(states) - set(_STATES):
        raise OptionError(f"--state: there is no {min(unknown)}; use {', '.join(_STATES)}")
    page = studio.records.jobs(
        visitor.owner,
        search=search,
        states=cast("tuple[JobState, ...]", states),
        before=before,
        limit=limit,
    )
    return JobsOut(jobs=[job_out(seen) for seen in studio.seen(page.jobs)], next=page.next)


@router.get("/{id}", responses=refusals(404, 422), summary="One job")
def job(found: MyJob, studio: StudioHere) -> JobOut:
    """Deleted ones too, until they are gone for good."""
    return _out(studio, found)


async def _stream_slot(
    studio: StudioHere, visitor: VisitorHere, address: AddressHere
) -> AsyncIterator[None]:
    kinds = (studio.streams, visitor.owner), (studio.address_streams, address)
    with slots("too many open pages follow jobs; close some", 10, *kinds):
        studio.metrics.viewers.inc()
        try:
            yield
        finally:
            studio.metrics.viewers.dec()


@router.get(
    "/{id}/events",
    response_class=EventSourceResponse,
    responses=refusals(404, 422),
    dependencies=[Depends(_stream_slot)],
    summary="Follow a job",
)
async def events(found: MyJob, studio: StudioHere) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events named `job`, whose data are the job as GET gives it: at once, then with
    every change, at most four a second, until it is over. Who is slow misses what lies between.
    """
    async for text in studio.watching.follow(found.id):
        yield ServerSentEvent(event="job", raw_data=text)


@router.get("/{id}/losses", responses=refusals(404, 422), summary="The course of a run")
def losses(found: MyJob) -> LossesOut:
    """The losses of its evaluations so far."""
    columns = list(zip(*found.losses, strict=True)) or [(), (), (), ()]
    return LossesOut(
        evaluation=[int(number or 0) for number in columns[0]],
        loss=list(columns[1]),
        content=list(columns[2]),
        style=list(columns[3]),
    )


@router.patch("/{id}", responses=refusals(400, 404, 409, 422), summary="Change a job")
def change(found: MyPresentJob, wanted: JobChange, studio: StudioHere) -> JobOut:
    """A running job takes on another strength at its next step. Sharing needs a studio with a
    shared gallery.
    """
    if wanted.shared and not studio.options.shared_gallery:
        raise StateError("this studio has no shared gallery")
    if wanted.strength is not None and moves(found):
        raise StateError("a clip keeps its strength from the first frame to the last")
    # What may be refused comes first, so that all of it is done or none.
    if wanted.strength is not None:
        found = studio.records.set_strength(found.id, wanted.strength)
    if wanted.shared is not None:
        found = studio.records.set_shared(found.id, shared=wanted.shared)
    if wanted.label is not None:
        words = _words(studio.records, found)
        label = _typed(wanted.label, found.request.get("title", ""))
        found = studio.records.set_label(found.id, label, words)
    return _told(studio, found)


@router.post("/{id}/pause", responses=refusals(404, 409, 422), summary="Put a job aside")
def pause(found: MyPresentJob, studio: StudioHere) -> JobOut:
    """It keeps what it has painted."""
    return _told(studio, studio.records.pause(found.id))


@router.post("/{id}/resume", responses=refusals(404, 409, 422), summary="Let a job go on")
def resume(found: MyPresentJob, studio: StudioHere) -> JobOut:
    """From where it was paused."""
    return _told(studio, studio.records.resume(found.id))


@router.post("/{id}/cancel", responses=refusals(404, 409, 422), summary="End a job")
def cancel(found: MyPresentJob, studio: StudioHere) -> JobOut:
    """What it has painted so far becomes its result."""
    return _told(studio, studio.records.cancel(found.id))


@router.post("/{id}/again", responses=refusals(404, 409, 422), summary="Run a job again")
def again(found: MyPresentJob, studio: StudioHere, address: AddressHere) -> JobOut:
    """One that failed or was set aside goes on; of one that is over, a new job is made."""

    def run() -> Job:
        return studio.records.again(found.id, limit=studio.options.queue)

    return _told(studio, _queued(studio, address, run))


@router.delete("/{id}", responses=refusals(404, 422), summary="Delete a job")
def delete(found: MyJob, studio: StudioHere) -> JobOut:
    """With its result; it is cancelled first. It can be restored for a while."""
    return _told(studio, studio.records.delete_job(found.id))


@router.post("/{id}/restore", responses=refusals(404, 422), summary="Take a deletion back")
def restore(found: MyJob, studio: StudioHere) -> JobOut:
    """Until it is gone for good."""
    return _told(studio, studio.records.restore_job(found.id))


def _queued(studio: Studio, address: str, add: Callable[[], Job]) -> Job:
    """The job that is added, where the address has room for it.

    Raises:
        QueueFullError: the visitor has as many that are not over as one may have, or all visitors
            at this address have.
    """
    added = list[Job]()

    def make() -> str:
        added.append(add())
        return added[0].id

    if not studio.jobs_by_address.add(address, make):
        raise QueueFullError(
            f"visitors at your address have {studio.jobs_by_address.most} jobs that are queued, "
            "running or paused, the most that may be; wait for one"
        )
    return added[0]


def _told(studio: Studio, job: Job) -> JobOut:
    studio.changed(job)
    return _out(studio, job)


def _out(studio: Studio, job: Job) -> JobOut:
    return job_out(studio.seen([job])[0])


def _check_sources(records: Records, request: JobRequest, owner: str) -> dict[str, str]:
    """Names of the pictures of a request by id; each is the owner's own, and can be seen.

    Raises:
        MissingError: there is no such picture.
        StateError: it is not ready.
        OptionError: a picture to go on from is no result.
    """
    found = find_pictures(records, owner, request.model_dump())
    if request.coarse is not None and found[request.coarse].kind != "result":
        raise OptionError("--coarse: is no result; choose one to go on from")
    kind = found[request.photo].kind if request.photo in found else "photo"
    if request.video is not None and kind != "clip":
        raise OptionError("--video: the photo is no clip; upload one, or leave video out")
    return {id: picture.name for id, picture in found.items()}


def _title(request: JobRequest, names: dict[str, str]) -> str:
    """What a job is called for its owner, who says nothing."""
    photo = names.get(request.photo) or request.photo.partition(":")[2].replace("-", " ")
    style = names.get(request.styles[0]) or request.styles[0].partition(":")[2].replace("-", " ")
    plain = [part.rpartition(".")[0] or part for part in (photo, style) if part]
    return clean_name(" · ".join(plain))


def _typed(label: str, title: str) -> str:
    """The label, if it is more than the title: who leaves that as it is has typed nothing."""
    return "" if clean_name(label) == title else label


def _words(records: Records, job: Job) -> list[str]:
    """What else a search finds a job by."""
    words = [job.request.get("title", "")]
    words += [style for style in job.request.get("styles", ()) if ":" in style]
    for id in named_pictures(job.request):
        try:
            words.append(records.picture(id).name)
        except MissingError:
            continue
    return words
