"""What a server may ask of a visitor: rules, pauses, patience; and what is taken at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from protego import Protego

ROBOT = "impasto"
"""The name that robots.txt can address."""
ROBOTS_BYTES = 500 * 1024
"""How much of a robots.txt is read (RFC 9309, section 2.5, asks for no less)."""
ROBOTS_SECONDS = 24 * 3600
"""How long it is believed (RFC 9309, section 2.4)."""


class BudgetSpentError(Exception):
    """The answer under way would take more data than is allowed in all."""


class Budget:
    """Counts what is received, over all threads and runs; no more than `limit` bytes are taken.

    Args:
        limit: most bytes in all.
        settled: bytes of the answers that have been dealt with.
        pending: bytes that came of the others, by their addresses.
    """

    def __init__(
        self, limit: int, settled: int = 0, pending: Mapping[str, int] | None = None
    ) -> None:
        self._limit, self._settled, self._spent = limit, settled, False
        self._pending = dict(pending or {})
        self._used = settled + sum(self._pending.values())
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes so far."""
        return self._used

    @property
    def settled(self) -> int:
        """Bytes of the answers that have been dealt with."""
        return self._settled

    @property
    def left(self) -> int:
        """Bytes that may still come; none once something did not fit."""
        return 0 if self._spent else max(0, self._limit - self._used)

    def take(self, url: str, size: int) -> None:
        """Counts so many bytes of an address's answer.

        Raises:
            BudgetSpentError: they are too many; what was left is counted as used.
        """
        with self._lock:
            fits = min(size, self._limit - self._used)
            self._add(url, max(0, fits))
            if fits < size:
                self._spent = True
                raise BudgetSpentError

    def give_back(self, url: str, size: int) -> None:
        """So many bytes that were taken for an address have not come after all."""
        with self._lock:
            self._add(url, -size)

    def settle(self, url: str) -> None:
        """An address has been dealt with, and is not asked for again."""
        with self._lock:
            self._settled += self._pending.pop(url, 0)

    def pending(self, url: str) -> int:
        """Bytes that came of the answers of an address that has not been dealt with."""
        return self._pending.get(url, 0)

    def _add(self, url: str, size: int) -> None:
        self._used += size
        self._pending[url] = self._pending.get(url, 0) + size


class Rules:
    """What one robots.txt says to this program.

    Args:
        text: of the file; an empty one allows everything.
    """

    def __init__(self, text: str = "") -> None:
        self._parsed = Protego.parse(text)

    def allow(self, url: str) -> bool:
        """Whether an address may be asked for."""
        return self._parsed.can_fetch(url, ROBOT)

    @property
    def delay(self) -> float:
        """Least seconds between two requests that it asks for, by Crawl-delay or Request-rate."""
        delay = float(self._parsed.crawl_delay(ROBOT) or 0)
        rate = self._parsed.request_rate(ROBOT)
        if rate is not None and rate.requests:
            delay = max(delay, rate.seconds / rate.requests)
        return delay


@dataclass
class Host:
    """One machine, as it is to be treated.

    Attributes:
        delay: least seconds from the end of a request to the next one.
        ready_at: when it may be asked again, by `time.monotonic`.
        ended_at: when its last request was over, by `time.monotonic`.
        busy: a request is under way.
        given_up: why it is left alone for the rest of this run; empty while it is not.
        faults: addresses that have failed at their first try since one has not failed.
    """

    delay: float
    ready_at: float = 0.0
    ended_at: float = float("-inf")
    busy: bool = False
    given_up: str = ""
    faults: int = 0

    def begin(self) -> None:
        """A request to it begins."""
        self.busy = True

    def end(self) -> None:
        """The request is over."""
        self.busy, self.ended_at = False, time.monotonic()
        self.hold(self.delay)

    def slow_down(self, delay: float) -> None:
        """It asks for pauses of so many seconds, after the last request too."""
        self.delay = max(self.delay, delay)
        self.ready_at = max(self.ready_at, self.ended_at + self.delay)

    def hold(self, seconds: float) -> None:
        """It wants to be left alone for so long."""
        self.ready_at = max(self.ready_at, time.monotonic() + seconds)

    @property
    def wait(self) -> float:
        """Seconds until it may be asked."""
        return max(0.0, self.ready_at - time.monotonic())


def retry_after(value: str) -> float | None:
    """Seconds to wait from a Retry-After field, a number or a date; `None` where it says nothing
    (RFC 9110, section 10.2.3)."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
        # The form of C's asctime names no zone and means UTC (RFC 9110, section 5.6.7).
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
