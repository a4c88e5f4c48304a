"""The gate: every request passes it before any route sees it.

It limits how often a visitor and an address may ask, refuses names that are not the studio's and
other sites' requests, and lets nobody but signed-in visitors into `/api`; it waits only so long for
what they send, puts the security headers on every answer, and logs and measures what was asked.
What a route adds is only whose things they are.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.web.database import reason_of
from impasto.web.limits import address_key
from impasto.web.logs import event, log
from impasto.web.security import HEADERS, SAFE_METHODS, Refused, Visitor, bearer
from impasto.web.studio import Studio

OPEN = ("/api/me", "/api/login")
"""Addresses under `/api` for visitors who are not signed in."""

UPLOAD = "/api/pictures"
"""Where files come in; its route checks how large they are."""

MAX_BODY = 1 << 18
"""Most bytes of any other body: a job's request, with room to spare."""

BODY_SECONDS = 30.0
"""Seconds within which such a body must be there, whole: about 8 kB a second for the largest."""

ENDLESS = ("/events", "/archive")
"""What has no head without its body: a stream, and an archive that is made as it goes out."""

GONE = 499
"""Status in the log and the measures where the visitor went away before an answer; nginx's number
for it."""


class Gate:
    """ASGI middleware.

    Args:
        app: what lies behind.
        studio: gives the studio, which is there once the server has started.
        refused: makes the answer to who is not let in.
    """

    def __init__(
        self, app: ASGIApp, studio: Callable[[], Studio], refused: Callable[[Refused], Response]
    ) -> None:
        self._app, self._studio, self._refused = app, studio, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _without_bad_range(scope)
        began = time.perf_counter()
        answer: dict[str, Any] = {"status": 0, "seconds": None}

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                answer["seconds"] = time.perf_counter() - began
                _add_headers(message, scope)
            await send(message)

        refusal, asked, hear = None, scope, receive
        try:
            try:
                await self._admit(scope)
                if _is_private(scope["path"]) and scope["path"] != UPLOAD:
                    hear = await _received(receive)
                if scope["method"] == "HEAD" and not scope["path"].endswith(ENDLESS):
                    # As GET (RFC 9110, section 9.3.2); the server itself leaves the body out.
                    asked = {**scope, "method": "GET"}
            except Refused as error:
                refusal = error
                self._studio().metrics.refused.labels(error.code).inc()
                await self._refused(error)(scope, receive, send_on)
            else:
                await self._app(asked, hear, send_on)
        except ClientDisconnect:
            # Nobody is there to answer; it is no fault of the studio's.
            answer["status"] = answer["status"] or GONE
        except asyncio.CancelledError:
            # The server ends, and has waited for this answer as long as it does.
            if not answer["status"]:
                no = Refused(503, "unavailable", "the studio is ending; try again", 5)
                await self._refused(no)(scope, receive, send_on)
        except Exception as error:
            # The framework would answer this outside of the gate, without its headers.
            fault = error if isinstance(error, SQLAlchemyError) else error.__cause__
            if isinstance(fault, SQLAlchemyError):
                # In the middle of an answer; where in the program says nothing about a database.
                log.error("the database: %s", reason_of(fault))
            else:
                log.error("an unexpected fault", exc_info=error)
            if not answer["status"]:
                no = Refused(500, "fault", "the studio has a fault; its log says more")
                await self._refused(no)(scope, receive, send_on)
        finally:
            self._note(scope, asked, answer, time.perf_counter() - began, refusal)

    async def _admit(self, scope: Scope) -> None:
        studio, path, method = self._studio(), scope["path"], scope["method"]
        if path == "/healthz":
            return
        studio.check_crowd()
        address = client_address(scope)
        wait = studio.by_address.take(client_key(scope))
        if wait:
            raise Refused(429, "too_many", "too many requests from this address; wait", wait)
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        studio.guard.check_host(headers.get("host", ""))
        if not _is_private(path):
            if method not in SAFE_METHODS:
                studio.guard.check_site(headers, method)
            return
        studio.guard.check_site(headers, method)
        if path != UPLOAD:
            _check_body(headers)
        visitor = await self._visitor(studio, headers, address)
        scope.setdefault("state", {})["visitor"] = visitor
        if visitor is not None:
            studio.count(visitor.owner, live=path.endswith("/live"))
        if path == "/api/me" and method in SAFE_METHODS:
            return
        if path == "/metrics" and not studio.options.needs_password:
            return
        if visitor is None and not (path == "/metrics" or studio.options.needs_password):
            raise Refused(401, "no_visitor", "this browser is not known; load the page anew")
        if visitor is None or (not visitor.signed_in and path not in OPEN):
            raise Refused(401, "signin", "sign in with the studio's password first")
        if method not in SAFE_METHODS and not visitor.program:
            studio.guard.check_csrf(visitor, headers)

    async def _visitor(
        self, studio: Studio, headers: dict[str, str], address: str
    ) -> Visitor | None:
        said = bearer(headers)
        if said is not None and studio.options.needs_password:
            if not await studio.sign_in.is_right(said, address):
                raise Refused(401, "password", "that is not the password, nor a token")
            return studio.guard.from_secret(said)
        cookies = cookie_parser(headers.get("cookie", ""))
        return studio.guard.from_cookie(cookies.get(studio.guard.cookie_name))

    def _note(
        self,
        scope: Scope,
        asked: Scope,
        answer: dict[str, Any],
        seconds: float,
        refusal: Refused | None,
    ) -> None:
        studio, status = self._studio(), answer["status"]
        route = getattr(asked.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        studio.metrics.requests.labels(method, route, str(status)).inc()
        if answer["seconds"] is not None:
            studio.metrics.seconds.labels(route).observe(answer["seconds"])
        if not log.isEnabledFor(logging.INFO) or (route == "/healthz" and status == 200):
            return
        visitor = scope.get("state", {}).get("visitor")
        event(
            "request",
            method=method,
            # The part after the question mark may hold names and searches.
            path=scope["path"][:200],
            status=status,
            ms=round(1000 * seconds, 1),
            address=client_address(scope),
            visitor=None if visitor is None else studio.guard.mark(visitor.owner)[:8],
            refused=None if refusal is None else refusal.code,
        )


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _is_private(path: str) -> bool:
    return path.startswith("/api/") or path == "/metrics"


def _check_body(headers: dict[str, str]) -> None:
    if "transfer-encoding" in headers:
        raise Refused(411, "length", "say how long the body is; it may not come in chunks")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
        raise Refused(413, "too_large", f"the body is larger than {MAX_BODY // 1024} kB")


async def _received(receive: Receive) -> Receive:
    """What gives a body that has come whole.

    Raises:
        Refused: it did not come in time.
        ClientDisconnect: nobody sends it any more.
    """
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise Refused(408, "too_slow", "the request came too slowly; try again") from None
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def hear() -> Message:
        return whole.pop() if whole else await receive()

    return hear


def client_key(scope: Scope) -> str:
    """What limits of an address count by."""
    return address_key(client_address(scope))


_RANGE = re.compile(rb"bytes=(\d{1,18}-(\d{1,18})?|-\d{1,18})", re.IGNORECASE)


def _without_bad_range(scope: Scope) -> Scope:
    """A request without its Range header where that is not one plain range: it gets the whole, as
    RFC 9110 14.2 lets a server answer, instead of the framework's plain text."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"range" or _is_range(value.strip())
    ]
    return {**scope, "headers": headers} if len(headers) < len(scope["headers"]) else scope


def _is_range(value: bytes) -> bool:
    if not _RANGE.fullmatch(value):
        return False
    first, _, last = value[6:].partition(b"-")
    return not first or not last or int(first) <= int(last)


def client_address(scope: Scope) -> str:
    """Where a request comes from; a proxy's word has been taken already, where it is trusted."""
    client = scope.get("client")
    return "unknown" if client is None else str(client[0])


def _add_headers(message: Message, scope: Scope) -> None:
    headers = message.setdefault("headers", [])
    present = {key.lower() for key, _ in headers}
    wanted = dict(HEADERS)
    # Pages and scripts are asked for again each time, which costs little, lest old ones meet new.
    wanted["Cache-Control"] = "no-store" if scope["path"].startswith("/api/") else "no-cache"
    for name, value in wanted.items():
        key = name.lower().encode()
        if key not in present:
            headers.append((key, value.encode()))
