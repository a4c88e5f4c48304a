"""What is deleted by time: what its owner deleted, what is old, and files that nobody knows."""

from __future__ import annotations

import time
from collections.abc import Callable

from impasto import __version__
from impasto.web.entities import Purged
from impasto.web.records import Records
from impasto.web.storage import Storage

UNDO = 3600.0
"""Seconds for which a deletion can be taken back."""

DAY = 86400.0


def purge(
    records: Records,
    storage: Storage,
    keep: float | None,
    *,
    clock: Callable[[], float] = time.time,
) -> Purged:
    """Deletes what was deleted more than `UNDO` ago and what is older than it may get, and files
    without a record. Of a job that is done or cancelled no unfinished run is kept, and of
    earlier versions of impasto no drawing.

    Records go before files, so that no record ever names a file that is not there; what a kill in
    between leaves has no record, and goes the next time.

    Args:
        records: of the studio.
        storage: its files.
        keep: days after which pictures and jobs that are over are deleted; `None`: never.
        clock: tells the time, seconds since 1970.

    Returns:
        What was in the records.
    """
    now = clock()
    purged = records.purge(
        created_before=0.0 if keep is None else now - keep * DAY, deleted_before=now - UNDO
    )
    pictures, jobs = records.without_record(storage.old_pictures(), storage.old_jobs())
    for picture in (*purged.pictures, *pictures):
        storage.remove_picture(picture)
    for job in (*purged.jobs, *jobs):
        storage.remove_job(job)
    storage.remove_halves()
    storage.remove_drawings(but=__version__)
    return purged
