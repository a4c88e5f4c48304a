"""Serves a studio: its socket, its server, and how both end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.errors import ImpastoError, OptionError, RunError
from impasto.web.app import create_app
from impasto.web.config import StudioOptions
from impasto.web.logs import log, start_logging

try:
    import resource
except ImportError:  # not on Windows, where descriptors are no matter
    resource = None

KEEP_ALIVE, HEAD_SECONDS = 20, 40
"""Seconds that a connection may lie idle, and until the head of its next request must be there."""

MOST_CONNECTIONS = 4000
"""Connections beyond which requests are refused."""

GRACE = 1
"""Seconds that answers under way have when the server ends."""


def serve(options: StudioOptions, announce: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        options: the settings.
        announce: called with the studio's address once it answers.

    Raises:
        ImpastoError: it cannot begin; in one line.
    """
    # Its folder may have been there before, open to all; what is written into it is not.
    before = os.umask(0o077)
    try:
        _serve(options, announce)
    finally:
        os.umask(before)


def _serve(options: StudioOptions, announce: Callable[[str], None]) -> None:
    start_logging(options.log_format)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
    listening = bind(options.host, options.port)
    with listening:
        app = create_app(options, draw_ahead=True)
        server = _Server(app, lambda: announce(_address(options.host, listening)))
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn sends them to itself again when it is done; the end is in order then.
            signal.signal(number, lambda *_: None)
        # A start that fails is told below, in one line; uvicorn would show where in its code.
        with contextlib.suppress(SystemExit):
            server.run(sockets=[listening])
    fault: BaseException | None = getattr(app.state, "fault", None)
    if isinstance(fault, ImpastoError):
        raise fault
    if fault is not None or not server.began:
        log.error("the studio could not start", exc_info=fault)
        raise RunError(f"the studio could not start ({fault}); the lines above say more")


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OptionError: the address is not this computer's, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise OptionError(f"--host {host}: there is no such address; give one of yours") from None
    family, _, _, _, address = found[0]
    # asyncio turns Nagle's algorithm off only where the protocol is named; else each answer in two
    # parts would wait 40 ms for the first to be acknowledged.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # All of IPv6 means all of IPv4 too.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listening.bind(address)
        listening.listen(512)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            fault = f"--port {port}: another program uses it; choose another one, or 0 for any"
        elif error.errno == errno.EACCES:
            fault = f"--port {port}: may not be used by this user; choose one above 1023"
        elif error.errno == errno.EADDRNOTAVAIL:
            fault = f"--host {host}: is not an address of this computer; give one of yours"
        else:
            fault = f"--host {host}: cannot be used ({error.strerror}); give another one"
        raise OptionError(fault) from None
    return listening


def _address(host: str, listening: socket.socket) -> str:
    name = host.strip("[]")
    if name in ("0.0.0.0", "::"):
        name = socket.gethostname()
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{listening.getsockname()[1]}/"


class _Protocol(H11Protocol):
    """uvicorn's HTTP, which waits only so long for a request: its own patience ends with the first
    byte of one."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._be_patient()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _most_connections() -> int:
    """As many as leave file descriptors for files."""
    if resource is None:
        return MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, files * 3 // 4)


class _Server(uvicorn.Server):
    """uvicorn, which says when it is there and ends what browsers follow when it goes."""

    def __init__(self, app: FastAPI, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            http=_Protocol,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
        super().__init__(config)
        self._studio, self._announce = app.state.studio, announce
        # uvicorn's own limit would answer in plain text.
        self._studio.bound(lambda: len(self.server_state.connections), _most_connections())
        self.began = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.began = True
            logging.getLogger("uvicorn").setLevel(logging.WARNING)
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams would keep it waiting.
        self._studio.watching.close()
        # Painters may need all of their time: they begin to end while clients are let go.
        ending = asyncio.create_task(self._studio.workers.stop())
        await super().shutdown(sockets)
        await ending
