"""Who asks: the first request of every page, signing in and out."""

from __future__ import annotations

import contextlib
import json

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from impasto import __version__
from impasto.web.gate import client_address
from impasto.web.logs import event
from impasto.web.routes.asking import StudioHere, VisitorHere, refusals
from impasto.web.routes.pages import STATIC
from impasto.web.schema import Limits, Login, Me, PreviewsOut
from impasto.web.security import COOKIE_AGE, Refused, Visitor
from impasto.web.studio import Studio

LANGUAGES = list(json.loads((STATIC / "texts/languages.json").read_text()))

router = APIRouter(prefix="/api", tags=["visitor"])


@router.get("/me", responses=refusals(), summary="Who asks, and what they may")
def me(request: Request, response: Response, studio: StudioHere) -> Me:
    """Asked first by every page: it makes a new visitor known to the studio by a cookie."""
    visitor: Visitor | None = request.state.visitor
    known = visitor is not None
    visitor = visitor or studio.guard.new_visitor()
    if not visitor.program:
        _remember(request, response, studio, visitor)
    # Who only looks has been here too; where that cannot be noted, the next visit is.
    with contextlib.suppress(SQLAlchemyError):
        studio.records.owner(visitor.owner)
    return _me(studio, visitor, known=known)


@router.post("/login", responses=refusals(400, 422), summary="Sign in")
async def login(
    request: Request, response: Response, said: Login, studio: StudioHere, visitor: VisitorHere
) -> Me:
    """With the studio's password, or with a token. It takes the value of `csrf` from /api/me."""
    address = client_address(request.scope)
    if studio.options.needs_password and not await studio.sign_in.is_right(said.password, address):
        event("wrong password", address=address)
        raise Refused(401, "password", "that is not the password")
    visitor = Visitor(visitor.owner, signed_in=True, program=visitor.program)
    if not visitor.program:
        _remember(request, response, studio, visitor)
    return _me(studio, visitor, known=True)


@router.post("/logout", responses=refusals(), summary="Sign out")
def logout(request: Request, response: Response, studio: StudioHere, visitor: VisitorHere) -> Me:
    """The browser stays known, so that its pictures are there when somebody signs in again."""
    visitor = Visitor(visitor.owner, not studio.options.needs_password, visitor.program)
    if not visitor.program:
        _remember(request, response, studio, visitor)
    return _me(studio, visitor, known=True)


def _remember(request: Request, response: Response, studio: Studio, visitor: Visitor) -> None:
    response.set_cookie(
        studio.guard.cookie_name,
        studio.guard.cookie(visitor),
        max_age=COOKIE_AGE,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _me(studio: Studio, visitor: Visitor, *, known: bool) -> Me:
    options = studio.options
    return Me(
        owner_known=known,
        signed_in=visitor.signed_in,
        needs_password=options.needs_password,
        csrf=studio.guard.csrf(visitor.owner),
        limits=Limits(
            upload_bytes=options.max_upload,
            upload_pixels=options.max_pixels,
            clip_bytes=options.max_clip,
            clip_seconds=options.max_clip_seconds,
            max_size=options.max_size,
            max_evaluations=options.max_evaluations,
            queue=options.queue,
            pictures=options.max_pictures,
            keep_days=options.keep,
        ),
        shared_gallery=options.shared_gallery,
        clips=studio.takes_clips,
        previews=PreviewsOut(
            built_in=studio.previews.built_in, any=studio.previews.any, refine=options.refine
        ),
        version=__version__,
        languages=LANGUAGES,
    )
