"""No job is lost and none is done twice, whatever is killed and however full the disk is.

The server is the command serve; only the painter's network is a narrow one, lest jobs that
are painted and killed again and again take hours.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.images import read_image
from impasto.web import child
from impasto.web.entities import Job
from impasto.web.records import Records, records_in
from impasto.web.storage import Storage
from studio_stand_ins import spare_drawing

TINY = {"size": 24, "single_level": True, "content_layers": "relu2_1", "start": "content"}
EVALUATIONS = 15
SECONDS = 240

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="kills processes and looks into /proc"),
]


class Studio:
    """A server process of its own over a data folder, and its records.

    Args:
        folder: of its data.
        database: file of the records; by default in that folder.
        log: what the server says; by default in that folder.

    Attributes:
        hold: a file; as long as it is there, no job comes to its end, however slow the test is.
    """

    def __init__(self, folder: Path, database: Path | None = None, log: Path | None = None) -> None:
        self.storage = Storage(folder)
        spare_drawing(folder)
        self.log = log or folder / "log"
        self.hold = self.log.with_name("hold")
        self._database = database or self.storage.database
        self.records: Records = records_in(self._database)
        self.owner = self.records.add_owner().id
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts a server."""
        program = Path(__file__).with_name("studio_server.py")
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, str(program), str(self.storage.root)],
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "NARROW_PAUSE": "0.05",
                    "NARROW_EVERY": "0.1",
                    "NARROW_HOLD": str(self.hold),
                    "IMPASTO_STUDIO_DATABASE": f"sqlite:///{self._database}",
                },
            )

    def end(self, signal: int) -> None:
        """Ends the server."""
        assert self._server is not None
        self._server.send_signal(signal)
        self._server.wait(SECONDS)

    def stop(self) -> None:
        """Ends the server in good order, and waits for its children."""
        self.end(signal.SIGTERM)
        for name in ("painter-cpu", "reader"):
            wait(lambda name=name: not child.is_held(self.storage.lock(name)))

    def painter(self) -> int | None:
        """The number of the painter's process; `None` while there is none."""
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = place.read_bytes().split(b"\0")
                if any(word.endswith(b"narrow_painter.py") for word in words):
                    process = int(place.parent.name)
                    held = (place.parent / "fd").iterdir()
                    lock = str(self.storage.lock("painter-cpu"))
                    if any(str(one.readlink()) == lock for one in held):
                        return process
        return None

    def ask(self, count: int) -> list[str]:
        """Queues tiny jobs, each with a seed of its own."""
        return [
            self.records.add_job(
                self.owner,
                {
                    "photo": "sample:cat",
                    "styles": ["sample:coffee"],
                    "options": {
                        **TINY,
                        "start": "noise",
                        "seed": seed,
                        "evaluations": EVALUATIONS,
                    },
                },
            ).id
            for seed in range(count)
        ]

    def jobs(self) -> list[Job]:
        """All jobs."""
        return self.records.jobs(self.owner, limit=999).jobs

    def running(self) -> Job | None:
        """The job that is painted, of which something is known."""
        return next((job for job in self.jobs() if job.state == "running"), None)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio, not started yet; none of its processes outlives the test."""
    made = Studio(tmp_path / "data")
    yield made
    if made._server is not None and made._server.poll() is None:
        made._server.kill()
        made._server.wait()
    wait(lambda: not child.is_held(made.storage.lock("painter-cpu")))


def wait(true: Any, seconds: float = SECONDS) -> Any:
    """Waits until something is so, and gives it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def finish(studio: Studio, asked: list[str]) -> None:
    """Waits for the end of all jobs; those that were set aside say why and are run again."""

    def over() -> bool:
        for job in studio.jobs():
            if job.state == "set_aside":
                assert job.fault is not None
                assert "3 times" in job.fault.message
                studio.records.again(job.id)
        return all(job.state == "done" for job in studio.jobs())

    wait(over)
    check(studio, asked)


def check(studio: Studio, asked: list[str]) -> None:
    """No job is lost or doubled: each has one result, which is there and whole, of all of its
    evaluations and of its own seed, and there is no other."""
    jobs, records = studio.jobs(), studio.records
    assert sorted(job.id for job in jobs) == sorted(asked)
    results = [job.result for job in jobs]
    assert None not in results
    assert sorted(p.id for p in records.pictures(studio.owner, "result")) == sorted(
        map(str, results)
    )
    for job in jobs:
        losses = records.job(job.id).losses
        assert [row[0] for row in losses] == list(range(1, EVALUATIONS + 1))
        found = read_image(studio.storage.master(str(job.result)))
        assert found.settings is not None
        assert found.settings["options"]["seed"] == job.request["options"]["seed"]
        assert found.settings["result"]["evaluations"] == EVALUATIONS
        assert studio.storage.view(str(job.result)).exists()
        assert studio.storage.thumb(str(job.result)).exists()
    assert list((studio.storage.root / "jobs").glob("*.ckpt")) == []


def test_twenty_kills_of_the_painter(studio: Studio) -> None:
    """The painter is killed twenty times at any moment of its jobs: each of them ends, and in the
    same bytes as one that nobody disturbed."""
    asked = studio.ask(10)
    studio.start()
    chance = random.Random(5)
    for _ in range(20):
        wait(lambda: _busy(studio, asked))
        process = wait(studio.painter)
        time.sleep(chance.uniform(0, 0.7))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        wait(lambda process=process: studio.painter() not in (None, process))
    finish(studio, asked)
    crashes = (studio.storage.root / "log").read_text().count("SIGKILL")
    assert crashes >= 20
    (calm,) = studio.ask(1)
    wait(lambda: studio.records.job(calm).over)
    first, second = (
        read_image(studio.storage.master(str(studio.records.job(job).result))).pixels
        for job in (calm, asked[0])
    )
    assert np.array_equal(first, second)
    studio.stop()


def _busy(studio: Studio, asked: list[str]) -> Job | None:
    """The job that is painted; where there is none left, those that were set aside are run again,
    or one more is asked for, so that there is something to kill."""
    if all(job.over for job in studio.jobs()):
        aside = [job for job in studio.jobs() if job.state == "set_aside"]
        for job in aside:
            studio.records.again(job.id)
        if not aside:
            asked += studio.ask(1)
    return studio.running()


def test_ten_kills_of_the_server(studio: Studio) -> None:
    """The server is killed ten times while jobs run, and started anew at once: its painter puts
    the job back, which is no crash, and all jobs end."""
    asked = studio.ask(4)
    chance = random.Random(7)
    for _ in range(10):
        studio.start()
        wait(lambda: _busy(studio, asked))
        time.sleep(chance.uniform(0, 0.5))
        studio.end(signal.SIGKILL)
    studio.start()
    finish(studio, asked)
    assert sum(job.crashes for job in studio.jobs()) == 0
    studio.stop()


def test_all_is_killed_at_once(studio: Studio) -> None:
    """Where painter and server are killed together, as by the system, the job goes on with the
    next server."""
    asked = studio.ask(2)
    studio.hold.touch()
    for _ in range(2):
        studio.start()
        wait(studio.running)
        process = wait(studio.painter)
        time.sleep(0.3)
        studio.end(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    studio.hold.unlink()
    studio.start()
    finish(studio, asked)
    studio.stop()


def test_checkpoints_that_are_damaged(studio: Studio) -> None:
    """A checkpoint that is damaged while the studio is down is set aside; the job begins anew,
    says so, and ends."""
    asked = studio.ask(1)
    studio.hold.touch()
    studio.start()
    path = studio.storage.checkpoint(asked[0])
    wait(lambda: (studio.records.job(asked[0]).progress or {}).get("evaluations_done", 0) > 3)
    studio.stop()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    studio.hold.unlink()
    studio.start()
    finish(studio, asked)
    note = studio.records.job(asked[0]).note
    assert note is not None
    assert note.code == "began_anew"
    studio.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("records_have_room", [False, True])
def test_a_full_disk(small_disk: Path, tmp_path: Path, records_have_room: bool) -> None:
    """On a full disk jobs wait, with the reason where it can still be written down, and end when
    there is room again.
    """
    database = tmp_path / "studio.sqlite3" if records_have_room else None
    studio = Studio(small_disk / "data", database, tmp_path / "log")
    asked = studio.ask(3)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
            if os.statvfs(small_disk).f_bavail < 4:
                break
    studio.start()

    def aside() -> bool:
        return all(job.state == "paused" for job in studio.jobs())

    def going_on() -> bool:
        for job in studio.jobs():
            if job.state == "paused":
                assert job.note is not None
                assert job.note.code in ("no_room", "no_room_at_end")
                studio.records.resume(job.id)
        return all(job.state == "done" for job in studio.jobs())

    try:
        if records_have_room:
            wait(aside)
        else:
            wait(lambda: "the records cannot be used" in studio.log.read_text())
            assert all(job.state == "queued" for job in studio.jobs())
        ballast.unlink()
        wait(going_on)
        check(studio, asked)
        studio.stop()
    finally:
        assert studio._server is not None
        studio._server.kill()
        studio._server.wait()
        wait(lambda: not child.is_held(studio.storage.lock("painter-cpu")))
        studio.records.close()
