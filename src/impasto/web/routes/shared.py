"""The shared gallery, where the host has switched it on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from impasto.web.entities import NAME_LENGTH, Job, MissingError
from impasto.web.routes.asking import StudioHere, VisitorHere, refusals
from impasto.web.schema import SharedJob, SharedOut
from impasto.web.security import Visitor

router = APIRouter(prefix="/api", tags=["results"])


@router.get("/shared", responses=refusals(404, 409, 422), summary="The shared gallery")
def shared(
    studio: StudioHere,
    visitor: VisitorHere,
    before: Annotated[str | None, Query(max_length=80, description="`next` of the page.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> SharedOut:
    """Results that their owners show to everybody, newest first. Photos, names of files and whose
    they are stay theirs.
    """
    if not studio.options.shared_gallery:
        raise MissingError("this studio has no shared gallery")
    page = studio.records.shared_jobs(before=before, limit=limit)
    jobs = [
        SharedJob(
            id=seen.job.id,
            label=_shown_label(seen.job, visitor),
            width=seen.result.width or 0,
            height=seen.result.height or 0,
            styles=_built_in_styles(seen.job),
            options=seen.job.request.get("options", {}),
            finished=seen.job.finished,
            mine=seen.job.owner == visitor.owner,
        )
        for seen in studio.seen(page.jobs)
        if seen.result is not None
    ]
    return SharedOut(jobs=jobs, next=page.next)


def _shown_label(job: Job, visitor: Visitor) -> str:
    """The label that its owner typed; else, for others, nothing that came from names of files."""
    if job.owner == visitor.owner:
        return job.title
    names = [style.partition(":")[2].replace("-", " ") for style in _built_in_styles(job)]
    return job.label or " · ".join(names)[:NAME_LENGTH]


def _built_in_styles(job: Job) -> list[str]:
    return [style for style in job.request.get("styles", ()) if ":" in style]
