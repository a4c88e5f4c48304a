"""One running studio: its settings, records, files, painters and everything that routes share."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from impasto.errors import ImpastoError
from impasto.web.built_in import BuiltInPictures
from impasto.web.config import StudioOptions
from impasto.web.database import Trouble, trouble
from impasto.web.entities import Fault, Job, MissingError, Picture
from impasto.web.limits import MAX_KEYS, Limiter, Slots, Unfinished
from impasto.web.live import LivePictures
from impasto.web.metrics import Metrics
from impasto.web.passwords import Passwords
from impasto.web.previews import Previews
from impasto.web.records import Records
from impasto.web.retention import DAY
from impasto.web.schema import (
    JobOut,
    NoteOut,
    PictureOut,
    Problem,
    ProgressOut,
    ResultOut,
    without_flags,
)
from impasto.web.security import Guard, Refused, load_secret
from impasto.web.signing_in import SignIn
from impasto.web.storage import Storage
from impasto.web.supervisor import Listener
from impasto.web.watching import Watching

BURST = 6.0
"""Seconds' worth of requests that may come at once: a page asks for many pictures."""

UPLOADS, ADDRESS_UPLOADS, ALL_UPLOADS = 4, 32, 64
"""Uploads at once of one visitor, of one address, and of all."""

STREAMS, ALL_STREAMS = 64, 1000
DOWNLOADS, ALL_DOWNLOADS = 3, 32
"""Streams and downloads at once of one visitor and of all; one address may have half of all."""

ENCODERS = 2
"""Most files to take away that are made at once: each may take gigabytes of memory."""

LIVE_SHARE = 10.0
"""Live pictures that a visitor may ask for, to one request of any other kind: they are cheap, and
who watches several jobs asks for many."""

CROWD_SECONDS = 5.0
"""Seconds after which to try again where too many connections are open."""

WATCH_SECONDS = 5.0
"""Seconds for which a job that was found to be a visitor's to watch is not looked up again."""

LEAST_ROOM = 1 << 20
"""Bytes below which a disk counts as full, whatever is to be left free."""

PROBE_SECONDS = 5.0
"""Seconds for which the records' health is not looked into again: it takes a write."""

HURT_SECONDS = 60.0
"""Seconds for which a fault of the records' makes the studio ill."""


class Workers(Protocol):
    """The processes that paint and read, as the server sees them.

    All methods are called in the event loop's thread, and so is `listener`: with each progress of a
    running job, and with `None` where a job's or picture's record has changed.
    """

    listener: Listener

    async def start(self) -> None:
        """Starts them."""

    async def stop(self) -> None:
        """Ends them in good order, within 4 seconds; may be called twice."""

    def read(self, picture: str) -> None:
        """A new upload lies in its place."""

    def paint(self) -> None:
        """A job has been queued."""

    def tell(self, job: str) -> None:
        """Something else is wanted of a running job."""

    def watch(self, job: str, on: bool) -> None:
        """Somebody looks at a job's live picture, or nobody does any more."""

    def health(self) -> dict[str, Any]:
        """`reader`: whether it works; `painters`: `ready`, `starting` or `down` by device."""
        ...


@dataclass(frozen=True)
class Seen:
    """A job, its place in the queue where it waits, and its result where it has one."""

    job: Job
    place: int | None
    result: Picture | None

    @property
    def over(self) -> bool:
        """Whether it will not go on by itself."""
        return self.job.over


class Studio:
    """What routes share.

    Args:
        options: the settings.
        records: what there is.
        storage: where it lies.
        workers: who paints and reads.

    Raises:
        OptionError: the password or token file cannot be used.
        OutputError: the data folder cannot be.
    """

    def __init__(
        self, options: StudioOptions, records: Records, storage: Storage, workers: Workers
    ) -> None:
        self.options, self.records, self.storage, self.workers = options, records, storage, workers
        passwords = Passwords(options.password_file, options.token_file)
        self.guard = Guard(options, passwords, load_secret(storage.secret_key))
        self.sign_in = SignIn(passwords, self.guard)
        self.metrics = Metrics()
        self.live = LivePictures(storage)
        self.built_in = BuiltInPictures(storage)
        self.previews = Previews(options)
        self.takes_clips = all(importlib.util.find_spec(name) for name in ("av", "cv2"))
        self.watching = Watching(self.see, records.places, seen_text, workers.watch)
        workers.listener = self.watching.heard
        self.by_owner = Limiter(options.rate, options.rate * BURST)
        live_rate = options.rate * LIVE_SHARE
        self.live_by_owner = Limiter(live_rate, live_rate * BURST)
        self.by_address = Limiter(options.address_rate, options.address_rate * BURST)
        self.jobs_by_address = Unfinished(options.address_queue, records.unfinished)
        self.uploads_by_address = Limiter(options.address_uploads / DAY, options.address_uploads)
        self.uploads = Slots(UPLOADS, ALL_UPLOADS)
        self.address_uploads = Slots(ADDRESS_UPLOADS, ALL_UPLOADS)
        self.streams = Slots(STREAMS, ALL_STREAMS)
        self.address_streams = Slots(ALL_STREAMS // 2, ALL_STREAMS)
        self.downloads = Slots(DOWNLOADS, ALL_DOWNLOADS)
        self.address_downloads = Slots(ALL_DOWNLOADS // 2, ALL_DOWNLOADS)
        self.encoders = asyncio.Semaphore(ENCODERS)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._probed, self._sound = -math.inf, True
        self._hurt = -math.inf
        self._connections: Callable[[], int] = lambda: 0
        self._most_connections = math.inf
        self._watchers = OrderedDict[tuple[str, str], float]()

    def bound(self, connections: Callable[[], int], most: int) -> None:
        """Says how many connections may be open. Streams, which stay, get half of them.

        Args:
            connections: how many are open.
            most: beyond which `check_crowd` refuses.
        """
        self._connections, self._most_connections = connections, most
        self.streams.all = min(ALL_STREAMS, most // 2)
        self.address_streams.each = max(1, self.streams.all // 2)

    def check_crowd(self) -> None:
        """Refuses where more connections are open than may be.

        Raises:
            Refused: so it is.
        """
        if self._connections() > self._most_connections:
            raise Refused(503, "busy", "too many use the studio just now; try again", CROWD_SECONDS)

    def count(self, owner: str, *, live: bool = False) -> None:
        """Counts a request of a visitor's.

        Args:
            owner: who asks.
            live: for a live picture, which costs no look into the records.

        Raises:
            Refused: there were too many.
        """
        wait = (self.live_by_owner if live else self.by_owner).take(owner)
        if wait:
            raise Refused(429, "too_many", "too many requests; wait a little", wait)

    def trouble(self, error: SQLAlchemyError) -> Trouble:
        """What hinders the records, noted for the studio's health."""
        found = trouble(error)
        # A full disk also keeps SQLite from the files beside its own.
        with contextlib.suppress(ImpastoError):
            if found == "broken" and self.storage.free_bytes() < LEAST_ROOM:
                found = "full"
        if found != "busy":
            self._hurt = time.monotonic()
        return found

    def records_work(self) -> bool:
        """Whether the records can be read and written, and were lately."""
        now = time.monotonic()
        if now - self._probed >= PROBE_SECONDS:
            self._probed = now
            try:
                self.records.probe()
                self._sound = True
            except (SQLAlchemyError, ImpastoError):
                self._sound = False
        return self._sound and now - self._hurt >= HURT_SECONDS

    def has_room(self) -> bool:
        """Whether uploads fit on the disk."""
        return self.storage.free_bytes() >= max(self.options.free_space, LEAST_ROOM)

    def may_watch(self, owner: str, job: str) -> bool:
        """Whether a job was found lately to be this owner's to watch.

        Live pictures are asked for by many several times a second; most need no look into the
        records.
        """
        until = self._watchers.get((owner, job))
        return until is not None and time.monotonic() < until

    def let_watch(self, owner: str, job: str) -> None:
        """Notes that a job was found to be this owner's to watch."""
        self._watchers[owner, job] = time.monotonic() + WATCH_SECONDS
        self._watchers.move_to_end((owner, job))
        if len(self._watchers) > MAX_KEYS:
            self._watchers.popitem(last=False)

    def see(self, job: str) -> Seen:
        """A job with what belongs to it.

        Raises:
            MissingError: there is none.
        """
        return self.seen([self.records.job(job)])[0]

    def seen(self, jobs: Iterable[Job]) -> list[Seen]:
        """Jobs with what belongs to them."""
        jobs = list(jobs)
        queued = any(job.state == "queued" for job in jobs)
        places = self.records.places() if queued else {}
        return [Seen(job, places.get(job.id), self._result(job)) for job in jobs]

    def _result(self, job: Job) -> Picture | None:
        try:
            return None if job.result is None else self.records.picture(job.result)
        except MissingError:
            return None

    def changed(self, job: Job) -> None:
        """Tells painters and viewers that a job's record has changed. From any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._changed, job)

    def _changed(self, job: Job) -> None:
        if job.state == "running":
            self.workers.tell(job.id)
        elif job.state == "queued":
            self.workers.paint()
        self.watching.heard("job", job.id, None)

    def know(self, owner: str) -> None:
        """Makes an owner's record where it is missing."""
        if self.records.owner(owner) is None:
            self.records.add_owner(owner)


def picture_out(picture: Picture) -> PictureOut:
    """A picture as programs get it."""
    return PictureOut.model_validate(dataclasses.asdict(picture))


def job_out(seen: Seen, progress: dict[str, Any] | None = None) -> JobOut:
    """A job as programs get it.

    Args:
        seen: the job.
        progress: newer than that in its record, where there is any.
    """
    job, result = seen.job, seen.result
    found = progress if progress is not None and job.state == "running" else job.progress
    size = None
    if result is not None:
        size = ResultOut(id=result.id, width=result.width or 0, height=result.height or 0)
    return JobOut(
        id=job.id,
        label=job.label,
        title=job.request.get("title", ""),
        state=job.state,
        fault=None if job.fault is None else _problem(job.fault),
        note=None if job.note is None else NoteOut(**dataclasses.asdict(job.note)),
        place=seen.place,
        request={name: value for name, value in job.request.items() if name != "title"},
        wanted=job.wanted,
        progress=None if found is None else ProgressOut.model_validate(found),
        result=size,
        strength=job.strength,
        shared=job.shared,
        crashes=job.crashes,
        created=job.created,
        started=job.started,
        finished=job.finished,
        deleted=job.deleted,
    )


def _problem(fault: Fault) -> Problem:
    option = without_flags(fault.message)[0] if fault.code == "option" else None
    return Problem.model_validate({**dataclasses.asdict(fault), "field": option})


def seen_text(seen: Seen, place: int | None, progress: dict[str, Any] | None) -> str:
    """A job as viewers of its events get it."""
    return job_out(dataclasses.replace(seen, place=place), progress).model_dump_json()
