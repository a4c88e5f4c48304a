"""Connections that go only where they may and end when they must.

`GuardedTransport` is a transport for httpx2 whose pool of connections asks the guard for checked
addresses and whose streams watch a deadline and a stop signal: a server that sends a byte now and
then holds nobody up for longer than one answer may take.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

from impasto.collect.addresses import Guard

Connect = Callable[..., httpcore2.NetworkStream]

_POLL = 0.5
"""Seconds after which a stream that waits looks whether it should go on waiting."""
_SHARE = 1 << 18
"""Bytes that the system may hold for a connection before they are read: what a server sends beyond
the point where an answer is cut off."""


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """The collection is ending; what was under way is given up."""


class Watch:
    """Until when the current thread's request may take, and whether it should end now."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._local = threading.local()

    def begin(self, seconds: float) -> None:
        """To be called before a request: it may take so long in all."""
        self._local.deadline = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left of the current request.

        Raises:
            Stopped: the collection is ending.
            httpcore2.ReadTimeout: none.
        """
        if self.stopping.is_set():
            raise Stopped
        left = getattr(self._local, "deadline", float("inf")) - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the answer took too long")
        return left


class _WatchedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        silent_until = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while True:
            left = min(self._watch.left(), silent_until - time.monotonic())
            try:
                return self._stream.read(max_bytes, timeout=max(0.001, min(left, _POLL)))
            except httpcore2.ReadTimeout:
                if time.monotonic() >= silent_until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=min(self._watch.left(), timeout or float("inf")))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = min(self._watch.left(), timeout or float("inf"))
        return _WatchedStream(
            self._stream.start_tls(ssl_context, server_hostname, timeout=left), self._watch
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _GuardedBackend(httpcore2.NetworkBackend):
    def __init__(self, guard: Guard, watch: Watch, connect: Connect) -> None:
        self._guard, self._watch, self._connect = guard, watch, connect

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002  the system chooses it
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        import socket

        until = time.monotonic() + (timeout if timeout is not None else float("inf"))
        addresses = self._addresses(host, port, until)
        options = [*(socket_options or ()), (socket.SOL_SOCKET, socket.SO_RCVBUF, _SHARE)]
        fault: Exception | None = None
        for address in addresses[:4]:
            left = min(self._watch.left(), until - time.monotonic())
            try:
                stream = self._connect(
                    address, port, timeout=max(0.001, left), socket_options=options
                )
                return _WatchedStream(stream, self._watch)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                fault = error
        assert fault is not None
        raise fault

    def _addresses(self, host: str, port: int, until: float) -> list[str]:
        """The checked addresses of a host; the system's resolver knows no deadline of its own."""
        found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(self._guard.addresses(host, port))
            except Exception as error:
                found.put(error)

        threading.Thread(target=ask, daemon=True).start()
        while True:
            left = min(self._watch.left(), until - time.monotonic())
            if left <= 0:
                raise httpcore2.ConnectTimeout(f"{host} is not found in time")
            try:
                answer = found.get(timeout=min(left, _POLL))
                break
            except queue.Empty:
                continue
        if isinstance(answer, OSError):
            raise httpcore2.ConnectError(f"{host} cannot be found ({answer})") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class GuardedTransport(httpx2.BaseTransport):
    """Sends requests over HTTP/1.1, straight to checked addresses: no proxy, no cookies.

    Args:
        guard: which addresses may be asked.
        watch: how long requests may take.
        connect: opens a connection to an address; that of the system by default.
    """

    def __init__(self, guard: Guard, watch: Watch, connect: Connect | None = None) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=30.0,
            network_backend=_GuardedBackend(
                guard, watch, connect or httpcore2.SyncBackend().connect_tcp
            ),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends one request; the body of the answer is still to be read.

        Raises:
            httpcore2's errors, PrivateAddressError, Stopped.
        """
        answer = self._pool.handle_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
        )
        stream = answer.stream
        assert isinstance(stream, Iterable)
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(stream), request=request
        )

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
