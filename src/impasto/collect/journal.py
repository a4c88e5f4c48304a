"""What a collection knows of its own course: an SQLite database that survives a kill at any point.

Every address is in it once, so nothing is asked for twice; what one answer led to is written in one
transaction, so nothing is lost. The database is locked while a process works on it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collect.found import Link
from impasto.collect.likeness import SIDE, Likeness
from impasto.collect.manifest import Entry
from impasto.collect.urls import MAX_LENGTH
from impasto.errors import OutputError, one_line

_RANKS = {"robots": 0, "picture": 1, "style": 1, "api": 2, "page": 2}
_READ_RANK = 2
_DROPPED, _KEPT, _DELETED = 0, 1, 2
"""A better version took a picture's place; it is in the folder; someone removed its file."""
_COLUMNS = "id, url, host, kind, depth, notes, tries, etag, modified, outcome, reason, detail"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    rank INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    notes TEXT NOT NULL,
    due REAL NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    etag TEXT NOT NULL DEFAULT '',
    modified TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS turns ON tasks (outcome, host, rank > 0, tries, rank, id);
CREATE INDEX IF NOT EXISTS joined ON tasks (detail) WHERE outcome = 'joined';
CREATE TABLE IF NOT EXISTS pictures (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    entry TEXT NOT NULL,
    kept INTEGER NOT NULL,
    aspect REAL NOT NULL,
    thumbnail BLOB NOT NULL,
    hashes BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS sources ON pictures (json_extract(entry, '$.url'));
CREATE TABLE IF NOT EXISTS robots (
    origin TEXT PRIMARY KEY, text TEXT NOT NULL, fetched REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS pauses (
    host TEXT PRIMARY KEY, since REAL NOT NULL, seconds REAL NOT NULL, busy INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS links (task INTEGER PRIMARY KEY, packed BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Task:
    """One address to ask for.

    Attributes:
        id: in the database.
        url: the address.
        host: whom it asks.
        kind: `robots`, `page`, `api`, `style` or `picture`.
        depth: links from the first page.
        notes: what is to be known when the answer comes.
        tries: requests so far that failed.
        etag: of the contents that are known; empty where none are.
        modified: when those last changed, in the server's words.
        outcome: what became of it; empty while it waits.
        reason: why, in words that others share.
        detail: more about it; of an address that leads to another one, that one.
    """

    id: int
    url: str
    host: str
    kind: str
    depth: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0
    etag: str = ""
    modified: str = ""
    outcome: str = ""
    reason: str = ""
    detail: str = ""


class Journal:
    """The database of one folder.

    Raises:
        OutputError: it cannot be opened, or another process works on it.
    """

    def __init__(self, path: Path) -> None:
        self._name = one_line(str(path.parent.parent))
        with self._telling():
            self._base = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._do(f"PRAGMA {pragma}")
            with self._telling():
                self._base.executescript(_SCHEMA)
            self._do("BEGIN IMMEDIATE")
            self._do("COMMIT")
        except OutputError:
            self._base.close()
            raise

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Says in a line what is wrong with the database, whenever it shows."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                fault = "another impasto collect is at work in it; wait for its end"
            elif "full" in str(error):
                fault = f"its journal cannot be written ({error}); free some space"
            else:
                fault = f"its journal cannot be used ({error}); choose another folder"
            raise OutputError(f"{self._name}: {fault}") from error
        except (sqlite3.Error, zlib.error, ValueError, TypeError, KeyError) as error:
            # The others come of reading what it holds.
            reason = one_line(str(error))[:100]
            raise OutputError(
                f"{self._name}: its journal is damaged ({reason}); choose another folder"
            ) from error

    def _do(self, command: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with self._telling():
            return self._base.execute(command, values)

    def _rows(self, command: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._telling():
            return self._base.execute(command, values).fetchall()

    def _row(self, command: str, values: Sequence[Any] = ()) -> Any:
        with self._telling():
            return self._base.execute(command, values).fetchone()

    def close(self) -> None:
        """Ends the work on it; other processes may begin."""
        self._base.close()

    def __enter__(self) -> Journal:
        """One transaction: all that happens inside is written together, or nothing of it."""
        self._do("BEGIN IMMEDIATE")
        return self

    def __exit__(self, fault: object, *_: object) -> None:
        self._do("ROLLBACK" if fault else "COMMIT")

    def fact(self, name: str) -> str:
        """A fact about the collection; empty where it is not known."""
        row = self._row("SELECT value FROM facts WHERE name = ?", (name,))
        return row[0] if row else ""

    def record(self, name: str) -> dict[str, Any]:
        """A fact that is a JSON object; empty where it is not known."""
        with self._telling():
            return _json_object(self.fact(name) or "{}")

    def number(self, name: str) -> int:
        """A fact that is a number; 0 where it is not known."""
        with self._telling():
            return int(self.fact(name) or 0)

    def state(self, name: str, value: str) -> None:
        """Writes a fact."""
        self._do("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def add(
        self,
        url: str,
        host: str,
        kind: str,
        depth: int = 0,
        notes: Mapping[str, str] | None = None,
        *,
        outcome: str = "",
        reason: str = "",
    ) -> bool:
        """Puts an address down to be asked for, or, with an outcome, not to be.

        Returns:
            Whether it is new; one that is known stays as it is.
        """
        done = self._do(
            "INSERT OR IGNORE INTO tasks (url, host, kind, rank, depth, notes, outcome, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (url, host, kind, _RANKS[kind], depth, json.dumps(dict(notes or {})), outcome, reason),
        )
        return done.rowcount > 0

    def find(self, url: str) -> Task | None:
        """What is known of an address; `None` where nothing is."""
        return self._task(self._row(f"SELECT {_COLUMNS} FROM tasks WHERE url = ?", (url,)))

    def end_of(self, url: str) -> Task | None:
        """What is known of an address, or of the one to which it was found to lead."""
        task, seen = self.find(url), {url}
        while task is not None and task.outcome in ("moved", "joined") and task.detail not in seen:
            seen.add(task.detail)
            further = self.find(task.detail)
            if further is None:
                break
            task = further
        return task

    def joined(self, url: str) -> list[Task]:
        """The pictures whose addresses were found to lead to one that was known already."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM tasks WHERE outcome = 'joined' AND detail = ?", (url,)
        )
        return [task for row in rows if (task := self._task(row)) is not None]

    def _task(self, row: Any) -> Task | None:
        if row is None:
            return None
        id, url, host, kind, depth, notes, *rest = row
        with self._telling():
            return Task(id, url, host, kind, depth, _json_object(notes), *rest)

    def note(self, task: Task, notes: Mapping[str, str]) -> None:
        """Puts down other notes for an address."""
        self._do("UPDATE tasks SET notes = ? WHERE id = ?", (json.dumps(dict(notes)), task.id))

    def lower(self, task: Task, depth: int, notes: Mapping[str, str]) -> None:
        """Puts down that an address is fewer links away than was known."""
        self._do("UPDATE tasks SET depth = ? WHERE id = ?", (depth, task.id))
        self.note(task, notes)

    def reopen(self, task: Task, notes: Mapping[str, str]) -> None:
        """Has an address that was done with asked for after all."""
        self._do(
            "UPDATE tasks SET outcome = '', reason = '', detail = '', tries = 0, due = 0"
            " WHERE id = ?",
            (task.id,),
        )
        self.note(task, notes)

    def keep_links(self, task: Task, links: Sequence[Link]) -> None:
        """Puts down where an address leads, for when a shorter way to it is found."""
        known = [(k.url, k.kind, k.steps, k.pagination, dict(k.notes)) for k in links]
        packed = zlib.compress(json.dumps(known).encode())
        self._do("INSERT OR REPLACE INTO links VALUES (?, ?)", (task.id, packed))

    def links(self, task: Task) -> list[Link]:
        """Where an address leads, as far as that was put down."""
        row = self._row("SELECT packed FROM links WHERE task = ?", (task.id,))
        with self._telling():
            known = json.loads(zlib.decompress(row[0])) if row else []
            return [
                Link(url, kind, steps, pagination=pagination, notes=notes)
                for url, kind, steps, pagination, notes in known
            ]

    def change_outcome(self, url: str, outcome: str, reason: str) -> None:
        """Puts down that something else became of an address."""
        self._do("UPDATE tasks SET outcome = ?, reason = ? WHERE url = ?", (outcome, reason, url))

    def change_kind(self, url: str, kind: str) -> None:
        """Puts down that an address is of another kind."""
        self._do("UPDATE tasks SET kind = ?, rank = ? WHERE url = ?", (kind, _RANKS[kind], url))

    def ask_robots(self, url: str, host: str, origins: set[str], hops: int = 0) -> None:
        """Has a robots.txt asked for, new or once more, for some origins besides those it has."""
        row = self._row(
            "SELECT notes FROM tasks WHERE url = ? AND kind = 'robots' AND outcome = ''", (url,)
        )
        if row:
            notes = json.loads(row[0])
            notes["for"] = " ".join(sorted({*notes["for"].split(), *origins}))
            self._do("UPDATE tasks SET notes = ? WHERE url = ?", (json.dumps(notes), url))
            return
        self._do("DELETE FROM tasks WHERE url = ?", (url,))
        notes = {"for": " ".join(sorted(origins)), "hops": str(hops)}
        self.add(url, host, "robots", 0, notes)

    def robots_origins(self, url: str) -> set[str]:
        """The origins that wait for a robots.txt that is being asked for."""
        row = self._row("SELECT notes FROM tasks WHERE url = ? AND kind = 'robots'", (url,))
        with self._telling():
            return set(json.loads(row[0])["for"].split()) if row else set()

    def robots_host(self, origin: str) -> str:
        """The host that is to be asked for the robots.txt of an origin; empty where none is."""
        rows = self._rows(
            "SELECT host, notes FROM tasks WHERE kind = 'robots' AND outcome = '' ORDER BY id"
        )
        with self._telling():
            named = (host for host, notes in rows if origin in json.loads(notes)["for"].split())
            return next(named, "")

    def begin_again(self) -> None:
        """Has everything read once more, each by a conditional request, and failed pictures too."""
        self._do(
            "UPDATE tasks SET outcome = '', reason = '', tries = 0, due = 0 WHERE outcome <> ''"
            " AND (kind IN ('page', 'api', 'style') OR (kind = 'picture' AND outcome = 'failed'))"
        )

    def finish(self, task: Task, outcome: str, reason: str = "", detail: str = "") -> None:
        """Puts down what became of an address."""
        self._do(
            "UPDATE tasks SET outcome = ?, reason = ?, detail = ? WHERE id = ?",
            (outcome, reason, detail[:MAX_LENGTH], task.id),
        )

    def remember(self, task: Task, etag: str, modified: str) -> None:
        """Puts down what a conditional request for an address needs."""
        self._do("UPDATE tasks SET etag = ?, modified = ? WHERE id = ?", (etag, modified, task.id))

    def postpone(self, task: Task, seconds: float) -> None:
        """Has an address asked for again, in so many seconds."""
        self._do(
            "UPDATE tasks SET tries = tries + 1, due = ? WHERE id = ?",
            (time.time() + seconds, task.id),
        )

    def next(self, host: str, *, reading: bool) -> Task | None:
        """The next address of a host that is due; without `reading`, none that is to be read."""
        row = self._row(
            f"SELECT {_COLUMNS} FROM tasks WHERE outcome = '' AND host = ? AND rank < ?"
            # What failed comes after all that did not, but for the rules.
            " AND due <= ? ORDER BY rank > 0, tries, rank, id LIMIT 1",
            (host, _READ_RANK + reading, time.time()),
        )
        return self._task(row)

    def due(self, host: str, *, reading: bool) -> float | None:
        """Seconds until an address of a host is due; `None` where none is waiting."""
        (due,) = self._row(
            "SELECT MIN(due) FROM tasks WHERE outcome = '' AND host = ? AND rank < ?",
            (host, _READ_RANK + reading),
        )
        return None if due is None else max(0.0, due - time.time())

    def waiting(self) -> list[tuple[str, str, int]]:
        """Host, kind and number of the addresses that are still to be asked for."""
        return self._rows(
            "SELECT host, kind, COUNT(*) FROM tasks WHERE outcome = '' GROUP BY host, kind"
            " ORDER BY MIN(id)"
        )

    def outcomes(self) -> list[tuple[str, str, str, int]]:
        """Kind, outcome, reason and number of all addresses that are done with."""
        return self._rows(
            "SELECT kind, outcome, reason, COUNT(*) FROM tasks WHERE outcome <> ''"
            " GROUP BY kind, outcome, reason ORDER BY COUNT(*) DESC, reason"
        )

    def first_fault(self) -> tuple[str, str]:
        """Address and reason of the first thing to read that could not be."""
        row = self._row(
            "SELECT url, CASE detail WHEN '' THEN reason ELSE detail END FROM tasks"
            " WHERE outcome IN ('failed', 'skipped') AND kind <> 'robots' ORDER BY id LIMIT 1"
        )
        return row or ("", "")

    def keep(self, entry: Entry, like: Likeness) -> int:
        """Puts down a picture that is in the folder.

        Returns:
            Its number.
        """
        done = self._do(
            "INSERT INTO pictures (sha256, entry, kept, aspect, thumbnail, hashes)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                entry.sha256,
                entry.model_dump_json(),
                _KEPT,
                like.aspect,
                like.thumbnail.tobytes(),
                like.hashes.tobytes(),
            ),
        )
        assert done.lastrowid is not None
        return done.lastrowid

    def drop(self, number: int) -> None:
        """Puts down that a better version of a picture has taken its place."""
        self._do("UPDATE pictures SET kept = ? WHERE id = ?", (_DROPPED, number))

    def delete(self, number: int, *, gone: bool) -> None:
        """Puts down that someone removed a picture's file, or has put it back."""
        state = _DELETED if gone else _KEPT
        self._do("UPDATE pictures SET kept = ? WHERE id = ?", (state, number))

    def has_file(self, sha256: str) -> bool:
        """Whether a picture of these contents is, or was, in the folder."""
        row = self._row("SELECT 1 FROM pictures WHERE sha256 = ?", (sha256,))
        return bool(row)

    def entry(self, url: str) -> tuple[int, Entry] | None:
        """Number and entry of the kept picture that came from an address."""
        row = self._row(
            "SELECT id, entry FROM pictures WHERE json_extract(entry, '$.url') = ? AND kept = ?",
            (url, _KEPT),
        )
        with self._telling():
            return (row[0], Entry.model_validate_json(row[1])) if row else None

    def change_entry(self, number: int, entry: Entry) -> None:
        """Puts down that something else is known of a picture."""
        values = entry.model_dump_json(), number
        self._do("UPDATE pictures SET entry = ? WHERE id = ?", values)

    def entries(self) -> Iterator[Entry]:
        """What is known of the pictures that are kept, in the order in which they came."""
        with self._telling():
            for (text,) in self._base.execute(
                "SELECT entry FROM pictures WHERE kept = ? ORDER BY id", (_KEPT,)
            ):
                yield Entry.model_validate_json(text)

    def dropped_files(self) -> list[str]:
        """Names of the files whose place a better version has taken."""
        rows = self._rows("SELECT entry FROM pictures WHERE kept = ?", (_DROPPED,))
        with self._telling():
            return [Entry.model_validate_json(text).file for (text,) in rows]

    def standing(self) -> list[tuple[int, str, str, bool]]:
        """Number, file, address, and whether someone removed the file, of all pictures whose place
        no better version took."""
        rows = self._rows("SELECT id, entry, kept FROM pictures WHERE kept <> ?", (_DROPPED,))
        with self._telling():
            known = ((n, Entry.model_validate_json(text), state) for n, text, state in rows)
            return [(n, entry.file, entry.url, state == _DELETED) for n, entry, state in known]

    def picture(self, number: int) -> tuple[Entry, Likeness]:
        """A picture by its number."""
        text, aspect, thumbnail, hashes = self._row(
            "SELECT entry, aspect, thumbnail, hashes FROM pictures WHERE id = ?", (number,)
        )
        with self._telling():
            pixels = np.frombuffer(thumbnail, np.uint8).reshape(SIDE, SIDE, 3)
            like = Likeness(pixels, aspect, np.frombuffer(hashes, np.uint64))
            return Entry.model_validate_json(text), like

    def all_hashes(self) -> tuple[list[int], list[np.ndarray]]:
        """Numbers and hashes of the pictures whose place no better version took."""
        rows = self._rows(
            "SELECT id, hashes FROM pictures WHERE kept <> ? ORDER BY id", (_DROPPED,)
        )
        numbers, hashes = [], []
        with self._telling():
            for number, blob in rows:
                numbers.append(number)
                hashes.append(np.frombuffer(blob, np.uint64))
        return numbers, hashes

    def robots(self, origin: str) -> tuple[str, float] | None:
        """The robots.txt of an origin and its age in seconds; `None` where it is not known."""
        row = self._row("SELECT text, fetched FROM robots WHERE origin = ?", (origin,))
        return (row[0], time.time() - row[1]) if row else None

    def keep_robots(self, origin: str, text: str) -> None:
        """Puts down the robots.txt of an origin."""
        self._do("INSERT OR REPLACE INTO robots VALUES (?, ?, ?)", (origin, text, time.time()))

    def pause(self, host: str) -> tuple[float, bool]:
        """Seconds for which a host is to be left alone, and whether the process that asked it last
        ended before the answer did."""
        row = self._row("SELECT since, seconds, busy FROM pauses WHERE host = ?", (host,))
        if row is None:
            return 0.0, False
        since, seconds, busy = row
        # A clock that was set back must not make a pause longer.
        gone = 0.0 if busy else max(0.0, time.time() - since)
        return max(0.0, seconds - gone), bool(busy)

    def keep_pause(self, host: str, seconds: float, *, busy: bool = False) -> None:
        """Puts down for how long a host is to be left alone from now on; where it is `busy`, from
        the end of the request that is under way."""
        values = host, time.time(), seconds, busy
        self._do("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?)", values)


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"no object but {text[:40]}")
    return value
