"""How each host is treated: its pauses, which outlive the process, second tries, and giving up."""

from __future__ import annotations

from impasto.collect.answers import Answer
from impasto.collect.journal import Journal, Task
from impasto.collect.options import CollectOptions
from impasto.collect.politeness import Host, retry_after

_BUSY = {429, 503}
_TROUBLED = {408, 425, 500, 502, 504, 520, 521, 522, 523, 524}

_MANY, _MANY_BUSY = 12, 6
"""Addresses of a host that fail at their first try, one after the other, after which it is left
alone for the rest of a run."""


class Hosts:
    """The hosts of a collection, by their names.

    Args:
        journal: where pauses and second tries are put down.
        options: the delay, and how often to try.
        backoff: seconds before the second try of what failed; doubled for every further one.
        patience: seconds; a host that asks for a longer pause is left for a later run.
    """

    def __init__(
        self, journal: Journal, options: CollectOptions, backoff: float, patience: float
    ) -> None:
        self._journal, self._options = journal, options
        self._backoff, self._patience = backoff, patience
        self._known: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        if name not in self._known:
            host = self._known[name] = Host(self._options.delay)
            seconds, busy = self._journal.pause(name)
            if busy:
                # The server may still have been sending when the process died.
                seconds = max(seconds, host.delay)
            self._leave_alone(host, seconds)
        return self._known[name]

    def given_up(self) -> list[tuple[str, str]]:
        """The hosts that are left alone for the rest of this run, and why."""
        return [(name, host.given_up) for name, host in self._known.items() if host.given_up]

    def begin(self, name: str) -> None:
        """A request to a host begins."""
        host = self[name]
        host.begin()
        if host.delay:
            self._journal.keep_pause(name, host.delay, busy=True)

    def end(self, name: str) -> None:
        """The request is over."""
        self[name].end()
        self._put_down(name)

    def slow_down(self, name: str, delay: float) -> None:
        """A host asks for pauses of so many seconds."""
        host = self[name]
        host.slow_down(delay)
        self._leave_alone(host, delay if delay > self._patience else 0.0)
        self._put_down(name)

    def try_again(self, task: Task, answer: Answer) -> bool:
        """Whether an address will be asked for again; its host is left alone until then.

        An address that fails as often as allowed is given up. A host is, for this run, where many
        of its addresses fail one after the other: the rest would fare no better.
        """
        host = self[task.host]
        busy, troubled = answer.status in _BUSY, answer.status in _TROUBLED
        if task.kind == "robots" and not answer.refused:
            # Rules that cannot be had are not to be taken for none (RFC 9309, section 2.3.1.4).
            unsaid = answer.status not in (200, 204) and not 300 <= answer.status < 500
            troubled = troubled or unsaid or bool(answer.fault)
        if not (answer.again or busy or troubled):
            host.faults = 0
            return False
        # What fails again says little about the others.
        host.faults += task.tries == 0
        tries = max(task.tries, host.faults - 1) if busy else task.tries
        wait = self._backoff * 2**tries
        if busy or troubled:
            wait = max(wait, retry_after(answer.headers.get("retry-after", "")) or 0.0)
        said = answer.fault or f"HTTP status {answer.status}"
        last = task.tries + 1 >= self._options.attempts
        self._leave_alone(host, wait if wait > self._patience else 0.0)
        if busy or answer.again or task.kind == "robots":
            # A server that is busy wants no request at all; a broken page is only that page.
            host.hold(wait)
        self._put_down(task.host)
        if task.kind == "robots" and last:
            host.given_up = host.given_up or f"robots.txt cannot be had: {said}"
        elif host.faults >= (_MANY_BUSY if busy else _MANY):
            host.given_up = host.given_up or said
        elif last and not host.given_up:
            return False
        self._journal.postpone(task, wait)
        return True

    def _leave_alone(self, host: Host, seconds: float) -> None:
        if seconds > 0:
            host.hold(seconds)
        if seconds > self._patience:
            minutes = max(1, round(min(seconds, 1e9) / 60))
            host.given_up = f"it asks for a pause of {minutes} minute{'s' * (minutes > 1)}"

    def _put_down(self, name: str) -> None:
        host = self[name]
        if host.wait or host.delay:
            self._journal.keep_pause(name, host.wait)
