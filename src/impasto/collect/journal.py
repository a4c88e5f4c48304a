"""What a collection knows of its own course: an SQLite database that survives a kill at any point.

Every address is in it once, so nothing is asked for twice; what one answer led to is written in one
transaction, so nothing is lost. The database is locked while a process works on it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from impasto.collect.likeness import SIDE, Likeness
from impasto.collect.manifest import Entry
from impasto.errors import OutputError, one_line

_RANKS = {"robots": 0, "picture": 1, "style": 1, "api": 2, "page": 2}
_READ_RANK = 2
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
CREATE INDEX IF NOT EXISTS waiting ON tasks (outcome, host, rank, id);
CREATE TABLE IF NOT EXISTS pictures (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    entry TEXT NOT NULL,
    kept INTEGER NOT NULL,
    aspect REAL NOT NULL,
    thumbnail BLOB NOT NULL,
    hashes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS robots (
    origin TEXT PRIMARY KEY, text TEXT NOT NULL, fetched REAL NOT NULL
);
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


class Journal:
    """The database of one folder.

    Raises:
        OutputError: it cannot be opened, or another process works on it.
    """

    def __init__(self, path: Path) -> None:
        self._name = one_line(str(path.parent.parent))
        try:
            self._base = sqlite3.connect(path, isolation_level=None, timeout=0.2)
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._base.execute(f"PRAGMA {pragma}")
            self._base.executescript(_SCHEMA)
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                fault = "another impasto collect is at work in it; wait for its end"
            else:
                fault = f"its journal cannot be opened ({error}); choose another folder"
            raise OutputError(f"{self._name}: {fault}") from error
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"{self._name}: its journal is damaged ({error}); choose another folder"
            ) from error

    def close(self) -> None:
        """Ends the work on it; other processes may begin."""
        self._base.close()

    def __enter__(self) -> Journal:
        """One transaction: all that happens inside is written together, or nothing of it."""
        self._base.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, fault: object, *_: object) -> None:
        try:
            self._base.execute("ROLLBACK" if fault else "COMMIT")
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{self._name}: its journal cannot be written ({error}); free some space"
            ) from error

    def fact(self, name: str) -> str:
        """A fact about the collection; empty where it is not known."""
        row = self._base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else ""

    def state(self, name: str, value: str) -> None:
        """Writes a fact."""
        self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

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

        One that a filter left out because of what was said about it gets another chance where
        something else is said about it.

        Returns:
            Whether it is new.
        """
        done = self._base.execute(
            "INSERT INTO tasks (url, host, kind, rank, depth, notes, outcome, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (url) DO UPDATE SET"
            " notes = excluded.notes, outcome = '', reason = ''"
            " WHERE tasks.outcome = 'unasked' AND excluded.outcome = ''",
            (url, host, kind, _RANKS[kind], depth, json.dumps(dict(notes or {})), outcome, reason),
        )
        return done.rowcount > 0

    def outcome(self, url: str) -> str | None:
        """What became of an address; empty while it waits, `None` where it is unknown."""
        row = self._base.execute("SELECT outcome FROM tasks WHERE url = ?", (url,)).fetchone()
        return row[0] if row else None

    def change_outcome(self, url: str, outcome: str, reason: str) -> None:
        """Puts down that something else became of an address."""
        self._base.execute(
            "UPDATE tasks SET outcome = ?, reason = ? WHERE url = ?", (outcome, reason, url)
        )

    def change_kind(self, url: str, kind: str) -> None:
        """Puts down that an address is of another kind."""
        self._base.execute(
            "UPDATE tasks SET kind = ?, rank = ? WHERE url = ?", (kind, _RANKS[kind], url)
        )

    def ask_robots(self, url: str, host: str, origins: set[str], hops: int = 0) -> None:
        """Has a robots.txt asked for, new or once more, for some origins besides those it has."""
        row = self._base.execute(
            "SELECT notes FROM tasks WHERE url = ? AND kind = 'robots' AND outcome = ''", (url,)
        ).fetchone()
        if row:
            notes = json.loads(row[0])
            notes["for"] = " ".join(sorted({*notes["for"].split(), *origins}))
            self._base.execute("UPDATE tasks SET notes = ? WHERE url = ?", (json.dumps(notes), url))
            return
        self._base.execute("DELETE FROM tasks WHERE url = ?", (url,))
        notes = {"for": " ".join(sorted(origins)), "hops": str(hops)}
        self.add(url, host, "robots", 0, notes)

    def begin_again(self) -> None:
        """Has everything read once more, each by a conditional request, and failed pictures too."""
        self._base.execute(
            "UPDATE tasks SET outcome = '', reason = '', tries = 0, due = 0 WHERE outcome <> ''"
            " AND (kind IN ('page', 'api', 'style') OR (kind = 'picture' AND outcome = 'failed'))"
        )

    def finish(self, task: Task, outcome: str, reason: str = "", detail: str = "") -> None:
        """Puts down what became of an address."""
        self._base.execute(
            "UPDATE tasks SET outcome = ?, reason = ?, detail = ? WHERE id = ?",
            (outcome, reason, detail[:500], task.id),
        )

    def remember(self, task: Task, etag: str, modified: str) -> None:
        """Puts down what a conditional request for an address needs."""
        self._base.execute(
            "UPDATE tasks SET etag = ?, modified = ? WHERE id = ?", (etag, modified, task.id)
        )

    def postpone(self, task: Task, seconds: float) -> None:
        """Has an address asked for again, in so many seconds."""
        self._base.execute(
            "UPDATE tasks SET tries = tries + 1, due = ? WHERE id = ?",
            (time.time() + seconds, task.id),
        )

    def next(self, host: str, *, reading: bool) -> Task | None:
        """The next address of a host that is due; without `reading`, none that is to be read."""
        row = self._base.execute(
            "SELECT id, url, host, kind, depth, notes, tries, etag, modified FROM tasks"
            " WHERE outcome = '' AND host = ? AND rank < ? AND due <= ? ORDER BY rank, id LIMIT 1",
            (host, _READ_RANK + reading, time.time()),
        ).fetchone()
        if row is None:
            return None
        id, url, name, kind, depth, notes, tries, etag, modified = row
        return Task(id, url, name, kind, depth, json.loads(notes), tries, etag, modified)

    def due(self, host: str, *, reading: bool) -> float | None:
        """Seconds until an address of a host is due; `None` where none is waiting."""
        (due,) = self._base.execute(
            "SELECT MIN(due) FROM tasks WHERE outcome = '' AND host = ? AND rank < ?",
            (host, _READ_RANK + reading),
        ).fetchone()
        return None if due is None else max(0.0, due - time.time())

    def waiting(self) -> list[tuple[str, str, int]]:
        """Host, kind and number of the addresses that are still to be asked for."""
        return self._base.execute(
            "SELECT host, kind, COUNT(*) FROM tasks WHERE outcome = '' GROUP BY host, kind"
            " ORDER BY MIN(id)"
        ).fetchall()

    def outcomes(self) -> list[tuple[str, str, str, int]]:
        """Kind, outcome, reason and number of all addresses that are done with."""
        return self._base.execute(
            "SELECT kind, outcome, reason, COUNT(*) FROM tasks WHERE outcome <> ''"
            " GROUP BY kind, outcome, reason ORDER BY COUNT(*) DESC, reason"
        ).fetchall()

    def first_fault(self) -> tuple[str, str]:
        """Address and reason of the first thing to read that could not be."""
        row = self._base.execute(
            "SELECT url, CASE detail WHEN '' THEN reason ELSE detail END FROM tasks"
            " WHERE outcome IN ('failed', 'skipped') AND kind <> 'robots' ORDER BY id LIMIT 1"
        ).fetchone()
        return row or ("", "")

    def keep(self, entry: Entry, like: Likeness) -> int:
        """Puts down a picture that is in the folder.

        Returns:
            Its number.
        """
        done = self._base.execute(
            "INSERT INTO pictures (sha256, entry, kept, aspect, thumbnail, hashes)"
            " VALUES (?, ?, 1, ?, ?, ?)",
            (
                entry.sha256,
                entry.model_dump_json(),
                like.aspect,
                like.thumbnail.tobytes(),
                like.hashes.tobytes(),
            ),
        )
        assert done.lastrowid is not None
        return done.lastrowid

    def drop(self, number: int) -> None:
        """Puts down that a better version of a picture has taken its place."""
        self._base.execute("UPDATE pictures SET kept = 0 WHERE id = ?", (number,))

    def has_file(self, sha256: str) -> bool:
        """Whether a picture of these contents is, or was, in the folder."""
        row = self._base.execute("SELECT 1 FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        return bool(row)

    def entries(self) -> Iterator[Entry]:
        """What is known of the pictures that are kept, in the order in which they came."""
        for (text,) in self._base.execute("SELECT entry FROM pictures WHERE kept ORDER BY id"):
            yield Entry.model_validate_json(text)

    def dropped_files(self) -> list[str]:
        """Names of the files whose place a better version has taken."""
        rows = self._base.execute("SELECT entry FROM pictures WHERE NOT kept")
        return [Entry.model_validate_json(text).file for (text,) in rows]

    def picture(self, number: int) -> tuple[Entry, Likeness]:
        """A picture by its number."""
        text, aspect, thumbnail, hashes = self._base.execute(
            "SELECT entry, aspect, thumbnail, hashes FROM pictures WHERE id = ?", (number,)
        ).fetchone()
        pixels = np.frombuffer(thumbnail, np.uint8).reshape(SIDE, SIDE, 3)
        like = Likeness(pixels, aspect, np.frombuffer(hashes, np.uint64))
        return Entry.model_validate_json(text), like

    def all_hashes(self) -> tuple[list[int], list[np.ndarray]]:
        """Numbers and hashes of the pictures that are kept."""
        rows = self._base.execute("SELECT id, hashes FROM pictures WHERE kept ORDER BY id")
        numbers, hashes = [], []
        for number, blob in rows:
            numbers.append(number)
            hashes.append(np.frombuffer(blob, np.uint64))
        return numbers, hashes

    def robots(self, origin: str, newer_than: float) -> str | None:
        """The robots.txt of an origin; `None` where it is not known, or only an old one."""
        row = self._base.execute(
            "SELECT text FROM robots WHERE origin = ? AND fetched > ?", (origin, newer_than)
        ).fetchone()
        return row[0] if row else None

    def keep_robots(self, origin: str, text: str) -> None:
        """Puts down the robots.txt of an origin."""
        self._base.execute(
            "INSERT OR REPLACE INTO robots VALUES (?, ?, ?)", (origin, text, time.time())
        )
