"""Starts the studio's painters and its reader, and keeps them going.

A child that ends is started again, after a pause that grows while it ends at once. What it was at
is taken care of first: the job of a painter goes on or is set aside, the picture of a reader is
refused. Everything here runs in the event loop of the server; the records are asked in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from impasto.errors import ImpastoError, one_line
from impasto.web import child
from impasto.web.config import StudioOptions
from impasto.web.database import UNAVAILABLE, reason_of
from impasto.web.entities import Fault, MissingError
from impasto.web.records import Records
from impasto.web.retention import purge
from impasto.web.storage import Storage

STOP_SECONDS = 3.0
"""Seconds that children have to end by themselves; they are killed then. With what the server takes
itself, its end stays below 5 seconds."""

READ_SECONDS = 60.0
"""Seconds after which a reader that does not answer is ended."""

READ_TRIES = 2
"""How often a picture is read at which the reader ends; another process may have ended it."""

PURGE_EVERY = 600.0
"""Seconds between two looks for what may be deleted."""

FIRST_PAUSE = 0.25
"""Seconds before an ended child is started again; twice as many each time that it did not even
become ready."""

LONGEST_PAUSE = 30.0

FAULT_PAUSE = 1.0
"""Seconds before work that failed unexpectedly is begun again."""

Listener = Callable[[Literal["job", "picture"], str, dict[str, Any] | None], None]
Programs = Mapping[str, Sequence[str]]

PROGRAMS: Programs = {
    "painter": ("-m", "impasto.web.painter"),
    "reader": ("-m", "impasto.web.reader"),
}
"""What Python runs as each kind of child."""

_PROBE = (
    "import torch; "
    "found = [f'cuda:{n}' for n in range(torch.cuda.device_count())]; "
    "print(','.join(found or ['mps'] * torch.backends.mps.is_available() or ['cpu']))"
)
_LONGEST_LINE = 2**20
_REFUSED: dict[str, Any] = {
    "fault": {
        "code": "unreadable",
        "message": "the picture: cannot be read safely; open it in another program and save it "
        "again",
    }
}

_log = logging.getLogger(__name__)


class Supervisor:
    """The processes that paint and read. All methods are called in the event loop's thread.

    Attributes:
        listener: called there with `"job"`, its id and its newest progress as plain data, or `None`
            where its record has changed; and with `"picture"`, its id and `None` where the reader
            has looked at it.

    Args:
        options: of the studio.
        records: of the studio.
        storage: its files.
        programs: what Python runs as each kind of child.
    """

    def __init__(
        self,
        options: StudioOptions,
        records: Records,
        storage: Storage,
        *,
        programs: Programs = PROGRAMS,
    ) -> None:
        self.listener: Listener = lambda _kind, _id, _progress: None
        self._options, self._records, self._storage = options, records, storage
        self._programs = programs
        self._painters = dict[str, _Child]()
        self._reader: _Child | None = None
        self._unread = asyncio.Event()
        self._answer: asyncio.Future[dict[str, Any] | None] | None = None
        self._watched = set[str]()
        self._tasks = list[asyncio.Task[None]]()
        self._keeping = list[asyncio.Task[None]]()
        self._reading: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts them; they take up what an earlier studio left."""
        settings = {
            "data": str(self._storage.root.absolute()),
            "database": self._options.database_url,
        }
        reader = _Child(
            "reader",
            self._programs["reader"],
            {
                **settings,
                "max_pixels": self._options.max_pixels,
                "max_seconds": self._options.max_clip_seconds,
            },
            heard=self._read_heard,
            ended=self._read_ended,
        )
        self._reader = reader
        self._keeping.append(reader.start())
        self._reading = asyncio.create_task(_again_and_again(lambda: self._read_all(reader)))
        self._tasks.append(self._reading)
        for work in lambda: self._paint_all(settings), self._purge_ever:
            self._tasks.append(asyncio.create_task(_again_and_again(work)))

    async def stop(self) -> None:
        """Ends them in good order: painters write down where they stand. After `STOP_SECONDS` they
        are killed, and the time since the last checkpoint is lost. A second call waits for the
        first one's end."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._stop())
        await asyncio.shield(self._ending)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        children = [*self._painters.values(), *([self._reader] if self._reader else [])]
        await asyncio.gather(*(one.stop(STOP_SECONDS) for one in children))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    def read(self, picture: str) -> None:
        """A new upload lies in its place, and is in the records."""
        del picture
        self._unread.set()

    def paint(self) -> None:
        """A job has been queued."""
        for painter in self._painters.values():
            painter.tell({"order": "paint"})

    def tell(self, job: str) -> None:
        """Something else is wanted of a running job, or it has another strength."""
        for painter in self._painters.values():
            painter.tell({"order": "tell", "job": job})

    def watch(self, job: str, on: bool) -> None:
        """Somebody looks at a job's live picture, or nobody does any more."""
        (self._watched.add if on else self._watched.discard)(job)
        for painter in self._painters.values():
            painter.tell({"order": "watch", "job": job, "on": on})

    def health(self) -> dict[str, Any]:
        """`reader`: whether it works; `painters`: `ready`, `starting` or `down` by device, or what
        the settings call it until that is known."""
        reader, reading = self._reader, self._reading
        painters = dict.fromkeys(self._options.devices, "starting")
        if self._painters:
            painters = {device: one.health() for device, one in self._painters.items()}
        return {
            "reader": reader is not None
            and reader.health() == "ready"
            and reading is not None
            and not reading.done(),
            "painters": painters,
        }

    # --- painters --------------------------------------------------------------------------------

    async def _paint_all(self, settings: dict[str, Any]) -> None:
        devices = list(self._options.devices)
        if devices == ["auto"]:
            devices = await _devices_here()
        await _kindly(asyncio.to_thread(self._release, devices))
        for device in devices:
            painter = _Child(
                f"painter-{device}",
                self._programs["painter"],
                {
                    **settings,
                    "device": device,
                    "threads": self._options.threads,
                    "networks": str(self._options.network_folder.absolute()),
                },
                heard=self._painter_heard,
                ended=lambda reason, counts, device=device: self._painter_ended(
                    device, reason, counts
                ),
                begun=self._painter_begun,
                environment=_alone_with(device),
            )
            self._painters[device] = painter
            self._keeping.append(painter.start())

    def _release(self, devices: Sequence[str]) -> None:
        """Queues jobs again that ran on devices which no painter has any more."""
        for device in self._records.running_elsewhere(devices):
            if not child.is_held(self._storage.lock(f"painter-{device}")):
                self._records.crash(device, "its device is no longer used", counts=False)

    def _painter_begun(self, painter: _Child) -> None:
        for job in self._watched:
            painter.tell({"order": "watch", "job": job, "on": True})

    def _painter_heard(self, message: dict[str, Any]) -> None:
        if "job" in message:
            self.listener("job", message["job"], message.get("progress"))

    async def _painter_ended(self, device: str, reason: str, counts: bool) -> None:
        jobs = await asyncio.to_thread(
            lambda: self._records.crash(device, f"the painter {reason}", counts=counts)
        )
        for job in jobs:
            _log.warning("job %s: the painter %s; it is %s", job.id, reason, job.state)
            self.listener("job", job.id, None)

    # --- reader ----------------------------------------------------------------------------------

    async def _read_all(self, reader: _Child) -> None:
        while True:
            self._unread.clear()
            try:
                pictures = await asyncio.to_thread(self._records.unread_pictures)
                for picture in pictures:
                    await self._read_one(reader, picture.id, picture.kind)
            except (*UNAVAILABLE, ImpastoError) as error:
                _log.error("pictures cannot be read: %s", reason_of(error))
                await asyncio.sleep(FAULT_PAUSE)
                continue
            if not pictures:
                await self._unread.wait()

    async def _read_one(self, reader: _Child, picture: str, kind: str) -> None:
        found = None
        for _ in range(READ_TRIES):
            await reader.ready.wait()
            self._answer = asyncio.get_running_loop().create_future()
            reader.tell({"picture": picture, "kind": kind})
            try:
                # Unlike wait_for, it does not lose a cancellation that meets the answer.
                async with asyncio.timeout(READ_SECONDS):
                    found = await self._answer
            except TimeoutError:
                reader.ready.clear()
                reader.kill()
            finally:
                self._answer = None
            if found is not None:
                break
        else:
            _log.warning("picture %s: refused, since the reader ended at it", picture)
        with contextlib.suppress(MissingError):
            await asyncio.to_thread(self._note_read, picture, found or _REFUSED)
        self.listener("picture", picture, None)

    def _note_read(self, picture: str, found: dict[str, Any]) -> None:
        try:
            fault = found.get("fault")
            refusal = None if fault is None else Fault(**fault)
            size = (0, 0) if refusal else (int(found["width"]), int(found["height"]))
            has_alpha = not refusal and bool(found["has_alpha"])
        except (KeyError, TypeError, ValueError):
            _log.error("picture %s: refused, since the reader's answer makes no sense", picture)
            refusal, size, has_alpha = Fault(**_REFUSED["fault"]), (0, 0), False
        if refusal is not None:
            self._records.picture_refused(picture, refusal)
            self._storage.remove_picture(picture)
        else:
            self._records.picture_ready(picture, *size, has_alpha=has_alpha)

    def _read_heard(self, message: dict[str, Any]) -> None:
        self._answer_with(message)

    async def _read_ended(self, _reason: str, _counts: bool) -> None:
        self._answer_with(None)

    def _answer_with(self, message: dict[str, Any] | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    # --- retention -------------------------------------------------------------------------------

    async def _purge_ever(self) -> None:
        while True:
            keep = self._options.keep
            await _kindly(asyncio.to_thread(purge, self._records, self._storage, keep))
            await asyncio.sleep(PURGE_EVERY)


class _Child:
    """A process that is started again when it ends, until it is stopped.

    Attributes:
        name: for logs.
        state: `starting`, `ready` or `down`.
        ready: set while it is.

    Args:
        name: for logs.
        program: what Python runs.
        settings: its first order.
        heard: called with each of its messages.
        ended: called when it has ended, with how it did, and whether by itself.
        begun: called when it is ready.
        environment: variables that it has besides ours.
    """

    def __init__(
        self,
        name: str,
        program: Sequence[str],
        settings: dict[str, Any],
        *,
        heard: Callable[[dict[str, Any]], None],
        ended: Callable[[str, bool], Awaitable[None]],
        begun: Callable[[_Child], None] = lambda _: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.state, self.ready = name, "starting", asyncio.Event()
        self._program, self._settings = program, settings
        self._heard, self._ended, self._begun = heard, ended, begun
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping, self._killed = False, False
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def tell(self, order: Mapping[str, Any]) -> None:
        """Sends an order; nothing while it is not running, since the records have it all."""
        stream = None if self._process is None else self._process.stdin
        if stream is not None and not stream.is_closing():
            stream.write(json.dumps(order).encode() + b"\n")

    def start(self) -> asyncio.Task[None]:
        """Keeps it, in a task of its own."""
        self._task = asyncio.create_task(self.keep())
        return self._task

    def health(self) -> str:
        """Its state; `down` where nothing keeps it any more."""
        return "down" if self._task is None or self._task.done() else self.state

    def kill(self) -> None:
        """Ends it at once."""
        self._killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def keep(self) -> None:
        """Starts it, and starts it again when it has ended, until it is stopped."""
        pause = FIRST_PAUSE
        try:
            while not self._stopping:
                try:
                    worked = await self._live()
                except Exception:
                    _log.exception("%s: an unexpected fault of the server's", self.name)
                    worked, self.state = False, "down"
                if self._stopping:
                    break
                pause = FIRST_PAUSE if worked else min(LONGEST_PAUSE, 2 * pause)
                await asyncio.sleep(pause)
        finally:
            self._over.set()

    async def stop(self, seconds: float) -> None:
        """Has it end by itself, and kills it where it has not after so many seconds."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            _log.warning("%s: did not end in time; killed", self.name)
            self.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._over.wait()

    async def _live(self) -> bool:
        """One life of it; whether it became ready."""
        self._killed = False
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *self._program),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                limit=_LONGEST_LINE,
                # Ctrl-C in the server's terminal is the server's.
                start_new_session=True,
            )
        except OSError as error:
            self.state = "down"
            _log.error("%s: cannot be started (%s)", self.name, error.strerror)
            return False
        self._process = process
        try:
            self.tell(self._settings)
            if self._stopping and process.stdin is not None:
                process.stdin.close()
            await asyncio.gather(self._listen(process), self._forward(process))
            status = await process.wait()
        finally:
            if process.returncode is None:
                self.kill()
            worked = self.ready.is_set()
            # One that never became ready is not just starting when it is tried once more.
            self._process, self.state = None, "down"
            self.ready.clear()
        reason = _how(status, killed=self._killed)
        if not self._stopping:
            _log.warning("%s: %s; it is started again", self.name, reason)
        while True:
            try:
                # Before it was ready it was at no job.
                await self._ended(reason, worked and not self._stopping and status != 0)
                break
            except UNAVAILABLE as error:
                _log.error("%s: %s", self.name, reason_of(error))
                if self._stopping:
                    break
                await asyncio.sleep(FAULT_PAUSE)
        if worked:
            self.state = "starting"
        return worked

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
                if not line:
                    return
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError
            except ValueError:
                # Its last one was cut where it died, or a line was too long.
                _log.warning("%s: a message that cannot be read", self.name)
                continue
            try:
                self._take(message)
            except Exception:
                _log.exception("%s: a message that cannot be used", self.name)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("ready"):
            self.state = "ready"
            self.ready.set()
            self._begun(self)
        elif "cannot" in message:
            self.state = "down"
            _log.error("%s: cannot work: %s", self.name, one_line(str(message["cannot"])))
        else:
            self._heard(message)

    async def _forward(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while data := await process.stderr.read(8192):
            for line in data.decode(errors="replace").splitlines():
                _log.info("%s: %s", self.name, one_line(line))


def _how(status: int, *, killed: bool) -> str:
    """How a process ended, in words; `killed`: by this one."""
    if killed:
        return "was ended by the studio"
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    more = "; perhaps memory ran out" if name == "SIGKILL" else ""
    return f"was ended by {name}{more}"


def _alone_with(device: str) -> dict[str, str]:
    """Variables with which a painter sees only its GPU, of those that the host lets us see."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number:
        return {}
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return {"CUDA_VISIBLE_DEVICES": number}
    # Its entries are numbers or names of GPUs; ours count among them.
    entries = [entry.strip() for entry in allowed.split(",")]
    return {"CUDA_VISIBLE_DEVICES": entries[int(number)] if int(number) < len(entries) else ""}


async def _devices_here() -> list[str]:
    """All GPUs, or the CPU; asked of a process of its own, since the server loads no torch."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _PROBE), stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return out.decode().strip().split(",") if process.returncode == 0 else ["cpu"]


async def _again_and_again(work: Callable[[], Awaitable[None]]) -> None:
    """Does something to its end, beginning again where a fault that nobody thought of ends it."""
    while True:
        try:
            return await work()
        except Exception:
            _log.exception("an unexpected fault of the server's")
        await asyncio.sleep(FAULT_PAUSE)


async def _kindly(work: Awaitable[Any]) -> None:
    """Does what can be done another time where it fails."""
    try:
        await work
    except (*UNAVAILABLE, ImpastoError, OSError) as error:
        _log.error("%s", reason_of(error))
