"""The course of robots.txt: whose rules are known, asked for, on their way, or cannot be had."""

from __future__ import annotations

import time

from impasto.collect.hosts import Hosts
from impasto.collect.journal import Journal, Task
from impasto.collect.politeness import ROBOTS_SECONDS, Rules
from impasto.collect.urls import host_of, origin_of


class Robots:
    """The rules of all origins that a collection asks.

    Args:
        journal: what keeps them between two runs.
        hosts: whom they slow down.
    """

    def __init__(self, journal: Journal, hosts: Hosts) -> None:
        self._journal, self._hosts = journal, hosts
        self._rules: dict[str, tuple[Rules | None, float]] = {}

    def rules(self, origin: str) -> tuple[Rules | None] | None:
        """The rules of an origin, in a tuple, which holds `None` where it may not be asked at all;
        `None` instead of it where they are not known, or only old ones (RFC 9309, section 2.4)."""
        rules, until = self._rules.get(origin, (None, 0.0))
        if time.monotonic() < until:
            return (rules,)
        known = self._journal.robots(origin)
        if known is None or known[1] >= ROBOTS_SECONDS:
            return None
        return (self._learn(origin, *known),)

    def ask(self, origin: str) -> Task | None:
        """The task that asks for an origin's robots.txt, put down; `None` while it is not due."""
        if self._awaits(origin):
            return None
        url = f"{origin}/robots.txt"
        with self._journal as journal:
            journal.ask_robots(url, host_of(url), {origin})
        task = self._journal.next(host_of(url), reading=False)
        return task if task is not None and task.kind == "robots" else None

    def settle(self, task: Task, text: str, target: str) -> None:
        """A robots.txt has been answered.

        Args:
            task: what asked for it.
            text: what it says; empty where there is none, which allows everything (RFC 9309,
                section 2.3.1.3).
            target: where it has moved to; empty where it has not.
        """
        # Others may have been sent there since it was asked.
        origins = self._journal.robots_origins(task.url)
        if target:
            origin = origin_of(target)
            known = self._journal.robots(origin)
            if known is None or known[1] >= ROBOTS_SECONDS or target != f"{origin}/robots.txt":
                hops = int(task.notes.get("hops", "0"))
                self._journal.ask_robots(target, host_of(target), origins, hops + 1)
                return
            text = known[0]
        for origin in origins:
            self._journal.keep_robots(origin, text)
            self._learn(origin, text, 0.0)

    def forbid(self, task: Task) -> None:
        """A robots.txt is where nobody may ask: whoever named it is not asked either."""
        for origin in self._journal.robots_origins(task.url):
            self._rules[origin] = None, float("inf")

    def _awaits(self, origin: str) -> bool:
        """Whether the rules of an origin are on their way, from another place that it named.

        While they are it is not asked, and where they cannot be had it is left alone like one that
        cannot say them itself (RFC 9309, section 2.3.1.4).
        """
        other = self._journal.robots_host(origin)
        host = host_of(origin)
        if not other:
            return False
        if reason := self._hosts[other].given_up:
            self._hosts[host].given_up = f"robots.txt cannot be had: {other}: {reason}"
        elif other != host:
            self._hosts[host].hold(0.2)
        return True

    def _learn(self, origin: str, text: str, age: float) -> Rules:
        rules = Rules(text)
        self._rules[origin] = rules, time.monotonic() + ROBOTS_SECONDS - age
        self._hosts.slow_down(host_of(origin), rules.delay)
        return rules
