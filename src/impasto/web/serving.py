"""Serves a studio: its socket, its server, and how both end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.errors import ImpastoError, OptionError, RunError
from impasto.web.app import create_app
from impasto.web.config import StudioOptions
from impasto.web.limits import address_key
from impasto.web.logs import log, start_logging

try:
    import resource
except ImportError:  # not on Windows, where descriptors are no matter
    resource = None

KEEP_ALIVE, HEAD_SECONDS = 20, 40
"""Seconds that a connection may lie idle, and until the head of its next request must be there."""

WRITE_SECONDS = 60
"""Seconds that a client has to take what is written for it; no more is written until all but 16 kB
have gone, so that a file goes at about 1 kB a second at the least, and an archive at 4."""

MOST_CONNECTIONS = 4000
"""Connections beyond which requests are refused."""

TOLD_SO = 64
"""Connections beyond those that are still taken, to be told that there are too many."""

BACKLOG = 64
"""Connections that are accepted at once, each with a file descriptor before anything is asked."""

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
    _raise_descriptors()
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
        listening.listen(BACKLOG)
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


class Crowd:
    """Who is connected. Where there is no room for one more, the connection that has asked for
    nothing for longest makes room; where all wait for answers, the new one is closed.

    Nothing is logged of it: whoever makes the connections would choose how much.

    Args:
        each: most connections of one address.
        all: most of all addresses.
    """

    def __init__(self, each: int, all: int) -> None:
        self._each, self._all = each, all
        self._count = 0
        self._of = dict[str, dict[_Protocol, None]]()

    def take_in(self, address: str, one: _Protocol) -> None:
        """Counts a connection, or closes it."""
        mine = self._of.setdefault(address, {})
        crowded = None
        if len(mine) >= self._each:
            crowded = mine
        elif self._count >= self._all:
            # Whoever has most of them has most to spare.
            crowded = max(self._of.values(), key=len)
        if crowded is not None and not self._make_room(crowded):
            if not mine:
                del self._of[address]
            one.transport.abort()
            return
        mine[one] = None
        self._count += 1

    def _make_room(self, among: dict[_Protocol, None]) -> bool:
        idle = next((one for one in among if one.is_idle), None)
        if idle is None:
            return False
        del among[idle]
        self._count -= 1
        idle.transport.abort()
        return True

    def begin_anew(self, address: str, one: _Protocol) -> None:
        """Notes that a connection has just been answered: others have been idle for longer."""
        mine = self._of.get(address, {})
        if one in mine:
            del mine[one]
            mine[one] = None

    def let_go(self, address: str, one: _Protocol) -> None:
        """Forgets a connection, if it is counted."""
        mine = self._of.get(address, {})
        if one in mine:
            del mine[one]
            self._count -= 1
        if not mine:
            self._of.pop(address, None)


class _Protocol(H11Protocol):
    """uvicorn's HTTP, which waits only so long for a request: its own patience ends with the first
    byte of one. It waits only so long for clients to take their answers, too, and its connections
    belong to a crowd."""

    _patience: asyncio.TimerHandle | None = None
    _slow: asyncio.TimerHandle | None = None

    def __init__(self, crowd: Crowd, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._crowd, self._address = crowd, ""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = address_key(self.client[0]) if self.client else ""
        self._crowd.take_in(self._address, self)
        self._be_patient()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._crowd.begin_anew(self._address, self)
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._slow is not None:
            self._slow.cancel()
        self._crowd.let_go(self._address, self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._slow = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        super().resume_writing()

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        if self.is_idle:
            self.transport.close()


def _raise_descriptors() -> None:
    """Lets this process open as many files as connections may need, where the system does."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
        studio, most = app.state.studio, _most_connections()
        # A proxy's address is everybody's.
        each = most + TOLD_SO if studio.options.proxies else max(1, most // 2)
        crowd = Crowd(each, most + TOLD_SO)
        protocol: Any = functools.partial(_Protocol, crowd)
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            http=protocol,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
        super().__init__(config)
        self._studio, self._announce = studio, announce
        # uvicorn's own limit would answer in plain text.
        studio.bound(lambda: len(self.server_state.connections), most)
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
