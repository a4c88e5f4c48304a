"""Jobs and pictures that somebody waits for, and what is told about them.

Each watched job has one newest state, made at most a few times a second, however many watch: a
viewer that is slow misses what lies between, and keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread

from impasto.web.records import MissingError

SPACING = 0.25
"""Least seconds between two states of a job that are told."""

LOOK_AGAIN = 5.0
"""Seconds after which the records are asked again although nothing was heard."""

LINGER = 10.0
"""Seconds that a job counts as watched after its live picture was asked for."""


class _Topic:
    """What is known of one job that somebody follows."""

    def __init__(self) -> None:
        self.viewers = 0
        self.heard = asyncio.Event()
        self.stale = True
        self.progress: dict[str, Any] | None = None
        self.changed = asyncio.Event()
        self.number = 0
        self.text = ""
        self.over = False
        self.task: asyncio.Task[None] | None = None

    def tell(self, text: str) -> None:
        """Gives a new state to all who wait."""
        if text != self.text:
            self.text = text
            self.number += 1
            self.changed.set()
            self.changed = asyncio.Event()

    def end(self) -> None:
        """Nothing new will come."""
        self.over = True
        self.changed.set()


class Watching:
    """Tells those who wait what has changed. Everything here runs in the event loop.

    Args:
        read: what the records say of a job; called in a thread.
        show: that and the job's newest progress as the text that viewers get.
        tell: called with a job and whether anybody watches it.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        show: Callable[[Any, dict[str, Any] | None], str],
        tell: Callable[[str, bool], None],
    ) -> None:
        self._read, self._show, self._tell = read, show, tell
        self._topics = dict[str, _Topic]()
        self._seen = dict[str, float]()
        self._told = set[str]()
        self._pictures = dict[str, asyncio.Event]()
        self._closed = False

    def close(self) -> None:
        """Ends what everybody follows: the server stops."""
        self._closed = True
        for topic in self._topics.values():
            if topic.task is not None:
                topic.task.cancel()
            topic.end()
        for event in self._pictures.values():
            event.set()

    def heard(self, kind: str, id: str, progress: dict[str, Any] | None) -> None:
        """News of a job or picture: its progress, or that its record has changed."""
        if kind == "picture":
            if (event := self._pictures.pop(id, None)) is not None:
                event.set()
        elif progress is not None:
            if (topic := self._topics.get(id)) is not None:
                topic.progress = progress
                topic.heard.set()
        else:
            # One job that moves on moves those behind it in the queue.
            for topic in self._topics.values():
                topic.stale = True
                topic.heard.set()

    async def picture(self, id: str, seconds: float) -> None:
        """Waits until there is news of a picture, at most so long."""
        if self._closed:
            return
        event = self._pictures.setdefault(id, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
        if not event.is_set():
            # Others who wait for it look again by themselves when their time is over.
            self._pictures.pop(id, None)

    async def follow(self, job: str) -> AsyncIterator[str]:
        """The states of a job as texts, the present one first, until one is final."""
        topic = self._topics.get(job)
        if topic is None:
            topic = self._topics[job] = _Topic()
            topic.task = asyncio.create_task(self._keep(job, topic))
        topic.viewers += 1
        self._update(job)
        known = 0
        try:
            while not self._closed:
                if topic.number != known:
                    known = topic.number
                    yield topic.text
                elif topic.over:
                    return
                else:
                    await topic.changed.wait()
        finally:
            topic.viewers -= 1
            if not topic.viewers and self._topics.get(job) is topic:
                del self._topics[job]
                if topic.task is not None:
                    topic.task.cancel()
            self._update(job)

    async def _keep(self, job: str, topic: _Topic) -> None:
        """Keeps the state of a job up to date, once for all who follow it."""
        try:
            record = await anyio.to_thread.run_sync(self._read, job)
            topic.stale = False
            while True:
                topic.tell(self._show(record, topic.progress))
                if record.over:
                    return
                await asyncio.sleep(SPACING)
                try:
                    await asyncio.wait_for(topic.heard.wait(), LOOK_AGAIN)
                except TimeoutError:
                    topic.stale = True
                topic.heard.clear()
                if topic.stale:
                    topic.stale = False
                    record = await anyio.to_thread.run_sync(self._read, job)
        except MissingError:
            return  # it has been purged
        finally:
            topic.end()
            if self._topics.get(job) is topic:
                del self._topics[job]

    def look(self, job: str) -> None:
        """Notes that somebody looks at a job's live picture just now."""
        known = job in self._seen
        self._seen[job] = time.monotonic() + LINGER
        if not known:
            asyncio.get_running_loop().call_later(LINGER, self._forget, job)
            self._update(job)

    def _forget(self, job: str) -> None:
        left = self._seen[job] - time.monotonic()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._forget, job)
        else:
            del self._seen[job]
            self._update(job)

    def _update(self, job: str) -> None:
        """Tells the painters where the first one begins to watch or the last one has gone."""
        watched = job in self._seen or job in self._topics
        if watched != (job in self._told):
            (self._told.add if watched else self._told.remove)(job)
            self._tell(job, watched)
