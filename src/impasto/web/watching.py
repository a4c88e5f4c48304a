"""Jobs and pictures that somebody waits for, and what is told about them.

Each watched job has one newest state, made at most a few times a second, however many watch: a
viewer that is slow misses what lies between, and keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from impasto.web.entities import MissingError

SPACING = 0.25
"""Least seconds between two states of a job that are told."""

LOOK_AGAIN = 10.0
"""Seconds after which the records are asked again although nothing was heard."""

QUEUE_SPACING = 1.0
"""Least seconds between two looks at the queue, which says all places at once."""

LINGER = 10.0
"""Seconds that a job counts as watched after its live picture was asked for."""

_log = logging.getLogger(__name__)


class Seen(Protocol):
    """What the records say of a job."""

    @property
    def place(self) -> int | None:
        """In the queue, where it waits."""

    @property
    def over(self) -> bool:
        """Whether it will not go on by itself."""
        ...


_Seen = TypeVar("_Seen", bound=Seen)


class _Topic:
    """What is known of one job that somebody follows."""

    def __init__(self) -> None:
        self.viewers = 0
        self.heard = asyncio.Event()
        self.stale = False
        self.place: int | None = None
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


class Watching(Generic[_Seen]):
    """Tells those who wait what has changed. Everything here runs in the event loop.

    Args:
        read: what the records say of a job; called in a thread.
        places: where the queued jobs stand, by id; called in a thread.
        show: a job, its newest place and progress as the text that viewers get.
        tell: called with a job and whether anybody watches it.
    """

    def __init__(
        self,
        read: Callable[[str], _Seen],
        places: Callable[[], Mapping[str, int]],
        show: Callable[[_Seen, int | None, dict[str, Any] | None], str],
        tell: Callable[[str, bool], None],
    ) -> None:
        self._read, self._places, self._show, self._tell = read, places, show, tell
        self._moved = asyncio.Event()
        self._queue: asyncio.Task[None] | None = None
        self._topics = dict[str, _Topic]()
        self._seen = dict[str, float]()
        self._told = set[str]()
        self._pictures = dict[str, set[asyncio.Event]]()
        self._closed = False

    def close(self) -> None:
        """Ends what everybody follows: the server stops."""
        self._closed = True
        if self._queue is not None:
            self._queue.cancel()
        for topic in self._topics.values():
            if topic.task is not None:
                topic.task.cancel()
            topic.end()
        for events in self._pictures.values():
            for event in events:
                event.set()

    def heard(self, kind: str, id: str, progress: dict[str, Any] | None) -> None:
        """News of a job or picture: its progress, or that its record has changed."""
        if kind == "picture":
            for event in self._pictures.get(id, ()):
                event.set()
        elif progress is not None:
            if (topic := self._topics.get(id)) is not None:
                topic.progress = progress
                topic.heard.set()
        else:
            # One job that moves on moves those behind it in the queue.
            self._moved.set()
            if (topic := self._topics.get(id)) is not None:
                topic.stale = True
                topic.heard.set()

    async def picture(self, id: str, seconds: float, is_read: Callable[[], bool]) -> None:
        """Waits until there is news of a picture, at most so long.

        Args:
            id: of the picture.
            seconds: longest wait.
            is_read: whether there is nothing to wait for; called in a thread, when news of it can
                no longer be missed.
        """
        if self._closed:
            return
        event = asyncio.Event()
        waiting = self._pictures.setdefault(id, set())
        waiting.add(event)
        try:
            if not await anyio.to_thread.run_sync(is_read):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await event.wait()
        finally:
            waiting.discard(event)
            if not waiting and self._pictures.get(id) is waiting:
                del self._pictures[id]

    async def follow(self, job: str) -> AsyncIterator[str]:
        """The states of a job as texts, the present one first, until one is final."""
        topic = self._topics.get(job)
        if topic is None:
            topic = self._topics[job] = _Topic()
            topic.task = asyncio.create_task(self._keep(job, topic))
            if self._queue is None:
                self._queue = asyncio.create_task(self._keep_places())
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
            seen = await anyio.to_thread.run_sync(self._read, job)
            topic.place = seen.place
            while True:
                topic.tell(self._show(seen, topic.place, topic.progress))
                if seen.over:
                    return
                await asyncio.sleep(SPACING)
                try:
                    async with asyncio.timeout(LOOK_AGAIN):
                        await topic.heard.wait()
                except TimeoutError:
                    topic.stale = True
                topic.heard.clear()
                if topic.stale:
                    topic.stale = False
                    seen = await anyio.to_thread.run_sync(self._read, job)
                    topic.place = seen.place
        except (MissingError, SQLAlchemyError):
            return  # it has been purged; or the records are busy, and browsers ask again
        finally:
            topic.end()
            if self._topics.get(job) is topic:
                del self._topics[job]

    async def _keep_places(self) -> None:
        """Keeps the places of all who wait in the queue up to date, at one look for all."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            if any(topic.place is not None for topic in self._topics.values()):
                try:
                    self._tell_places(await anyio.to_thread.run_sync(self._places))
                except SQLAlchemyError:
                    pass  # the next change asks again
                except Exception:
                    # It may not end this: nobody would learn a place any more.
                    _log.exception("an unexpected fault of the server's")
            await asyncio.sleep(QUEUE_SPACING)

    def _tell_places(self, places: Mapping[str, int]) -> None:
        for job, topic in self._topics.items():
            if topic.place is not None and topic.place != places.get(job):
                topic.place = places.get(job)
                # Without a place, it has been taken: its record says more.
                topic.stale = topic.stale or topic.place is None
                topic.heard.set()

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
