"""The studio's processes: started, told, started again, and stopped in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from impasto.samples import sample_path
from impasto.web import child
from impasto.web import supervisor as module
from impasto.web.config import StudioOptions
from impasto.web.entities import Job, Picture
from impasto.web.records import Records
from impasto.web.storage import Storage, new_id
from impasto.web.supervisor import PROGRAMS, Programs, Supervisor
from postgres_server import postgres_server

NARROW: Programs = {
    **PROGRAMS,
    "painter": (str(Path(__file__).with_name("narrow_painter.py")),),
}
TINY = {"size": 24, "single_level": True, "content_layers": "relu2_1", "start": "content"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


class Studio:
    """A supervisor of real processes with a narrow network, and what it was heard to say."""

    def __init__(
        self, folder: Path, programs: Programs = NARROW, database: str | None = None
    ) -> None:
        self.options = StudioOptions(data=folder, devices=("cpu",), keep=30, database=database)
        self.storage = Storage(folder)
        self.records = Records(self.options.database_url)
        self.programs = programs
        self.heard: list[tuple[str, str, dict[str, Any] | None]] = []
        self.owner = self.records.add_owner().id
        self.new()

    def new(self) -> None:
        """A supervisor, as a newly started server has one."""
        self.supervisor = Supervisor(
            self.options, self.records, self.storage, programs=self.programs
        )
        self.supervisor.listener = lambda *news: self.heard.append(news)

    def ask(self, evaluations: int = 5, **options: Any) -> str:
        """Queues a tiny job."""
        values = {**TINY, "evaluations": evaluations, **options}
        request = {"photo": "sample:cat", "styles": ["sample:coffee"], "options": values}
        job = self.records.add_job(self.owner, request).id
        self.supervisor.paint()
        return job

    def upload(self, data: bytes) -> str:
        """Puts an upload into its place and the records."""
        picture = new_id()
        self.storage.incoming(picture).write_bytes(data)
        self.storage.keep_incoming(picture)
        self.records.add_picture(self.owner, "photo", "x", picture=picture)
        self.supervisor.read(picture)
        return picture

    async def until(self, true: Callable[[], Any], seconds: float = 300) -> None:
        """Waits until something is so."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, (self.heard[-5:], self.supervisor.health())
            await asyncio.sleep(0.02)

    async def ready(self) -> None:
        """Waits for the processes."""
        good = {"reader": True, "painters": {"cpu": "ready"}}
        await self.until(lambda: self.supervisor.health() == good)

    async def over(self, job: str) -> Job:
        """Waits for the end of a job."""
        await self.until(lambda: self.records.job(job).over)
        return self.records.job(job)

    async def looked_at(self, picture: str) -> Picture:
        """Waits for the reader's word on a picture."""
        await self.until(lambda: self.records.picture(picture).state != "reading")
        return self.records.picture(picture)

    async def evaluated(self, job: str, count: int) -> None:
        """Waits until so many evaluations of a job are told."""
        await self.until(
            lambda: any(
                id == job and news is not None and news["evaluations_done"] >= count
                for _, id, news in self.heard
            )
        )

    def pid(self, child: str) -> int:
        """The number of a process."""
        supervisor = self.supervisor
        found = supervisor._reader if child == "reader" else supervisor._painters["cpu"]
        assert found is not None
        assert found._process is not None
        return found._process.pid


def live(studio: Studio, story: Callable[[], Awaitable[None]]) -> None:
    """Lets a story happen to a started studio, and stops it."""

    async def all_of_it() -> None:
        await studio.supervisor.start()
        try:
            await studio.ready()
            await story()
        finally:
            await studio.supervisor.stop()

    asyncio.run(all_of_it())


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio, not started yet."""
    return Studio(tmp_path / "data")


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; no job comes to its end before it is deleted, however slow the test is."""
    file = tmp_path / "hold"
    file.touch()
    monkeypatch.setenv("NARROW_HOLD", str(file))
    return file


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_from_upload_to_result(studio: Studio) -> None:
    """Uploads are read, jobs painted, and all of it is told to the listener."""

    async def story() -> None:
        picture = studio.upload(sample_path("cat").read_bytes())
        assert (await studio.looked_at(picture)).state == "ready"
        assert studio.storage.thumb(picture).exists()
        job = studio.ask()
        done = await studio.over(job)
        assert done.state == "done"
        assert done.result is not None
        assert studio.storage.master(done.result).exists()
        await studio.until(lambda: studio.heard[-1] == ("job", job, None))
        assert ("picture", picture, None) in studio.heard
        assert any(news is not None for _, id, news in studio.heard if id == job)

    live(studio, story)


def test_what_waited_before_the_start_is_done(studio: Studio) -> None:
    """Jobs and uploads of before the studio was started need no further call."""
    job = studio.ask()
    picture = studio.upload(b"no picture")

    async def story() -> None:
        assert (await studio.over(job)).state == "done"
        refused = await studio.looked_at(picture)
        assert refused.fault is not None
        assert not studio.storage.source(picture).exists()

    live(studio, story)


def test_a_killed_painter_goes_on(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, hold: Path
) -> None:
    """A job whose painter is killed goes on by itself from its checkpoint, and counts the crash."""
    monkeypatch.setenv("NARROW_PAUSE", "0.05")
    monkeypatch.setenv("NARROW_EVERY", "0")

    async def story() -> None:
        job = studio.ask(30)
        await studio.evaluated(job, 15)
        studio.heard.clear()
        os.kill(studio.pid("painter"), signal.SIGKILL)
        hold.unlink()
        done = await studio.over(job)
        assert (done.state, done.crashes) == ("done", 1)
        assert [row[0] for row in done.losses] == list(range(1, 31))
        told = [news["evaluations_done"] for _, id, news in studio.heard if id == job and news]
        assert min(told) > 4

    live(studio, story)


@pytest.mark.slow
def test_three_deaths_set_a_job_aside(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job at which its painter dies three times is set aside, and the next one is painted."""
    monkeypatch.setenv("NARROW_PAUSE", "0.2")

    async def story() -> None:
        job = studio.ask(200)
        for _ in range(3):
            await studio.until(lambda: studio.records.job(job).state == "running")
            studio.heard.clear()
            await studio.evaluated(job, 1)
            os.kill(studio.pid("painter"), signal.SIGKILL)
            await studio.until(lambda: studio.records.job(job).state != "running")
        aside = studio.records.job(job)
        assert aside.state == "set_aside"
        assert aside.fault is not None
        assert "SIGKILL" in aside.fault.message
        assert (await studio.over(studio.ask(2))).state == "done"

    live(studio, story)


@pytest.mark.slow
def test_stopping_keeps_what_was_painted(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, hold: Path
) -> None:
    """A studio that is stopped in the middle of an evaluation leaves no process behind, and the
    next one goes on with the job where it stood; that is no crash."""
    monkeypatch.setenv("NARROW_PAUSE", "0.3")
    monkeypatch.setattr(module, "STOP_SECONDS", 60.0)
    job, pids = "", list[int]()

    async def story() -> None:
        nonlocal job
        job = studio.ask(12)
        await studio.evaluated(job, 3)
        pids.extend(studio.pid(child) for child in ("reader", "painter"))

    live(studio, story)
    assert not any(map(alive, pids))
    stopped = studio.records.job(job)
    assert (stopped.state, stopped.crashes) == ("queued", 0)
    studio.heard.clear()
    hold.unlink()
    studio.new()

    async def rest() -> None:
        done = await studio.over(job)
        assert (done.state, done.crashes) == ("done", 0)
        assert [row[0] for row in done.losses] == list(range(1, 13))
        told = [news["evaluations_done"] for _, id, news in studio.heard if id == job and news]
        assert min(told) >= 4

    live(studio, rest)


def test_wishes_reach_a_running_job(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pausing, another strength, going on and cancelling take effect while the job runs, and
    another job is painted while the first is put aside."""
    monkeypatch.setenv("NARROW_PAUSE", "0.1")

    async def story() -> None:
        records, supervisor = studio.records, studio.supervisor
        job = studio.ask(500)
        await studio.evaluated(job, 2)
        records.set_strength(job, 0.5)
        supervisor.tell(job)
        records.pause(job)
        supervisor.tell(job)
        await studio.until(lambda: records.job(job).state == "paused")
        assert (await studio.over(studio.ask(2))).state == "done"
        records.resume(job)
        supervisor.paint()
        await studio.evaluated(job, 6)
        records.cancel(job)
        supervisor.tell(job)
        done = await studio.over(job)
        assert done.state == "cancelled"
        assert done.result is not None

    live(studio, story)


@pytest.mark.slow
def test_live_pictures_while_somebody_watches(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watching makes live pictures, also where it began before the job or before a crash."""
    monkeypatch.setenv("NARROW_PAUSE", "0.1")

    async def story() -> None:
        job = studio.ask(300)
        studio.supervisor.watch(job, True)
        await studio.until(lambda: studio.storage.read_live(job))
        os.kill(studio.pid("painter"), signal.SIGKILL)
        first = studio.storage.read_live(job)
        assert first is not None

        def newer() -> bool:
            now = studio.storage.read_live(job)
            return now is not None and now.version > first.version

        await studio.until(newer)
        studio.records.cancel(job)
        studio.supervisor.tell(job)
        await studio.over(job)

    live(studio, story)


@pytest.mark.slow
def test_a_reader_that_dies_is_started_again(studio: Studio, tmp_path: Path) -> None:
    """A picture at which the reader dies is refused in words, and the next one is read."""
    program = tmp_path / "reader.py"
    program.write_text(
        "import os\n"
        "from impasto.web import reader\n"
        "read = reader.read\n"
        "def deadly(storage, picture, max_pixels):\n"
        "    if storage.source(picture).read_bytes() == b'deadly':\n"
        "        os.abort()\n"
        "    return read(storage, picture, max_pixels)\n"
        "reader.read = deadly\n"
        "reader.main()\n"
    )
    studio.programs = {**NARROW, "reader": (str(program),)}
    studio.new()

    async def story() -> None:
        deadly = studio.upload(b"deadly")
        good = studio.upload(sample_path("cat").read_bytes())
        refused = await studio.looked_at(deadly)
        assert refused.fault is not None
        assert "cannot be read safely" in refused.fault.message
        assert (await studio.looked_at(good)).state == "ready"
        # One that another process ends is not the picture's fault.
        os.kill(studio.pid("reader"), signal.SIGKILL)
        assert (await studio.looked_at(studio.upload(b"no picture"))).state == "refused"
        assert (
            await studio.looked_at(studio.upload(sample_path("coffee").read_bytes()))
        ).state == "ready"

    live(studio, story)


def test_a_process_that_cannot_start_is_told_by_health(studio: Studio, tmp_path: Path) -> None:
    """A painter that ends at once is tried again and again, ever more rarely, and said to be
    down; the studio can still be stopped."""
    program = tmp_path / "broken.py"
    counts = tmp_path / "counts"
    program.write_text(f"open({str(counts)!r}, 'a').write('x')\nraise SystemExit(3)\n")
    studio.programs = {**NARROW, "painter": (str(program),)}
    studio.new()

    async def story() -> None:
        await studio.supervisor.start()
        await studio.until(lambda: counts.exists() and len(counts.read_text()) >= 3)
        await studio.until(lambda: studio.supervisor.health()["painters"] == {"cpu": "down"})
        await studio.supervisor.stop()

    asyncio.run(story())
    assert len(counts.read_text()) < 6


def test_records_in_postgresql(tmp_path: Path) -> None:
    """With a database server all processes work on its records, and none on a file."""
    with postgres_server() as url:
        studio = Studio(tmp_path / "data", database=url)
        job, picture = studio.ask(), studio.upload(sample_path("cat").read_bytes())

        async def story() -> None:
            assert (await studio.over(job)).state == "done"
            assert (await studio.looked_at(picture)).state == "ready"

        live(studio, story)
        studio.records.close()
    assert not studio.storage.database.exists()


def test_jobs_of_a_device_that_is_no_more_go_on(studio: Studio) -> None:
    """A job that ran on a device which the studio no longer has is painted by another."""
    job = studio.ask(3)
    studio.records.take_job("cuda:3")

    async def story() -> None:
        done = await studio.over(job)
        assert (done.state, done.crashes, done.device) == ("done", 0, "cpu")

    live(studio, story)


def _stand_in(folder: Path, name: str, *lines: str) -> tuple[str]:
    """A program that takes its settings and then does what the lines say."""
    program = folder / f"{name}.py"
    start = ["import json, os, signal, sys, time", "settings = json.loads(sys.stdin.readline())"]
    program.write_text("\n".join([*start, *lines]))
    return (str(program),)


_READY = "print(json.dumps({'ready': True}), flush=True)"


def test_a_message_that_is_cut_ends_nothing(
    studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A painter that dies in the middle of a message, or says what cannot be understood, is
    listened to on, and started again where it is gone."""
    lives = tmp_path / "lives"
    painter = _stand_in(
        *(tmp_path, "painter", _READY),
        f"lives = open({str(lives)!r}, 'a'); lives.write('x'); lives.flush()",
        "print('[1]', flush=True)",
        "print('x' * 3000000, flush=True)",
        "print(json.dumps({'job': 'bad', 'progress': 3}), flush=True)",
        f"if os.path.getsize({str(lives)!r}) == 1:",
        """    sys.stdout.write('{"job": "abc", "prog')""",
        "    sys.stdout.flush()",
        "    os.kill(os.getpid(), signal.SIGKILL)",
        "print(json.dumps({'job': 'good', 'text': 'y' * 70000}), flush=True)",
        "sys.stdin.read()",
    )
    studio.programs = {**NARROW, "painter": painter}
    studio.new()

    def heard(*news: Any) -> None:
        if news[1] == "bad":
            raise KeyError("a fault of the listener")
        studio.heard.append(news)

    studio.supervisor.listener = heard

    async def story() -> None:
        await studio.until(lambda: ("job", "good", None) in studio.heard)
        await studio.until(lambda: lives.read_text() == "xx")
        assert studio.supervisor.health()["painters"] == {"cpu": "ready"}

    live(studio, story)
    assert "a fault of the listener" in caplog.text


def test_an_answer_without_sense_refuses_its_picture(studio: Studio, tmp_path: Path) -> None:
    """A reader's answer that makes no sense costs its own picture alone."""
    reader = _stand_in(
        *(tmp_path, "reader", _READY, "count = 0"),
        "for line in sys.stdin:",
        "    count += 1",
        "    answer = {'picture': json.loads(line)['picture']}",
        "    if count == 2: answer['fault'] = {'nonsense': 1}",
        "    if count == 3: answer |= {'width': 4, 'height': 3, 'has_alpha': False}",
        "    print(json.dumps(answer), flush=True)",
    )
    studio.programs = {**NARROW, "reader": reader}
    studio.new()

    async def story() -> None:
        for state in "refused", "refused", "ready":
            assert (await studio.looked_at(studio.upload(b"x"))).state == state
        assert studio.supervisor.health()["reader"]

    live(studio, story)


def test_a_fault_of_the_records_stops_no_work(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the records raise once, pictures are read and painters are kept afterwards; and
    health says where they are not."""
    monkeypatch.setattr(module, "FAULT_PAUSE", 0.0)
    unread, crash, faults = studio.records.unread_pictures, studio.records.crash, list[str]()

    def failing(real: Any, error: Exception) -> Any:
        def once(*given: Any, **named: Any) -> Any:
            if str(error) not in faults:
                faults.append(str(error))
                raise error
            return real(*given, **named)

        return once

    monkeypatch.setattr(studio.records, "unread_pictures", failing(unread, ValueError("odd")))
    monkeypatch.setattr(studio.records, "crash", failing(crash, PoolTimeoutError("all taken")))

    async def story() -> None:
        os.kill(studio.pid("painter"), signal.SIGKILL)
        await studio.until(lambda: len(faults) == 2)
        assert (await studio.looked_at(studio.upload(b"no picture"))).state == "refused"
        await studio.ready()
        assert (await studio.over(studio.ask(2))).state == "done"
        for task in studio.supervisor._keeping, studio.supervisor._tasks:
            task[0].cancel()
        await asyncio.sleep(0.1)
        assert not studio.supervisor.health()["reader"]

    live(studio, story)


def test_a_painter_that_cannot_paint_is_told_by_health(
    studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A painter without weights is down until it has some, and the log says why."""
    go = tmp_path / "go"
    painter = _stand_in(
        *(tmp_path, "painter", "print(json.dumps({'cannot': 'there are no weights'}), flush=True)"),
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)",
        *(_READY, "sys.stdin.read()"),
    )
    studio.programs = {**NARROW, "painter": painter}
    studio.new()

    async def story() -> None:
        await studio.supervisor.start()
        await studio.until(lambda: studio.supervisor.health()["painters"] == {"cpu": "down"})
        go.touch()
        await studio.ready()
        await studio.supervisor.stop()

    asyncio.run(story())
    assert "there are no weights" in caplog.text


def test_a_painter_that_will_not_end_is_killed(
    studio: Studio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A painter that does not end in time is killed; that is no crash of its job's, and memory is
    not blamed."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    studio.programs = {
        **NARROW,
        "painter": _stand_in(tmp_path, "painter", _READY, "time.sleep(600)"),
    }
    studio.new()
    job, pids = studio.ask(), list[int]()

    async def story() -> None:
        assert studio.records.take_job("cpu") is not None
        pids.append(studio.pid("painter"))

    live(studio, story)
    assert not alive(pids[0])
    found = studio.records.job(job)
    assert (found.state, found.crashes) == ("queued", 0)
    assert "did not end in time" in caplog.text
    assert "memory" not in caplog.text


@pytest.mark.parametrize(
    ("allowed", "device", "seen"),
    [
        (None, "cuda:1", {"CUDA_VISIBLE_DEVICES": "1"}),
        ("2,3", "cuda:1", {"CUDA_VISIBLE_DEVICES": "3"}),
        ("GPU-aa, GPU-bb", "cuda:0", {"CUDA_VISIBLE_DEVICES": "GPU-aa"}),
        ("2", "cuda:1", {"CUDA_VISIBLE_DEVICES": ""}),
        ("2,3", "cpu", {}),
    ],
)
def test_painters_see_gpus_that_the_host_allows(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, device: str, seen: dict[str, str]
) -> None:
    """GPUs are counted among those that the studio itself may see."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert module._alone_with(device) == seen


def test_the_search_for_devices_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server ends while GPUs are looked for, no process is left that looks."""
    told = tmp_path / "pid"
    probe = f"import os, time; print(os.getpid(), file=open({str(told)!r}, 'w')); time.sleep(600)"
    monkeypatch.setattr(module, "_PROBE", probe)

    async def story() -> int:
        looking = asyncio.create_task(module._devices_here())
        async with asyncio.timeout(60):
            while not (told.exists() and told.read_text().strip()):
                await asyncio.sleep(0.02)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            number = int(told.read_text())
            while alive(number):
                await asyncio.sleep(0.02)
        return number

    assert not alive(asyncio.run(story()))


def test_messages_longer_than_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child's message arrives whole where the pipe takes it in parts only."""
    line, taken = child.Line.__new__(child.Line), bytearray()

    class Pipe:
        def write(self, data: memoryview) -> int:
            taken.extend(data[:4096])
            return len(data[:4096])

    monkeypatch.setattr(line, "_lock", threading.Lock(), raising=False)
    monkeypatch.setattr(line, "_out", Pipe(), raising=False)
    line.tell({"text": "z" * 10000})
    assert taken == b'{"text": "' + b"z" * 10000 + b'"}\n'
