"""The command serve: what it says, how it ends, and a class at work in real processes."""

import asyncio
import contextlib
import functools
import importlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
import uvicorn

from impasto.cli import main
from impasto.errors import OptionError
from impasto.styles import style_names
from impasto.web import gate, serving
from impasto.web.app import create_app
from impasto.web.config import load_options
from impasto.web.passwords import Passwords
from impasto.web.records import Records
from impasto.web.serving import bind
from impasto.web.storage import Storage, new_id
from impasto.web.supervisor import STOP_SECONDS, Supervisor
from studio_stand_ins import StandInWorkers, Visit, on_a_port, spare_drawing


def _open(data: Path, *flags: str, draws: bool = False) -> tuple[subprocess.Popen[str], str]:
    if not draws:
        spare_drawing(data)
    command = [sys.executable, "-m", "impasto", "serve", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--free-space", "0", *flags],
        stdout=subprocess.PIPE,
        stderr=(data.parent / "log").open("w"),
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found is not None, (data.parent / "log").read_text()
    return process, found[0]


def _wait_for_painter(address: str) -> None:
    for _ in range(3000):
        if "ready" in httpx2.get(f"{address}/healthz", timeout=60).json()["painters"].values():
            return
        time.sleep(0.1)
    raise AssertionError("the painter is not ready")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A studio as the command opens it."""
    process, address = _open(tmp_path / "data", "--log-format", "json")
    try:
        yield process, address
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_soon_with_clients(
    opened: tuple[subprocess.Popen[str], str], number: signal.Signals, tmp_path: Path
) -> None:
    """With clients connected and a job running the studio ends in order and the job goes on in the
    next one.
    """
    process, address = opened
    _wait_for_painter(address)
    visit = Visit(httpx2.Client(base_url=address, timeout=60))
    job = visit.start(options={"size": 64, "evaluations": 80}).json()["id"]
    ends = list[str]()

    def follow() -> None:
        with visit.client.stream("GET", f"/api/jobs/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    ends.append(json.loads(line[6:])["state"])

    viewers = [threading.Thread(target=follow) for _ in range(5)]
    for viewer in viewers:
        viewer.start()
    while "running" not in ends:
        assert any(viewer.is_alive() for viewer in viewers)
        time.sleep(0.02)
    cookies = dict(visit.client.cookies)
    process.send_signal(number)
    assert process.wait(120) == 0
    for viewer in viewers:
        viewer.join(60)
        assert not viewer.is_alive()
    for line in (tmp_path / "log").read_text().splitlines():
        assert line.startswith(("{", "impasto: ")), line
    again, address = _open(tmp_path / "data")
    try:
        other = httpx2.Client(base_url=address, cookies=cookies, timeout=60)
        assert other.get("/api/me").json()["csrf"] == visit.csrf
        with other.stream("GET", f"/api/jobs/{job}/events") as stream:
            for _ in stream.iter_lines():
                pass
        assert other.get(f"/api/jobs/{job}").json()["state"] == "done"
    finally:
        again.kill()
        again.wait()


_STUBBORN = """
import sys, time
from impasto.web import child
from impasto.web.records import Records
line, settings = child.begin()
records = Records(settings["database"])
line.tell({"ready": True})
while (job := records.take_job("cpu")) is None:
    time.sleep(0.05)
line.tell({"job": job.id})
time.sleep(600)
"""


@pytest.mark.slow
def test_ends_soon_with_a_painter_that_does_not(tmp_path: Path) -> None:
    """With clients connected, one of them slow to be answered, and a painter in the middle of a
    very long step, the studio ends without waiting for more than it gives them, which is less than
    five seconds in all, and the job is queued without a crash.
    """
    assert serving.GRACE + STOP_SECONDS < 5
    spare_drawing(tmp_path / "data")
    painter = tmp_path / "stubborn.py"
    painter.write_text(_STUBBORN)
    program = (
        "import sys; from impasto.cli import main; from impasto.web import receiving, supervisor\n"
        # Longer than the test waits.
        "receiving.PAUSE = 600\n"
        f"supervisor.PROGRAMS['painter'] = ({str(painter)!r},)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "serve", "--data", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*command, "--port", "0", "--devices", "cpu", "--free-space", "0"],
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "log").open("w"),
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rpartition("http://")[2].partition("/")[0]
        address = f"http://{address}"
        _wait_for_painter(address)
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        job = visit.start().json()["id"]
        running = threading.Event()

        def follow() -> None:
            with visit.client.stream("GET", f"/api/jobs/{job}/events") as stream:
                for line in stream.iter_lines():
                    if '"running"' in line:
                        running.set()

        viewer = threading.Thread(target=follow)
        viewer.start()
        assert running.wait(60)
        host, _, port = address.rpartition("//")[2].partition(":")
        with socket.create_connection((host, int(port))) as slow:
            # An upload whose end never comes.
            cookies = "; ".join(f"{name}={value}" for name, value in visit.client.cookies.items())
            slow.sendall(
                "POST /api/pictures?kind=photo HTTP/1.1\r\n"
                f"Host: {host}:{port}\r\nCookie: {cookies}\r\n"
                f"X-Impasto-CSRF: {visit.csrf}\r\nContent-Type: application/octet-stream\r\n"
                "Content-Length: 100000\r\n\r\n\x89PNG".encode("latin-1")
            )
            while not list((tmp_path / "data" / "incoming").iterdir()):
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
        viewer.join(60)
        log = (tmp_path / "log").read_text()
        assert "did not end in time" in log
        assert "memory" not in log
        found = Records(f"sqlite:///{tmp_path / 'data' / 'studio.sqlite3'}").job(job)
        assert (found.state, found.crashes) == ("queued", 0)
    finally:
        process.kill()
        process.wait()


def test_answers_that_the_end_overtakes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who waits for an answer when the studio ends is told so, and the log shows no fault."""
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    app = create_app(options, StandInWorkers)
    begun, answers = threading.Event(), list[httpx2.Response]()

    async def get(*_: Any, **__: Any) -> Path:
        begun.set()
        await asyncio.sleep(600)
        raise AssertionError

    app.state.studio.built_in.get = get
    with on_a_port(app, serving._Server(app, lambda: None)) as address:
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        asking = threading.Thread(
            target=lambda: answers.append(visit.client.get("/api/styles/waves/view"))
        )
        asking.start()
        assert begun.wait(60)
    asking.join(60)
    assert answers[0].status_code == 503
    assert answers[0].json()["detail"]["code"] == "unavailable"
    assert [record for record in caplog.records if record.exc_info] == []


def test_stopping_meets_an_answer(tmp_path: Path) -> None:
    """The studio stops although the reader's answer comes in the very moment."""
    storage = Storage(tmp_path)
    options = load_options({"data": str(tmp_path)}, environment={})
    records = Records(options.database_url)

    async def stop() -> bool:
        supervisor = Supervisor(options, records, storage)

        class Reader:
            ready = asyncio.Event()

            def tell(self, order: dict[str, str]) -> None:
                supervisor._answer_with({"picture": order["picture"]})

        Reader.ready.set()
        reading = asyncio.create_task(
            supervisor._read_one(cast("Any", Reader()), new_id(), "photo")
        )
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return reading.cancelled()

    assert asyncio.run(stop())


class _SlowApp:
    """An application whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Semaphore(0), threading.Event()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError  # no lifespan
        self.asked.release()
        while not self.go.is_set():
            await asyncio.sleep(0.01)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class _Hurried:
    """Makes a server's connections, and lets time pass at once in its loop."""

    def __init__(self) -> None:
        self._crowd = serving.Crowd(9, 9)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made = threading.Event()

    def __call__(self, *args: Any, **settings: Any) -> Any:
        self._loop = asyncio.get_running_loop()
        # In the step in which it is told of its connection, too.
        self._loop.call_soon(self._made.set)
        return serving._Protocol(self._crowd, *args, **settings)

    def hurry(self, seconds: float) -> None:
        """Lets so many seconds pass for whoever is connected, at latest with the next step."""
        assert self._made.wait(60)
        loop, done = self._loop, threading.Event()
        assert loop is not None

        def forward() -> None:
            now = loop.time
            loop.time = lambda: now() + seconds
            # After what has become due meanwhile.
            loop.call_later(0, loop.call_soon, done.set)

        loop.call_soon_threadsafe(forward)
        assert done.wait(60)


@pytest.mark.parametrize("after_one", [False, True])
def test_heads_that_do_not_come(after_one: bool) -> None:
    """A connection whose request never comes whole is closed; a slow answer is waited for."""
    app, protocol = _SlowApp(), _Hurried()
    with on_a_port(app, http=protocol) as address:
        _, _, port = address.rpartition(":")
        with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as connection:
            if after_one:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert app.asked.acquire(timeout=60)
                protocol.hurry(serving.HEAD_SECONDS)
                app.go.set()
                found = b""
                while not found.endswith(b"ok"):
                    part = connection.recv(4096)
                    assert part
                    found += part
                assert found.startswith(b"HTTP/1.1 200")
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
            protocol.hurry(serving.HEAD_SECONDS)
            assert connection.recv(4096) == b""


def test_more_connections_than_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many connections are open, requests are refused in the interface's form, except for
    the question whether the studio works, until some are closed; open pages that follow jobs take
    at most half of them.
    """
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 8)
    many = itertools.count()
    for module in serving, gate:
        monkeypatch.setattr(module, "address_key", lambda _: str(next(many)))
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    app = create_app(options, StandInWorkers)
    app.state.studio.workers.painting = False
    with (
        on_a_port(app, serving._Server(app, lambda: None)) as address,
        contextlib.ExitStack() as open_ones,
    ):
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        job = visit.start().json()["id"]
        follow = f"/api/jobs/{job}/events"
        with contextlib.ExitStack() as streams:
            found = [streams.enter_context(visit.client.stream("GET", follow)) for _ in range(5)]
            assert [one.status_code for one in found] == [200] * 4 + [429]
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        for _ in range(8):
            open_ones.enter_context(socket.create_connection(place))
        health = httpx2.get(f"{address}/healthz", timeout=60)
        assert health.json()["status"] == "ok"
        for path in "/api/me", "/":
            refused = httpx2.get(f"{address}{path}", timeout=60)
            assert (refused.status_code, refused.json()["detail"]["code"]) == (503, "busy")
            assert int(refused.headers["retry-after"]) > 0
            assert refused.headers["connection"] == "close"
        open_ones.close()
        while (answer := httpx2.get(f"{address}/api/me", timeout=60)).status_code == 503:
            time.sleep(0.05)
        assert answer.status_code == 200


def test_idle_connections_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many connections of one address ask for nothing, the address is answered, half of all
    connections at most are its own, and the log says nothing of it.
    """
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 8)
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    server = serving._Server(create_app(options, StandInWorkers), lambda: None)
    with on_a_port(server.config.app, server) as address, contextlib.ExitStack() as open_ones:
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        idle = [open_ones.enter_context(socket.create_connection(place)) for _ in range(40)]
        for path in "/api/me", "/healthz", "/api/me":
            assert httpx2.get(f"{address}{path}", timeout=60).status_code == 200
        for one in idle[:36]:
            one.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
        assert len(server.server_state.connections) <= 4
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_connections_at_work_are_kept() -> None:
    """Where all connections of an address wait for answers, it is the new one that is closed."""
    app = _SlowApp()
    with (
        on_a_port(app, http=functools.partial(serving._Protocol, serving.Crowd(2, 9))) as address,
        contextlib.ExitStack() as open_ones,
    ):
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        busy = [open_ones.enter_context(socket.create_connection(place, 60)) for _ in range(2)]
        for one in busy:
            one.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert app.asked.acquire(timeout=60)
        with socket.create_connection(place, 60) as new, contextlib.suppress(ConnectionResetError):
            assert new.recv(1) == b""
        app.go.set()
        for one in busy:
            assert one.recv(4096).startswith(b"HTTP/1.1 200")


async def _large_app(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError  # no lifespan
    headers = [(b"content-length", b"%d" % LARGE)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(LARGE >> 18):
        await send({"type": "http.response.body", "body": bytes(1 << 18), "more_body": True})
    await send({"type": "http.response.body"})


LARGE = 64 << 20


@pytest.mark.parametrize("reads", [False, True])
def test_answers_that_nobody_takes(reads: bool) -> None:
    """Who does not read an answer loses the connection; who reads gets all of it however long that
    takes as a whole.
    """
    protocol = _Hurried()
    server = uvicorn.Server(
        uvicorn.Config(_large_app, log_config=None, access_log=False, http=cast("Any", protocol))
    )
    with on_a_port(_large_app, server) as address, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        if reads:
            found = 0
            for share in range(1, 5):
                # More than all buffers hold: the server has written meanwhile.
                while found < LARGE * share // 4:
                    part = connection.recv(1 << 20)
                    assert part
                    found += len(part)
                protocol.hurry(serving.WRITE_SECONDS / 2)
        else:
            assert connection.recv(1)
            while server.server_state.connections:
                protocol.hurry(serving.WRITE_SECONDS)
                time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems limit open files so")
def test_descriptors_are_raised() -> None:
    """A studio that is started with few file descriptors takes what the system lets it have."""
    program = (
        "import resource as r; from impasto.web import serving\n"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (200, hard))\n"
        "few = serving._most_connections(); serving._raise_descriptors()\n"
        "print(few, r.getrlimit(r.RLIMIT_NOFILE)[0] > 200, serving._most_connections() > few)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout.split() == [b"150", b"True", b"True"]


def test_taken_port(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A port that another program uses is refused in one line."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port), "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"impasto: --port {port}: another program uses it; choose another one, or 0 for any\n"
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.7"])
def test_foreign_address(host: str) -> None:
    """An address that is not this computer's is refused in one line."""
    with pytest.raises(OptionError, match=r"--host .*yours"):
        bind(host, 0)


def test_sockets_answer_at_once() -> None:
    """Connections do not wait to fill packets: answers in two parts would take 40 ms more."""
    with bind("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        with socket.create_connection(listening.getsockname()):
            connection, _ = listening.accept()
            with connection:
                assert connection.proto == socket.IPPROTO_TCP


@pytest.mark.skipif(os.name != "posix", reason="files have modes on POSIX systems")
def test_records_are_private(tmp_path: Path) -> None:
    """In a folder that everybody may look into, nobody else can read what the studio writes."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    with (data / "studio.sqlite3").open("wb"):
        (data / "studio.sqlite3").chmod(0o644)
    idle = "from impasto.web import supervisor as s; s.PROGRAMS.update(reader=('-c', ''))"
    command = f"import os, sys; os.umask(0o022); {idle}; s.PROGRAMS.update(painter=('-c', ''))"
    command += "; from impasto.cli import main; main(['serve', *sys.argv[1:]])"
    flags = ["--data", str(data), "--port", "0", "--free-space", "0", "--devices", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        visit = Visit(httpx2.Client(base_url=found[0], timeout=60))
        assert visit.upload().status_code == 201
        files = [file for file in data.rglob("*") if file.is_file()]
        assert {"studio.sqlite3", "studio.sqlite3-wal", "secret.key"} <= {f.name for f in files}
        assert [file for file in files if file.stat().st_mode & 0o077] == []
    finally:
        process.terminate()
        process.wait(120)


def test_hash_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The line that is printed for a password is one that lets it in."""
    reading, writing = os.pipe()
    os.write(writing, "pass wörd\n".encode())
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        assert main(["serve", "--hash-password"]) == 0
    file = tmp_path / "password"
    file.write_text(capsys.readouterr().out)
    file.chmod(0o600)
    assert Passwords(file, None).is_password("pass wörd")
    assert "pass" not in file.read_text()


@pytest.mark.slow
def test_styles_are_drawn_ahead(tmp_path: Path) -> None:
    """A studio draws the thumbnails of its styles without being asked for them."""
    process, _ = _open(tmp_path / "data", draws=True)
    try:
        folder = Storage(tmp_path / "data").drawn("any").parent
        for _ in range(3000):
            if len(list(folder.glob("style-*-thumb-*.webp"))) == len(style_names()):
                return
            time.sleep(0.1)
        raise AssertionError("thumbnails are missing")
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class at work gets no fault, and every kind of request is answered."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    wanted = {"POST /api/pictures", "POST /api/jobs", "GET /api/jobs/ID/live", "GET /api/me"}
    end = time.monotonic() + 300

    def is_enough(course: Any) -> bool:
        # A slow machine needs longer for it.
        return (course.jobs >= 12 and wanted <= set(course.seconds)) or time.monotonic() > end

    found: dict[str, Any] = importlib.import_module("studio_load").measure(12, 10.0, is_enough)
    assert found["faults"] == []
    assert set(found["statuses"]) <= {"200", "201", "404"}
    assert found["jobs"] >= 12
    assert wanted <= set(found["routes"])
