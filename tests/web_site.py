"""A web site on this machine, for tests: its pages are functions, and it keeps a log."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.collect.addresses import Guard
from impasto.collect.options import CollectOptions


@dataclass(frozen=True)
class Reply:
    """What the site answers: `body` may be a function that writes into the connection by itself."""

    body: bytes | Callable[[Callable[[bytes], None]], None] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """One line of the site's log; times by `time.monotonic`.

    Attributes:
        last: just before the last piece was sent to a client that was still there: none can have
            had the whole before, while `ended` may be noted late where the machine is busy.
    """

    host: str
    path: str
    headers: dict[str, str]
    began: float
    ended: float = 0.0
    last: float = 0.0
    status: int = 0
    sent: int = 0


Page = bytes | str | Reply | Callable[[Request], "bytes | str | Reply"]


class Site:
    """A server on a free port of this machine.

    Attributes:
        pages: by path, or by host and path.
        any_query: by path, whatever the query.
        log: a line for each request.
        delay: seconds before each answer.
        ranges: give what has a body an ETag, and send only its rest to who has the beginning.
        pieces: parts in which bodies are sent.
        pause: seconds between these.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.any_query: dict[str, Page] = {}
        self.log: list[Request] = []
        self.delay = self.pause = 0.0
        self.ranges, self.pieces = False, 1
        self._lock = threading.Lock()
        self._accepted = self._left = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One write for the head and one for the body must not wait for each other.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def process_request(self, request: Any, client_address: Any) -> None:
                site._accepted += 1
                super().process_request(request, client_address)

            def process_request_thread(self, request: Any, client_address: Any) -> None:
                super().process_request_thread(request, client_address)
                with site._lock:
                    site._left += 1

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        host = (handler.headers.get("Host") or "").partition(":")[0]
        began = time.monotonic()
        line = Request(host, handler.path, dict(handler.headers.items()), began, last=began)
        with self._lock:
            self.log.append(line)
        if self.delay:
            time.sleep(self.delay)
        page = self.pages.get(f"{host}{handler.path}", self.pages.get(handler.path))
        if page is None:
            page = self.any_query.get(handler.path.partition("?")[0])
        page = page(line) if callable(page) else page
        if page is None:
            page = Reply(b"nothing here", 404)
        elif isinstance(page, str):
            page = Reply(page.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
        elif isinstance(page, bytes):
            page = Reply(page)
        if self.ranges and page.status == 200 and isinstance(page.body, bytes):
            page = _ranged(page, page.body, line)
        line.status = page.status

        def begin_piece() -> None:
            now = time.monotonic()
            if _hung_up(handler.connection):
                raise ConnectionResetError
            line.last = now

        def write(data: bytes) -> None:
            begin_piece()
            handler.wfile.write(data)
            line.sent += len(data)

        try:
            begin_piece()
            handler.send_response(page.status)
            for name, value in page.headers.items():
                handler.send_header(name, value)
            if callable(page.body):
                handler.send_header("Connection", "close")
                handler.end_headers()
                page.body(write)
                handler.close_connection = True
            else:
                handler.send_header("Content-Length", str(len(page.body)))
                handler.end_headers()
                step = max(1, -(-len(page.body) // self.pieces))
                for start in range(0, len(page.body), step):
                    time.sleep(self.pause if start else 0)
                    write(page.body[start : start + step])
        except OSError:
            handler.close_connection = True
        line.ended = time.monotonic()

    def wait_until_left(self) -> None:
        """Waits until it has dealt with all that clients asked who are gone by now."""
        before, deadline = self._accepted, time.monotonic() + 60
        # It is accepted after theirs.
        socket.create_connection(("127.0.0.1", self.port)).close()
        while self._accepted == before or self._left < self._accepted:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def size(self, path: str) -> int:
        """Bytes of the body at a path that is served as it is."""
        body = self.pages[path]
        assert isinstance(body, str | bytes)
        return len(body)

    def paths(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(line.path for line in self.log)


def _hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def _ranged(page: Reply, body: bytes, line: Request) -> Reply:
    """The answer with an ETag; only its rest where the request has the beginning of the same."""
    tag = f'"{zlib.crc32(body):08x}"'
    headers = {"ETag": tag, **page.headers}
    first, asked = line.headers.get("Range", ""), line.headers.get("If-Range")
    if not first or asked not in (headers["ETag"], headers.get("Last-Modified")):
        return replace(page, headers=headers)
    start = int(first.removeprefix("bytes=").removesuffix("-"))
    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return Reply(body[start:], 206, headers)


@contextlib.contextmanager
def served(pages: Mapping[str, Page] | None = None) -> Iterator[Site]:
    """A site with these pages, for a while."""
    site = Site()
    site.pages.update(pages or {})
    try:
        yield site
    finally:
        site.close()


def painted(seed: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """A picture unlike that of any other seed: soft blots of colour with some sharp shapes."""
    random = np.random.default_rng(seed)
    small = Image.fromarray((random.random((6, 8, 3)) * 255).astype(np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    for _ in range(12):
        x, y = random.integers(0, width - 4), random.integers(0, height - 4)
        w, h = random.integers(4, max(5, width // 3)), random.integers(4, max(5, height // 3))
        pixels[y : y + h, x : x + w] = random.integers(0, 256, 3)
    return pixels


def encoded(pixels: NDArray[np.uint8], format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def picture(seed: int, width: int = 320, height: int = 240, **options: Any) -> bytes:
    """A JPEG of `painted`."""
    return encoded(painted(seed, width, height), quality=85, **options)


def quick(**values: Any) -> CollectOptions:
    """Options for a site on this machine: no pause, and small pictures count."""
    return CollectOptions(**{"delay": 0, "allow_private": True, "min_size": 32, **values})


class Names:
    """A resolver and connector for tests: names lead to public addresses, those to local ports.

    `answers` maps a name to the addresses that it has, call after call; the last ones stay.
    """

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]], site: Site) -> None:
        self._answers = {name: list(each) for name, each in answers.items()}
        self._site = site
        self.asked: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, _: int) -> Sequence[str]:
        """The addresses of a name."""
        self.asked.append(host)
        if host not in self._answers:
            return [host]
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, _: int, **options: Any) -> httpcore2.NetworkStream:
        """A connection to the site, whatever the address."""
        self.connected.append(address)
        return httpcore2.SyncBackend().connect_tcp("127.0.0.1", self._site.port, **options)

    def guard(self, *, allow_private: bool = False) -> Guard:
        """A guard that asks this resolver."""
        return Guard(allow_private, self.resolve)


class Clock:
    """Stands in for a module's `time`; a test may let any time pass at once."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        """As that of `time`."""
        return time.monotonic() + self.passed

    def time(self) -> float:
        """As that of `time`."""
        return time.time() + self.passed


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens, nor can begin to meanwhile."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]
