"""How far a collection is, in figures: what waits, and what became of the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from impasto.collect.journal import Journal

FORBIDDEN = "robots.txt forbids it"
PRIVATE = "not on the public internet"
TOO_MANY = "too many style sheets"
_READ, _ASKED = ("page", "api"), ("robots", "picture", "style")
"""Kinds of addresses that count for --max-pages, and the others."""
_LEFT_OUT = ("skipped", "unasked", "duplicate", "joined", "replaced", "deleted")


@dataclass(frozen=True)
class Progress:
    """How far a collection has come, this run and those before it.

    Attributes:
        pages: pages, feeds, records and style sheets read.
        found: different addresses of pictures so far.
        kept: pictures in the folder.
        skipped: pictures left out by a rule or filter, or near-duplicates.
        failed: pictures that could not be had.
        waiting: addresses still to be asked for.
        bytes: received.
        seconds: of this run.
        pause: seconds until the next request, where all hosts want to be left alone.
        stopping: why nothing more is asked for and only what is under way awaited; empty while
            that is not so.
    """

    pages: int
    found: int
    kept: int
    skipped: int
    failed: int
    waiting: int
    bytes: int
    seconds: float
    pause: float = 0.0
    stopping: str = ""


@dataclass(frozen=True)
class Summary:
    """What came of a collection.

    Attributes:
        progress: the figures at the end.
        reasons: kind, outcome, reason and number of what was not kept, the most frequent first.
        unfinished: why it is not complete; empty where it is.
        left: addresses that were not asked for.
    """

    progress: Progress
    reasons: tuple[tuple[str, str, str, int], ...]
    unfinished: str
    left: int


class Tally:
    """The figures of one collection, kept in step with its journal.

    Args:
        journal: where they begin.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._outcomes: Counter[str] = Counter()
        self._queue: Counter[tuple[str, str]] = Counter()
        self.recount()
        for kind, outcome, reason, number in journal.outcomes():
            self.count(kind, outcome, reason, number)

    def recount(self) -> None:
        """Counts anew what waits."""
        self._queue.clear()
        for host, kind, number in self._journal.waiting():
            self.queue(host, kind, number)

    def queue(self, host: str, kind: str, number: int = 1) -> None:
        """So many addresses more wait to be asked for."""
        key = host, kind
        self._queue[key] += number
        if self._queue[key] <= 0:
            del self._queue[key]

    def count(self, kind: str, outcome: str, reason: str = "", number: int = 1) -> None:
        """So many addresses more are done with."""
        if kind == "picture":
            self._outcomes[outcome] += number
        elif kind in _READ and outcome in ("read", "unchanged"):
            self._outcomes["read"] += number
        elif kind != "robots" and reason not in (FORBIDDEN, PRIVATE, TOO_MANY):
            self._outcomes["fruitless"] += number

    def hosts(self) -> list[str]:
        """Those of whom something waits to be asked for, in the order in which they came."""
        return list(dict.fromkeys(host for host, _ in self._queue))

    def waits(self, host: str, *, reading: bool) -> bool:
        """Whether something of a host waits; without `reading`, something not to be read."""
        return any(self._queue[host, kind] > 0 for kind in (*_ASKED, *(_READ if reading else ())))

    @property
    def waiting(self) -> int:
        """Addresses that wait to be asked for."""
        return sum(self._queue.values())

    @property
    def read(self) -> int:
        """Pages, feeds and records that were read."""
        return self._outcomes["read"]

    @property
    def fruitless(self) -> int:
        """Pages that led elsewhere or could not be read, and style sheets."""
        return self._outcomes["fruitless"]

    @property
    def skipped(self) -> int:
        """Pictures left out."""
        return sum(self._outcomes[outcome] for outcome in _LEFT_OUT)

    @property
    def failed(self) -> int:
        """Pictures that could not be had."""
        return self._outcomes["failed"]

    @property
    def found(self) -> int:
        """Different addresses of pictures."""
        pictures = sum(number for (_, kind), number in self._queue.items() if kind == "picture")
        return self._outcomes["kept"] + self.skipped + self.failed + pictures

    @property
    def in_vain(self) -> bool:
        """Whether nothing came of anything so far."""
        outcomes = self._outcomes
        return not (self.read or outcomes["kept"] or outcomes["skipped"] or outcomes["duplicate"])

    def reasons(self) -> tuple[tuple[str, str, str, int], ...]:
        """Kind, outcome, reason and number of what was not kept, the most frequent first."""
        merged: Counter[tuple[str, str, str]] = Counter()
        for kind, outcome, reason, number in self._journal.outcomes():
            if outcome not in ("kept", "moved") and reason:
                name = "failed" if outcome == "failed" else "skipped"
                merged["picture" if kind == "picture" else "page", name, reason] += number
        return tuple((*key, number) for key, number in merged.most_common())
