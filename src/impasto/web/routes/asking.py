"""What every route asks first, and how it says no."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException

from impasto.errors import (
    ImageError,
    ImpastoError,
    OptionError,
    OptionReason,
    OutputError,
    one_line,
)
from impasto.samples import sample_names
from impasto.styles import style_names
from impasto.web.database import Trouble, reason_of
from impasto.web.entities import (
    Job,
    MissingError,
    Picture,
    QueueFullError,
    StateError,
    named_pictures,
)
from impasto.web.gate import client_key
from impasto.web.limits import Slots
from impasto.web.logs import log
from impasto.web.records import Records
from impasto.web.schema import without_flags
from impasto.web.security import Refused, Visitor
from impasto.web.storage import ID_PATTERN
from impasto.web.studio import Studio

_WORDS = {
    400: "The request cannot be read.",
    401: "Nobody is signed in, or this browser is not known yet: ask GET /api/me first.",
    403: "The request does not come from the studio's own pages.",
    404: "There is no such thing, or it is somebody else's.",
    405: "This address takes other methods.",
    408: "The file or body came too slowly; the connection is closed.",
    409: "The job or picture is in a state that does not allow it.",
    411: "The body comes without its length.",
    413: "The file or body is too large.",
    415: "The file is no picture that can be read.",
    421: "The studio is not known under this name.",
    422: "A value is not allowed; `field` says which.",
    429: "Too many, too often; Retry-After says when to try again.",
    503: "The studio cannot do it just now; try again.",
    507: "There is no space left.",
}
REFUSAL = "#/components/schemas/Refusal"
MAX_MESSAGE, MAX_FIELD = 500, 100
"""Most characters of a message, and of the name of what it is about."""
_ALWAYS = (401, 403, 408, 411, 413, 421, 429, 503, 507)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with these statuses, beside those of all."""
    return {
        # Not as a `model`: that would take the type of what the route answers otherwise.
        status: {
            "description": _WORDS[status],
            "content": {"application/json": {"schema": {"$ref": REFUSAL}}},
        }
        for status in sorted({*statuses, *_ALWAYS})
    }


def file_answer(*media: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose answer is a file of one of these types."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": dict.fromkeys(media, binary), "description": "The file."}}


def _studio(request: Request) -> Studio:
    return request.app.state.studio


def _visitor(request: Request) -> Visitor:
    # The gate lets nobody through without one.
    return request.state.visitor


def _address(request: Request) -> str:
    return client_key(request.scope)


StudioHere = Annotated[Studio, Depends(_studio)]
VisitorHere = Annotated[Visitor, Depends(_visitor)]
AddressHere = Annotated[str, Depends(_address)]
IdInPath = Annotated[str, Path(pattern=f"^{ID_PATTERN}$", description="An id.")]


def slots(message: str, wait: float, *kinds: tuple[Slots, str]) -> contextlib.ExitStack:
    """A slot of each kind for its key: of the visitor, and of the address, which may be a school or
    somebody with many cookies. Closed, it gives them back.

    Raises:
        Refused: one of them is taken; with this message, to try again so many seconds later.
    """
    with contextlib.ExitStack() as taken:
        for kind, key in kinds:
            if not kind.take(key):
                raise Refused(429, "too_many", message, wait)
            taken.callback(kind.leave, key)
        return taken.pop_all()


def my_job(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> Job:
    """A job of the visitor's, deleted or not; others' are as if they were not there.

    Raises:
        MissingError: there is none of theirs.
    """
    job = studio.records.job(id)
    if job.owner != visitor.owner:
        raise MissingError("there is no such job")
    return job


def my_present_job(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> Job:
    """A job of the visitor's that is not deleted.

    Raises:
        MissingError: there is none of theirs.
    """
    job = my_job(id, studio, visitor)
    if job.deleted is not None:
        raise MissingError("the job is deleted; restore it first")
    return job


def _job_to_look_at(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> Job:
    """One of the visitor's, or one that is shown to everybody."""
    job = studio.records.job(id)
    shown = studio.options.shared_gallery and job.shared and job.deleted is None
    if job.owner != visitor.owner and not shown:
        raise MissingError("there is no such job")
    return job


def find_pictures(records: Records, owner: str, request: Mapping[str, Any]) -> dict[str, Picture]:
    """The pictures that a job's request names by id; each is the owner's own, and can be seen.

    Raises:
        MissingError: there is no such picture, or none built in of such a name.
        StateError: it is not ready.
    """
    known = {f"style:{name}" for name in style_names()}
    known |= {f"sample:{name}" for name in sample_names()}
    built_in = [request.get(key) for key in ("photo", "fine", "start")]
    for source in (*built_in, *request.get("styles", ())):
        if source is not None and ":" in source and source not in known:
            raise MissingError(f"there is no {source}")
    found = dict[str, Picture]()
    still = named_pictures({**request, "photo": None})
    for id in named_pictures(request):
        picture = records.picture(id)
        if picture.owner != owner or picture.deleted is not None:
            raise MissingError("there is no such picture")
        if picture.state != "ready":
            raise StateError("a picture has not been read yet, or was refused")
        may_move = request.get("video") is not None and id not in still
        if picture.kind == "film" or (picture.kind == "clip" and not may_move):
            raise OptionError("--photo: a moving picture cannot stand there; choose a still one")
        found[id] = picture
    return found


def _my_picture(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> Picture:
    picture = studio.records.picture(id)
    if picture.owner != visitor.owner:
        raise MissingError("there is no such picture")
    return picture


MyJob = Annotated[Job, Depends(my_job)]
MyPresentJob = Annotated[Job, Depends(my_present_job)]
JobToLookAt = Annotated[Job, Depends(_job_to_look_at)]
MyPicture = Annotated[Picture, Depends(_my_picture)]


# --- saying no -----------------------------------------------------------------------------------


def refusal(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    *,
    reason: OptionReason | None = None,
    values: Mapping[str, str | float] | None = None,
) -> JSONResponse:
    """An answer that says why not: in one line, whatever was sent that it repeats."""
    shown = None if field is None else _sayable(field, MAX_FIELD)
    told = {
        name: _sayable(value, MAX_FIELD) if isinstance(value, str) else value
        for name, value in (values or {}).items()
    }
    said = _sayable(message, MAX_MESSAGE)
    detail = {"code": code, "message": said, "field": shown, "reason": reason, "values": told}
    content = {"detail": detail}
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})


def _sayable(text: str, most: int) -> str:
    # JSON may hold halves of characters, which no answer can; they become escapes.
    return one_line(text[:most])[:most]


def refused(error: Refused) -> JSONResponse:
    """The answer to a request that is not let in."""
    headers = dict[str, str]()
    if error.wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.wait)))
    if error.status in (408, 503):
        # The rest is not waited for (RFC 9110, section 15.5.9); where it is crowded, room is made.
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return refusal(error.status, error.code, error.message, headers=headers)


def _of_impasto(error: ImpastoError) -> JSONResponse:
    if isinstance(error, MissingError):
        return refusal(404, error.code, str(error))
    if isinstance(error, StateError):
        return refusal(409, error.code, str(error))
    if isinstance(error, QueueFullError):
        return refusal(429, error.code, str(error), headers={"Retry-After": "60"})
    if isinstance(error, OptionError):
        field, message = without_flags(str(error))
        why = {"reason": error.reason, "values": error.values}
        return refusal(422, "option", message, field, **why)
    if isinstance(error, ImageError):
        return refusal(415, "not_a_picture", str(error))
    if isinstance(error, OutputError):
        log.error("%s", error)
        return refusal(507, "disk_full", "the studio cannot write just now; free some space")
    log.error("%s", error)
    return refusal(503, "unavailable", "the studio cannot do that just now; try again")


def _location(parts: Iterable[Any]) -> str | None:
    names = [str(part) for part in parts if part not in ("body", "query", "path", "header")]
    return ".".join(names) or None


def _of_validation(error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    field = _location(first["loc"])
    said = " ".join(f"{field}: {message}".split() if field else message.split())
    return refusal(422, "request", said, field)


_CODES = {404: "missing", 405: "method", 413: "too_large"}


def _of_http(error: HTTPException) -> JSONResponse:
    code = _CODES.get(error.status_code, "request")
    words = _WORDS.get(error.status_code, str(error.detail))
    message = f"{words[0].lower()}{words[1:]}".removesuffix(".")
    return refusal(error.status_code, code, message, headers=dict(error.headers or {}))


def say_no(app: FastAPI, lost: Callable[[Request], Response | None]) -> None:
    """Has every fault answered in the same form.

    Args:
        app: whose faults.
        lost: answers a request for what is not there, or leaves it to that form.
    """

    @app.exception_handler(ImpastoError)
    async def _(_request: Request, error: ImpastoError) -> JSONResponse:
        return _of_impasto(error)

    @app.exception_handler(Refused)
    async def _(_request: Request, error: Refused) -> JSONResponse:
        return refused(error)

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _of_validation(error)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        page = lost(request) if error.status_code == 404 else None
        return page or _of_http(error)

    @app.exception_handler(SQLAlchemyError)
    async def _(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("the database: %s", reason_of(error))
        if isinstance(error, DataError):
            # A value that it cannot hold is the request's fault, not its own.
            return refusal(422, "request", "a value of the request cannot be kept; change it")
        return _TROUBLES[_studio(request).trouble(error)]()


_TROUBLES: dict[Trouble, Callable[[], JSONResponse]] = {
    "busy": lambda: refusal(
        503, "busy", "the records are busy; try again", headers={"Retry-After": "2"}
    ),
    "full": lambda: refusal(
        507, "disk_full", "the studio's disk is full; its host has to make room"
    ),
    "broken": lambda: refusal(
        503, "records_broken", "the studio's records cannot be used; its host has to mend them"
    ),
}
