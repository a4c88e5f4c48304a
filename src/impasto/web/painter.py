"""The process that paints: one for each device, one job at a time.

It takes jobs from the records, and writes a checkpoint where a level begins and every
`CHECKPOINT_EVERY` seconds, so that whatever ends it costs no more than the time since then. A
checkpoint that cannot be read is set aside, and the job begins anew. Results are written whole
before the record says that the job is done. Where memory runs out the job goes on once more from
its checkpoint with less of it, and fails with that reason only where it runs out again.

Results are kept as PNG with 16 bits per channel: it loses nothing, browsers show it, and every
download is made from it, among them the TIFF that printers ask for.

Orders: `{"order": "paint"}` (a job was queued), `{"order": "tell", "job": id}` (something else is
wanted of it), `{"order": "watch", "job": id, "on": true}`. Messages: `{"ready": true}`,
`{"cannot": line}` where it cannot paint at all, `{"job": id, "progress": {…}}` and `{"job": id}`
where its record has changed.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import gc
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.checkpoint import read_checkpoint
from impasto.devices import Networks
from impasto.errors import (
    ImageError,
    ImpastoError,
    InputError,
    NotFiniteError,
    OptionError,
    OutputError,
    RunError,
    WeightsError,
    is_out_of_memory,
    one_line,
)
from impasto.images import Bitmap
from impasto.inputs import painting_size
from impasto.memory import hand_back, limit_heap, memory_budget
from impasto.optimize import Progress
from impasto.options import StyleOptions, make_options
from impasto.pairing import resolve
from impasto.reproduction import from_checkpoint
from impasto.run import Picture, Stylization, stylization
from impasto.samples import sample_names
from impasto.sources import LARGE_SIDE, Loaded
from impasto.styles import style_names
from impasto.web import child
from impasto.web.config import ANY_STYLE, BUILT_IN_STYLES, HOST_OPTIONS
from impasto.web.database import UNAVAILABLE, reason_of
from impasto.web.drawing import drawn
from impasto.web.entities import Fault, Job, MissingError, Note, StateError, Wanted, moves
from impasto.web.filming import UNSAVED, UNWRITTEN, Filming, StoppedError, is_full
from impasto.web.records import Records
from impasto.web.storage import Live, Storage, is_id, new_id

CHECKPOINT_EVERY = 10.0
"""Seconds between two checkpoints."""

CHECKPOINT_SHARE = 0.02
"""Most of a run's time that they may take; where writing is slow they become rarer."""

LIVE_SIDE = 1024
"""Longest side of a live picture, px."""

LIVE_SHARE = 0.02
"""Most of a run's time that live pictures may take."""

LIVE_EVERY = 0.25
"""Least seconds between two of them."""

TELL_EVERY = 0.25
"""Least seconds between two messages about a job's progress."""

NOTE_EVERY = 2.0
"""Seconds between two notes of it in the records."""

LOOK_EVERY = 5.0
"""Seconds after which a painter without a job looks for one although nobody called."""

RETRY_EVERY = 1.0
"""Seconds between two tries to write into records that cannot be written."""

WARM_EVERY = 30.0
"""Seconds between two tries to paint at all, where the weights are missing or the GPU is."""

LESS_MEMORY = 0.5
"""Share of the usual memory that a job has after it ran out of it."""

_LESS_MEMORY = Note("less_memory", "memory ran out, so it went on with less of it")
NICENESS = 5
"""What a painter takes off its own priority: pages answer at once while every core is at work."""

_INTERRUPT = getattr(signal, "SIGUSR1", signal.SIGINT)
_T = TypeVar("_T")
_P = TypeVar("_P")


class SourceError(InputError):
    """A picture that a job names is not there."""


def main() -> None:
    """Paints until the server is gone."""
    line, settings = child.begin()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    limit_heap()
    storage = Storage(settings["data"])
    with child.only_one(storage.lock(f"painter-{settings['device']}")):
        records = Records(settings["database"])
        painter = Painter(records, storage, line, settings["device"], settings["threads"])
        painter.transfer_networks = settings.get("networks")
        sys.exit(painter.run())


class Painter:
    """Paints the jobs of one device.

    Attributes:
        device: as given.
        networks: that are loaded.
        transfer_networks: folder of those that quick previews are made with; `None`: there are
            none that a job could begin with.
        stopping: whether it is to end.
        told: whether the record of the job may have changed since it was looked at.
        watched: ids of jobs whose live pictures somebody looks at.

    Args:
        records: of the studio.
        storage: its files.
        line: to the supervisor.
        device: `cpu`, `mps`, or `cuda:0` and the like, of which only that one is visible.
        threads: of PyTorch; `None`: its default.
    """

    def __init__(
        self,
        records: Records,
        storage: Storage,
        line: child.Line,
        device: str,
        threads: int | None = None,
    ) -> None:
        self.device = device
        self._records, self._storage, self._line = records, storage, line
        self.networks = Networks()
        self.transfer_networks: str | None = None
        self.stopping, self.told = False, False
        self.watched = set[str]()
        self._wake, self._evaluating = threading.Event(), False
        self._job: str | None = None
        if threads is not None:
            torch.set_num_threads(threads)

    def run(self) -> int:
        """Paints job after job.

        Returns:
            0 where the server is gone, 1 where another process had better go on.
        """
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(_INTERRUPT, self._interrupted)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            # Its predecessor is gone for certain, since the lock was free. A supervisor that saw it
            # die has counted that; one that ended with it cannot say that the job was to blame.
            reason = "it was gone when the studio began again"
            self.insist(lambda: self._records.crash(self.device, reason, counts=False))
            while not self._warm_up():
                self._wake_by(WARM_EVERY)
            self._line.tell({"ready": True})
            while not self.stopping:
                self._wake.clear()
                job = self.insist(self._take)
                if job is None:
                    self._wake.wait(LOOK_EVERY)
                elif not self.paint(job):
                    return 1
        except StoppedError:
            pass
        return 0

    def _take(self) -> Job | None:
        # Where the answer of a change was lost, a job may have been taken and not be known here.
        return self._records.running_job(self.device) or self._records.take_job(self.device)

    def _wake_by(self, seconds: float) -> None:
        """Waits, unless the painter is to stop.

        Raises:
            StoppedError: it is.
        """
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            self._wake.clear()
            # Again, since it may have been set just before.
            if not self.stopping:
                self._wake.wait(left)
        if self.stopping:
            raise StoppedError

    def _listen(self) -> None:
        for order in self._line.orders():
            if order["order"] == "watch":
                (self.watched.add if order["on"] else self.watched.discard)(order["job"])
            elif order["order"] == "tell" and order["job"] == self._job:
                self.told = True
                with contextlib.suppress(MissingError, *UNAVAILABLE):
                    if self._records.job(order["job"]).wanted is not None:
                        # At large sizes an evaluation takes a minute.
                        _thread.interrupt_main(_INTERRUPT)
            self._wake.set()
        self.stopping = True
        self._wake.set()
        _thread.interrupt_main(_INTERRUPT)

    def _terminated(self, number: int, frame: object) -> None:
        self.stopping = True
        self._wake.set()
        self._interrupted(number, frame)

    def _interrupted(self, _number: int, _frame: object) -> None:
        # In the main thread, which may be in the middle of anything else as well.
        if self._evaluating:
            self._evaluating = False
            raise StoppedError

    def evaluate(self, run: Iterator[_P]) -> _P | None:
        """Evaluates once more; `None` where the run is over.

        Raises:
            StoppedError: the painter is to stop, or its job was asked to.
        """
        self._evaluating = True
        try:
            # Whoever came before that could not interrupt.
            if self.stopping:
                raise StoppedError
            return next(run, None)
        finally:
            self._evaluating = False

    def insist(self, change: Callable[[], _T]) -> _T:
        """Does something with the records, again and again while they cannot be used: the disk may
        be full, or their server away.

        Raises:
            StoppedError: the painter is to stop, and it could not be done before.
        """
        while True:
            try:
                return change()
            except UNAVAILABLE as error:
                _log(f"the records cannot be used ({reason_of(error)}); trying again")
            if self.stopping:
                raise StoppedError
            time.sleep(RETRY_EVERY)

    def _warm_up(self) -> bool:
        """Loads the network and compiles what is compiled, so that the first job need not wait.

        Returns:
            whether it can paint; where not, the supervisor is told why.
        """
        options = self.options_of({"size": 64, "evaluations": 2, "single_level": True})
        try:
            for _ in stylization("sample:cat", "sample:coffee", options, networks=self.networks):
                pass
        except ImpastoError as error:
            self._line.tell({"cannot": str(error)})
            return False
        return True

    def options_of(self, values: Mapping[str, Any]) -> StyleOptions:
        """The options of a run here.

        Args:
            values: what was asked for; where it runs is the host's business.

        Raises:
            OptionError: a value cannot be used.
        """
        mine = {name: value for name, value in values.items() if name not in HOST_OPTIONS}
        return make_options({**mine, "device": self._kind})

    def tell(self, message: Mapping[str, Any]) -> None:
        """Says something to the supervisor."""
        self._line.tell(message)

    def paint(self, job: Job) -> bool:
        """Paints a job, or goes on with it; whether this process may take another one."""
        self._job = job.id
        # What was wanted before it knew whom it is told about.
        self.told = True
        self.tell({"job": job.id})
        try:
            if not self._paint(job):
                # What the failed run held in cycles would not be there for the next.
                gc.collect()
                hand_back(self._kind)
                self._paint_with_less(job.id)
        except StateError:
            # A change whose answer was lost has been made, and was tried once more.
            if self.insist(lambda: self._records.job(job.id)).over:
                self._storage.remove_job(job.id)
        except ImpastoError as error:
            self._fail(job.id, _fault(error), keep=isinstance(error, RunError))
        except StoppedError:
            raise
        except Exception as error:
            traceback.print_exc()
            line = str(error).strip().partition("\n")[0]
            fault = Fault("internal", f"an unexpected fault, {type(error).__name__}: {line}")
            if _ran_out(error):
                fault = Fault("out_of_memory", "out of memory; choose a smaller --size")
            elif is_full(error):
                fault = Fault("disk_full", "the disk is full; make room and run it again")
            self._fail(job.id, fault, keep=fault.code != "internal")
            return False
        finally:
            self._job = None
            self.tell({"job": job.id})
        return True

    @property
    def _kind(self) -> str:
        """The device as the run, which sees only that one, calls it."""
        return self.device.partition(":")[0]

    def _paint(self, job: Job) -> bool:
        """Paints until the job is over or wanted otherwise; `False` where memory ran out."""
        try:
            self._painting(job).go()
        except (RunError, MemoryError, RuntimeError) as error:
            if not _ran_out(error):
                raise
            _log(f"job {job.id}: {one_line(str(error))}; it goes on with less memory")
            # What the traceback holds must go before the next try.
            return False
        return True

    def _painting(self, job: Job, memory: int | None = None) -> _Painting | Filming:
        still = _Painting(self, self._records, self._storage, job, memory)
        if not moves(job):
            return still
        note = None if memory is None else _LESS_MEMORY
        return Filming(
            *(self, self._records, self._storage, job, still.source, still.named),
            memory=memory,
            note=note,
        )

    def _paint_with_less(self, job: str) -> None:
        memory = int(LESS_MEMORY * memory_budget(self._kind))
        again = self.insist(lambda: self._records.job(job))
        self.told = True
        self._painting(again, memory).go()

    def _fail(self, job: str, fault: Fault, *, keep: bool) -> None:
        with contextlib.suppress(StateError, MissingError):
            self.insist(lambda: self._records.fail(job, fault))
        if not keep:
            self._storage.remove_job(job)


class _Painting:
    """One job while it is painted."""

    _run: Stylization

    def __init__(
        self,
        painter: Painter,
        records: Records,
        storage: Storage,
        job: Job,
        memory: int | None = None,
    ) -> None:
        self._painter, self._records, self._storage, self._job = painter, records, storage, job
        self._memory = memory
        self._names: dict[str, str] = {}
        for name in (BUILT_IN_STYLES, ANY_STYLE) if painter.transfer_networks else ():
            # As the command line calls those that come with impasto.
            file = (Path(painter.transfer_networks or "") / name).absolute()
            self._names[str(file)] = file.stem
        self._wanted: Wanted | None = job.wanted
        self._note = None if memory is None else _LESS_MEMORY
        self._losses: list[list[float | None]] = []
        self._version: int | None = (job.progress or {}).get("version")
        self._level: int | None = None
        now = time.monotonic()
        self._told, self._shown, self._noted, self._kept = -math.inf, -math.inf, now, now
        self._keep_every, self._show_every = CHECKPOINT_EVERY, LIVE_EVERY

    def go(self) -> None:
        """Paints until the job is over or wanted otherwise, or the painter is to stop.

        Raises:
            ImpastoError: it cannot be done.
            StoppedError: the painter is to stop, and the records cannot be written.
        """
        try:
            self._run = self._resumed() or self._begun()
            try:
                self._go()
            except (RunError, MemoryError, RuntimeError) as error:
                if isinstance(error, RunError) or is_out_of_memory(error):
                    # It can go on, with more memory or in another way.
                    self._keep()
                    self._note_down()
                raise
        except ImpastoError as error:
            # In place, so that it keeps whatever else it says.
            error.args = (self.named(str(error)),)
            raise

    def _go(self) -> None:
        run, job = self._run, self._job
        try:
            if run.last is None and self._wanted is None and not self._keep():
                # Before any work, so that none is for nothing.
                self._aside(self._note)
                return
            while not self._asked_to_end():
                progress = self._painter.evaluate(run)
                if progress is None:
                    self._end(self._records.finish)
                    return
                self._after(progress)
        except StoppedError:
            self._painter.told = True
            self._asked_to_end()
            self._add_losses(run.last)
        if self._wanted == "cancel":
            if run.last is None:
                self._painter.insist(lambda: self._records.cancelled(job.id))
                self._storage.remove_job(job.id)
            else:
                self._end(self._records.cancelled)
            return
        self._keep()
        self._note_down()
        if self._wanted == "pause":
            self._aside(self._note)
        else:
            self._painter.insist(lambda: self._records.put_back(job.id))

    def _asked_to_end(self) -> bool:
        """Whether the job is wanted otherwise, or the painter; takes on another strength."""
        painter = self._painter
        if painter.told:
            painter.told = False
            job = painter.insist(lambda: self._records.job(self._job.id))
            self._wanted = job.wanted
            if job.strength is not None and job.strength != self._run.strength:
                try:
                    self._run.change(strength=job.strength)
                except OptionError as error:
                    # The run is none the worse for it.
                    self._note = Note("keeps_strength", f"it keeps its strength ({error})")
        return painter.stopping or self._wanted is not None

    # --- beginning -------------------------------------------------------------------------------

    def _begun(self) -> Stylization:
        job, roles = self._job, self._roles
        values = dict(job.request.get("options") or {})
        if job.strength is not None:
            values["strength"] = job.strength
        photo, styles = roles.pop("content"), roles.pop("style")
        options = self._painter.options_of(values)
        chosen = resolve(options, len(styles), len(roles["masks"]))
        if painting_size(options, chosen) <= LARGE_SIDE:
            styles = [self._drawn(style) for style in styles]
        begin = functools.partial(
            stylization,
            *(photo, styles, options),
            **roles,
            memory=self._memory,
            networks=self._painter.networks,
        )
        for network in self._networks_for(styles):
            try:
                return begin(refine=network)
            except (WeightsError, OptionError) as error:
                # A job is not refused for what it can do without.
                name = Path(network).name
                _log(f"job {job.id}: does not begin with {name} ({one_line(str(error))})")
        return begin()

    def _networks_for(self, styles: Sequence[str | Loaded]) -> list[str]:
        """The transfer networks with whose picture the job is to begin, the first that can make
        it: the one of built-in styles may lack some of them."""
        folder = self._painter.transfer_networks
        request = self._job.request
        if not request.get("refine") or request.get("coarse") or folder is None:
            return []
        built_in = all(isinstance(style, Loaded) or style.startswith("style:") for style in styles)
        names = (BUILT_IN_STYLES, ANY_STYLE) if built_in else (ANY_STYLE,)
        files = [(Path(folder) / name).absolute() for name in names]
        return [str(file) for file in files if file.is_file()]

    def _drawn(self, style: str) -> str | Loaded:
        kind, _, name = style.partition(":")
        return drawn(self._storage, name) if kind == "style" else style

    def _resumed(self) -> Stylization | None:
        """The run as its checkpoint has it; `None` where there is none that can be used."""
        path, painter = self._storage.checkpoint(self._job.id), self._painter
        if not path.exists():
            return None
        roles = self._roles
        try:
            checkpoint = read_checkpoint(path)
            device = painter.options_of({}).device
            if checkpoint.settings["options"]["device"] == device:
                device = None
            run = from_checkpoint(
                *(checkpoint, path),
                **roles,
                device=device,
                memory=self._memory,
                networks=painter.networks,
            )
            done = 0 if run.last is None else run.last.done
            losses = json.loads(run.attachment or b"[]")
            self._losses = [list(row) for row in losses if row[0] <= done]
            self._add_losses(run.last)
        except Exception as error:
            if _ran_out(error):
                raise
            # Whatever is in it, it may not end the painter each time anew.
            _log(f"{path}: set aside ({type(error).__name__}: {one_line(str(error))})")
            with contextlib.suppress(OSError):
                path.replace(self._storage.damaged(self._job.id))
            self._losses = []
            self._note = _BEGAN_ANEW
            return None
        return run

    @functools.cached_property
    def _found(self) -> dict[str, Any]:
        request = self._job.request
        photo = request.get("photo")
        return {
            "content": photo and self.source(photo),
            "style": [self.source(name) for name in request.get("styles") or ()],
            "start": self._optional("start"),
            "masks": [self.source(name) for name in request.get("masks") or ()],
            "style_masks": [
                name and self.source(name) for name in request.get("style_masks") or ()
            ],
            "fine": self._optional("fine"),
            "coarse": self._optional("coarse"),
        }

    @property
    def _roles(self) -> dict[str, Any]:
        """The pictures of the job by the names that runs have for them."""
        return dict(self._found)

    def _optional(self, role: str) -> str | None:
        name = self._job.request.get(role)
        return name and self.source(name)

    def source(self, name: str) -> str:
        """The path of a picture, or the name of a built-in one.

        Raises:
            SourceError: its owner has no such picture any more.
        """
        if name.startswith(("style:", "sample:")):
            kind, _, plain = name.partition(":")
            if plain not in (style_names() if kind == "style" else sample_names()):
                raise SourceError(f"{name}: there is no such picture; choose another")
            return name
        picture, mark, label = name.partition("#")
        gone = SourceError("a picture that it needs has been deleted; choose it again")
        if not is_id(picture):
            raise gone
        try:
            found = self._painter.insist(lambda: self._records.picture(picture))
        except MissingError:
            raise gone from None
        place = self._storage.master(picture)
        if found.kind != "result":
            place = self._storage.source(picture)
        if found.owner != self._job.owner or found.state != "ready" or not place.is_file():
            raise gone
        self._names[str(place.absolute())] = PurePath(found.name).name or found.kind
        return f"{place.absolute()}{mark}{label}"

    def named(self, text: str) -> str:
        """A text with pictures as their owner calls them; paths here are nobody's business."""
        for path, name in self._names.items():
            text = text.replace(path, name)
        return text

    def _renamed(self, settings: Any) -> Any:
        """Settings, whose texts are `named`."""
        if isinstance(settings, dict):
            return {name: self._renamed(value) for name, value in settings.items()}
        if isinstance(settings, list):
            return [self._renamed(value) for value in settings]
        return self.named(settings) if isinstance(settings, str) else settings

    # --- going on --------------------------------------------------------------------------------

    def _after(self, progress: Progress) -> None:
        now = time.monotonic()
        self._add_losses(progress)
        if self._job.id in self._painter.watched and now - self._shown >= self._show_every:
            self._show()
        begins = self._level is not None and progress.level != self._level
        self._level = progress.level
        if begins or now - self._kept >= self._keep_every:
            self._keep()
            self._note_down()
        elif now - self._noted >= NOTE_EVERY:
            # Whoever changed something may not have been able to tell.
            self._painter.told = True
            self._note_down()
        if now - self._told >= TELL_EVERY or progress.done == 1:
            self._told = now
            self._painter.tell({"job": self._job.id, "progress": self._progress(progress)})

    def _add_losses(self, progress: Progress | None) -> None:
        """Notes the losses of an evaluation, unless that was done; an interrupt may have come
        between the evaluation and its end here."""
        if progress is None or (self._losses and self._losses[-1][0] == progress.done):
            return
        terms = progress.terms
        row = (float(progress.done), terms.loss, terms.content, terms.style)
        self._losses.append([_finite(number) for number in row])

    def _show(self) -> None:
        """Writes the live picture."""
        began = time.monotonic()
        version = (self._version or 0) + 1
        pixels = _eight_bits(self._run.glimpse(LIVE_SIDE))
        with contextlib.suppress(OutputError):
            self._storage.write_live(self._job.id, Live(version, pixels))
            self._version = version
        self._shown = time.monotonic()
        self._show_every = max(LIVE_EVERY, (self._shown - began) / LIVE_SHARE)

    def _keep(self) -> bool:
        """Writes a checkpoint; where that fails, the former one stays and the note says so."""
        began = time.monotonic()
        try:
            self._run.checkpoint(
                self._storage.checkpoint(self._job.id),
                overwrite=True,
                attachment=json.dumps(self._losses).encode(),
            )
            self._note = None if self._note in UNSAVED.values() else self._note
            return True
        except OutputError as error:
            _log(str(error))
            self._note = UNSAVED[is_full(error)]
            return False
        finally:
            self._kept = time.monotonic()
            self._keep_every = max(CHECKPOINT_EVERY, (self._kept - began) / CHECKPOINT_SHARE)

    def _note_down(self) -> None:
        """Writes into the records how far the job is; it can wait where they cannot be used."""
        self._noted = time.monotonic()
        last = self._run.last
        if last is not None:
            with contextlib.suppress(*UNAVAILABLE):
                self._records.note_progress(
                    self._job.id, self._progress(last), self._losses, note=self._note
                )

    def _progress(self, progress: Progress) -> dict[str, Any]:
        terms = progress.terms
        return {
            "share": progress.share,
            "elapsed": progress.elapsed,
            "remaining": progress.remaining,
            "level": progress.level,
            "levels": [
                {"width": one.width, "height": one.height, "evaluations": one.evaluations}
                for one in progress.levels
            ],
            "evaluation": progress.evaluation,
            "evaluations_done": progress.done,
            "width": progress.width,
            "height": progress.height,
            "loss": _finite(terms.loss),
            "content": _finite(terms.content),
            "style": _finite(terms.style),
            "version": self._version,
        }

    # --- ending ----------------------------------------------------------------------------------

    def _aside(self, note: Note | None) -> None:
        self._painter.insist(lambda: self._records.put_aside(self._job.id, note, self._wanted))

    def _end(self, over: Callable[..., Job]) -> None:
        """Makes the best picture so far the result; `over` notes in the records that it is."""
        job, picture = self._job.id, self._run.result
        self._note_down()
        result = new_id()
        try:
            size = self._write(result, picture)
        except OutputError as error:
            # Nothing is lost: it can go on, or be ended again, when there is room.
            _log(str(error))
            self._storage.remove_picture(result)
            self._keep()
            self._aside(UNWRITTEN[is_full(error)])
            return
        bitmap = picture.bitmap
        shape, alpha = (bitmap.width, bitmap.height), bitmap.alpha is not None
        self._painter.insist(lambda: over(job, result, shape, size, has_alpha=alpha))
        self._storage.remove_job(job)

    def _write(self, result: str, picture: Picture) -> int:
        """Writes a result's files; how many bytes its master has."""
        storage = self._storage
        storage.make_room(result)
        master = storage.master(result)
        replace(picture, settings=self._renamed(picture.settings)).save(master, bits=16)
        storage.write_small(result, picture.bitmap)
        return master.stat().st_size


_BEGAN_ANEW = Note("began_anew", "what had been saved of it could not be read, so it began anew")


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, or what an error came from was that."""
    return error is not None and (is_out_of_memory(error) or _ran_out(error.__cause__))


def _code(error: ImpastoError) -> str:
    """The key that a fault is translated by."""
    if _ran_out(error):
        return "out_of_memory"
    kinds = {
        SourceError: "source",
        ImageError: "unreadable",
        InputError: "input",
        NotFiniteError: "not_finite",
    }
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), "run")


def _fault(error: ImpastoError) -> Fault:
    if isinstance(error, OptionError):
        return Fault("option", str(error), error.reason, error.values)
    return Fault(_code(error), str(error))


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _eight_bits(bitmap: Bitmap) -> NDArray[np.uint8]:
    """A picture on white, `(H, W, 3)`."""
    pixels = bitmap.pixels
    if bitmap.alpha is not None:
        pixels = pixels * bitmap.alpha + (1 - bitmap.alpha)
    return np.rint(pixels.transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
