"""Quick previews: who waits for one, the process that makes them, and those that were made.

Each visitor has one preview of a kind under way and at most one that waits: a newer wish takes its
place. The process is started when the first preview is wanted, and ended when nobody has wanted one
for a while. Whatever becomes of it, the rest of the studio goes on. Everything here runs in the
event loop of the server.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from impasto.errors import OptionError, one_line
from impasto.web.config import ANY_STYLE, BUILT_IN_STYLES, StudioOptions
from impasto.web.entities import StateError
from impasto.web.security import Refused

PROGRAM: Sequence[str] = ("-m", "impasto.web.previewer")
"""What Python runs."""

Kind = Literal["paint", "sheet"]

IDLE_SECONDS = 300.0
"""Seconds without a wish after which the process ends."""

ANSWER_SECONDS = 120.0
"""Seconds after which a process that does not answer is ended; it has to start first."""

STOP_SECONDS = 2.0
"""Longest that the studio's own end waits for the process's."""

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 120.0
"""Seconds in which no new one is started after one has died; twice as many each time that it did
not make a picture in between."""

MOST_WAITING = 64
"""Most wishes that wait."""

KEPT_BYTES = 12 * 2**20
"""Bytes of the pictures that are kept, those asked for last."""

_LONGEST_LINE = 2**23
_log = logging.getLogger(__name__)


class SupersededError(StateError):
    """The visitor wishes for another preview by now."""

    code = "superseded"


@dataclass(eq=False)
class _Wish:
    """A preview that somebody waits for."""

    kind: Kind
    key: str
    order: Mapping[str, Any]
    answer: asyncio.Future[bytes] = field(default_factory=lambda: _future())

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # It may be that nobody waits any more.
            self.answer.exception()


class Previews:
    """The previews of a studio.

    Args:
        options: of the studio.
        clock: seconds that only grow.
    """

    def __init__(self, options: StudioOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = options.network_folder, clock
        self._settings = {"networks": str(self._folder), "threads": options.threads}
        self._wanted = options.previews
        self._waiting = dict[tuple[str, str], _Wish]()
        self._at_work = dict[int, _Wish]()
        self._made = OrderedDict[str, bytes]()
        self._process: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._timers = dict[int, asyncio.TimerHandle]()
        self._idle: asyncio.TimerHandle | None = None
        self._number, self._closed = 0, False
        self._pause, self._not_before = FIRST_PAUSE, -1.0

    @property
    def built_in(self) -> bool:
        """Whether there are previews of the built-in styles."""
        return self._has(BUILT_IN_STYLES, ANY_STYLE)

    @property
    def any(self) -> bool:
        """Whether there are previews of any painting."""
        return self._has(ANY_STYLE)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._life is not None

    def _has(self, *names: str) -> bool:
        return self._wanted and any((self._folder / name).is_file() for name in names)

    async def get(self, who: str, kind: Kind, order: Mapping[str, Any], contents: Any) -> bytes:
        """A preview as a JPEG file.

        Args:
            who: whose newest wish of this kind it is.
            kind: of the order.
            order: for the process, without its number.
            contents: what tells the picture from others, as plain data.

        Raises:
            SupersededError: the same visitor wished for another one before this was begun.
            OptionError: the options do not fit the pictures.
            Refused: there are too many wishes, or the process cannot make it.
        """
        text = json.dumps([kind, contents], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        place = who, kind
        older = self._waiting.get(place)
        if older is not None and older.key == key:
            return await asyncio.shield(older.answer)
        same = next((wish for wish in self._at_work.values() if wish.key == key), None)
        made = self._made.get(key)
        if older is not None and (same is not None or made is not None):
            del self._waiting[place]
        if older is not None:
            older.fail(SupersededError("a newer preview was asked for"))
        if made is not None:
            self._made.move_to_end(key)
            return made
        if same is not None:
            return await asyncio.shield(same.answer)
        if self._closed or self._clock() < self._not_before:
            raise _unavailable(max(1.0, self._not_before - self._clock()))
        wish = _Wish(kind, key, order)
        if older is None and len(self._waiting) >= MOST_WAITING:
            raise Refused(503, "busy", "too many want previews just now; try again", 2)
        # A newer wish keeps the older one's place, so that everybody's turn comes.
        self._waiting[place] = wish
        self._next()
        return await asyncio.shield(wish.answer)

    async def close(self) -> None:
        """Ends the process, which has nothing to lose."""
        self._closed = True
        _kill(self._process)
        if self._life is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.shield(self._life)

    # --- the process -----------------------------------------------------------------------------

    def _next(self) -> None:
        """Hands on the first of the wishes of each kind that is not being worked at."""
        self._stay()
        busy = {wish.kind for wish in self._at_work.values()}
        for place, wish in list(self._waiting.items()):
            if wish.kind not in busy:
                busy.add(wish.kind)
                del self._waiting[place]
                self._give(wish)
        if not self._at_work and self._life is not None:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._stop_listening)

    def _give(self, wish: _Wish) -> None:
        self._number += 1
        number = self._number
        self._at_work[number] = wish
        self._timers[number] = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._too_late)
        if self._life is None:
            self._life = asyncio.create_task(self._live())
        else:
            self._tell(number, wish)

    def _tell(self, number: int, wish: _Wish) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            order = {"id": number, "do": wish.kind, **wish.order}
            process.stdin.write(json.dumps(order).encode() + b"\n")

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _stop_listening(self) -> None:
        """Has the process end in good order."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _too_late(self) -> None:
        _log.warning("previewer: it did not answer in %g seconds; killed", ANSWER_SECONDS)
        _kill(self._process)

    async def _live(self) -> None:
        """One life of the process."""
        status = None
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *PROGRAM),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                # Ctrl-C in the server's terminal is the server's.
                start_new_session=True,
            )
            self._process = process
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(self._settings).encode() + b"\n")
                for number, wish in self._at_work.items():
                    self._tell(number, wish)
                if self._closed:
                    _kill(process)
                await asyncio.gather(self._listen(process), _forward(process))
                status = await process.wait()
                process.stdin.close()
                with contextlib.suppress(OSError):
                    await process.stdin.wait_closed()
            finally:
                _kill(process)
        except OSError as error:
            _log.error("previewer: cannot be started (%s)", error.strerror)
        finally:
            self._ended(status)

    def _ended(self, status: int | None) -> None:
        self._process = self._life = None
        self._stay()
        if status != 0 and not self._closed:
            _log.warning("previewer: ended with status %s", status)
            self._not_before = self._clock() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        lost = list(self._at_work.values())
        self._at_work.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if status != 0 or self._closed:
            lost += self._waiting.values()
            self._waiting.clear()
        elif lost:
            # It ended for want of wishes just when these came.
            for wish in lost:
                self._give(wish)
            return
        for wish in lost:
            wish.fail(_unavailable(self._pause))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
                if not line:
                    return
                message = json.loads(line)
                if "id" in message:
                    self._take(message)
            except (ValueError, TypeError, KeyError, binascii.Error):
                # Its last one was cut where it died.
                _log.warning("previewer: a message that cannot be read")

    def _take(self, message: Mapping[str, Any]) -> None:
        wish = self._at_work.pop(message["id"], None)
        timer = self._timers.pop(message["id"], None)
        if timer is not None:
            timer.cancel()
        try:
            if wish is not None:
                self._settle(wish, message)
        except (ValueError, TypeError, KeyError):
            # Nobody shall wait for what cannot be read.
            assert wish is not None
            wish.fail(_unavailable(self._pause))
            raise
        finally:
            self._next()

    def _settle(self, wish: _Wish, message: Mapping[str, Any]) -> None:
        fault = message.get("fault")
        if fault is not None:
            _log.info("previewer: %s", one_line(str(fault["message"])))
            known = fault["code"] == "option"
            wish.fail(OptionError(str(fault["message"])) if known else _unavailable(self._pause))
            return
        data = base64.b64decode(message["jpeg"], validate=True)
        self._pause = FIRST_PAUSE
        self._made[wish.key] = data
        while sum(map(len, self._made.values())) > KEPT_BYTES:
            self._made.popitem(last=False)
        if not wish.answer.done():
            wish.answer.set_result(data)


def _future() -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().create_future()


def _unavailable(wait: float) -> Refused:
    return Refused(503, "unavailable", "there is no preview just now; try again", wait)


def _kill(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _forward(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(8192):
        for line in data.decode(errors="replace").splitlines():
            _log.info("previewer: %s", one_line(line))
