"""What time deletes: records first, then files, and what nobody knows."""

import os
from pathlib import Path

from impasto import __version__
from impasto.web.entities import Fault
from impasto.web.records import records_in
from impasto.web.retention import DAY, UNDO, purge
from impasto.web.storage import Storage, new_id


def test_unfinished_runs_go_with_jobs_that_never_go_on(tmp_path: Path) -> None:
    """What a job cancelled without noted progress left goes; what can go on keeps its own."""
    storage = Storage(tmp_path)
    records = records_in(storage.database)
    owner = records.add_owner().id
    cancelled, failed, paused = (records.add_job(owner, {}).id for _ in range(3))
    for job in (cancelled, failed, paused):
        taken = records.take_job("cpu")
        assert taken is not None
        assert taken.id == job
        for place in (storage.checkpoint(job), storage.live(job)):
            place.write_bytes(b"x")
            os.utime(place, (0, 0))
        if job == failed:
            records.fail(job, Fault("out_of_memory", "out of memory"))
        else:
            records.put_aside(job)
    assert records.cancel(cancelled).state == "cancelled"
    purge(records, storage, None)
    for folder in "jobs", "live":
        assert {path.stem for path in (tmp_path / folder).iterdir()} == {failed, paused}


def test_drawings_of_other_versions_go(tmp_path: Path) -> None:
    """Drawings that another version of impasto kept go, and old halves of one; this version's
    stay.
    """
    storage = Storage(tmp_path)
    mine = [f"waves-{__version__}.npy", f"style-waves-thumb-{__version__}.webp"]
    others = ["waves-0.0.1.npy", "sample-cat-view-0.0.1.webp"]
    for name in (*mine, *others):
        storage.drawn(name).write_bytes(b"x")
    old, new = (tmp_path / "drawn" / f".impasto-{age}.part" for age in ("old", "new"))
    for half in (old, new, tmp_path / "incoming" / ".impasto-old.part"):
        half.write_bytes(b"x")
        if half != new:
            os.utime(half, (0, 0))
    purge(records_in(storage.database), storage, None)
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {*mine, new.name}
    assert not list((tmp_path / "incoming").iterdir())


def test_files_go_with_their_records(tmp_path: Path) -> None:
    """What is too old or was deleted goes with its files; files without a record go when they are
    old; all else stays."""
    now = [1e9]
    storage = Storage(tmp_path)
    records = records_in(storage.database, clock=lambda: now[0])
    owner = records.add_owner().id

    def upload() -> str:
        picture = new_id()
        storage.make_room(picture)
        for place in (storage.source(picture), storage.view(picture)):
            place.write_bytes(b"x")
        records.add_picture(owner, "photo", picture=picture)
        return picture

    old, needed = upload(), upload()
    finished = records.add_job(owner, {"photo": old}).id
    records.take_job("cpu")
    result = new_id()
    storage.make_room(result)
    storage.master(result).write_bytes(b"x")
    records.finish(finished, result, (8, 8), 1)
    waiting = records.add_job(owner, {"photo": needed}).id
    for job in (finished, waiting):
        storage.checkpoint(job).write_bytes(b"x")
    now[0] += 40 * DAY
    deleted, undoable, fresh = upload(), upload(), upload()
    records.delete_picture(deleted)
    now[0] += 2 * UNDO
    records.delete_picture(undoable)
    stray, recent, orphan = new_id(), new_id(), new_id()
    for picture in (stray, recent):
        storage.make_room(picture)
        storage.source(picture).write_bytes(b"x")
    storage.checkpoint(orphan).write_bytes(b"x")
    for place in (storage.source(stray), storage.checkpoint(orphan)):
        os.utime(place, (0, 0))
    purged = purge(records, storage, 30, clock=lambda: now[0])
    assert set(purged.pictures) == {old, result, deleted}
    assert purged.jobs == [finished]
    left = {path.name.partition(".")[0] for path in (tmp_path / "pictures").rglob("*.*")}
    assert left == {needed, undoable, fresh, recent}
    assert [path.stem for path in (tmp_path / "jobs").iterdir()] == [waiting]
    # Without a time of retention nothing is too old.
    now[0] += 9999 * DAY
    assert purge(records, storage, None, clock=lambda: now[0]).pictures == [undoable]
