"""What the studio knows: owners, pictures and jobs, and what may become of them.

The records are the truth. Every change is one transaction that also checks whether it may happen,
so that no job is lost, taken twice or finished twice, whoever is killed when. Times are seconds
since 1970.

States of a job, and what leads from one to the next:

    queued     → running (take_job), paused (pause), cancelled (cancel, nothing painted yet)
    running    → done, cancelled, failed (finish, cancelled, fail), paused (put_aside),
                 queued (put_back, crash; put_aside, where another wish came in between),
                 set_aside (the third crash)
    paused     → queued (resume, or cancel where something is painted), cancelled (cancel)
    failed, set_aside → queued (again)

A running job cannot be changed from outside: `wanted` asks its painter. A job that is paused or
queued with something painted is cancelled by its painter too, which makes its best picture the
result.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from impasto.errors import one_line
from impasto.web.database import JOBS, OWNERS, PICTURES, PRESETS, Database
from impasto.web.entities import (
    ACTIVE,
    JOB_STATES,
    NOTE_CODES,
    PICTURE_KINDS,
    Counts,
    Fault,
    Job,
    JobState,
    MissingError,
    NameTakenError,
    Note,
    NoteCode,
    Owner,
    OwnPreset,
    Page,
    Picture,
    PictureKind,
    PresetsFullError,
    Purged,
    QueueFullError,
    StateError,
    Wanted,
    clean_name,
    named_pictures,
)
from impasto.web.storage import new_id

CRASHES = 3
"""After so many a job is set aside."""

SEEN_STEP = 3600.0
"""Seconds that an owner's `seen` may lag, so that looking is not writing."""


class Records:
    """The records of a studio; may be used from several threads and processes at once.

    Args:
        url: of the database, such as `sqlite:////var/lib/impasto/studio.sqlite3` or
            `postgresql+psycopg://user@host/name`; `records_in` makes that of a file.
        clock: tells the time, seconds since 1970.
        wait: seconds that a change waits while another process is writing.

    Raises:
        RecordsError: the database cannot be opened, or is of another version.
    """

    def __init__(self, url: str, *, clock: Any = time.time, wait: float = 30.0) -> None:
        self._clock, self._database = clock, Database(url, wait=wait)
        self._look, self._change = self._database.look, self._database.change

    def probe(self) -> None:
        """Reads a little of everything and writes a little.

        Raises:
            SQLAlchemyError: the database cannot do that.
        """
        self._database.probe(str(self._clock()))

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    # --- owners ----------------------------------------------------------------------------------

    def add_owner(self, owner: str | None = None) -> Owner:
        """A new owner, or the one of that id, which is made where it is missing."""
        now = self._clock()
        with self._change() as change:
            if owner is not None:
                row = change.execute(OWNERS.select().where(OWNERS.c.id == owner)).first()
                if row is not None:
                    return Owner(row.id, row.created, row.seen)
            made = Owner(owner or new_id(), now, now)
            change.execute(
                OWNERS.insert().values(id=made.id, created=made.created, seen=made.seen, served=0.0)
            )
            return made

    def owner(self, owner: str) -> Owner | None:
        """The owner of an id, who is noted as seen now; `None` where there is none."""
        now = self._clock()
        with self._look() as look:
            row = look.execute(OWNERS.select().where(OWNERS.c.id == owner)).first()
        if row is None:
            return None
        if now - row.seen > SEEN_STEP:
            with self._change() as change:
                change.execute(OWNERS.update().where(OWNERS.c.id == owner).values(seen=now))
            return Owner(row.id, row.created, now)
        return Owner(row.id, row.created, row.seen)

    # --- presets of one's own --------------------------------------------------------------------

    def presets(self, owner: str) -> list[OwnPreset]:
        """An owner's presets by name."""
        query = PRESETS.select().where(PRESETS.c.owner == owner)
        with self._look() as look:
            found = [_preset(row) for row in look.execute(query)]
        return sorted(found, key=lambda preset: (preset.name.casefold(), preset.name))

    def preset(self, owner: str, preset: str) -> OwnPreset:
        """One of an owner's presets.

        Raises:
            MissingError: they have none of that id.
        """
        with self._look() as look:
            return _preset(_own_preset(look, owner, preset))

    def save_preset(
        self, owner: str, preset: str, name: str, options: Mapping[str, Any], *, limit: int
    ) -> OwnPreset:
        """Keeps options under a name: as a new preset, or in place of the owner's one of that id.

        Args:
            owner: whose it is.
            preset: its id, of the caller's choice.
            name: which the caller has cleaned.
            options: which the caller has checked.
            limit: most presets that its owner may have, this one included.

        Raises:
            NameTakenError: another one of theirs has that name.
            PresetsFullError: it would be one too many.
        """
        with self._change() as change:
            mine = change.execute(PRESETS.select().where(PRESETS.c.owner == owner)).all()
            others = [row for row in mine if row.id != preset]
            if any(row.name == name for row in others):
                raise NameTakenError("another preset of yours has that name; choose another name")
            if len(others) >= limit:
                raise PresetsFullError(
                    f"you have {len(others)} presets, and may have {limit}; delete one first"
                )
            change.execute(PRESETS.delete().where(_is_preset(owner, preset)))
            made = OwnPreset(preset, name, dict(options))
            change.execute(
                PRESETS.insert().values(
                    owner=owner, id=made.id, name=made.name, options=made.options
                )
            )
            return made

    def delete_preset(self, owner: str, preset: str) -> OwnPreset:
        """Forgets a preset, and gives what it was: saved again, it is back.

        Raises:
            MissingError: its owner has none of that id.
        """
        with self._change() as change:
            row = _own_preset(change, owner, preset)
            change.execute(PRESETS.delete().where(_is_preset(owner, preset)))
            return _preset(row)

    # --- pictures --------------------------------------------------------------------------------

    def add_picture(
        self,
        owner: str,
        kind: PictureKind,
        name: str = "",
        *,
        picture: str | None = None,
        bytes: int | None = None,
        sha256: str | None = None,
    ) -> Picture:
        """An upload, whose source lies in its place; the reader looks at it next.

        Args:
            owner: whose it is.
            kind: what it is for.
            name: what its owner calls it; cleaned and cut to `NAME_LENGTH`.
            picture: its id, where its files have it already.
            bytes: size of the source.
            sha256: of the source.
        """
        values = {
            "id": picture or new_id(),
            "owner": owner,
            "kind": kind,
            "name": clean_name(name),
            "state": "reading",
            "bytes": bytes,
            "sha256": sha256,
            "created": self._clock(),
        }
        with self._change() as change:
            change.execute(PICTURES.insert().values(**values))
            return _picture(_one(change, PICTURES, values["id"]))

    def picture(self, picture: str) -> Picture:
        """A picture, deleted or not.

        Raises:
            MissingError: there is none.
        """
        with self._look() as look:
            return _picture(_one(look, PICTURES, picture))

    def pictures(
        self, owner: str, kind: PictureKind | None = None, *, limit: int = 500
    ) -> list[Picture]:
        """An owner's pictures that are not deleted, newest first."""
        query = PICTURES.select().where(PICTURES.c.owner == owner, PICTURES.c.deleted.is_(None))
        if kind is not None:
            query = query.where(PICTURES.c.kind == kind)
        query = query.order_by(PICTURES.c.created.desc(), PICTURES.c.id).limit(limit)
        with self._look() as look:
            return [_picture(row) for row in look.execute(query)]

    def unread_pictures(self) -> list[Picture]:
        """One picture of each owner that the reader has still to look at: their oldest.

        Asked again and again it gives all, and owners take turns, however much one has uploaded.
        """
        order = PICTURES.c.created, PICTURES.c.id
        turn = sql.func.row_number().over(partition_by=PICTURES.c.owner, order_by=order)
        unread = sql.select(PICTURES.c.id, turn.label("turn"))
        unread = unread.where(PICTURES.c.state == "reading").subquery()
        next_ones = sql.select(unread.c.id).where(unread.c.turn == 1)
        query = PICTURES.select().where(PICTURES.c.id.in_(next_ones)).order_by(*order)
        with self._look() as look:
            return [_picture(row) for row in look.execute(query)]

    def count_pictures(self, owner: str) -> int:
        """How many pictures an owner has that are not purged."""
        query = sql.select(sql.func.count()).where(PICTURES.c.owner == owner)
        with self._look() as look:
            return int(look.scalar(query) or 0)

    def picture_ready(self, picture: str, width: int, height: int, *, has_alpha: bool) -> Picture:
        """Notes that the reader has read a picture; one that is not `reading` stays as it is.

        Raises:
            MissingError: there is none.
        """
        found = {"state": "ready", "width": width, "height": height, "has_alpha": has_alpha}
        return self._read(picture, found)

    def picture_refused(self, picture: str, fault: Fault) -> Picture:
        """Notes that the reader has refused a picture; one that is not `reading` stays as it is.

        Raises:
            MissingError: there is none.
        """
        return self._read(picture, {"state": "refused", "fault": _fault_values(fault)})

    def _read(self, picture: str, values: dict[str, Any]) -> Picture:
        with self._change() as change:
            mine = (PICTURES.c.id == picture) & (PICTURES.c.state == "reading")
            change.execute(PICTURES.update().where(mine).values(**values))
            return _picture(_one(change, PICTURES, picture))

    def delete_picture(self, picture: str) -> Picture:
        """Deletes a picture; `restore_picture` takes it back until it is purged.

        Raises:
            MissingError: there is none.
        """
        return self._set_picture(picture, deleted=self._clock())

    def restore_picture(self, picture: str) -> Picture:
        """Takes the deletion of a picture back.

        Raises:
            MissingError: there is none (any more).
        """
        return self._set_picture(picture, deleted=None)

    def _set_picture(self, picture: str, **values: Any) -> Picture:
        with self._change() as change:
            _one(change, PICTURES, picture)
            change.execute(PICTURES.update().where(PICTURES.c.id == picture).values(**values))
            return _picture(_one(change, PICTURES, picture))

    # --- jobs, for those who ask for them --------------------------------------------------------

    def add_job(
        self,
        owner: str,
        request: Mapping[str, Any],
        *,
        label: str = "",
        words: Iterable[str] = (),
        limit: int | None = None,
    ) -> Job:
        """A new job, at its owner's end of the queue.

        Args:
            owner: whose it is.
            request: see `Job`; pictures are checked by the caller.
            label: what its owner calls it; cleaned and cut to `NAME_LENGTH`.
            words: more that a search finds it by, such as its pictures' names.
            limit: most jobs that are not over that its owner may have, this one included.

        Raises:
            QueueFullError: the owner has as many already.
        """
        with self._change() as change:
            return self._add_job(change, owner, request, clean_name(label), words, limit)

    def _add_job(
        self,
        change: Connection,
        owner: str,
        request: Mapping[str, Any],
        label: str,
        words: Iterable[str],
        limit: int | None,
    ) -> Job:
        _check_room(change, owner, limit)
        job = new_id()
        change.execute(
            JOBS.insert().values(
                id=job,
                owner=owner,
                label=label,
                state="queued",
                request=dict(request),
                created=self._clock(),
                words=" ".join([label, *words]).casefold(),
            )
        )
        return _job(_one(change, JOBS, job))

    def job(self, job: str) -> Job:
        """A job, deleted or not.

        Raises:
            MissingError: there is none.
        """
        with self._look() as look:
            return _job(_one(look, JOBS, job))

    def jobs(
        self,
        owner: str,
        *,
        search: str = "",
        states: Sequence[JobState] = (),
        before: str | None = None,
        limit: int = 50,
    ) -> Page:
        """An owner's jobs that are not deleted, newest first.

        Args:
            owner: whose.
            search: words that must all be in the label or the job's words.
            states: only these; all where none is named.
            before: `next` of the page before.
            limit: most jobs to give.

        Raises:
            StateError: `before` is no page's.
        """
        query = sql.select(*_LISTED).where(JOBS.c.owner == owner)
        for word in search.casefold().split():
            query = query.where(JOBS.c.words.contains(word, autoescape=True))
        if states:
            query = query.where(JOBS.c.state.in_(states))
        return self._page(query, before, limit)

    def shared_jobs(self, *, before: str | None = None, limit: int = 50) -> Page:
        """Jobs of everybody that are shared and have a result, newest first.

        Raises:
            StateError: `before` is no page's.
        """
        query = sql.select(*_LISTED).where(JOBS.c.shared.is_(True), JOBS.c.result.is_not(None))
        return self._page(query, before, limit)

    def _page(self, query: Any, before: str | None, limit: int) -> Page:
        if before is not None:
            created, _, job = before.partition("~")
            try:
                when = float.fromhex(created)
                if "\0" in job or not math.isfinite(when):
                    raise ValueError
            except (ValueError, OverflowError):
                raise StateError("before: no such page; leave it out to begin again") from None
            same = (JOBS.c.created == when) & (JOBS.c.id > job)
            query = query.where((JOBS.c.created < when) | same)
        query = query.where(JOBS.c.deleted.is_(None))
        query = query.order_by(JOBS.c.created.desc(), JOBS.c.id).limit(limit + 1)
        with self._look() as look:
            found = [_job(row) for row in look.execute(query)]
        jobs, more = found[:limit], len(found) > limit
        last = f"{jobs[-1].created.hex()}~{jobs[-1].id}" if more else None
        return Page(jobs, last)

    def unfinished(self, jobs: Iterable[str]) -> list[str]:
        """Which of these ids are of jobs that are not over."""
        query = sql.select(JOBS.c.id).where(JOBS.c.id.in_(list(jobs)), JOBS.c.state.in_(ACTIVE))
        with self._look() as look:
            return list(look.scalars(query))

    def places(self) -> dict[str, int]:
        """Where the queued jobs stand: id → 1 for the one that is taken next, and so on."""
        with self._look() as look:
            return {job: place for place, job in enumerate(_queue(look), 1)}

    def pause(self, job: str) -> Job:
        """Has a job put aside: at once where it waits, by its painter where it runs.

        Raises:
            MissingError: there is none.
            StateError: it is over, or being cancelled.
        """
        with self._change() as change:
            row = _steerable(change, job, "be paused")
            if row.state == "queued":
                return self._pause(change, job, interrupted=False)
            if row.state == "running":
                return self._set(change, job, wanted="pause")
            return _job(row)

    def resume(self, job: str) -> Job:
        """Lets a paused job go on, or takes the wish to pause it back.

        Raises:
            MissingError: there is none.
            StateError: it is over, or being cancelled.
        """
        with self._change() as change:
            row = _steerable(change, job, "go on")
            if row.state == "paused":
                fresh = {"wanted": None, "note": "", "finished": None}
                return self._set(change, job, state="queued", **fresh)
            return self._set(change, job, wanted=None)

    def cancel(self, job: str) -> Job:
        """Ends a job: at once where nothing of it is painted, else by its painter, which keeps the
        best picture so far. One that is over stays as it is.

        Raises:
            MissingError: there is none.
        """
        with self._change() as change:
            return self._cancel(change, _one(change, JOBS, job))

    def _cancel(self, change: Connection, row: Any) -> Job:
        if row.state not in ACTIVE:
            return _job(row)
        if row.state == "running":
            return self._set(change, row.id, wanted="cancel")
        if row.progress is not None:
            return self._set(change, row.id, state="queued", wanted="cancel", finished=None)
        return self._over(change, row.id, "cancelled")

    def again(self, job: str, *, limit: int | None = None) -> Job:
        """Runs a job again. One that failed or was set aside is queued anew and goes on where it
        stood, if anything of it is left; of one that is done or cancelled a copy is made.

        Raises:
            MissingError: there is none.
            StateError: it is not over.
            QueueFullError: its owner has `limit` jobs already that are not over.
        """
        with self._change() as change:
            row = _one(change, JOBS, job)
            if row.state in ACTIVE:
                raise StateError(f"the job is {_STATED[row.state]}, so it cannot be run again")
            if row.state in ("done", "cancelled"):
                return self._add_job(change, row.owner, row.request, row.label, [row.words], limit)
            _check_room(change, row.owner, limit)
            fresh = {"crashes": 0, "fault": None, "wanted": None, "note": "", "finished": None}
            return self._set(change, job, state="queued", interrupted=False, **fresh)

    def set_strength(self, job: str, strength: float) -> Job:
        """Asks for another strength, which a running job takes on at its next evaluation.

        Args:
            job: which.
            strength: 0 to 1; the caller has checked it.

        Raises:
            MissingError: there is none.
            StateError: it is over.
        """
        with self._change() as change:
            row = _one(change, JOBS, job)
            if row.state not in ACTIVE:
                raise StateError(
                    f"the job is {_STATED[row.state]}, so its strength cannot be changed; run it "
                    "again with another one"
                )
            return self._set(change, job, strength=strength)

    def set_label(self, job: str, label: str, words: Iterable[str] = ()) -> Job:
        """Calls a job otherwise; `words` as for `add_job`.

        Raises:
            MissingError: there is none.
        """
        label = clean_name(label)
        with self._change() as change:
            _one(change, JOBS, job)
            found = " ".join([label, *words]).casefold()
            return self._set(change, job, label=label, words=found)

    def set_shared(self, job: str, *, shared: bool) -> Job:
        """Shows a job in the shared gallery, or no longer.

        Raises:
            MissingError: there is none.
        """
        with self._change() as change:
            _one(change, JOBS, job)
            return self._set(change, job, shared=shared)

    def delete_job(self, job: str) -> Job:
        """Deletes a job and its result; one that is not over is cancelled. `restore_job` takes it
        back until it is purged.

        Raises:
            MissingError: there is none.
        """
        now = self._clock()
        with self._change() as change:
            row = _one(change, JOBS, job)
            self._cancel(change, row)
            change.execute(PICTURES.update().where(PICTURES.c.job == job).values(deleted=now))
            return self._set(change, job, deleted=now)

    def restore_job(self, job: str) -> Job:
        """Takes the deletion of a job and of its result back; a job that it cancelled stays so.

        Raises:
            MissingError: there is none (any more).
        """
        with self._change() as change:
            _one(change, JOBS, job)
            change.execute(PICTURES.update().where(PICTURES.c.job == job).values(deleted=None))
            return self._set(change, job, deleted=None)

    # --- jobs, for those who paint them ----------------------------------------------------------

    def take_job(self, device: str) -> Job | None:
        """The next job, which runs from now on; `None` where none waits.

        Jobs that were interrupted go first, then those that are to be cancelled; then owners take
        turns, whoever waits longest first, each with the oldest job.
        """
        now = self._clock()
        with self._look() as look:
            # Most looks find nothing, and need not keep others from writing.
            if look.scalar(sql.select(JOBS.c.id).where(JOBS.c.state == "queued").limit(1)) is None:
                return None
        with self._change() as change:
            queue = _queue(change)
            if not queue:
                return None
            row = _one(change, JOBS, queue[0])
            change.execute(OWNERS.update().where(OWNERS.c.id == row.owner).values(served=now))
            started = now if row.started is None else row.started
            taken = {"state": "running", "device": device, "boot": boot(), "interrupted": False}
            return self._set(change, row.id, started=started, **taken)

    def running_job(self, device: str) -> Job | None:
        """The job that runs on a device by the records; `None` where none does."""
        mine = (JOBS.c.device == device) & (JOBS.c.state == "running")
        with self._look() as look:
            row = look.execute(JOBS.select().where(mine).order_by(JOBS.c.started)).first()
        return None if row is None else _job(row)

    def note_progress(
        self,
        job: str,
        progress: Mapping[str, Any],
        losses: Sequence[Sequence[float | None]] | None = None,
        *,
        note: Note | None = None,
    ) -> None:
        """Notes how far a running job is; nothing where it runs no more.

        Args:
            job: which.
            progress: plain data.
            losses: all of them; `None`: as they were noted last.
            note: what its owner should know; `None`: nothing.
        """
        values: dict[str, Any] = {"progress": dict(progress), "note": _note_text(note)}
        if losses is not None:
            values["losses"] = [list(row) for row in losses]
        with self._change() as change:
            mine = (JOBS.c.id == job) & (JOBS.c.state == "running")
            change.execute(JOBS.update().where(mine).values(**values))

    def put_back(self, job: str) -> Job:
        """Queues a running job again, to go on where it stands as soon as may be: its painter was
        told to stop. Where it was to be paused, it is.

        Raises:
            MissingError: there is none.
            StateError: it is not running.
        """
        with self._change() as change:
            row = _running(change, job)
            return self._stop(change, row, row.crashes)

    def put_aside(self, job: str, note: Note | None = None, known: Wanted | None = None) -> Job:
        """Pauses a running job, whose checkpoint is written. Where its owner wished otherwise while
        that was written, it is queued, and the wish holds.

        Args:
            job: which.
            note: what its owner should know.
            known: what its painter knew to be wanted when it decided so.

        Raises:
            MissingError: there is none.
            StateError: it is not running.
        """
        with self._change() as change:
            row = _running(change, job)
            if row.wanted not in (known, "pause"):
                return self._stop(change, row, row.crashes)
            return self._pause(change, job, wanted=None, note=_note_text(note))

    def finish(
        self,
        job: str,
        result: str,
        size: tuple[int, int],
        bytes: int,
        *,
        has_alpha: bool = False,
    ) -> Job:
        """Notes that a running job is done and adds its result, whose files are written.

        Args:
            job: which.
            result: id of the picture.
            size: its width and height, px.
            bytes: of its master.
            has_alpha: whether anything in it is transparent.

        Raises:
            MissingError: there is none.
            StateError: it is not running.
        """
        with self._change() as change:
            row = _running(change, job)
            self._add_result(change, row, result, size, bytes, has_alpha)
            return self._over(change, job, "done", result=result)

    def cancelled(
        self,
        job: str,
        result: str | None = None,
        size: tuple[int, int] = (0, 0),
        bytes: int = 0,
        *,
        has_alpha: bool = False,
    ) -> Job:
        """Notes that a running job has been cancelled, with the best picture so far, if any.

        Raises:
            MissingError: there is none.
            StateError: it is not running.
        """
        with self._change() as change:
            row = _running(change, job)
            if result is not None:
                self._add_result(change, row, result, size, bytes, has_alpha)
            return self._over(change, job, "cancelled", result=result)

    def fail(self, job: str, fault: Fault) -> Job:
        """Notes that a running job cannot be done, and why.

        Raises:
            MissingError: there is none.
            StateError: it is not running.
        """
        with self._change() as change:
            _running(change, job)
            return self._over(change, job, "failed", fault=_fault_values(fault))

    def crash(self, device: str, reason: str, *, counts: bool = True) -> list[Job]:
        """Takes care of the jobs that ran on a device whose painter is gone without a word.

        Each goes on by itself; after `CRASHES` times it is set aside. Where the machine was
        restarted since, that counts for nothing: it was no fault of the job's.

        Args:
            device: whose painter is gone for certain.
            reason: one line, such as `the painter was killed (signal 9)`.
            counts: whether it may have been the job's fault.
        """
        with self._change() as change:
            mine = (JOBS.c.device == device) & (JOBS.c.state == "running")
            rows = change.execute(JOBS.select().where(mine)).all()
            return [self._crashed(change, row, reason, counts) for row in rows]

    def _crashed(self, change: Connection, row: Any, reason: str, counts: bool) -> Job:
        if not counts or row.boot != boot():
            return self._stop(change, row, row.crashes)
        crashes = row.crashes + 1
        if crashes < CRASHES:
            return self._stop(change, row, crashes)
        message = f"the painter stopped {crashes} times at this job; the last time: {reason}"
        fault = _fault_values(Fault("crashes", message))
        return self._over(change, row.id, "set_aside", fault=fault, crashes=crashes)

    def _stop(self, change: Connection, row: Any, crashes: int) -> Job:
        if row.wanted == "pause":
            return self._pause(change, row.id, wanted=None, crashes=crashes)
        return self._set(change, row.id, state="queued", interrupted=True, crashes=crashes)

    def running_elsewhere(self, devices: Iterable[str]) -> list[str]:
        """Devices that jobs run on by the records, other than these."""
        query = sql.select(JOBS.c.device).where(JOBS.c.state == "running").distinct()
        with self._look() as look:
            return sorted(set(look.scalars(query)) - set(devices))

    def _add_result(
        self,
        change: Connection,
        row: Any,
        picture: str,
        size: tuple[int, int],
        bytes: int,
        has_alpha: bool,
    ) -> None:
        change.execute(
            PICTURES.insert().values(
                id=picture,
                owner=row.owner,
                kind="film" if row.request.get("video") else "result",
                name=row.label or row.request.get("title", ""),
                state="ready",
                width=size[0],
                height=size[1],
                bytes=bytes,
                has_alpha=has_alpha,
                job=row.id,
                created=self._clock(),
                deleted=row.deleted,
            )
        )

    def _pause(self, change: Connection, job: str, **values: Any) -> Job:
        # The time of retention counts from here; `_job` does not tell it.
        return self._set(change, job, state="paused", finished=self._clock(), **values)

    def _over(self, change: Connection, job: str, state: JobState, **values: Any) -> Job:
        now = self._clock()
        return self._set(change, job, state=state, wanted=None, finished=now, **values)

    def _set(self, change: Connection, job: str, **values: Any) -> Job:
        change.execute(JOBS.update().where(JOBS.c.id == job).values(**values))
        return _job(_one(change, JOBS, job))

    # --- all of it -------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """How much there is, deleted but not yet purged things included."""
        with self._look() as look:
            jobs = look.execute(sql.select(JOBS.c.state, sql.func.count()).group_by(JOBS.c.state))
            of_jobs = dict.fromkeys(JOB_STATES, 0) | {state: int(n) for state, n in jobs}
            kinds = sql.select(PICTURES.c.kind, sql.func.count()).group_by(PICTURES.c.kind)
            pictures = {kind: int(n) for kind, n in look.execute(kinds)}
            of_pictures = dict.fromkeys(PICTURE_KINDS, 0) | pictures
            owners = look.scalar(sql.select(sql.func.count()).select_from(OWNERS)) or 0
            size = sql.select(sql.func.coalesce(sql.func.sum(PICTURES.c.bytes), 0))
            return Counts(of_jobs, of_pictures, int(owners), int(look.scalar(size) or 0))

    def purge(self, *, created_before: float, deleted_before: float) -> Purged:
        """Forgets what was deleted before a moment, and pictures and jobs from before another; with
        neither, owners who have not been here since then, and their presets.

        A job that is queued or running stays, with every picture that it names; a paused one goes
        when it is old, and its pictures stay until then.

        Args:
            created_before: the time of retention ends here; of a job that is over or paused, it
                began when that came about.
            deleted_before: deletions after it may still be taken back.
        """
        with self._change() as change:
            since = sql.func.coalesce(JOBS.c.finished, JOBS.c.created)
            old = (JOBS.c.deleted < deleted_before) | (since < created_before)
            idle = JOBS.c.state.not_in(("queued", "running"))
            jobs = list(change.scalars(sql.select(JOBS.c.id).where(old, idle)))
            change.execute(JOBS.delete().where(JOBS.c.id.in_(jobs)))
            needed = set[str]()
            active = sql.select(JOBS.c.request).where(JOBS.c.state.in_(ACTIVE))
            for request in change.scalars(active):
                needed.update(named_pictures(request))
            kept_results = sql.select(JOBS.c.result).where(JOBS.c.result.is_not(None))
            rows = change.execute(
                sql.select(PICTURES.c.id).where(
                    (PICTURES.c.deleted < deleted_before)
                    | ((PICTURES.c.created < created_before) & PICTURES.c.id.not_in(kept_results))
                    | (PICTURES.c.job.is_not(None) & PICTURES.c.id.not_in(kept_results))
                )
            )
            pictures = [row.id for row in rows if row.id not in needed]
            change.execute(PICTURES.delete().where(PICTURES.c.id.in_(pictures)))
            # A result that is gone is no job's any more.
            gone = JOBS.c.result.is_not(None) & JOBS.c.result.not_in(sql.select(PICTURES.c.id))
            change.execute(JOBS.update().where(gone).values(result=None))
            empty = OWNERS.c.id.not_in(sql.select(JOBS.c.owner)) & OWNERS.c.id.not_in(
                sql.select(PICTURES.c.owner)
            )
            change.execute(OWNERS.delete().where(empty, OWNERS.c.seen < created_before))
            return Purged(pictures, jobs)

    def without_record(
        self, pictures: Iterable[str], jobs: Iterable[str]
    ) -> tuple[list[str], list[str]]:
        """Which of these ids of pictures have no record, and which of these of jobs have none or
        are of jobs that never go on: they are done or cancelled.
        """
        never = JOBS.c.state.in_(("done", "cancelled"))
        with self._look() as look:
            known = set(look.scalars(sql.select(PICTURES.c.id)))
            alive = set(look.scalars(sql.select(JOBS.c.id).where(~never)))
        return [p for p in pictures if p not in known], [j for j in jobs if j not in alive]


def records_in(path: Path, **options: Any) -> Records:
    """The records in an SQLite file; see `Records`."""
    return Records(sql.URL.create("sqlite", database=str(path)).render_as_string(), **options)


def boot() -> str:
    """What tells this start of the machine from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


_STATED = {
    "queued": "queued",
    "running": "running",
    "paused": "paused",
    "done": "done",
    "cancelled": "cancelled",
    "failed": "over",
    "set_aside": "set aside",
}


def _queue(look: Connection) -> list[str]:
    """Ids of the queued jobs in the order in which they are taken, if nothing else happens."""
    rows = look.execute(
        sql.select(
            *(JOBS.c.id, JOBS.c.owner, JOBS.c.interrupted, JOBS.c.wanted),
            OWNERS.c.served,
        )
        .join(OWNERS, OWNERS.c.id == JOBS.c.owner)
        .where(JOBS.c.state == "queued")
        .order_by(JOBS.c.created, JOBS.c.id)
    ).all()
    running = sql.select(JOBS.c.owner).where(JOBS.c.state == "running")
    # In each round every owner has one turn; a job that runs already was one.
    turns: Counter[str] = Counter(look.scalars(running))
    ranked: list[tuple[Any, ...]] = []
    for number, row in enumerate(rows):
        urgent = 0 if row.interrupted else 1 if row.wanted == "cancel" else 2
        ranked.append((urgent, turns[row.owner], row.served, number, row.id))
        if urgent == 2:
            turns[row.owner] += 1
    return [entry[-1] for entry in sorted(ranked)]


def _check_room(look: Connection, owner: str, limit: int | None) -> None:
    count = sql.select(sql.func.count()).where(JOBS.c.owner == owner, JOBS.c.state.in_(ACTIVE))
    found = look.scalar(count) or 0
    if limit is not None and found >= limit:
        raise QueueFullError(
            f"you have {found} jobs that are queued, running or paused, and may have {limit}; wait "
            "for one, or cancel it"
        )


def _one(look: Connection, table: sql.Table, key: str) -> Any:
    row = look.execute(table.select().where(table.c.id == key)).first()
    if row is None:
        raise MissingError(f"there is no such {'job' if table is JOBS else 'picture'}")
    return row


def _is_preset(owner: str, preset: str) -> sql.ColumnElement[bool]:
    return (PRESETS.c.owner == owner) & (PRESETS.c.id == preset)


def _own_preset(look: Connection, owner: str, preset: str) -> Any:
    row = look.execute(PRESETS.select().where(_is_preset(owner, preset))).first()
    if row is None:
        raise MissingError("there is no such preset")
    return row


def _preset(row: Any) -> OwnPreset:
    return OwnPreset(row.id, row.name, row.options)


def _running(change: Connection, job: str) -> Any:
    row = _one(change, JOBS, job)
    if row.state != "running":
        raise StateError(f"the job is {_STATED[row.state]}, not running")
    return row


def _steerable(change: Connection, job: str, what: str) -> Any:
    """The row of a job that is neither over nor being cancelled."""
    row = _one(change, JOBS, job)
    if row.wanted == "cancel" or row.state not in ACTIVE:
        raise StateError(f"the job is {_stated(row)}, so it cannot {what}")
    return row


def _stated(row: Any) -> str:
    return "being cancelled" if row.wanted == "cancel" else _STATED[row.state]


def _fault_values(fault: Fault) -> dict[str, Any]:
    return {**dataclasses.asdict(fault), "message": one_line(fault.message)}


def _fault(values: Mapping[str, Any] | None) -> Fault | None:
    return None if values is None else Fault(**values)


def _note_text(note: Note | None) -> str:
    """A note as the records keep it: in one text, which an earlier impasto can show as it is."""
    if note is None:
        return ""
    return f"{note.code}: {note.message}" if note.code else note.message


def _note(text: str) -> Note | None:
    code, _, message = text.partition(": ")
    if code in NOTE_CODES:
        return Note(cast("NoteCode", code), message)
    return Note(None, text) if text else None


def _picture(row: Any) -> Picture:
    return Picture(**{**row._mapping, "fault": _fault(row.fault)})


_INNER = {"interrupted", "boot", "words"}
# What makes a record long is not read for each job of a gallery.
_LISTED = [column for column in JOBS.c if column.name != "losses"]


def _job(row: Any) -> Job:
    values = {name: value for name, value in row._mapping.items() if name not in _INNER}
    made = {"fault": _fault(row.fault), "note": _note(row.note)}
    if row.state in ACTIVE:
        made["finished"] = None
    return Job(**{"losses": [], **values, **made})
